"""Part of the study 10_retention: what a vertical stack changes in wires and selection.

A binary network on stacks of more and more planes, whose pillars sum more and more currents in one transistor, for
cells of several resistances; and what half-selected cells draw while another is written.
"""

import itertools
import math
from collections.abc import Sequence
from types import SimpleNamespace

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from memlib.cells.device import Device
from memlib.evidence.comparisons import Labelled
from memlib.mapping.vertical_stack import Stack, write_leakage
from memlib.studies.drawing import MARKERS, lines, severity_colors, tick_values
from memlib.studies.s10_retention.cell_decay import PLAIN
from memlib.studies.s10_retention.over_time import networks_of
from memlib.studies.shared.effects import add_note, chance_line, make_point
from memlib.sweeps.points import Point

#: The error that writing leaves.
ERROR = "program_error"
#: Laws of cells, by v0 (V): ohmic, as between electrodes; self-selecting.
LAWS = {"ohmic": None, "v0 = 0.3 V": 0.3, "v0 = 0.1 V": 0.1}
#: V, across a cell that is written.
WRITE_VOLTS = 2.0
WINDOW = PLAIN["r_off"] / PLAIN["r_on"]


def points(p: SimpleNamespace) -> Labelled:
    """The network on stacks for each LRS, and, with an LRS of inf, where pillars and transistors have no resistance.

    Planes are the rows that share a converter, so that their number alone changes something too.
    """
    checkpoint = networks_of(p)["binary"]
    return [
        ({"checkpoint": checkpoint, "r_on": r_on, "planes": planes}, point(checkpoint, p.array_images, planes, r_on))
        for r_on, planes in itertools.product((*sorted(p.r_on), math.inf), sorted(p.planes))
    ]


def point(checkpoint: str, images: int, planes: int, r_on: float) -> Point:
    """Freshly written cells in stacks of so many planes; see `points`."""
    stack = Stack(planes=planes)
    if math.isinf(r_on):
        stack, r_on = stack.replace(r_pillar=0.0, r_select=0.0), PLAIN["r_on"]
    tile = stack.tile()
    wires = {name: getattr(tile, name) for name in ("rows", "cols", "r_driver", "r_col", "r_sense")}
    wires = {name: value for name, value in wires.items() if value}
    return make_point(checkpoint, images, ERROR, PLAIN[ERROR], r_on=r_on, r_off=r_on * WINDOW, **wires)


def selection(planes: Sequence[int]) -> pd.DataFrame:
    """A row per number of planes: transistors, and what half-selected cells draw, in currents of the written one."""
    rows = []
    for count in sorted(planes):
        stack = Stack(planes=count)
        row: dict[str, float] = {"planes": count, "pillars": stack.pillars, "cells": count * stack.pillars}
        row |= {"transistors, vertical": stack.pillars, "transistors, planar 1T1R": count * stack.pillars}
        row |= {"half-selected cells": stack.half_selected}
        leakages = {f"leakage, {law}": write_leakage(stack, Device(v0=v0), WRITE_VOLTS) for law, v0 in LAWS.items()}
        rows.append(row | leakages)
    return pd.DataFrame(rows)


def _named(r_on: float) -> str:
    return "no resistances" if math.isinf(r_on) else f"{r_on / 1e6:g} Mohm"


def plot(frame: pd.DataFrame, table: pd.DataFrame, origin: str) -> Figure:
    """Accuracy over planes for each resistance of cells, and leakage over planes for each law."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.3))
    colors = [*severity_colors(frame["r_on"].nunique())[1:], "black"]
    lines(left, frame, "planes", "r_on", text=_named, colors=colors)
    chance_line(left)
    left.set(ylabel="accuracy (%)", ylim=(0, 102), title="a pillar's cells share its transistor")
    for color, law, marker in zip(severity_colors(len(LAWS) + 1), LAWS, MARKERS, strict=False):
        leakage = table[f"leakage, {law}"]
        right.plot(table["planes"], leakage, color=color, marker=marker, markersize=4, linewidth=1, label=law)
    right.axhline(1, color="0.6", linewidth=0.7, linestyle=":")
    right.set(ylabel="current of half-selected cells /\nthat of the written one", yscale="log")
    right.set(title=f"writing at {WRITE_VOLTS:g} V, {table['pillars'].iloc[0]} pillars")
    for axis, title in ((left, "LRS"), (right, "I-V law")):
        axis.legend(frameon=False, title=title, loc="center right", bbox_to_anchor=(1, 0.4))
        tick_values(axis, frame["planes"])
        axis.set_xlabel("planes")
    add_note(figure, frame, origin, "bars: 95 % intervals; dotted: chance, and as much as the written cell")
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return figure
