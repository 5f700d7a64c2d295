"""What a layer that raises the barriers of all cells gains the binary network, at each time."""

import itertools
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from memlib.evidence.claims import Claim, Statement, above
from memlib.evidence.comparisons import Chips, Labelled
from memlib.evidence.intervals import Interval, crossed_interval
from memlib.studies.drawing import lines
from memlib.studies.s10_retention.cell_decay import STACKS, celsius, seconds, with_layer
from memlib.studies.s10_retention.over_time import THEIR_GAIN, THEIR_TIME, aged, networks_of
from memlib.studies.shared.effects import add_note
from memlib.sweeps.points import Point


def layer_points(p: SimpleNamespace) -> Labelled:
    """The binary network over time, for layers that raise barriers by more and more."""
    found, checkpoint = [], networks_of(p)["binary"]
    for energy, time in itertools.product(sorted({0.0, *p.layer_energies}), p.layer_times):
        point = aged(checkpoint, p.images, with_layer(energy), p.claim_temperature, time)
        found.append(({"checkpoint": checkpoint, "energy": energy, "time": time}, point))
    return found


def gain_points(p: SimpleNamespace, time: float) -> tuple[Point, ...]:
    """The points of a claim about a time: the binary network with the layer, and without."""
    stacks = STACKS["with layer"], STACKS["plain"]
    return tuple(aged(networks_of(p)["binary"], p.claim_images, s, p.claim_temperature, time) for s in stacks)


def _gain(chips: Chips, pairs: Sequence[tuple[Point, ...]]) -> Interval:
    """The mean over pairs of points of what the first gains over the second, paired by seed and image."""
    return crossed_interval(np.mean([chips.hits(a) - chips.hits(b) for a, b in pairs], 0), low=-1, extra=1)


def gain_claims(chips: Chips, p: SimpleNamespace) -> list[Claim]:
    """What the layer gains the binary network at each time, and on average beyond 1e5 s."""
    where, decided = f"binary, {celsius(p.claim_temperature)}", []
    for time in p.gain_times:
        about = Statement(f"layer/{time:g}", f"{where}, {seconds(time)}: the layer gains accuracy", "retention")
        decided.append(above(about, _gain(chips, [gain_points(p, time)])))
    late = [time for time in p.gain_times if time > THEIR_TIME]
    what = f"the layer gains over {100 * THEIR_GAIN:g} points on average beyond {seconds(THEIR_TIME)}"
    text = f"{where}: {what} ({', '.join(seconds(time) for time in late)})"
    about = Statement("layer/mean", text, "retention", "10_retention")
    return [*decided, above(about, _gain(chips, [gain_points(p, time) for time in late]), THEIR_GAIN)]


def layer_gains(chips: Chips, labelled: Labelled) -> pd.DataFrame:
    """A row per time and energy: the gain over the plain stack, with its interval."""
    plain = {labels["time"]: point for labels, point in labelled if not labels["energy"]}
    return pd.DataFrame(
        labels | _gain(chips, [(point, plain[labels["time"]])]).columns("gain")
        for labels, point in labelled
        if labels["energy"]
    )


def plot_layers(frame: pd.DataFrame, origin: str) -> Figure:
    """What a layer gains over what it adds to the barriers, at each time, beside the abstract's number."""
    figure, axis = plt.subplots(figsize=(5.5, 3.4))
    lines(axis, frame.sort_values("time", kind="stable"), "energy", "time", "gain", seconds)
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
