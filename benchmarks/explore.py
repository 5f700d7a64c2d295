"""How long explore.ipynb takes to show a change: until something of it is drawn, and until all chips are.

    python benchmarks/explore.py [--networks resnet20-0.5-digits vgg8-digits]

Every change starts from the page's first design (5 chips, 100 images) and was not shown before. One thread computes, so
processor time is what a change takes on an idle machine. The browser is not included.
"""

import argparse
import os
import time

from memlib.explorer import Design, Page
from memlib.studies.drawing import set_style

NETWORKS = ("resnet20-0.5-digits", "resnet20-digits", "vgg8-digits", "mlp-digits", "mobilenetv2-digits")
#: Control and value. Each is set back before the next; the page has kept that design.
CHANGES = (
    ("program_error", 0.05), ("device", "neurram"), ("d2d", 0.1), ("stuck_on", 0.001), ("read_noise", 0.01),
    ("states", 16), ("first_seed", 10), ("rows", 64), ("rows", 256), ("cols", 64), ("adc_bits", 5), ("dac_bits", 4),
    ("scheme", "offset"), ("unused", "unformed"), ("technology", "li2022"), ("tile", 1),
    ("r_wire", 1.0), ("layout", "2x2"), ("layout", "4x4"), ("layout", "8x8"), ("layout", "sparse"),
)  # fmt: skip


def show(page: Page, name: str, value: object) -> tuple[float, float, float]:
    """Seconds until something, and until all of a change is drawn; and how long a processor worked for it."""
    drawn: list[float] = []
    start, worked = time.perf_counter(), time.process_time()
    page.numbers.observe(lambda _: drawn.append(time.perf_counter() - start), "value")
    page.controls[name].value = value
    page.wait()
    page.numbers.unobserve_all("value")
    end = time.perf_counter() - start
    return (drawn or [end])[0], end, time.process_time() - worked


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    arguments = parser.parse_args()
    set_style()
    print(f"one thread, load at the start {os.getloadavg()[0]:.1f}\n")
    print("| network | change | first drawn s | all drawn s | processor s |\n|---|---|---|---|---|")
    for network in arguments.networks:
        start = time.perf_counter()
        page = Page(Design(checkpoint=network), [network])
        page.wait()
        print(f"| {network} | (opened) | | {time.perf_counter() - start:.2f} | |")
        for name, value in CHANGES:
            control = page.controls[name]
            if getattr(control, "disabled", False):
                continue
            before = {key: c.value for key, c in page.controls.items()}
            first, whole, worked = show(page, name, value)
            error = " (refused)" if page.error.value else ""
            print(f"| {network} | {name} {value} | {first:.2f} | {whole:.2f}{error} | {worked:.2f} |", flush=True)
            for key, old in before.items():
                page.controls[key].value = old
            page.wait()


if __name__ == "__main__":
    main()
