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

from memlib import train
from memlib.claims import Claim, above, below_times
from memlib.layers import matrix_layers
from memlib.points import Point
from memlib.recombination import BOLTZMANN
from memlib.statistics import Interval, crossed_interval, seed_interval
from memlib.studies.effects import (
    CHANCE,
    Chips,
    Comparison,
    Labelled,
    Loss,
    add_note,
    evaluate,
    make_point,
    seeds_of,
    tidy,
)
from memlib.studies.retention_cells import LAYER_ENERGY, PLAIN, SECONDS, STACKS, celsius, seconds, time_axis, with_layer

__all__ = ["Chips", "evaluate", "seeds_of", "tidy"]

#: Rows and columns that share a converter: a bit line joins the feet of four pillars of 32 planes.
ROWS, COLS = 4 * 32, 128
#: Accuracy that a network may lose before it is written again.
ALLOWED = 0.05
#: What the abstract of Yu et al. says: accuracy gained after more than 1e5 s, and energy saved in training, times.
THEIR_GAIN, THEIR_TIME, THEIR_SAVING = 0.24, 1e5, 25_000

Networks = dict[str, str]


def networks_of(binary: Sequence[str], multilevel: Sequence[str]) -> Networks:
    """A checkpoint for each kind of weight."""
    return {"binary": binary[0], "multi-level": multilevel[0]}


def aged(
    checkpoint: str,
    images: int,
    stack: dict[str, float],
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
    error = stack["program_error"]
    how = {"recalibration": recalibration, "own_images": own_images}
    return make_point(checkpoint, images, "program_error", error, rows=ROWS, cols=COLS, **how, **fields)


def points(networks: Networks, images: int, temperatures: Sequence[float], times: Sequence[float]) -> Labelled:
    """Both kinds of weights in both stacks over time, 0 first; in the plain one also recalibrated."""
    ways = [(stack, "none") for stack in STACKS] + [("plain", "batch_norm")]
    found = []
    for (kind, checkpoint), temperature, (stack, way), time in itertools.product(
        networks.items(), sorted(temperatures), ways, (0, *sorted(times))
    ):
        labels = {"weights": kind, "checkpoint": checkpoint, "stack": stack, "recalibration": way}
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


# How long a network lasts


def lifetime(times: Sequence[float], accuracies: Sequence[float], allowed: float = ALLOWED) -> float:
    """When accuracy falls below that at time 0 by what is allowed, s: linear in log time; infinite if it does not.

    Args:
        times: s, ascending, the first 0.
        accuracies: of one chip, at these times.
    """
    lost = accuracies[0] - np.asarray(accuracies, float)
    over = np.flatnonzero(lost > allowed)
    if not over.size:
        return math.inf
    i = int(over[0])
    if i == 1:  # nothing is known between 0 and the first time
        return times[1]
    part = (allowed - lost[i - 1]) / (lost[i] - lost[i - 1])
    return float(times[i - 1] * (times[i] / times[i - 1]) ** part)


def _lives(chips: Chips, over_time: Sequence[tuple[float, Point]]) -> np.ndarray:
    """The lifetime of each chip, s, from times and points."""
    times, accuracies = zip(*((time, chips.hits(point).mean(1)) for time, point in over_time), strict=True)
    return np.array([lifetime(times, chip) for chip in np.stack(accuracies, 1)])


def lifetimes(results: pd.DataFrame, labelled: Labelled) -> pd.DataFrame:
    """A row per kind of weight, stack, recalibration and temperature: log10 of the lifetime (s) with its interval.

    Chips that last longer than the last time count with that, so that the mean is a bound where `bounded` is above 0.
    """
    chips, rows = Chips(results), []
    names = ("weights", "stack", "recalibration", "temperature")
    for key, group in itertools.groupby(labelled, key=lambda item: tuple(item[0][name] for name in names)):
        points_over_time = [(labels["time"], point) for labels, point in group]
        each = _lives(chips, points_over_time)
        interval = seed_interval(np.log10(np.minimum(each, points_over_time[-1][0])))
        row = dict(zip(names, key, strict=True)) | {"log10_lifetime": interval.mean, "low": interval.low}
        row |= {"high": interval.high, "n": interval.n, "bounded": int(np.isinf(each).sum())}
        rows.append(row)
    return pd.DataFrame(rows)


def rewriting(lives: pd.DataFrame, energies: pd.DataFrame, cells: dict[str, int], years: float = 10) -> pd.DataFrame:
    """A row per kind, stack and temperature: how often a network is written in ten years, and the energy, J.

    Args:
        lives: of `lifetimes`; energies: of `retention_energy.table`.
        cells: of each network, by kind of weight.
    """
    frame = lives[lives["recalibration"] == "none"].drop(columns="recalibration").reset_index(drop=True)
    per_cell = energies.set_index("weights")["energy"]
    frame["writes"] = np.maximum(1, years * SECONDS["1 y"] / 10 ** frame["log10_lifetime"])
    frame["energy_once"] = [per_cell[kind] * cells[kind] for kind in frame["weights"]]
    frame["energy"] = frame["writes"] * frame["energy_once"]
    worst = frame[(frame["weights"] == "multi-level") & (frame["stack"] == "plain")].set_index("temperature")["energy"]
    frame["saving"] = frame["temperature"].map(worst) / frame["energy"]
    return frame


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


def cell_counts(networks: Networks) -> dict[str, int]:
    """Cells that hold a weight, by kind of weights: two for each."""
    models = {kind: train.load_checkpoint(checkpoint) for kind, checkpoint in networks.items()}
    return {
        kind: 2 * sum(layer.weight.numel() for layer in matrix_layers(model).values()) for kind, model in models.items()
    }


def stretch_claims(results: pd.DataFrame, labelled: Labelled) -> list[Claim]:
    """By how much the layer stretches the binary network's life, at each temperature at which no chip outlasts it all.

    Against the barriers' law and the abstract's number.
    """
    chips, found = Chips(results), []
    for temperature in sorted({labels["temperature"] for labels, _ in labelled}):
        wanted = {"weights": "binary", "recalibration": "none", "temperature": temperature}
        lives = []
        for stack in STACKS:
            keep = wanted | {"stack": stack}
            group = [(labels["time"], point) for labels, point in labelled if keep.items() <= labels.items()]
            lives.append(_lives(chips, group))
        if np.isinf(lives).any():
            continue
        log = seed_interval(np.log10(lives[1] / lives[0]))
        ratio = Interval(*(10**v for v in (log.mean, log.low, log.high)), log.n, int(results["images"].iloc[0]))
        law = math.exp(LAYER_ENERGY / (BOLTZMANN * temperature))
        for limit, text in ((law, f"exp({LAYER_ENERGY:g} eV/kT) = {law:.4g}"), (THEIR_SAVING, f"{THEIR_SAVING:,}")):
            statement = f"binary, {celsius(temperature)}: with the layer it lasts less than {text} times as long"
            found.append(below_times(statement, ratio, limit))
    return found


# Figures

COLORS = dict(zip(("binary", "multi-level"), sns.color_palette("colorblind"), strict=False))
LOOKS: dict[tuple[str, str], dict[str, Any]] = {
    ("plain", "none"): {"linestyle": "--", "marker": "o"},
    ("with layer", "none"): {"linestyle": "-", "marker": "s"},
    ("plain", "batch_norm"): {"linestyle": ":", "marker": "^"},
}
WAYS = {"none": "", "batch_norm": ", recalibrated"}


def plot(frame: pd.DataFrame) -> Figure:
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
        axis.axhline(100 * CHANCE, color="0.6", linewidth=0.7, linestyle=":")
        axis.axvline(THEIR_TIME, color="0.8", linewidth=0.8, zorder=0)
        if row == 0:
            axis.set_title(celsius(temperature))
            axis.set_xlabel("")
        if column == 0:
            axis.set_ylabel(f"{kind} weights\n\naccuracy (%)")
    axes[0, 0].set_ylim(0, 102)
    for row in axes:
        row[-1].legend(frameon=False, fontsize="x-small", loc="lower left")
    add_note(figure, frame, "bars: 95 % intervals; dotted: chance; grey: 1e5 s")
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    return figure


def _lines(axis: Axes, part: pd.DataFrame, color: Any) -> None:
    """Accuracy over time; what was measured at 0 stands at the first second."""
    for (stack, way), look in LOOKS.items():
        line = part[(part["stack"] == stack) & (part["recalibration"] == way) & (part["time"] > 0)]
        mean, low, high = (100 * line[name] for name in ("accuracy", "low", "high"))
        style = {"markersize": 3.5, "linewidth": 1, "capsize": 1.5, "elinewidth": 0.8, "color": color}
        label = stack + WAYS[way]
        axis.errorbar(line["time"], mean, (mean - low, high - mean), label=label, **style, **look)


def plot_layers(frame: pd.DataFrame) -> Figure:
    """What a layer gains over what it adds to the barriers, at each time, beside the abstract's number."""
    figure, axis = plt.subplots(figsize=(5.5, 3.4))
    times = sorted(frame["time"].unique())
    for color, time, marker in zip(sns.color_palette("viridis", len(times)), times, "osD^v<>", strict=False):
        line = frame[frame["time"] == time]
        mean, low, high = (100 * line[name] for name in ("gain", "low", "high"))
        style = {"marker": marker, "markersize": 4, "linewidth": 1, "capsize": 2, "color": color}
        axis.errorbar(line["energy"], mean, (mean - low, high - mean), label=f"{seconds(time)}", **style)
    axis.axhline(100 * THEIR_GAIN, color="black", linewidth=0.9, linestyle="--")
    where = {"xycoords": axis.get_yaxis_transform(), "xytext": (0, 3), "textcoords": "offset points"}
    axis.annotate("24 %: Yu et al., abstract, beyond 1e5 s", (0.01, 100 * THEIR_GAIN), fontsize="x-small", **where)
    axis.set(xlabel="added to every barrier (eV)", ylabel="accuracy gained (points)")
    axis.legend(frameon=False, fontsize="x-small", title="time", loc="upper left", bbox_to_anchor=(1, 1))
    add_note(figure, frame, "bars: 95 % intervals")
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    return figure


def layer_gains(results: pd.DataFrame, labelled: Labelled) -> pd.DataFrame:
    """A row per time and energy: the gain over the plain stack, with its interval."""
    chips, rows = Chips(results), []
    plain = {labels["time"]: point for labels, point in labelled if not labels["energy"]}
    for labels, point in labelled:
        if labels["energy"]:
            i = Gain((plain[labels["time"]],), (point,)).interval(chips)
            rows.append(labels | {"gain": i.mean, "low": i.low, "high": i.high, "n": i.n, "images": i.images})
    return pd.DataFrame(rows)
