"""How accurate a network stays over ten years, by kind of weight, stack and temperature."""

import itertools
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memlib.base.checks import fail
from memlib.cells.recombination import BOLTZMANN
from memlib.evidence.claims import Statement
from memlib.evidence.comparisons import Comparison, Labelled, Loss, tidy
from memlib.studies.drawing import errorbars
from memlib.studies.effects import add_note, chance_line, make_point
from memlib.studies.run import Run
from memlib.studies.s10_retention.cell_decay import LAYER_ENERGY, PLAIN, STACKS, celsius, seconds, time_axis
from memlib.sweeps.points import Point

#: Rows and columns that share a converter: a bit line joins the feet of a pillar of each of four stacks of 32 planes.
ROWS, COLS = 4 * 32, 128
#: Accuracy that a network may lose until it counts as failed.
ALLOWED = 0.05
#: From the abstract of Yu et al.: accuracy gained after more than 1e5 s, and energy saved in training, times.
THEIR_GAIN, THEIR_TIME, THEIR_SAVING = 0.24, 1e5, 25_000
Networks = dict[str, str]


def networks_of(p: SimpleNamespace) -> Networks:
    """The checkpoint of each kind of weight.

    Raises:
        ValueError: if there is not exactly one of each.
    """
    for name in ("binary_checkpoints", "multilevel_checkpoints"):
        if len(getattr(p, name)) != 1:
            fail(name, getattr(p, name), "one checkpoint")
    return {"binary": p.binary_checkpoints[0], "multi-level": p.multilevel_checkpoints[0]}


def aged(
    checkpoint: str,
    images: int,
    stack: dict[str, Any],
    temperature: float,
    time: float,
    recalibration: str = "none",
    own_images: bool = False,
) -> Point:
    """A network some time, s, after it was written; at 0 all stacks and temperatures are the same point."""
    fields = {name: stack[name] for name in ("r_on", "r_off")}
    if time:
        fields = {name: value for name, value in stack.items() if value and name != "program_error"}
        fields |= {"retention_time": time, "retention_temperature": temperature}
    return make_point(
        checkpoint, images, "program_error", stack["program_error"], recalibration=recalibration,
        own_images=own_images, rows=ROWS, cols=COLS, **fields,
    )  # fmt: skip


def points(p: SimpleNamespace) -> Labelled:
    """Both kinds of weights in both stacks over time, 0 first; in the plain one also recalibrated."""
    ways = [(stack, "none") for stack in STACKS] + [("plain", "batch_norm")]
    labelled = []
    for (kind, checkpoint), temperature, (stack, way), time in itertools.product(
        networks_of(p).items(), sorted(p.temperatures), ways, (0, *sorted(p.times))
    ):
        labels: dict[str, Any] = {"weights": kind, "checkpoint": checkpoint, "stack": stack, "recalibration": way}
        labels |= {"temperature": temperature, "time": time}
        labelled.append((labels, aged(checkpoint, p.images, STACKS[stack], temperature, time, way)))
    return labelled


def accuracies(run: Run) -> pd.DataFrame:
    """A row per labelled point: mean accuracy over chips with its 95 % interval."""
    return tidy(run.sweep("over_time"), points(run.p))


def lasting(run: Run) -> pd.DataFrame:
    """A row per kind of weight, stack, recalibration and temperature: between which times (s) a network fails.

    Within the last time to which its mean accuracy is at most `ALLOWED` below that at time 0, and the first beyond it,
    which is missing if there is none. These are the times that were tried: nothing is interpolated.
    """
    names, rows = ["weights", "stack", "recalibration", "temperature"], []
    for key, group in run.once(accuracies).groupby(names, sort=False):
        group = group.sort_values("time")
        failed = np.flatnonzero(group["accuracy"] < group["accuracy"].iloc[0] - ALLOWED)
        first = failed[0] if failed.size else len(group)
        times = [*group["time"], math.nan]
        rows.append(dict(zip(names, key, strict=True)) | {"keeps_until": times[first - 1], "failed_at": times[first]})
    return pd.DataFrame(rows)


def stretches(run: Run) -> pd.DataFrame:
    """A row per temperature: by how much the layer's energy stretches every decay, and what energy 25,000 times takes.

    The factor is exp(E/kT), exactly, by which a barrier that is higher by E divides the rate.
    """
    rows = []
    for temperature in sorted(run.p.temperatures):
        kt = BOLTZMANN * temperature
        needed = kt * math.log(THEIR_SAVING)
        rows.append({"temperature": temperature, "stretch": math.exp(LAYER_ENERGY / kt), "energy_needed": needed})
    return pd.DataFrame(rows)


def comparisons(p: SimpleNamespace) -> list[Comparison]:
    """Binary against multi-level weights, what recalibration recovers, and what tail cells do."""
    networks, images, temperature, times = networks_of(p), p.claim_images, p.claim_temperature, p.claim_times
    compared, where = [], celsius(temperature)
    lost = {
        (kind, time): Loss(*(aged(checkpoint, images, PLAIN, temperature, t) for t in (time, 0)))
        for (kind, checkpoint), time in itertools.product(networks.items(), times)
    }
    for time in times:
        terms = ((1.0, lost["multi-level", time]), (-1.0, lost["binary", time]))
        text = f"plain, {where}, {seconds(time)}: multi-level weights lose more than binary ones"
        headline = "10_retention" if time == times[0] else ""
        about = Statement(f"multi_level_against_binary/{time:g}", text, "retention", headline)
        compared.append(Comparison(about, terms))
    for kind, checkpoint in networks.items():
        before = lost[kind, times[0]]
        after = Loss(aged(checkpoint, images, PLAIN, temperature, times[0], "batch_norm", True), before.baseline)
        name = f"{kind}, plain, {where}, {seconds(times[0])}"
        text = f"{name}: recalibrating batch norm removes over half of the loss"
        about = Statement(f"recalibration/{kind}", text, "recalibration")
        compared.append(Comparison(about, ((0.5, before), (-1.0, after))))
        even = PLAIN | {"recombination_tail": 0.0, "recombination_tail_energy": 0.0}
        tailless = Loss(aged(checkpoint, images, even, temperature, times[0]), before.baseline)
        about = Statement(f"tail_cells/{kind}", f"{name}: without tail cells it would lose less", "retention")
        compared.append(Comparison(about, ((1.0, before), (-1.0, tailless))))
    return compared


COLORS = dict(zip(("binary", "multi-level"), sns.color_palette("colorblind"), strict=False))
LOOKS: dict[tuple[str, str], dict[str, Any]] = {
    ("plain", "none"): {"linestyle": "--", "marker": "o"},
    ("with layer", "none"): {"linestyle": "-", "marker": "s"},
    ("plain", "batch_norm"): {"linestyle": ":", "marker": "^"},
}
WAYS = {"none": "", "batch_norm": ", recalibrated"}


def plot_over_time(frame: pd.DataFrame, origin: str) -> Figure:
    """A row per kind of weight, a column per temperature: accuracy over time, for each stack."""
    kinds, temperatures = list(frame["weights"].unique()), sorted(frame["temperature"].unique())
    size = (3.1 * len(temperatures) + 0.6, 2.4 * len(kinds) + 0.7)
    figure, axes = plt.subplots(len(kinds), len(temperatures), figsize=size, sharex=True, sharey=True, squeeze=False)
    for (kind, row), (temperature, column) in itertools.product(
        zip(kinds, range(len(kinds)), strict=True), zip(temperatures, range(len(temperatures)), strict=True)
    ):
        axis = axes[row, column]
        group = frame[(frame["weights"] == kind) & (frame["temperature"] == temperature)]
        _lines(axis, group, COLORS[kind])
        time_axis(axis)
        chance_line(axis)
        axis.axvline(THEIR_TIME, color="0.8", linewidth=0.8, zorder=0)
        if row == 0:
            axis.set_title(celsius(temperature))
            axis.set_xlabel("")
        if column == 0:
            axis.set_ylabel(f"{kind} weights\n\naccuracy (%)")
    axes[0, 0].set_ylim(0, 102)
    for row in axes:
        row[-1].legend(frameon=False, fontsize="x-small", loc="lower left")
    add_note(figure, frame, origin, "bars: 95 % intervals; dotted: chance; grey: 1e5 s")
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    return figure


def _lines(axis: Axes, group: pd.DataFrame, color: Any) -> None:
    """Accuracy over time; what was measured at 0 stands at the first second."""
    for (stack, way), look in LOOKS.items():
        line = group[(group["stack"] == stack) & (group["recalibration"] == way) & (group["time"] > 0)]
        errorbars(axis, line["time"], line, label=stack + WAYS[way], color=color, **look)
