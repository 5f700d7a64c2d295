"""How accurate a network stays over ten years, by kind of weight, stack and temperature."""

import itertools
import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from memlib.base.checks import fail
from memlib.cells.recombination import BOLTZMANN
from memlib.evidence.claims import Statement
from memlib.evidence.comparisons import Comparison, Labelled, Loss
from memlib.studies.drawing import errorbars, panels, where
from memlib.studies.s10_retention.cell_decay import LAYER_ENERGY, PLAIN, STACKS, celsius, seconds, time_axis
from memlib.studies.shared.effects import add_note, chance_line, make_point
from memlib.sweeps.points import Point

#: Rows and columns that share a converter: a bit line joins the feet of a pillar of each of four stacks of 32 planes.
ROWS, COLS = 4 * 32, 128
#: Accuracy that a network may lose until it counts as failed.
ALLOWED = 0.05
#: What the abstract of Yu et al. says: accuracy gained after more than 1e5 s, and energy saved in training, times.
THEIR_GAIN, THEIR_TIME, THEIR_SAVING = 0.24, 1e5, 25_000


def networks_of(p: SimpleNamespace) -> dict[str, str]:
    """The checkpoint of each kind of weight.

    Raises:
        ValueError: if there is not exactly one of each.
    """
    for name in ("binary_checkpoints", "multilevel_checkpoints"):
        if len(getattr(p, name)) != 1:
            fail(name, list(getattr(p, name)), "one checkpoint")
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
    found = []
    for (kind, checkpoint), temperature, (stack, way), time in itertools.product(
        networks_of(p).items(), sorted(p.temperatures), LOOKS, (0, *sorted(p.times))
    ):
        labels: dict[str, Any] = {"weights": kind, "checkpoint": checkpoint, "stack": stack, "recalibration": way}
        labels |= {"temperature": temperature, "time": time}
        found.append((labels, aged(checkpoint, p.images, STACKS[stack], temperature, time, way)))
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
    kt = BOLTZMANN * pd.Series(sorted(temperatures))
    needed = kt * math.log(THEIR_SAVING)
    return pd.DataFrame(
        {"temperature": sorted(temperatures), "stretch": np.exp(LAYER_ENERGY / kt), "energy_needed": needed}
    )


def comparisons(p: SimpleNamespace) -> list[Comparison]:
    """What recalibration recovers, and what tail cells do, in each network of seed 0."""
    compared, where, first = [], celsius(p.claim_temperature), p.claim_time
    networks = networks_of(p)

    def at(kind: str, time: float, stack: dict[str, Any] = PLAIN, **how: Any) -> Point:
        """One kind of weight some time after it was written."""
        return aged(networks[kind], p.claim_images, stack, p.claim_temperature, time, **how)

    def add(key: str, text: str, terms: tuple[tuple[float, Loss], ...]) -> None:
        """A claim."""
        subject = "recalibration" if key.startswith("recalibration") else "retention"
        compared.append(Comparison(Statement(key, text, subject), terms))

    for kind in networks:
        before, name = Loss(at(kind, first), at(kind, 0)), f"{kind}, plain, {where}, {seconds(first)}"
        after = Loss(at(kind, first, recalibration="batch_norm", own_images=True), before.baseline)
        text = f"{name}: recalibrating batch norm removes over half of the loss"
        add(f"recalibration/{kind}", text, ((0.5, before), (-1.0, after)))
        even = PLAIN | {"recombination_tail": 0.0, "recombination_tail_energy": 0.0}
        tailless = Loss(at(kind, first, even), before.baseline)
        add(f"tail_cells/{kind}", f"{name}: without tail cells it would lose less", ((1.0, before), (-1.0, tailless)))
    return compared


COLORS = dict(zip(("binary", "multi-level"), sns.color_palette("colorblind"), strict=False))
#: Stacks and recalibrations that are shown, and their lines.
LOOKS: dict[tuple[str, str], dict[str, Any]] = {
    ("plain", "none"): {"linestyle": "--", "marker": "o", "label": "plain"},
    ("with layer", "none"): {"linestyle": "-", "marker": "s", "label": "with layer"},
    ("plain", "batch_norm"): {"linestyle": ":", "marker": "^", "label": "plain, recalibrated"},
}


def plot(frame: pd.DataFrame, origin: str) -> Figure:
    """A row per kind of weight, a column per temperature: accuracy over time, for each stack.

    What was measured at time 0 is left out, as its logarithm has no place.
    """
    rows = {kind: f"{kind} weights\n\naccuracy (%)" for kind in frame["weights"].unique()}
    columns = {temperature: celsius(temperature) for temperature in sorted(frame["temperature"].unique())}
    grid = panels(rows, columns, (3.1, 2.4), (0.6, 0.7), "time since writing")
    for kind, temperature, axis in grid:
        part = where(frame[frame["time"] > 0], weights=kind, temperature=temperature)
        for (stack, way), look in LOOKS.items():
            line = where(part, stack=stack, recalibration=way)
            errorbars(axis, line["time"], line, color=COLORS[kind], **look)
        time_axis(axis)
        chance_line(axis)
        axis.axvline(THEIR_TIME, color="0.8", linewidth=0.8, zorder=0)
    grid.axes[0, 0].set_ylim(0, 102)
    for axis in grid.axes[:, -1]:
        axis.legend(frameon=False, fontsize="x-small", loc="lower left")
    add_note(grid.figure, frame, origin, "bars: 95 % intervals; dotted: chance; grey: 1e5 s")
    grid.figure.tight_layout(rect=(0, 0.03, 1, 1))
    return grid.figure
