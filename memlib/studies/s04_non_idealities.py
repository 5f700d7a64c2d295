"""The study 04_non_idealities: what each effect costs, by network and layout; is the sparse layout noisier?"""

import itertools
from types import SimpleNamespace
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from memlib.base.checks import fail
from memlib.evidence.claims import Statement
from memlib.evidence.comparisons import Comparison, Labelled
from memlib.studies.drawing import MARKERS, Drawing, errorbars, severity_text, where
from memlib.studies.shared.effects import (
    DENSE_ONLY,
    EFFECTS,
    add_note,
    chance_line,
    evaluate,
    loss_of,
    make_point,
    seeds_of,
)
from memlib.studies.shared.trained_networks import inputs, label, network_of
from memlib.studies.study import Study, Sweep, Values, networks, same

#: Layouts, how they are drawn (line, and whether markers are filled), and what they choose.
STYLES: dict[str, tuple[str, bool, dict[str, Any]]] = {
    "dense": ("-", True, {}),
    "sparse": ("--", False, {"layout": "sparse"}),
    "sparse, unused cells at HRS": (":", False, {"layout": "sparse", "unused": "hrs"}),
    "dense, columns rescaled": ("-.", True, {"recalibration": "gain"}),
}
#: Effects that change all currents of a column alike, at least in part, so that a digital factor may make up for them.
RESCALED = ("endurance", "iv", "transistors", "wires")
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


def points(p: SimpleNamespace) -> Labelled:
    """The points of the figure with their labels; severity 0 is the baseline that all effects share.

    Sparse layouts leave out what takes them too long, and those with unused cells also what these cannot change.
    """
    found = []
    for layout, (_, _, choices) in STYLES.items():
        chosen = p.sparse_checkpoints if "layout" in choices else p.checkpoints
        shown = [effect for effect in SEVERITIES if _shown(effect, choices)]
        for checkpoint, effect in itertools.product(chosen, shown):
            for severity in (0, *getattr(p, effect)):
                labels = {"checkpoint": checkpoint, "layout": layout, "effect": effect, "severity": severity}
                found.append((labels, make_point(checkpoint, p.images, effect, severity, **choices)))
    return found


def _shown(effect: str, choices: dict[str, Any]) -> bool:
    """Whether the figure has an effect with these choices."""
    if "recalibration" in choices:
        return effect in RESCALED
    if "unused" in choices and not EFFECTS[effect].of_unused_cells:
        return False
    return "layout" not in choices or effect not in DENSE_ONLY


#: What is claimed of each network and effect: that the first layout loses more than the second.
CLAIMS = {
    "sparse_against_dense": (
        "sparse", "dense", "without unused cells, the sparse layout loses more than the dense one"
    ),
    "formed_sparse_against_dense": (
        "sparse, unused cells at HRS", "dense",
        "with unused cells at HRS, the sparse layout loses more than the dense one without",
    ),
    "unused_cells": (
        "sparse, unused cells at HRS", "sparse", "in the sparse layout, unused cells at HRS add to the loss"
    ),
}  # fmt: skip
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
    effects, severities = p.claim_effects, p.claim_severities
    if len(effects) != len(severities):
        fail("claim_severities", list(severities), f"one for each of the {len(effects)} claim_effects")
    for effect in set(effects).intersection(DENSE_ONLY):
        fail("claim_effects", effect, "an effect that the sparse layout is computed with in time")
    compared = []
    for checkpoint, (effect, severity) in itertools.product(p.claim_checkpoints, zip(effects, severities, strict=True)):
        name = f"{label(checkpoint)}, {EFFECTS[effect].title} {severity:g}"
        for kind, (*layouts, text) in CLAIMS.items():
            at = checkpoint, p.claim_images, effect, severity
            more, less = (loss_of(*at, **STYLES[layout][-1]) for layout in layouts)
            key = f"{effect}/{kind}/{network_of(checkpoint)}"
            shown = "04_non_idealities" if key in IN_README else ""
            about = Statement(key, f"{name}: {text}", "noise, layout", shown)
            compared.append(Comparison(about, ((1.0, more), (-1.0, less))))
    return compared


def plot(frame: pd.DataFrame, origin: str) -> Figure:
    """A panel per effect, five in a row: accuracy over severity, a line per network and layout."""
    effects, checkpoints = list(frame["effect"].unique()), list(frame["checkpoint"].unique())
    rows = -(-len(effects) // 5)
    figure, axes = plt.subplots(rows, 5, figsize=(2.1 * 5, 2.05 * rows + 1), sharey=True, squeeze=False)
    colors = dict(zip(checkpoints, sns.color_palette("colorblind", len(checkpoints)), strict=True))
    markers = dict(zip(checkpoints, itertools.cycle(MARKERS), strict=False))
    for axis in axes.flat[len(effects) :]:
        axis.set_visible(False)
    for effect, axis in zip(effects, axes.flat, strict=False):
        part = where(frame, effect=effect)
        for (checkpoint, layout), line in part.groupby(["checkpoint", "layout"], sort=False):
            dodge = 0.06 * (checkpoints.index(checkpoint) - 1) + 0.02 * list(STYLES).index(layout)
            places = [x + dodge for x in range(len(line))]
            errorbars(axis, places, line, marker=markers[checkpoint], **_look(layout, colors[checkpoint]))
        levels = part["severity"].unique()
        axis.set_xticks(range(len(levels)), [_level(level) for level in levels])
        chance_line(axis)
        axis.set(title=EFFECTS[effect].title, xlabel=EFFECTS[effect].unit)
    for axis in axes[:, 0]:
        axis.set_ylabel("accuracy (%)")
    axes[0, 0].set_ylim(0, 102)
    height = figure.get_size_inches()[1]
    networks = [Line2D([], [], color=colors[c], marker=markers[c], markersize=4, label=label(c)) for c in checkpoints]
    layouts = [Line2D([], [], marker="o", markersize=4, label=x, **_look(x, "0.3")) for x in frame["layout"].unique()]
    for handles, top in ((networks, 1.0), (layouts, 1 - 0.25 / height)):
        place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, top), "ncols": len(handles)}
        figure.legend(handles=handles, frameon=False, **place)
    add_note(figure, frame, origin, "bars: 95 % intervals; dotted: chance")
    figure.tight_layout(rect=(0, 0.03, 1, 1 - 0.55 / height))
    return figure


def _look(layout: str, color: Any) -> dict[str, Any]:
    style, filled, _ = STYLES[layout]
    return {"color": color, "linestyle": style, "markerfacecolor": color if filled else "white"}


def _level(severity: float) -> str:
    """A severity in few characters."""
    if severity >= 1e4:
        return f"{severity:.1e}".replace(".0e+0", "e").replace("e+0", "e")
    return severity_text(severity)


def _sweeps(p: SimpleNamespace) -> dict[str, Sweep]:
    return {
        "figure": Sweep.labelled(points(p), seeds_of(p.device_seeds)),
        "claims": Sweep.compared(comparisons(p), seeds_of(p.claim_seeds)),
    }


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
    tables={"04_non_idealities": lambda run: run.tidy("figure")},
    drawings={"04_non_idealities": Drawing(plot, ("04_non_idealities",), ("origin",))},
    claims={"04_non_idealities": lambda run: run.decided("claims")},
    inputs=lambda p: inputs(p.checkpoints),
)
