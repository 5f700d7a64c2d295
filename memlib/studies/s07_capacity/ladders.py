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
from memlib.evidence.comparisons import Chips, Labelled, Loss
from memlib.evidence.intervals import crossed_interval
from memlib.evidence.tolerances import tolerance
from memlib.studies.effects import RECALIBRATIONS, add_note, make_point
from memlib.studies.run import Run
from memlib.studies.s07_capacity.connectivities import (
    EFFECT,
    HRS,
    count_axis,
    families_of,
    float_accuracy,
    looks,
    pairs_of,
    parameters,
    unused_of,
)  # fmt: skip

#: Recalibrations of the ladders.
ROWS = ("none", "batch_norm")


def points(p: SimpleNamespace) -> Labelled:
    """The ladders with their labels: each network over severities, 0 first, with and without recalibration."""
    labelled = []
    for family, checkpoints in families_of(p).items():
        for checkpoint, how, severity in itertools.product(checkpoints, ROWS, (0, *p.severities)):
            labels = {"family": family, "checkpoint": checkpoint, "recalibration": how, "severity": severity}
            point = make_point(checkpoint, p.images, EFFECT, severity, recalibration=how, **unused_of(family))
            labelled.append((labels, point))
    return labelled


def losses(run: Run) -> pd.DataFrame:
    """A row per labelled point: parameters, mean accuracy over chips, and the loss by the severity, with intervals."""
    chips, labelled, rows = Chips(run.sweep("ladders")), points(run.p), []
    names = "family", "checkpoint", "recalibration"
    baselines = {tuple(x[name] for name in names): point for x, point in labelled if not x["severity"]}
    for labels, point in labelled:
        loss = Loss(point, baselines[tuple(labels[name] for name in names)])
        i, lost = crossed_interval(chips.hits(point)), chips.lost(loss)
        row = {**labels, "parameters": parameters(labels["checkpoint"]), **i.columns()}
        rows.append(row | {"loss": lost.mean, "loss_low": lost.low, "loss_high": lost.high})
    return pd.DataFrame(rows)


def tolerances(run: Run) -> pd.DataFrame:
    """For each network, with and without recalibration, the largest severity that costs at most 1 point."""
    chips = Chips(run.sweep("ladders"))
    curves: dict[tuple[str, ...], dict[float, Any]] = {}
    for labels, point in points(run.p):
        key = tuple(labels[name] for name in ("family", "checkpoint", "recalibration"))
        curves.setdefault(key, {})[labels["severity"]] = chips.hits(point)
    rows = []
    for (family, checkpoint, recalibration), hits in curves.items():
        t = tolerance(list(hits), list(hits.values()))
        labels = {"family": family, "checkpoint": checkpoint, "recalibration": recalibration}
        labels |= {"parameters": parameters(checkpoint), "float_accuracy": float_accuracy(checkpoint)}
        rows.append(labels | {"tolerance": t.severity, "low": t.low, "high": t.high, "n": t.n, "images": t.images})
    return pd.DataFrame(rows)


def matches(run: Run) -> pd.DataFrame:
    """A row per pair of a network and those that it is compared with."""
    rows = []
    for pair in [pair for pair in pairs_of(run.p) if not pair.family.endswith(HRS)]:
        row: dict[str, Any] = {"equal": pair.equal, "family": pair.family, "checkpoint": pair.checkpoint}
        row |= {"parameters": parameters(pair.checkpoint), "float accuracy": float_accuracy(pair.checkpoint)}
        names = [name if share == 1 else f"{share:.3f} {name}" for share, name in pair.others]
        rows.append(row | {"compared with": " + ".join(names)})
    return pd.DataFrame(rows)


def plot_ladders(frame: pd.DataFrame, tolerances: pd.DataFrame, claim_severity: float, origin: str) -> Figure:
    """Rows: without and with recalibration. Columns: tolerance and loss over parameters, loss over accuracy."""
    one_of("claim_severity", claim_severity, frame["severity"].unique())
    figure, axes = plt.subplots(len(ROWS), 3, figsize=(10.5, 6.4), squeeze=False, sharex="col")
    for recalibration, row in zip(ROWS, axes, strict=True):
        tolerated = tolerances[tolerances["recalibration"] == recalibration]
        lost = frame[(frame["recalibration"] == recalibration) & (frame["severity"] == claim_severity)]
        lost = lost.merge(tolerances[["family", "checkpoint", "recalibration", "float_accuracy"]])
        for family, look in looks().items():
            group = tolerated[tolerated["family"] == family].sort_values("parameters")
            _tolerances(row[0], group, frame["severity"].max(), look)
            group = lost[lost["family"] == family].sort_values("parameters")
            bars = [100 * group[name] for name in ("loss", "loss_low", "loss_high")]
            ladder(row[1], group["parameters"], *bars, **look)
            ladder(row[2], 100 * group["float_accuracy"], *bars, **look)
        row[0].set_ylabel(f"{RECALIBRATIONS[recalibration]}\n\ntolerance: sigma by range for 1 point")
        row[1].set_ylabel(f"points lost at {claim_severity:g}")
        row[2].set_ylabel(f"points lost at {claim_severity:g}")
    for axis in axes[:, :2].flat:
        count_axis(axis)
    for axis, name in zip(axes[-1], ("parameters that are not pruned",) * 2 + ("float accuracy (%)",), strict=True):
        axis.set_xlabel(name)
    handles, names = axes[0, 1].get_legend_handles_labels()
    figure.legend(handles, names, loc="upper center", ncols=len(names), frameon=False)
    add_note(figure, frame, origin, "dense layout; bars: 95 % intervals, for tolerances between severities tried")
    figure.tight_layout(rect=(0, 0.025, 1, 0.955))
    return figure


def ladder(axis: Axes, x: pd.Series, y: pd.Series, low: pd.Series, high: pd.Series, **look: Any) -> None:
    """A ladder with its intervals."""
    axis.errorbar(x, y, (y - low, high - y), markersize=4, linewidth=1, capsize=2, elinewidth=0.8, **look)


def _tolerances(axis: Axes, group: pd.DataFrame, most: float, look: dict[str, Any]) -> None:
    """Tolerances and intervals; arrows point to those beyond the largest severity tried."""
    y, low, high = (group[name].clip(upper=most) for name in ("tolerance", "low", "high"))
    bars = np.maximum([y - low, high - y], 0)
    axis.errorbar(group["parameters"], y, bars, markersize=4, linewidth=1, capsize=2, elinewidth=0.8, **look)
    beyond = group["parameters"][np.isinf(group["high"])]
    axis.plot(beyond, [1.03 * most] * len(beyond), linestyle="", marker="$\\uparrow$", color=look["color"])
