"""MemTorch's exemplar sweeps: ADC bits over severities of one effect at a time, on its two shapes of tiles."""

import itertools
from types import SimpleNamespace

import pandas as pd
from matplotlib.figure import Figure

from memlib.evidence.claims import Claim, Statement, above, exactly, within
from memlib.evidence.comparisons import Chips, Labelled
from memlib.evidence.intervals import difference_interval
from memlib.studies.drawing import lines, panels, severity_colors, where
from memlib.studies.shared.effects import EFFECTS, add_note, chance_line, make_point
from memlib.studies.shared.trained_networks import label, network_of
from memlib.sweeps.points import Point

#: Rows and columns of the exemplar's tiles.
TILES = ((128, 128), (256, 64))
#: The effects, which are also names of parameters.
SWEPT = ("d2d", "states", "stuck_on", "stuck_off")


def exemplar_points(p: SimpleNamespace) -> Labelled:
    """ADC bits over severities of one effect at a time, on both tiles; severity 0 is the common baseline."""
    found = []
    for checkpoint, (rows, cols), effect in itertools.product(p.checkpoints, TILES, SWEPT):
        for severity, bits in itertools.product((0, *getattr(p, effect)), p.adc_bits):
            labels = {"checkpoint": checkpoint, "tile": f"{rows}x{cols}", "effect": effect, "severity": severity}
            choices = {"rows": rows, "cols": cols, "adc_bits": bits}
            point = make_point(checkpoint, p.images, effect, severity, device=p.device, **choices)
            found.append((labels | {"adc_bits": bits}, point))
    return found


def plot_exemplar(frame: pd.DataFrame, device: str, origin: str) -> Figure:
    """A row per tile, a column per effect: accuracy over ADC bits, a line per severity."""
    rows = {tile: f"tiles of {tile}\naccuracy (%)" for tile in frame["tile"].unique()}
    columns = {effect: EFFECTS[effect].title for effect in frame["effect"].unique()}
    grid = panels(rows, columns, (2.3, 2.1), (0.6, 1.1), "ADC bits")
    for tile, effect, axis in grid:
        part = where(frame, effect=effect, tile=tile)
        colors = severity_colors(part["severity"].nunique() + 1)
        lines(axis, part, "adc_bits", "severity", colors=colors, dodge=0.1)
        chance_line(axis)
    for effect, axis in zip(columns, grid.axes[-1], strict=True):
        look = {"frameon": False, "columnspacing": 0.8, "handletextpad": 0.3, "ncols": 3}
        axis.legend(title=EFFECTS[effect].unit, loc="upper center", bbox_to_anchor=(0.5, -0.25), **look)
    grid.axes[0, 0].set(ylim=(0, 102), xticks=sorted(frame["adc_bits"].unique()))
    network = label(frame["checkpoint"].iloc[0])
    note = f"bars: 95 % intervals; dotted: chance\n{network}, {device}, 8-bit DACs, dense layout, no wires"
    add_note(grid.figure, frame, origin, note)
    grid.figure.tight_layout(rect=(0, 0.06, 1, 1))
    return grid.figure


def claim_points(p: SimpleNamespace) -> dict[str, Point]:
    """The points that claims compare, by name: at 4 bits without device-to-device variation, at 8 bits with it."""
    square, tall = TILES
    at = {"square": (square, 4, 0), "tall": (tall, 4, 0), "large": ((tall[0], tall[0]), 4, 0)}
    at |= {"square, d2d": (square, 8, p.claim_d2d), "tall, d2d": (tall, 8, p.claim_d2d)}
    return {
        name: make_point(
            p.checkpoints[0], p.claim_images, "d2d", severity, device=p.device, rows=rows, cols=cols, adc_bits=bits
        )
        for name, ((rows, cols), bits, severity) in at.items()
    }


def claims(chips: Chips, p: SimpleNamespace) -> list[Claim]:
    """What is claimed of the two tiles, on the same images and device seeds."""
    hits = {name: chips.hits(point) for name, point in claim_points(p).items()}
    (rows, cols), (tall, narrow) = TILES
    square, other, large = f"{rows}x{cols}", f"{tall}x{narrow}", f"{tall}x{tall}"

    def about(key: str, text: str, headline: str = "") -> Statement:
        """A statement about the network's tiles."""
        key, name = f"{key}/{network_of(p.checkpoints[0])}", label(p.checkpoints[0])
        return Statement(key, f"{name}: {text}", "MemTorch's tiles", headline)

    same = f"tiles of {other} and {large} give the same answers (images that change, 4 bits)"
    low = f"with 4-bit ADCs, {square} tiles are over 1 point more accurate than {other} ones"
    close = f"tiles of {square} and {other} differ by less than 1 point"
    high = about("rows_at_8_bits", f"with 8-bit ADCs and {p.claim_d2d:g} device-to-device, {close}", "13_memtorch")
    differing = int((hits["tall"] != hits["large"]).sum())
    return [
        exactly(about("columns", same), differing, differing == 0, "images"),
        above(about("rows_at_4_bits", low), difference_interval(hits["square"], hits["tall"]), 0.01),
        within(high, difference_interval(hits["square, d2d"], hits["tall, d2d"]), 0.01),
    ]
