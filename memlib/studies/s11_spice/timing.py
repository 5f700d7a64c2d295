"""Time until the outputs are there, and the power and energy that it takes."""

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memlib.circuits import circuit_netlist
from memlib.studies.s11_spice.circuits import DURATION, FIXED, chip_of, make_point
from memlib.studies.s11_spice.results import Results

COLORS = sns.color_palette("colorblind")


def settling(results: Results, widths: Sequence[int]) -> pd.DataFrame:
    """Times of each step response, s."""
    t = results.table
    steps = t[(t["method"] == "step") & t["hidden"].isin(widths)].rename(columns={"first": "image"})
    return steps[["hidden", "image", "settled", "decided"]].sort_values(["hidden", "image"]).reset_index(drop=True)


def power(results: Results, p: SimpleNamespace) -> pd.DataFrame:
    """A row per width, by ngspice: power, W, times, s (means over images), energy of an inference and a product, J.

    An inference takes until the outputs are settled to 1 %, and its power is that of the operating point.
    """
    rows = []
    for width in sorted(p.widths):
        chips = results.rows("circuit", p.images, p.spice_seeds, hidden=width)
        watts = {name: chips[f"power_{name}"].mean() for name in ("inputs", "loads", "quiescent")}
        times = settling(results, [width])[["settled", "decided"]].mean().to_dict()
        chip, *_rest = chip_of(make_point("model", 0, 1, hidden=width), 0)
        counts = {"hidden": width, "cells": chip.cells, "amplifiers": chip.amplifiers}
        energy = sum(watts.values()) * times["settled"]
        rows.append(counts | watts | times | {"energy": energy, "product_energy": energy / (chip.cells // 2)})
    return pd.DataFrame(rows)


def waveform() -> pd.DataFrame:
    """Step response of a nominal chip: a row per time, s, and digit, V."""
    chip, volts, _ = chip_of(make_point("step", 0, 1), 0)
    step = circuit_netlist.step_response(chip, volts[0], DURATION / 2, 100)
    tables = [pd.DataFrame({"time": step.times, "digit": d, "output": step.outputs[:, d]}) for d in range(10)]
    return pd.concat(tables, ignore_index=True)


def plot_settling(waveform: pd.DataFrame, settling: pd.DataFrame, power: pd.DataFrame) -> Figure:
    """Outputs over time, and over the width of the circuit when they are settled and decided, and its power."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.2, 2.9), width_ratios=(1.3, 1, 1))
    _waves(left, waveform)
    _times(middle, settling)
    _bars(right, power)
    note = (
        f"{len(settling) // settling['hidden'].nunique()} images a width; op-amps: {FIXED['bandwidth'] / 1e6:g} MHz, "
    )
    note += f"{FIXED['quiescent'] * 1e6:g} µA idle, supplies of ±{FIXED['rail']:g} V"
    figure.text(0.01, 0.005, note, fontsize="small", color="0.3")
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    return figure


def _waves(axis: Axes, waveform: pd.DataFrame) -> None:
    winner = waveform.groupby("digit")["output"].last().idxmax()
    for digit, group in waveform.groupby("digit"):
        best = digit == winner
        look = {"color": COLORS[3] if best else "0.6", "linewidth": 1.4 if best else 0.8, "zorder": 2 + best}
        axis.plot(group["time"] * 1e9, group["output"] * 1e3, label=f"digit {digit}" if best else None, **look)
    axis.plot([], [], color="0.6", linewidth=0.8, label="others")
    axis.set(xlabel="time after the inputs' step (ns)", ylabel="output (mV)", title="one image, nominal chip")
    axis.set_ylim(top=1.55 * 1e3 * waveform["output"].max())
    axis.legend(frameon=False, ncol=2, loc="upper right")


def _times(axis: Axes, settling: pd.DataFrame) -> None:
    widths = sorted(settling["hidden"].unique())
    looks = (("settled", "o", "settled to 1 %"), ("decided", "s", "decided"))
    for shift, color, (name, marker, label) in zip((-0.08, 0.08), (0, 1), looks, strict=True):
        x = settling["hidden"].map(widths.index) + shift
        axis.plot(x, settling[name] * 1e9, marker, color=COLORS[color], markersize=3.5, alpha=0.7, label=label)
    axis.set(ylabel="time (ns)", xlabel="hidden neurons", title="each image, one chip")
    axis.set_ylim(0, 1.35e9 * settling["settled"].max())
    axis.legend(frameon=False, ncol=2, loc="upper center", columnspacing=1)
    axis.set_xticks(range(len(widths)), [f"{width}" for width in widths])
    axis.margins(x=0.25)


def _bars(axis: Axes, power: pd.DataFrame) -> None:
    bottom = np.zeros(len(power))
    parts = (("inputs", "inputs"), ("loads", "amplifiers, loads"), ("quiescent", "amplifiers, idle"))
    for color, (name, label) in zip((0, 1, 7), parts, strict=True):
        axis.bar(range(len(power)), power[name] * 1e3, bottom=bottom, color=COLORS[color], width=0.6, label=label)
        bottom = bottom + power[name].to_numpy() * 1e3
    axis.set(ylabel="power (mW)", xlabel="hidden neurons", title="operating point", ylim=(0, 1.45 * bottom.max()))
    axis.legend(frameon=False, loc="upper left")
    axis.set_xticks(range(len(power)), [f"{width}" for width in power["hidden"]])
