"""Wires and selection in a vertical stack.

A binary network on stacks of more and more planes, whose pillars sum more and more currents in one transistor, for
cells of several resistances; and what half-selected cells draw while another is written.
"""

import math
from types import SimpleNamespace

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from memlib.cells.device import Device
from memlib.evidence.comparisons import Labelled, tidy
from memlib.mapping.vertical_stack import Stack, write_leakage
from memlib.studies.drawing import errorbars, severity_colors
from memlib.studies.effects import add_note, chance_line, make_point
from memlib.studies.run import Run
from memlib.studies.s10_retention.cell_decay import PLAIN
from memlib.studies.s10_retention.over_time import networks_of
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

    Planes are the rows that share a converter, so their number alone has an effect too.
    """
    checkpoint = networks_of(p)["binary"]
    return [
        ({"checkpoint": checkpoint, "r_on": r_on, "planes": planes}, point(checkpoint, p.array_images, planes, r_on))
        for r_on in (*sorted(p.r_on), math.inf)
        for planes in sorted(p.planes)
    ]


def accuracies(run: Run) -> pd.DataFrame:
    """A row per labelled point: mean accuracy over chips with its 95 % interval."""
    return tidy(run.sweep("arrays"), points(run.p))


def point(checkpoint: str, images: int, planes: int, r_on: float) -> Point:
    """Freshly written cells in stacks of so many planes; see `points`."""
    stack = Stack(planes=planes)
    if math.isinf(r_on):
        stack, r_on = stack.replace(r_pillar=0.0, r_select=0.0), PLAIN["r_on"]
    tile = stack.tile()
    wires = {name: getattr(tile, name) for name in ("rows", "cols", "r_driver", "r_col", "r_sense")}
    wires = {name: value for name, value in wires.items() if value}
    return make_point(checkpoint, images, ERROR, PLAIN[ERROR], r_on=r_on, r_off=r_on * WINDOW, **wires)


def selection(run: Run) -> pd.DataFrame:
    """A row per number of planes: transistors, and what half-selected cells draw, in currents of the written one."""
    rows = []
    for count in sorted(run.p.planes):
        stack = Stack(planes=count)
        row: dict[str, float] = {"planes": count, "pillars": stack.pillars, "cells": count * stack.pillars}
        row |= {"transistors, vertical": stack.pillars, "transistors, planar 1T1R": count * stack.pillars}
        row |= {"half-selected cells": stack.half_selected}
        for law, v0 in LAWS.items():
            row[f"leakage, {law}"] = write_leakage(stack, Device(v0=v0), WRITE_VOLTS)
        rows.append(row)
    return pd.DataFrame(rows)


def _named(r_on: float) -> str:
    """An LRS in the legend."""
    return "no resistances" if math.isinf(r_on) else f"{r_on / 1e6:g} Mohm"


def plot_arrays(frame: pd.DataFrame, table: pd.DataFrame, origin: str) -> Figure:
    """Accuracy over planes for each resistance of cells, and leakage over planes for each law."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.3))
    resistances = sorted(frame["r_on"].unique())
    colors = [*severity_colors(len(resistances)), "black"]
    for color, r_on, marker in zip(colors[-len(resistances) :], resistances, "osD^v<", strict=False):
        line = frame[frame["r_on"] == r_on]
        errorbars(left, line["planes"], line, label=_named(r_on), marker=marker, color=color)
    chance_line(left)
    left.set(ylabel="accuracy (%)", ylim=(0, 102), title="a pillar's cells share its transistor")
    left.legend(frameon=False, title="LRS", loc="center right", bbox_to_anchor=(1, 0.4))
    for color, law, marker in zip(severity_colors(len(LAWS) + 1), LAWS, "osD", strict=False):
        leakage = table[f"leakage, {law}"]
        right.plot(table["planes"], leakage, color=color, marker=marker, markersize=4, linewidth=1, label=law)
    right.axhline(1, color="0.6", linewidth=0.7, linestyle=":")
    right.set(ylabel="current of half-selected cells /\nthat of the written one", yscale="log")
    right.set(title=f"writing at {WRITE_VOLTS:g} V, {table['pillars'].iloc[0]} pillars")
    right.legend(frameon=False, title="I-V law", loc="center right", bbox_to_anchor=(1, 0.4))
    for axis in (left, right):
        axis.set_xscale("log", base=2)
        axis.set_xticks(sorted(frame["planes"].unique()), [str(p) for p in sorted(frame["planes"].unique())])
        axis.set_xlabel("planes")
        axis.minorticks_off()
    add_note(figure, frame, origin, "bars: 95 % intervals; dotted: chance, and as much as the written cell")
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return figure
