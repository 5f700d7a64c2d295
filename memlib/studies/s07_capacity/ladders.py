"""Each kind of network from narrow to wide: how much of a programming error it tolerates, and what it loses."""

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memlib.base.checks import one_of
from memlib.evidence.comparisons import Labelled, Loss
from memlib.evidence.intervals import crossed_interval
from memlib.evidence.tolerances import tolerance_table
from memlib.studies.drawing import errorbars, shared_legend, where
from memlib.studies.run import Run
from memlib.studies.s07_capacity.connectivities import (
    EFFECT,
    HRS,
    LOOKS,
    count_axis,
    families_of,
    pairs_of,
    parameters,
    unused_of,
)  # fmt: skip
from memlib.studies.shared.effects import RECALIBRATIONS, add_note, make_point
from memlib.studies.shared.trained_networks import float_accuracy, mean_accuracy

#: Recalibrations of the ladders.
ROWS = ("none", "batch_norm")
#: The look of ladders, beside `LOOKS`.
LADDER = {"markersize": 4, "capsize": 2}


def points(p: SimpleNamespace) -> Labelled:
    """The ladders with their labels: each network over severities, 0 first, with and without recalibration."""
    labelled = []
    for family, checkpoints in families_of(p).items():
        for checkpoint, how, severity in itertools.product(checkpoints, ROWS, (0, *p.severities)):
            labels = {"family": family, "checkpoint": checkpoint, "recalibration": how, "severity": severity}
            labels |= {"parameters": parameters(checkpoint)}
            point = make_point(checkpoint, p.images, EFFECT, severity, recalibration=how, **unused_of(family))
            labelled.append((labels, point))
    return labelled


def losses(run: Run) -> pd.DataFrame:
    """A row per labelled point: mean accuracy over chips, and the loss by the severity, with intervals."""
    chips, rows = run.chips("ladders"), []
    for labels, point in run.labelled("ladders"):
        if not labels["severity"]:  # it comes first
            baseline = point
        accuracy, loss = crossed_interval(chips.hits(point)), chips.lost(Loss(point, baseline))
        rows.append(labels | accuracy.columns() | loss.named("loss"))
    return pd.DataFrame(rows)


def tolerances(run: Run) -> pd.DataFrame:
    """For each network, with and without recalibration, the largest severity that costs at most 1 point."""
    table = tolerance_table(run.sweep("ladders"), run.labelled("ladders"))
    table.insert(4, "float_accuracy", table["checkpoint"].map(float_accuracy))
    return table


def matches(run: Run) -> pd.DataFrame:
    """A row per pair of a network and those that it is compared with; accuracies are means of its trainings."""
    rows, seeds = [], run.p.training_seeds
    for pair in [pair for pair in pairs_of(run.p) if not pair.family.endswith(HRS)]:
        row: dict[str, Any] = {"equal": pair.equal, "family": pair.family, "checkpoint": pair.checkpoint}
        row |= {"parameters": parameters(pair.checkpoint), "float accuracy": mean_accuracy(pair.checkpoint, seeds)}
        names = [name if share == 1 else f"{share:.3f} {name}" for share, name in pair.others]
        rows.append(row | {"compared with": " + ".join(names)})
    return pd.DataFrame(rows)


def plot_ladders(frame: pd.DataFrame, tolerances: pd.DataFrame, claim_severity: float, origin: str) -> Figure:
    """Rows: without and with recalibration. Columns: tolerance and loss over parameters, loss over accuracy."""
    one_of("claim_severity", claim_severity, frame["severity"].unique())
    figure, axes = plt.subplots(len(ROWS), 3, figsize=(10.5, 6.4), squeeze=False, sharex="col")
    for recalibration, row in zip(ROWS, axes, strict=True):
        tolerated = where(tolerances, recalibration=recalibration)
        lost = where(frame, recalibration=recalibration, severity=claim_severity)
        lost = lost.merge(tolerances[["family", "checkpoint", "recalibration", "float_accuracy"]])
        for family, look in LOOKS.items():
            group = where(tolerated, family=family).sort_values("parameters")
            _tolerances(row[0], group, frame["severity"].max(), look)
            group = where(lost, family=family).sort_values("parameters")
            for axis, x in ((row[1], group["parameters"]), (row[2], 100 * group["float_accuracy"])):
                errorbars(axis, x, group, "loss", "loss_", **LADDER | look)
        row[0].set_ylabel(f"{RECALIBRATIONS[recalibration]}\n\ntolerance: sigma by range for 1 point")
        for axis in row[1:]:
            axis.set_ylabel(f"points lost at {100 * claim_severity:g} % error")
    for axis in axes[:, :2].flat:
        count_axis(axis)
    for axis, name in zip(axes[-1], ("parameters that are not pruned",) * 2 + ("float accuracy (%)",), strict=True):
        axis.set_xlabel(name)
    shared_legend(axes[0, 1])
    add_note(figure, frame, origin, "dense layout; bars: 95 % intervals, for tolerances between severities tried")
    figure.tight_layout(rect=(0, 0.025, 1, 0.955))
    return figure


def _tolerances(axis: Axes, group: pd.DataFrame, most: float, look: dict[str, Any]) -> None:
    """Tolerances and intervals; arrows point to those beyond the largest severity tried."""
    y, low, high = (group[name].clip(upper=most) for name in ("tolerance", "low", "high"))
    bars = np.maximum([y - low, high - y], 0)
    axis.errorbar(group["parameters"], y, bars, linewidth=1, elinewidth=0.8, **LADDER | look)
    beyond = group["parameters"][np.isinf(group["high"])]
    axis.plot(beyond, [1.03 * most] * len(beyond), linestyle="", marker="$\\uparrow$", color=look["color"])
