"""The study 09_design_space: what to build, and how sure that is: search, fronts, sensitivity, and a formula."""

import itertools
from collections.abc import Sequence

import numpy as np

from memlib.points import Point
from memlib.studies.designs import make_point

#: The device of the formula's designs, whose programming error is their severity.
FORMULA_DEVICE = "10k_100k"


def formula_points(
    checkpoints: Sequence[str],
    layouts: Sequence[str],
    designs: Sequence[int],
    severities: Sequence[float],
    tile_rows: Sequence[int],
    adc_bits: Sequence[int],
    images: int,
) -> list[Point]:
    """For each network and layout, so many designs drawn without replacement from all combinations; 8-bit DACs."""
    grid = list(itertools.product(severities, tile_rows, adc_bits))
    found = []
    for checkpoint, (layout, n) in itertools.product(checkpoints, zip(layouts, designs, strict=True)):
        order = np.random.default_rng(layouts.index(layout)).permutation(len(grid))
        for severity, rows, bits in (grid[i] for i in sorted(order[:n])):
            design = {"checkpoint": checkpoint, "layout": layout, "rows": rows, "adc_bits": bits}
            found.append(make_point({**design, "device": FORMULA_DEVICE, "program_error": severity}, images))
    return found
