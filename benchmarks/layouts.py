"""Time and memory of every layout beside the dense one: set-up, a batch, and the peak of a process of its own.

    python benchmarks/layouts.py [--networks resnet20 vgg8:0.25 vgg8] [--batch 64] [--threads 2]

Chips have device-to-device variation of both resistances; 128x128 tiles, 8-bit converters, differential pairs. Weights
are untrained, which changes neither time nor memory.
"""

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import time

LAYOUTS = ("dense", "2x2", "4x4", "sparse")


def measure(network, layout, batch, threads):
    """Seconds for placement, ADC ranges, a chip and a batch; allocated cell pairs, and peak memory in bytes."""
    import torch

    import memlib
    from memlib.chip.network import design_ranges
    from memlib.zoo.networks import build_network

    torch.set_num_threads(threads)
    name, _, width = network.partition(":")
    model = build_network(name, float(width or 1)).eval()
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(max(64, batch), 3, 32, 32, generator=generator)
    mapping = memlib.Mapping(layout=layout if layout.isalpha() else tuple(map(int, layout.split("x"))), order="packed")
    hardware = memlib.Hardware(memlib.Device(d2d_on=0.1, d2d_off=0.1), memlib.Tile(), mapping)
    times = [time.perf_counter()]
    table = memlib.footprint(model, (3, 32, 32), hardware)
    times.append(time.perf_counter())
    ranges = design_ranges(model, hardware, images[:64])
    times.append(time.perf_counter())
    chip = memlib.map_network(model, hardware, images[:64], ranges=ranges)
    times.append(time.perf_counter())
    with torch.inference_mode():
        chip(images[:batch])
        again = time.perf_counter()
        for _ in range(3):
            chip(images[:batch])
    seconds = [b - a for a, b in itertools.pairwise(times)] + [(time.perf_counter() - again) / 3]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"seconds": seconds, "pairs": int(table["cells_allocated"].sum()) // 2, "peak": peak}


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["resnet20", "vgg8:0.25", "vgg8"])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(measure(*arguments.worker, arguments.batch, arguments.threads)))
        return
    print(f"batch {arguments.batch}, {arguments.threads} threads, load at the start {os.getloadavg()[0]:.1f}\n")
    print("| network | layout | million cell pairs | placement s | ADC ranges s | a chip s | a batch s | peak GB |")
    print("|---|---|---|---|---|---|---|---|")
    for network in arguments.networks:
        for layout in LAYOUTS:
            command = [sys.executable, __file__, *sys.argv[1:], "--worker", network, layout]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            r = json.loads(done.stdout)
            seconds = " | ".join(f"{s:.2f}" for s in r["seconds"])
            print(f"| {network} | {layout} | {r['pairs'] / 1e6:.1f} | {seconds} | {r['peak'] / 1e9:.2f} |", flush=True)


if __name__ == "__main__":
    main()
