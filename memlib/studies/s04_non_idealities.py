"""The study 04_non_idealities: the loss by each effect, by network and layout; is the sparse layout noisier?"""

import itertools
from types import SimpleNamespace
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from memlib.base.checks import fail
from memlib.evidence.claims import Claim, Statement
from memlib.evidence.comparisons import Chips, Comparison, Labelled, tidy
from memlib.studies.drawing import Drawing, errorbars
from memlib.studies.effects import DENSE_ONLY, EFFECTS, add_note, chance_line, evaluate, loss_of, make_point, seeds_of
from memlib.studies.run import Run
from memlib.studies.study import Study, Sweep, Values, networks, same
from memlib.studies.trained_networks import inputs, label, network_of

#: Layouts with their looks (line, and whether markers are filled) and their fields.
STYLES: dict[str, tuple[str, bool, dict[str, Any]]] = {
    "dense": ("-", True, {}),
    "sparse": ("--", False, {"layout": "sparse"}),
    "sparse, unused cells at HRS": (":", False, {"layout": "sparse", "unused": "hrs"}),
    "dense, columns rescaled": ("-.", True, {"recalibration": "gain"}),
}
#: Effects that change all currents of a column alike, at least in part, so a digital factor may make up for them.
RESCALED = ("endurance", "iv", "transistors", "wires")
MARKERS = "osD^v"


def points(p: SimpleNamespace) -> Labelled:
    """The points of the figure with their labels; severity 0 is the baseline that all effects share.

    Sparse layouts leave out what takes them too long, and those with unused cells also what these cannot change.
    """
    labelled = []
    for layout, (_, _, choices) in STYLES.items():
        checkpoints = p.sparse_checkpoints if "layout" in choices else p.checkpoints
        shown = [effect for effect in SEVERITIES if _shown(effect, choices)]
        for checkpoint, effect in itertools.product(checkpoints, shown):
            for severity in (0, *getattr(p, effect)):
                labels = {"checkpoint": checkpoint, "layout": layout, "effect": effect, "severity": severity}
                labelled.append((labels, make_point(checkpoint, p.images, effect, severity, **choices)))
    return labelled


def _shown(effect: str, choices: dict[str, Any]) -> bool:
    """Whether the figure has an effect with these choices."""
    if "recalibration" in choices:
        return effect in RESCALED
    if "unused" in choices and not EFFECTS[effect].of_unused_cells:
        return False
    return "layout" not in choices or effect not in DENSE_ONLY


#: The claims about each network and effect.
CLAIMS = {
    "sparse_against_dense": "without unused cells, the sparse layout loses more than the dense one",
    "formed_sparse_against_dense": "with unused cells at HRS, the sparse layout loses more than the dense one without",
    "unused_cells": "in the sparse layout, unused cells at HRS add to the loss",
}
#: The claims that the README shows.
IN_README = (
    "program_error/sparse_against_dense/resnet20",
    "program_error/unused_cells/resnet20",
    "program_error/formed_sparse_against_dense/resnet20-0.25",
    "program_error/formed_sparse_against_dense/resnet20",
    "program_error/formed_sparse_against_dense/vgg8",
)


def comparisons(p: SimpleNamespace) -> list[Comparison]:
    """Dense against sparse, without unused cells and with them; 07_capacity does so with recalibration, too.

    Raises:
        ValueError: if there is not a severity for each effect, or an effect is too slow in the sparse layout.
    """
    if len(p.claim_effects) != len(p.claim_severities):
        fail("claim_severities", p.claim_severities, f"one for each of the {len(p.claim_effects)} claim_effects")
    compared, effects = [], list(zip(p.claim_effects, p.claim_severities, strict=True))
    for checkpoint, (effect, severity) in itertools.product(p.claim_checkpoints, effects):
        if effect in DENSE_ONLY:
            fail("claim_effects", effect, "an effect that the sparse layout is computed with in time")
        at = checkpoint, p.claim_images, effect, severity
        dense, sparse, formed = (loss_of(*at, **STYLES[layout][-1]) for layout in list(STYLES)[:3])
        name = f"{label(checkpoint)}, {EFFECTS[effect].title} {severity:g}"
        for kind, one, other in (
            ("sparse_against_dense", sparse, dense),
            ("formed_sparse_against_dense", formed, dense),
            ("unused_cells", formed, sparse),
        ):
            key, text = f"{effect}/{kind}/{network_of(checkpoint)}", f"{name}: {CLAIMS[kind]}"
            statement = Statement(key, text, "noise, layout", "04_non_idealities" if key in IN_README else "")
            compared.append(Comparison(statement, ((1.0, one), (-1.0, other))))
    return compared


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
        group = frame[frame["effect"] == effect]
        for (checkpoint, layout), line in group.groupby(["checkpoint", "layout"], sort=False):
            _line(axis, line, checkpoints.index(checkpoint), layout, colors[checkpoint])
        levels = [_level(level) for level in group["severity"].unique()]
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


#: The parameters that hold severities, one for each effect.
SEVERITIES = {
    "program_error": Values([0.02, 0.05, 0.1], [0.02]),
    "d2d": Values([0.1, 0.2, 0.4], [0.1]),
    "states": Values([32, 16, 8], [32]),
    "stuck_on": Values([0.0003, 0.001, 0.003], [0.0003]),
    "stuck_off": Values([0.003, 0.01, 0.03], [0.003]),
    "unformed": Values([0.003, 0.01, 0.03], [0.003]),
    "read_noise": Values([0.03, 0.1, 0.3], [0.03]),
    "retention": Values([1e2, 1e4, 1.7e5], [1e2]),
    "endurance": Values([2e4, 5e4, 1e5], [2e4]),
    "iv": Values([1.0, 0.7, 0.5], [1.0]),
    "transistors": Values([200.0, 500.0, 1000.0], [200.0]),
    "wires": Values([0.25, 0.5, 1.0], [0.25]),
    "dac_bits": Values([6, 4, 3], [6]),
    "adc_bits": Values([6, 5, 4], [6]),
    "adc_errors": Values([0.01, 0.03, 0.1], [0.01]),
}


def _sweeps(p: SimpleNamespace) -> dict[str, Sweep]:
    claims = [point for comparison in comparisons(p) for point in comparison.points]
    return {
        "figure": Sweep([point for _, point in points(p)], seeds_of(p.device_seeds)),
        "claims": Sweep(claims, seeds_of(p.claim_seeds)),
    }


def _claims(run: Run) -> list[Claim]:
    chips = Chips(run.sweep("claims"))
    return [comparison.claim(chips) for comparison in comparisons(run.p)]


STUDY = Study(
    name="04_non_idealities",
    parameters={
        "checkpoints": networks(
            "resnet20-0.25", "vgg8", "mobilenetv2", "resnet20", "mlp", smoke=("resnet20-0.25", "vgg8")
        ),
        "sparse_checkpoints": networks("resnet20-0.25", "vgg8", "resnet20", smoke=("resnet20-0.25",)),
        "images": Values(1000, 100),
        "device_seeds": same(3),
        **SEVERITIES,
        "claim_checkpoints": networks("resnet20-0.25", "vgg8", "resnet20", smoke=("resnet20-0.25",)),
        "claim_effects": Values(["program_error", "d2d", "stuck_on", "read_noise"], ["program_error"]),
        "claim_severities": Values([0.05, 0.2, 0.001, 0.1], [0.05]),
        "claim_images": Values(5000, 500),
        "claim_seeds": Values(10, 3),
    },
    evaluate=evaluate,
    sweeps=_sweeps,
    tables={"04_non_idealities": lambda run: tidy(run.sweep("figure"), points(run.p))},
    drawings={"04_non_idealities": Drawing(plot, ("04_non_idealities",), ("origin",))},
    claims={"04_non_idealities": _claims},
    inputs=lambda p: inputs(p.checkpoints),
)
