"""MemTorch's exemplar sweeps: ADC bits over severities of one effect at a time, on its two shapes of tiles."""

import itertools
from types import SimpleNamespace
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from memlib.evidence.claims import Claim, Statement, above, exactly, within
from memlib.evidence.comparisons import Chips, Labelled, tidy
from memlib.evidence.intervals import difference_interval
from memlib.studies.drawing import errorbars, severity_colors
from memlib.studies.effects import EFFECTS, add_note, chance_line, make_point
from memlib.studies.run import Run
from memlib.studies.trained_networks import label, network_of
from memlib.sweeps.points import Point

#: Rows and columns of the exemplar's tiles.
TILES = ((128, 128), (256, 64))
#: Its effects, which are the names of parameters with their severities.
SWEPT = ("d2d", "states", "stuck_on", "stuck_off")
#: ADC bits at which claims compare tiles without device-to-device variation, and which tiles with it.
CLAIM_BITS, NOISY = 4, ("square", "tall")


def exemplar_points(p: SimpleNamespace) -> Labelled:
    """ADC bits over severities of one effect at a time, on both tiles; severity 0 is the common baseline."""
    labelled = []
    for checkpoint, tile, effect in itertools.product(p.checkpoints, TILES, SWEPT):
        for severity, bits in itertools.product((0, *getattr(p, effect)), p.adc_bits):
            labels = {"checkpoint": checkpoint, "tile": f"{tile[0]}x{tile[1]}", "effect": effect, "severity": severity}
            point = make_point(checkpoint, p.images, effect, severity, device=p.device, **_tile(tile, bits))
            labelled.append((labels | {"adc_bits": bits}, point))
    return labelled


def accuracies(run: Run) -> pd.DataFrame:
    """A row per labelled point: mean accuracy over chips with its 95 % interval."""
    return tidy(run.sweep("exemplar"), exemplar_points(run.p))


def _tile(shape: tuple[int, int], bits: int) -> dict[str, Any]:
    return {"rows": shape[0], "cols": shape[1], "adc_bits": bits}


def plot_exemplar(frame: pd.DataFrame, device: str, origin: str) -> Figure:
    """A row per tile, a column per effect: accuracy over ADC bits, a line per severity."""
    names, tiles = list(frame["effect"].unique()), list(frame["tile"].unique())
    size = (2.3 * len(names) + 0.6, 2.1 * len(tiles) + 1.1)
    figure, axes = plt.subplots(len(tiles), len(names), figsize=size, sharex=True, sharey=True, squeeze=False)
    for (row, tile), (column, effect) in itertools.product(enumerate(tiles), enumerate(names)):
        axis = axes[row, column]
        _bit_lines(axis, frame[(frame["effect"] == effect) & (frame["tile"] == tile)])
        chance_line(axis)
        if column == 0:
            axis.set_ylabel(f"tiles of {tile}\naccuracy (%)")
        if row == 0:
            axis.set_title(EFFECTS[effect].title)
        if row == len(tiles) - 1:
            axis.set(xlabel="ADC bits", xticks=sorted(frame["adc_bits"].unique()))
            place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.25), "ncols": 3}
            axis.legend(title=EFFECTS[effect].unit, frameon=False, columnspacing=0.8, handletextpad=0.3, **place)
    axes[0, 0].set_ylim(0, 102)
    network = label(frame["checkpoint"].iloc[0])
    note = f"bars: 95 % intervals; dotted: chance\n{network}, {device}, 8-bit DACs, dense layout, no wires"
    add_note(figure, frame, origin, note)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    return figure


def _bit_lines(axis: Any, group: pd.DataFrame) -> None:
    levels = group["severity"].unique()
    for i, (severity, color) in enumerate(zip(levels, severity_colors(len(levels) + 1), strict=False)):
        line = group[group["severity"] == severity].sort_values("adc_bits")
        look = {"color": color, "marker": "osD^v"[i % 5], "label": f"{severity:g}" if severity else "off"}
        dodge = 0.1 * (i - (len(levels) - 1) / 2)
        errorbars(axis, line["adc_bits"] + dodge, line, **look)


def claim_points(p: SimpleNamespace) -> dict[str, Point]:
    """The points that claims compare, by name."""
    shapes = {"square": TILES[0], "tall": TILES[1], "large": (TILES[1][0], TILES[1][0])}
    plain = {name: {"severity": 0, **_tile(shape, CLAIM_BITS)} for name, shape in shapes.items()}
    noisy = {f"{name}, d2d": {"severity": p.claim_d2d, **_tile(shapes[name], 8)} for name in NOISY}
    at = p.checkpoints[0], p.claim_images, "d2d"
    return {name: make_point(*at, device=p.device, **choices) for name, choices in (plain | noisy).items()}


def claims(run: Run) -> list[Claim]:
    """The claims about the two tiles, on the same images and device seeds."""
    chips, checkpoint, severity = Chips(run.sweep("claims")), run.p.checkpoints[0], run.p.claim_d2d
    hits = {name: chips.hits(point) for name, point in claim_points(run.p).items()}
    (rows, cols), (tall, narrow) = TILES
    square, other, large = f"{rows}x{cols}", f"{tall}x{narrow}", f"{tall}x{tall}"
    differing = int((hits["tall"] != hits["large"]).sum())

    def about(key: str, text: str, headline: str = "") -> Statement:
        """A statement about the network's tiles."""
        key, sentence = f"{key}/{network_of(checkpoint)}", f"{label(checkpoint)}: {text}"
        return Statement(key, sentence, "MemTorch's tiles", headline)

    same = f"tiles of {other} and {large} give the same answers (images that change, {CLAIM_BITS} bits)"
    low = f"with {CLAIM_BITS}-bit ADCs, {square} tiles are over 1 point more accurate than {other} ones"
    high = (
        f"with 8-bit ADCs and {severity:g} device-to-device, tiles of {square} and {other} differ by less than 1 point"
    )
    plain = difference_interval(hits["square"], hits["tall"])
    noisy = difference_interval(hits["square, d2d"], hits["tall, d2d"])
    return [
        exactly(about("columns", same), differing, differing == 0, "images"),
        above(about("rows_at_4_bits", low), plain, 0.01),
        within(about("rows_at_8_bits", high, "13_memtorch"), noisy, 0.01),
    ]
