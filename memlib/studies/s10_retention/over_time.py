"""The study 10_retention: a binary network on a 3-D vertical array over ten years (after Yu et al., 2022).

Its cells, `retention_cells`, lose their conductance as oxygen vacancies recombine; a layer raises the barriers.
Beside it stands the same network with multi-level weights, on the same cells. The arrays and the energy of writing are
the parts `retention_array` and `retention_energy`.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memlib.base.checks import fail
from memlib.cells.recombination import BOLTZMANN
from memlib.evidence.claims import Claim, above
from memlib.evidence.comparisons import Chips, Comparison, Labelled, Loss, tidy
from memlib.evidence.intervals import Interval, crossed_interval
from memlib.studies.drawing import Drawing, errorbars
from memlib.studies.effects import add_note, chance_line, evaluate, make_point, seeds_of
from memlib.studies.s10_retention import arrays
from memlib.studies.s10_retention.cells import LAYER_ENERGY, PLAIN, STACKS, celsius, seconds, time_axis, with_layer
from memlib.sweeps.points import Point

__all__ = ["Chips", "evaluate", "seconds", "seeds_of", "tidy"]

#: Rows and columns that share a converter: a bit line joins the feet of a pillar of each of four stacks of 32 planes.
ROWS, COLS = 4 * 32, 128
#: Accuracy that a network may lose until it counts as failed.
ALLOWED = 0.05
#: What the abstract of Yu et al. says: accuracy gained after more than 1e5 s, and energy saved in training, times.
THEIR_GAIN, THEIR_TIME, THEIR_SAVING = 0.24, 1e5, 25_000

Networks = dict[str, str]


def networks_of(binary: Sequence[str], multilevel: Sequence[str]) -> Networks:
    """The checkpoint of each kind of weight.

    Raises:
        ValueError: if there is not exactly one of each.
    """
    for name, found in (("binary_checkpoints", binary), ("multilevel_checkpoints", multilevel)):
        if len(found) != 1:
            fail(name, list(found), "one checkpoint")
    return {"binary": binary[0], "multi-level": multilevel[0]}


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


def points(networks: Networks, images: int, temperatures: Sequence[float], times: Sequence[float]) -> Labelled:
    """Both kinds of weights in both stacks over time, 0 first; in the plain one also recalibrated."""
    ways = [(stack, "none") for stack in STACKS] + [("plain", "batch_norm")]
    found = []
    for (kind, checkpoint), temperature, (stack, way), time in itertools.product(
        networks.items(), sorted(temperatures), ways, (0, *sorted(times))
    ):
        labels: dict[str, Any] = {"weights": kind, "checkpoint": checkpoint, "stack": stack, "recalibration": way}
        labels |= {"temperature": temperature, "time": time}
        found.append((labels, aged(checkpoint, images, STACKS[stack], temperature, time, way)))
    return found


def layer_points(
    networks: Networks, images: int, temperature: float, times: Sequence[float], energies: Sequence[float]
) -> Labelled:
    """The binary network over time, for layers that raise barriers by more and more."""
    found = []
    for energy, time in itertools.product(sorted({0.0, *energies}), times):
        labels = {"checkpoint": networks["binary"], "energy": energy, "time": time}
        found.append((labels, aged(networks["binary"], images, with_layer(energy), temperature, time)))
    return found


def lasting(frame: pd.DataFrame) -> pd.DataFrame:
    """A row per kind of weight, stack, recalibration and temperature: between which times (s) a network fails.

    Within the last time to which its mean accuracy is at most `ALLOWED` below that at time 0, and the first beyond it,
    which is missing if there is none. These are the times that were tried: nothing is interpolated.
    """
    names, rows = ["weights", "stack", "recalibration", "temperature"], []
    for key, group in frame.groupby(names, sort=False):
        group = group.sort_values("time")
        failed = np.flatnonzero(group["accuracy"] < group["accuracy"].iloc[0] - ALLOWED)
        first = failed[0] if failed.size else len(group)
        times = [*group["time"], math.nan]
        rows.append(dict(zip(names, key, strict=True)) | {"keeps_until": times[first - 1], "failed_at": times[first]})
    return pd.DataFrame(rows)


def stretches(temperatures: Sequence[float]) -> pd.DataFrame:
    """A row per temperature: by how much the layer's energy stretches every decay, and what energy 25,000 times takes.

    exp(E/kT), exactly, as a barrier that is higher by E has the rate of before divided by it.
    """
    rows = []
    for temperature in sorted(temperatures):
        kt = BOLTZMANN * temperature
        needed = kt * math.log(THEIR_SAVING)
        rows.append({"temperature": temperature, "stretch": math.exp(LAYER_ENERGY / kt), "energy_needed": needed})
    return pd.DataFrame(rows)


# Claims


@dataclass(frozen=True)
class Gain:
    """What the layer gains at some times, on average."""

    without: tuple[Point, ...]
    layered: tuple[Point, ...]

    def interval(self, chips: Chips) -> Interval:
        """Over chips, paired by seed, and images."""
        pairs = zip(self.layered, self.without, strict=True)
        return crossed_interval(np.mean([chips.hits(a) - chips.hits(b) for a, b in pairs], 0), low=-1, extra=1)


def gain_of(checkpoint: str, images: int, temperature: float, times: Sequence[float]) -> Gain:
    """Of a network at these times."""
    both = (tuple(aged(checkpoint, images, stack, temperature, t) for t in times) for stack in STACKS.values())
    return Gain(*both)


def gain_claims(
    networks: Networks, images: int, temperature: float, times: Sequence[float], chips: Chips
) -> list[Claim]:
    """What the layer gains the binary network at each time, and on average beyond 1e5 s."""
    late = [time for time in times if time > THEIR_TIME]
    found = []
    for time in times:
        gain = gain_of(networks["binary"], images, temperature, [time]).interval(chips)
        found.append(above(f"binary, {celsius(temperature)}, {seconds(time)}: the layer gains accuracy", gain))
    gain = gain_of(networks["binary"], images, temperature, late).interval(chips)
    what = f"the layer gains over {100 * THEIR_GAIN:g} points on average beyond {seconds(THEIR_TIME)}"
    when = ", ".join(seconds(time) for time in late)
    return [*found, above(f"binary, {celsius(temperature)}: {what} ({when})", gain, THEIR_GAIN)]


def comparisons(networks: Networks, images: int, temperature: float, times: Sequence[float]) -> list[Comparison]:
    """Binary against multi-level weights, what recalibration recovers, and what tail cells do."""
    found, where = [], celsius(temperature)
    lost = {
        (kind, time): Loss(*(aged(checkpoint, images, PLAIN, temperature, t) for t in (time, 0)))
        for (kind, checkpoint), time in itertools.product(networks.items(), times)
    }
    for time in times:
        terms = ((1.0, lost["multi-level", time]), (-1.0, lost["binary", time]))
        found.append(
            Comparison(f"plain, {where}, {seconds(time)}: multi-level weights lose more than binary ones", terms)
        )
    for kind, checkpoint in networks.items():
        before = lost[kind, times[0]]
        after = Loss(aged(checkpoint, images, PLAIN, temperature, times[0], "batch_norm", True), before.baseline)
        statement = (
            f"{kind}, plain, {where}, {seconds(times[0])}: recalibrating batch norm recovers over half of the loss "
            "(half of it less what is left)"
        )
        found.append(Comparison(statement, ((0.5, before), (-1.0, after))))
        even = PLAIN | {"recombination_tail": 0.0, "recombination_tail_energy": 0.0}
        tailless = Loss(aged(checkpoint, images, even, temperature, times[0]), before.baseline)
        statement = f"{kind}, plain, {where}, {seconds(times[0])}: without tail cells it would lose less"
        found.append(Comparison(statement, ((1.0, before), (-1.0, tailless))))
    return found


def claim_points(
    networks: Networks, images: int, temperature: float, gain_times: Sequence[float], times: Sequence[float]
) -> list[Point]:
    """All that the claims on accuracy need."""
    gain = gain_of(networks["binary"], images, temperature, gain_times)
    compared = comparisons(networks, images, temperature, times)
    return [*gain.without, *gain.layered, *(point for comparison in compared for point in comparison.points)]


def sweeps(
    binary_checkpoints: Sequence[str],
    multilevel_checkpoints: Sequence[str],
    temperatures: Sequence[float],
    times: Sequence[float],
    images: int,
    device_seeds: int,
    planes: Sequence[int],
    r_on: Sequence[float],
    array_images: int,
    array_seeds: int,
    layer_energies: Sequence[float],
    layer_times: Sequence[float],
    claim_temperature: float,
    claim_times: Sequence[float],
    gain_times: Sequence[float],
    claim_images: int,
    claim_seeds: int,
    **_of_cells: int,
) -> list[tuple[list[Point], Any]]:
    """Points and seeds of the three figures, and of the claims, from the notebook's parameters."""
    networks = networks_of(binary_checkpoints, multilevel_checkpoints)
    stacked = arrays.points(networks["binary"], array_images, planes, r_on)
    over_time = points(networks, images, temperatures, times)
    layers = layer_points(networks, images, claim_temperature, layer_times, layer_energies)
    return [
        ([point for _, point in stacked], seeds_of(array_seeds)),
        ([point for _, point in over_time], seeds_of(device_seeds)),
        ([point for _, point in layers], seeds_of(device_seeds)),
        (claim_points(networks, claim_images, claim_temperature, gain_times, claim_times), seeds_of(claim_seeds)),
    ]


# Figures

COLORS = dict(zip(("binary", "multi-level"), sns.color_palette("colorblind"), strict=False))
LOOKS: dict[tuple[str, str], dict[str, Any]] = {
    ("plain", "none"): {"linestyle": "--", "marker": "o"},
    ("with layer", "none"): {"linestyle": "-", "marker": "s"},
    ("plain", "batch_norm"): {"linestyle": ":", "marker": "^"},
}
WAYS = {"none": "", "batch_norm": ", recalibrated"}


def plot(frame: pd.DataFrame, origin: str) -> Figure:
    """A row per kind of weight, a column per temperature: accuracy over time, for each stack."""
    kinds, temperatures = list(frame["weights"].unique()), sorted(frame["temperature"].unique())
    size = (3.1 * len(temperatures) + 0.6, 2.4 * len(kinds) + 0.7)
    figure, axes = plt.subplots(len(kinds), len(temperatures), figsize=size, sharex=True, sharey=True, squeeze=False)
    for (kind, row), (temperature, column) in itertools.product(
        zip(kinds, range(len(kinds)), strict=True), zip(temperatures, range(len(temperatures)), strict=True)
    ):
        axis = axes[row, column]
        part = frame[(frame["weights"] == kind) & (frame["temperature"] == temperature)]
        _lines(axis, part, COLORS[kind])
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


def _lines(axis: Axes, part: pd.DataFrame, color: Any) -> None:
    """Accuracy over time; what was measured at 0 stands at the first second."""
    for (stack, way), look in LOOKS.items():
        line = part[(part["stack"] == stack) & (part["recalibration"] == way) & (part["time"] > 0)]
        errorbars(axis, line["time"], line, label=stack + WAYS[way], color=color, **look)


def plot_layers(frame: pd.DataFrame, origin: str) -> Figure:
    """What a layer gains over what it adds to the barriers, at each time, beside the abstract's number."""
    figure, axis = plt.subplots(figsize=(5.5, 3.4))
    times = sorted(frame["time"].unique())
    for color, time, marker in zip(sns.color_palette("viridis", len(times)), times, "osD^v<>", strict=False):
        line = frame[frame["time"] == time]
        errorbars(axis, line["energy"], line, "gain", label=f"{seconds(time)}", marker=marker, color=color)
    axis.axhline(100 * THEIR_GAIN, color="black", linewidth=0.9, linestyle="--")
    axis.annotate(
        "24 %: Yu et al., abstract, beyond 1e5 s", (0.01, 100 * THEIR_GAIN), (0, 3), axis.get_yaxis_transform(),
        "offset points", fontsize="x-small",
    )  # fmt: skip
    axis.set(xlabel="added to every barrier (eV)", ylabel="accuracy gained (points)")
    axis.legend(frameon=False, fontsize="x-small", title="time", loc="upper left", bbox_to_anchor=(1, 1))
    add_note(figure, frame, origin, "bars: 95 % intervals;\neach layer also leaves a third of the tail cells")
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    return figure


def layer_gains(results: pd.DataFrame, labelled: Labelled) -> pd.DataFrame:
    """A row per time and energy: the gain over the plain stack, with its interval."""
    chips, rows = Chips(results), []
    plain = {labels["time"]: point for labels, point in labelled if not labels["energy"]}
    for labels, point in labelled:
        if labels["energy"]:
            rows.append(labels | Gain((plain[labels["time"]],), (point,)).interval(chips).columns("gain"))
    return pd.DataFrame(rows)


FIGURES = {
    "10_retention": Drawing(plot, ("10_retention",), ("origin",)),
    "10_retention_layers": Drawing(plot_layers, ("10_retention_layers",), ("origin",)),
}
