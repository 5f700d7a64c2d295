"""The study 04_non_idealities: what each effect costs, by network and layout; is the sparse layout noisier?"""

import itertools
from collections.abc import Sequence
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from memlib.base.checks import fail
from memlib.evidence.comparisons import Chips, Comparison, Labelled, tidy
from memlib.studies.drawing import Drawing, errorbars
from memlib.studies.effects import DENSE_ONLY, EFFECTS, add_note, chance_line, evaluate, loss_of, make_point, seeds_of
from memlib.studies.trained_networks import label
from memlib.sweeps.points import Point

__all__ = ["Chips", "evaluate", "tidy"]

#: Layouts, how they are drawn (line, and whether markers are filled), and what they choose.
STYLES: dict[str, tuple[str, bool, dict[str, Any]]] = {
    "dense": ("-", True, {}),
    "sparse": ("--", False, {"layout": "sparse"}),
    "sparse, unused cells at HRS": (":", False, {"layout": "sparse", "unused": "hrs"}),
    "dense, columns rescaled": ("-.", True, {"recalibration": "gain"}),
}
#: Effects that change all currents of a column alike, at least in part, so that a digital factor may make up for them.
RESCALED = ("endurance", "iv", "transistors", "wires")
MARKERS = "osD^v"


def points(
    checkpoints: Sequence[str],
    sparse_checkpoints: Sequence[str],
    images: int,
    severities: dict[str, Sequence[float]],
) -> Labelled:
    """The points of the figure with their labels; severity 0 is the baseline that all effects share.

    Sparse layouts leave out what takes them too long, and those with unused cells also what these cannot change.
    """
    found = []
    for layout, (_, _, choices) in STYLES.items():
        chosen = sparse_checkpoints if "layout" in choices else checkpoints
        for checkpoint, (effect, levels) in itertools.product(chosen, severities.items()):
            if not _shown(effect, choices):
                continue
            for severity in (0, *levels):
                labels = {"checkpoint": checkpoint, "layout": layout, "effect": effect, "severity": severity}
                found.append((labels, make_point(checkpoint, images, effect, severity, **choices)))
    return found


def _shown(effect: str, choices: dict[str, Any]) -> bool:
    """Whether the figure has an effect with these choices."""
    if "recalibration" in choices:
        return effect in RESCALED
    if "unused" in choices and not EFFECTS[effect].of_unused_cells:
        return False
    return "layout" not in choices or effect not in DENSE_ONLY


def comparisons(
    checkpoints: Sequence[str],
    images: int,
    effects: Sequence[str],
    severities: Sequence[float],
) -> list[Comparison]:
    """Dense against sparse, without unused cells and with them; 07_capacity does so with recalibration, too.

    Raises:
        ValueError: if there is not a severity for each effect, or an effect is too slow in the sparse layout.
    """
    if len(effects) != len(severities):
        fail("claim_severities", list(severities), f"one for each of the {len(effects)} claim_effects")
    found = []
    for checkpoint, (effect, severity) in itertools.product(checkpoints, zip(effects, severities, strict=True)):
        if effect in DENSE_ONLY:
            fail("claim_effects", effect, "an effect that the sparse layout is computed with in time")
        at = checkpoint, images, effect, severity
        dense, sparse, formed = (loss_of(*at, **STYLES[layout][-1]) for layout in list(STYLES)[:3])
        name = f"{label(checkpoint)}, {EFFECTS[effect].title} {severity:g}"
        for statement, one, other in (
            ("without unused cells, the sparse layout loses more than the dense one", sparse, dense),
            ("with unused cells at HRS, the sparse layout loses more than the dense one without", formed, dense),
            ("in the sparse layout, unused cells at HRS add to the loss", formed, sparse),
        ):
            found.append(Comparison(f"{name}: {statement}", ((1.0, one), (-1.0, other))))
    return found


def sweeps(
    checkpoints: Sequence[str],
    sparse_checkpoints: Sequence[str],
    images: int,
    device_seeds: int,
    claim_checkpoints: Sequence[str],
    claim_effects: Sequence[str],
    claim_severities: Sequence[float],
    claim_images: int,
    claim_seeds: int,
    **severities: Sequence[float],
) -> list[tuple[list[Point], Any]]:
    """Points and seeds of the figure, and of the claims, from the notebook's parameters."""
    figure = [point for _, point in points(checkpoints, sparse_checkpoints, images, severities)]
    compared = comparisons(claim_checkpoints, claim_images, claim_effects, claim_severities)
    claims = [point for comparison in compared for point in comparison.points]
    return [(figure, seeds_of(device_seeds)), (claims, seeds_of(claim_seeds))]


def plot(frame: pd.DataFrame, origin: str, columns: int = 5) -> Figure:
    """A panel per effect: accuracy over severity, a line per network and layout."""
    effects, checkpoints = list(frame["effect"].unique()), list(frame["checkpoint"].unique())
    rows = -(-len(effects) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.1 * columns, 2.05 * rows + 1), sharey=True, squeeze=False)
    colors = dict(zip(checkpoints, sns.color_palette("colorblind", len(checkpoints)), strict=True))
    for effect, axis in itertools.zip_longest(effects, axes.flat):
        if effect is None:
            axis.set_visible(False)
            continue
        part = frame[frame["effect"] == effect]
        for (checkpoint, layout), line in part.groupby(["checkpoint", "layout"], sort=False):
            _line(axis, line, checkpoints.index(checkpoint), layout, colors[checkpoint])
        levels = [_level(level) for level in part["severity"].unique()]
        axis.set_xticks(range(len(levels)), levels)
        chance_line(axis)
        axis.set_title(EFFECTS[effect].title)
        axis.set_xlabel(EFFECTS[effect].unit)
    for axis in axes[:, 0]:
        axis.set_ylabel("accuracy (%)")
    axes[0, 0].set_ylim(0, 102)
    _legend(figure, frame, colors)
    add_note(figure, frame, origin, "bars: 95 % intervals; dotted: chance")
    figure.tight_layout(rect=(0, 0.03, 1, 1 - 0.55 / figure.get_size_inches()[1]))
    return figure


def _level(severity: float) -> str:
    """A severity in few characters."""
    if not severity:
        return "off"
    return f"{severity:.1e}".replace(".0e+0", "e").replace("e+0", "e") if severity >= 1e4 else f"{severity:g}"


def _line(axis: Axes, line: pd.DataFrame, number: int, layout: str, color: Any) -> None:
    style, filled, _ = STYLES[layout]
    dodge = 0.06 * (number - 1) + 0.02 * list(STYLES).index(layout)  # so that intervals do not hide each other
    look = {"color": color, "linestyle": style, "marker": MARKERS[number % len(MARKERS)], "markersize": 3.5}
    places = [x + dodge for x in range(len(line))]
    errorbars(axis, places, line, **look, markerfacecolor=color if filled else "white")


def _legend(figure: Figure, frame: pd.DataFrame, colors: dict[str, Any]) -> None:
    """Networks in a line, layouts in the next."""
    networks = [
        Line2D([], [], color=color, marker=MARKERS[i % len(MARKERS)], markersize=4, label=label(checkpoint))
        for i, (checkpoint, color) in enumerate(colors.items())
    ]
    layouts = [_layout_handle(layout) for layout in frame["layout"].unique()]
    for handles, top in ((networks, 1.0), (layouts, 1 - 0.25 / figure.get_size_inches()[1])):
        columns = len(handles)
        figure.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, top), ncols=columns, frameon=False)


def _layout_handle(layout: str) -> Line2D:
    style, filled, _ = STYLES[layout]
    look: dict[str, Any] = {"color": "0.3", "linestyle": style, "marker": "o", "markersize": 4}
    return Line2D([], [], markerfacecolor="0.3" if filled else "white", label=layout, **look)


FIGURES = {"04_non_idealities": Drawing(plot, ("04_non_idealities",), ("origin",))}
