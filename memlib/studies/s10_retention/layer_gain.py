"""Accuracy that the binary network gains by a layer that raises the barriers of all cells, at each time."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from memlib.evidence.claims import Claim, Statement, above
from memlib.evidence.comparisons import Chips, Labelled
from memlib.evidence.intervals import Interval, crossed_interval
from memlib.studies.drawing import errorbars
from memlib.studies.effects import add_note
from memlib.studies.run import Run
from memlib.studies.s10_retention.cell_decay import STACKS, celsius, seconds, with_layer
from memlib.studies.s10_retention.over_time import THEIR_GAIN, THEIR_TIME, aged, networks_of
from memlib.sweeps.points import Point


def points(p: SimpleNamespace) -> Labelled:
    """The binary network over time, for layers that raise barriers by more and more."""
    checkpoint, labelled = networks_of(p)["binary"], []
    for energy, time in itertools.product(sorted({0.0, *p.layer_energies}), p.layer_times):
        labels = {"checkpoint": checkpoint, "energy": energy, "time": time}
        labelled.append((labels, aged(checkpoint, p.images, with_layer(energy), p.claim_temperature, time)))
    return labelled


@dataclass(frozen=True)
class Gain:
    """The mean gain by the layer at some times."""

    without: tuple[Point, ...]
    layered: tuple[Point, ...]

    def interval(self, chips: Chips) -> Interval:
        """Over chips, paired by seed, and images."""
        pairs = zip(self.layered, self.without, strict=True)
        return crossed_interval(np.mean([chips.hits(a) - chips.hits(b) for a, b in pairs], 0), low=-1, extra=1)


def gain_of(p: SimpleNamespace, times: Sequence[float]) -> Gain:
    """The gain of the claims' binary network at these times."""
    at = networks_of(p)["binary"], p.claim_images
    both = (tuple(aged(*at, stack, p.claim_temperature, time) for time in times) for stack in STACKS.values())
    return Gain(*both)


def gain_claims(run: Run) -> list[Claim]:
    """The claims about the gain at each time, and on average beyond 1e5 s."""
    p, chips = run.p, Chips(run.sweep("claims"))
    late = [time for time in p.gain_times if time > THEIR_TIME]
    where, decided = f"binary, {celsius(p.claim_temperature)}", []
    for time in p.gain_times:
        gain = gain_of(p, [time]).interval(chips)
        text = f"{where}, {seconds(time)}: the layer gains accuracy"
        decided.append(above(Statement(f"layer/{time:g}", text, "retention"), gain))
    gain = gain_of(p, late).interval(chips)
    what = f"the layer gains over {100 * THEIR_GAIN:g} points on average beyond {seconds(THEIR_TIME)}"
    when = ", ".join(seconds(time) for time in late)
    about = Statement("layer/mean", f"{where}: {what} ({when})", "retention", "10_retention")
    return [*decided, above(about, gain, THEIR_GAIN)]


def layer_gains(run: Run) -> pd.DataFrame:
    """A row per time and energy: the gain over the plain stack, with its interval."""
    chips, labelled, rows = Chips(run.sweep("layers")), points(run.p), []
    plain = {labels["time"]: point for labels, point in labelled if not labels["energy"]}
    for labels, point in labelled:
        if labels["energy"]:
            rows.append(labels | Gain((plain[labels["time"]],), (point,)).interval(chips).columns("gain"))
    return pd.DataFrame(rows)


def plot_layers(frame: pd.DataFrame, origin: str) -> Figure:
    """Accuracy gained over what a layer adds to the barriers, at each time, beside the abstract's number."""
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
