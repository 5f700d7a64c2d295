"""How long does ngspice take for a whole analog network, against its number of cells?

    python benchmarks/spice_scaling.py [--hidden 8 16 32 64] [--images 100] [--wired-images 10] [--minutes 10]

Perceptrons on the handwritten digits, 64 inputs and 10 outputs, with 0 and 1 ohm per wire segment; two runs of each
give the time of the first operating point and that of each further image. A dash stands where all further ones together
take less than a tenth of the first, so noise hides them. The behavioural model does the same images without a first
guess. A run of ngspice that takes longer than --minutes is stopped, and larger circuits are left out. Times are
processor time, which other work on the machine disturbs less: trust the ratios and the slopes.
"""

import argparse
import contextlib
import os
import resource
import signal

import torch
from inference import cpu_model

from memlib.circuits import circuit_netlist
from memlib.circuits.circuit import Circuit, build_chip
from memlib.circuits.circuit_model import AnalogModel
from memlib.wires.resistances import Wires
from memlib.zoo import digits_8x8


def network(hidden):
    """Trained, or of random weights where no checkpoint has so many hidden neurons: its time is the same."""
    return digits_8x8.load(hidden) if hidden in digits_8x8.HIDDEN else digits_8x8.network(hidden).double()


def seconds(function, *arguments):
    """(processor seconds of this process and those that it waited for, result) of one call."""
    start = spent()
    result = function(*arguments)
    return spent() - start, result


def spent():
    """Processor seconds so far."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@contextlib.contextmanager
def limit(seconds):
    """Raise TimeoutError in what runs inside for longer; the program that it waits for is killed."""

    def stop(number, frame):
        raise TimeoutError

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def each(first, every, images):
    """Milliseconds of each further image, as text, from the seconds of one and of all; a dash where noise dominates."""
    further = every - first
    return f"{1e3 * further / (images - 1):.1f}" if further > first / 10 else "–"


def measure(hidden, ohm, images, longest):
    """A row of the table, or None if ngspice took too long."""
    circuit = Circuit(wires=Wires(ohm, ohm))
    chip = build_chip(network(hidden), circuit, digits_8x8.images("train")[0][:256])
    volts = circuit.input_voltages(digits_8x8.images("test")[0][:images])
    try:
        with limit(longest):
            first, _ = seconds(circuit_netlist.operating_points, chip, volts[:1])
        with limit(longest):
            every, simulated = seconds(circuit_netlist.operating_points, chip, volts)
    except TimeoutError:
        return None
    seconds(lambda: AnalogModel(chip).operating_points(volts))  # the first is slower
    fast, model = seconds(lambda: AnalogModel(chip).operating_points(volts))
    worst = float((simulated.outputs - model.outputs).abs().max() / simulated.outputs.abs().max())
    resistors = sum(line.startswith("r_") for line in circuit_netlist.netlist(chip, volts[:1]))
    print(
        f"| 64-{hidden}-10 | {ohm:g} | {chip.cells} | {chip.amplifiers} | {resistors} | {first:.2f} | "
        f"{each(first, every, images)} | {fast:.3f} | {every / fast:.0f} | {worst:.0e} |",
        flush=True,
    )
    return every


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--wired-images", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=10)
    arguments = parser.parse_args()
    for name in ("images", "wired_images"):
        if getattr(arguments, name) < 2:
            parser.error(f"--{name.replace('_', '-')} {getattr(arguments, name)}: must be at least 2")
    torch.set_num_threads(1)
    print(f"{cpu_model()}, {os.cpu_count()} cores, load at the start {os.getloadavg()[0]:.1f}\n")
    print(
        "| network | ohm per segment | cells | op-amps | resistors | first image s | each further image ms | "
        "model, all images s | ratio | largest difference |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for ohm, images in ((0.0, arguments.images), (1.0, arguments.wired_images)):
        for hidden in sorted(arguments.hidden):
            if measure(hidden, ohm, images, 60 * arguments.minutes) is None:
                print(f"| 64-{hidden}-10 | {ohm:g} | longer than {arguments.minutes:g} min, larger ones left out |")
                break


if __name__ == "__main__":
    main()
