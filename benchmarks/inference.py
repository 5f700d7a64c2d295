"""How much slower is a simulated chip than plain torch? ResNet-20, 3x32x32, in torch.inference_mode.

    python benchmarks/inference.py [--rounds 30] [--batch 64] [--threads 1 2] [--device cuda] [--profile]

All variants run in one process, in turn (A B C D, A B C D, ...). So whatever disturbs the machine disturbs all: trust
the ratios, not the seconds. Peak memory is that of a fresh process per variant, with torch in it. glibc's malloc
settings matter (run_all.sh sets them for its own runs), so they are printed.

With --profile, it prints instead how plain torch and the rows with a goal spend their time, by torch.profiler.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

STATIC = {"d2d_on": 0.1, "d2d_off": 0.1, "stuck_on": 0.001, "stuck_off": 0.001}
OFF = {"dac_bits": None, "adc_bits": None}
CONVERTERS = {"rows": 128, "cols": 128, "dac_bits": 8, "adc_bits": 8}
NOISY = STATIC | {"read_noise": 0.02}
VARIANTS = {  # label: (device, tile, mapping, goal); the others are measured relative to the first
    "plain torch": (None, None, {}, ""),
    "plain torch, channels last": (None, "channels_last", {}, ""),
    "static non-idealities, converters off": (STATIC, OFF, {}, "<= 1.15"),
    "128x128 tiles, 8-bit DAC and ADC": (STATIC, CONVERTERS, {}, "<= 3"),
    "the same with read noise": (NOISY, CONVERTERS, {}, "<= 8"),
    # what further effects add to the second last
    "with wires of 1 ohm a segment": (STATIC, CONVERTERS | {"r_row": 1.0, "r_col": 1.0}, {}, ""),
    "with sinh cells": (STATIC | {"v0": 0.25}, CONVERTERS, {}, ""),
    "with sinh cells of state-dependent v0": (STATIC | {"v0": 1.0, "v0_off": 0.25}, CONVERTERS, {}, ""),
    "with converters' errors": (STATIC, CONVERTERS | {"adc_gain_error": 0.01, "adc_offset_error": 0.01}, {}, ""),
    "with 2 slices of 4 levels": (STATIC | {"states": 4}, CONVERTERS, {"slices": 2}, ""),
    "with bit-serial inputs": (STATIC, CONVERTERS | {"bit_serial": True}, {}, ""),
}

PARTS = {  # what torch calls its operators
    "convolution, product": ("conv", "mm", "mkldnn"),
    "normals": ("normal", "randn"),
    "rounding, clipping": ("round", "clamp"),
    "sums, scales": ("add", "mul", "sub", "sqrt", "square", "pow"),
    "batch norm, activations, pooling": ("batch_norm", "relu", "pool", "mean"),
    "copies": ("copy", "contiguous", "clone", "index", "pad"),
}


def create(label, calibration):
    """The network of a variant, set up."""
    import memlib
    from memlib.zoo.networks import build_network

    model = build_network("resnet20").eval()
    device, tile, mapping, _ = VARIANTS[label]
    if device is None:
        import torch

        return model.to(memory_format=getattr(torch, tile or "contiguous_format"))
    hardware = memlib.Hardware(memlib.Device(**device), memlib.Tile(**tile), memlib.Mapping(**mapping))
    return memlib.map_network(model, hardware, calibration, seed=0)


def timed(device, function, *inputs):
    """(seconds, result) of one call, whose work on a GPU is waited for."""
    import torch

    wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    wait()
    start = time.perf_counter()
    result = function(*inputs)
    wait()
    return time.perf_counter() - start, result


def measure(arguments, labels):
    """Seconds per round and of set-up, for each label; peak memory of this process, bytes."""
    import resource

    import torch

    torch.set_num_threads(arguments.threads[0])
    generator = torch.Generator().manual_seed(0)
    calibration = torch.rand(128, 3, 32, 32, generator=generator)
    device = arguments.device
    x = torch.rand(arguments.batch, 3, 32, 32, generator=generator).to(device)
    networks, set_up, rounds = {}, {label: [] for label in labels}, {label: [] for label in labels}
    for label in labels * (1 if arguments.only else 3):
        seconds, network = timed(device, create, label, calibration)
        networks[label] = network.to(device)
        set_up[label].append(seconds)
    with torch.inference_mode():
        for i in range(arguments.rounds + 3):  # three to warm up
            for label, network in networks.items():
                seconds, _ = timed(device, network, x)
                if i >= 3:
                    rounds[label].append(seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"rounds": rounds, "set_up": set_up, "peak": peak, "torch": torch.__version__}


def shares(network, x, rounds):
    """{part: share of the time of its operators}."""
    from torch.profiler import ProfilerActivity, profile

    network(x)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(rounds):
            network(x)
    times = dict.fromkeys([*PARTS, "rest"], 0.0)
    for event in found.key_averages():
        part = next((part for part, names in PARTS.items() if any(name in event.key for name in names)), "rest")
        times[part] += event.self_cpu_time_total
    return {part: time / sum(times.values()) for part, time in times.items()}


def print_profile(arguments):
    """A table of shares for each number of threads."""
    import torch

    x = torch.rand(arguments.batch, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    labels = [label for label, variant in VARIANTS.items() if variant[0] is None or variant[3]]
    networks = {label: create(label, torch.rand(128, 3, 32, 32)) for label in labels}
    print("| threads | variant | " + " | ".join([*PARTS, "rest"]) + " |\n" + "|---" * (len(PARTS) + 3) + "|")
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            for label, network in networks.items():
                numbers = shares(network, x, arguments.rounds).values()
                print(f"| {threads} | {label} | " + " | ".join(f"{n:.0%}" for n in numbers) + " |", flush=True)


def in_fresh_process(threads, *options):
    """`measure` in a process of its own; of an option given twice, the last counts."""
    command = [sys.executable, __file__, *sys.argv[1:], "--worker", "--threads", str(threads), *options]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def cpu_model():
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    return names[0] if names else platform.processor()


def gpu_model():
    """The GPU's name."""
    import torch

    return torch.cuda.get_device_name()


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", default="cpu", help="cpu, or cuda: a chip is set up on the CPU and moved there")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--only", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(measure(arguments, [arguments.only] if arguments.only else list(VARIANTS))))
        return
    if arguments.profile and arguments.device != "cpu":
        parser.error("--profile: of the CPU only")
    if arguments.profile:
        return print_profile(arguments)
    runs = {threads: in_fresh_process(threads) for threads in arguments.threads}
    malloc = ", ".join(f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith("MALLOC_")) or "default"
    version = runs[arguments.threads[0]]["torch"]
    gpu = f", on {gpu_model()}" if arguments.device != "cpu" else ""
    print(f"ResNet-20, batch {arguments.batch}, {arguments.rounds} rounds; {cpu_model()}, {os.cpu_count()} cores{gpu},")
    print(f"torch {version}, malloc: {malloc}, load at the end {os.getloadavg()[0]:.1f}\n")
    print("| threads | variant | ms, median | ratio, median | ratio of minima | goal | set-up s, median | peak MB |")
    print("|---|---|---|---|---|---|---|---|")
    for threads, run in runs.items():
        plain = next(iter(run["rounds"].values()))
        for label, seconds in run["rounds"].items():
            ratio = statistics.median(a / b for a, b in zip(seconds, plain, strict=True))
            numbers = f"{1e3 * statistics.median(seconds):.1f} | {ratio:.2f} | {min(seconds) / min(plain):.2f}"
            peak = in_fresh_process(threads, "--only", label, "--rounds", "3")["peak"] / 1e6
            set_up = statistics.median(run["set_up"][label])
            print(f"| {threads} | {label} | {numbers} | {VARIANTS[label][3]} | {set_up:.2f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
