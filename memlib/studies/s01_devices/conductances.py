"""Conductances of programmed cells under each non-ideality."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy import stats

from memlib.cells.device import Device
from memlib.cells.static_effects import named_draws, program_cells
from memlib.evidence.intervals import seed_interval
from memlib.studies.drawing import fix_layout, severity_colors
from memlib.studies.run import Run

MICRO = 1e-6
SECONDS = {"1 s": 1.0, "1 h": 3600.0, "1 day": 86400.0, "2 days": 172800.0, "10 years": 10 * 365.25 * 86400}
#: Read voltage, V.
V_READ = 0.3
#: Drawn over what was simulated.
THEORY: dict[str, Any] = {"color": "black", "linewidth": 0.8}


def program(device: Device, targets: np.ndarray, *name: int | str) -> np.ndarray:
    """Conductances, S, of cells with these targets, S, in the same shape. The same name draws the same cells."""
    return program_cells(device, torch.from_numpy(targets), named_draws(targets.shape, *name), device.states).numpy()


@dataclass(frozen=True)
class Case:
    """A device whose programmed conductances are drawn, for some target states."""

    device: Device
    positions: tuple[float, ...]  #: of the targets, from 0 (g_off) to 1 (g_on)
    window: tuple[float, float]  #: of the histogram, uS
    log: bool = False

    @property
    def targets(self) -> np.ndarray:
        """S."""
        return self.device.g_off + np.array(self.positions) * self.device.g_range


BASELINE = Device.preset("10k_100k")
THIRDS = (0.0, 1 / 3, 2 / 3, 1.0)
#: Number of levels of the case that shows them.
QUANTISED = 8
#: Each effect alone on the baseline, and published devices. Rates of stuck cells: L. Chen et al., DATE 2017.
CASES: dict[str, Case] = {
    "programming error, 3 % of the range": Case(BASELINE.replace(program_error=0.03), THIRDS, (0, 115)),
    "programming error, 10 % of g": Case(BASELINE.replace(program_error=0.1, program_error_to="g"), THIRDS, (0, 140)),
    "device to device, 20 %": Case(BASELINE.replace(d2d_on=0.2, d2d_off=0.2), THIRDS, (0, 200)),
    "stuck and unformed cells": Case(
        BASELINE.replace(stuck_on=0.0175, stuck_off=0.0904, unformed=0.01, program_error=0.03), THIRDS, (0, 115), True
    ),
    "neurram": Case(Device.preset("neurram"), THIRDS, (0, 47)),
    "cmo_hfox, 4 of 32 levels": Case(Device.preset("cmo_hfox"), tuple(i / 31 for i in range(14, 18)), (42, 55)),
    "ihp_hfo2": Case(Device.preset("ihp_hfo2"), THIRDS, (30, 245)),
}
BINS = 100
#: Texts of the legend.
NTHS = ("lowest target (dotted)", "second", "third", "highest")


def cdf(device: Device, target: float, g: np.ndarray) -> np.ndarray:
    """P(conductance <= g) of cells programmed to `target`, S: the theory of `program` without ageing.

    It holds for a continuous target, or a level, with either a programming error or device-to-device variation.
    """
    own = [math.sqrt(math.log1p(sigma**2)) for sigma in (device.d2d_on, device.d2d_off)]
    if any(own):
        p = _healthy_windows(device, (target - device.g_off) / device.g_range, g, *own)
    else:
        sigma = device.program_error * (device.g_range if device.program_error_to == "range" else target)
        p = np.where(g >= 0, stats.norm.cdf(g, target, sigma), 0)
    for probability, at in ((device.stuck_on, device.g_on), (device.stuck_off, device.g_off), (device.unformed, 0)):
        p = (1 - probability) * p + probability * (g >= at)
    return p


def _healthy_windows(device: Device, position: float, g: np.ndarray, on: float, off: float) -> np.ndarray:
    """The same for a place in a window from a lognormal g_off, added up by Gauss-Hermite, to a lognormal g_on."""
    if not position:
        return stats.lognorm.cdf(g, off, scale=device.g_off)
    nodes, weights = np.polynomial.hermite_e.hermegauss(32)
    own = device.g_off * np.exp(off * nodes)
    parts = (stats.lognorm.cdf((g - (1 - position) * g_off) / position, on, scale=device.g_on) for g_off in own)
    return sum(w * p for w, p in zip(weights / weights.sum(), parts, strict=True))


def programmed(run: Run) -> dict[str, np.ndarray]:
    """Conductances of every case, S: (targets, chips, cells)."""
    conductances = {}
    for name, case in CASES.items():
        targets = np.repeat(case.targets[:, None], run.p.cells, 1)
        chips = [program(case.device, targets, seed, "01_devices", name) for seed in range(run.p.device_seeds)]
        conductances[name] = np.stack(chips, 1)
    return conductances


def histograms(run: Run) -> pd.DataFrame:
    """A row per case, target and bin (uS): the share of the cells in it, and that of theory."""
    rows, conductances = [], run.once(programmed)
    for name, case in CASES.items():
        edges = np.linspace(*case.window, BINS + 1)
        for target, g in zip(case.targets, conductances[name], strict=True):
            counts, _ = np.histogram(g / MICRO, edges)
            expected = np.diff(cdf(case.device, target, np.nextafter(edges * MICRO, -1)))  # a bin holds its left edge
            columns = {"left": edges[:-1], "right": edges[1:], "share": counts / g.size, "expected": expected}
            rows.append(pd.DataFrame({"case": name, "target": target / MICRO, **columns}))
    return pd.concat(rows, ignore_index=True)


def agreement(run: Run) -> pd.DataFrame:
    """A row per case and target: mean and sd (uS, with an interval over chips), and distance from theory.

    The distance is Kolmogorov and Smirnov's. By chance it exceeds `limit` in one of a thousand distributions.
    """
    rows, conductances = [], run.once(programmed)
    for name, case in CASES.items():
        for target, g in zip(case.targets, conductances[name], strict=True):
            sd = seed_interval(g.std(1) / MICRO, constant=True)
            row = {"case": name, "target": target / MICRO, "cells": g.size, "mean": g.mean() / MICRO, "sd": sd.mean}
            row |= {"sd_low": sd.low, "sd_high": sd.high, "zero": (g == 0).mean()}
            rows.append(row | {"distance": _distance(case.device, target, g), "limit": 1.949 / math.sqrt(g.size)})
    return pd.DataFrame(rows)


def _distance(device: Device, target: float, g: np.ndarray) -> float:
    """The largest difference of the two distribution functions, on both sides of every step."""
    values, counts = np.unique(g, return_counts=True)
    upper = counts.cumsum() / g.size
    after, before = cdf(device, target, values), cdf(device, target, np.nextafter(values, -1))
    return float(max(np.abs(upper - after).max(), np.abs(upper - counts / g.size - before).max()))


def plot_programmed(frame: pd.DataFrame) -> Figure:
    """Draw the staircase of states, and a panel for each case."""
    figure, axes = plt.subplots(2, 4, figsize=(11.5, 5), layout="constrained")
    _staircase(axes[0, 0])
    for axis, (name, case) in zip(axes.flat[1:], CASES.items(), strict=True):
        group = frame[frame["case"] == name]
        for color, (target, line) in zip(severity_colors(5), group.groupby("target"), strict=False):
            edges = [*line["left"], line["right"].iloc[-1]]
            axis.stairs(100 * line["share"], edges, fill=True, color=color, alpha=0.55)
            axis.stairs(100 * line["expected"], edges, baseline=None, **THEORY)
            axis.axvline(target, color=color, linewidth=0.8, linestyle=":")
        axis.set(title=name, xlim=case.window, xlabel="conductance (µS)")
        if case.log:
            axis.set(yscale="log", ylim=(1e-3, 150))
        axis.set_ylabel("cells in a bin (%)")
    at_zero = 100 * cdf(CASES["neurram"].device, CASES["neurram"].targets[0], np.zeros(1))[0]
    axes[1, 1].annotate(f"{at_zero:.0f} % of the HRS\ncells end at 0", (1, 30), (5, 26), fontsize="small")
    handles: list[Artist] = [
        Patch(color=color, alpha=0.55, label=text) for color, text in zip(severity_colors(5), NTHS, strict=False)
    ]
    handles.append(Line2D([], [], label="theory", **THEORY))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False)
    return fix_layout(figure)


def _staircase(axis: Axes) -> None:
    """Draw the levels that targets go to."""
    device = BASELINE.replace(states=QUANTISED)
    targets = np.linspace(device.g_off, device.g_on, 1001)
    axis.plot(targets / MICRO, targets / MICRO, ":", color="0.5", label="continuous")
    label = f"{QUANTISED} states"
    axis.plot(targets / MICRO, program(device, targets, 0) / MICRO, color=severity_colors(5)[1], label=label)
    axis.set(title="states", xlabel="target (µS)", ylabel="conductance (µS)")
    axis.legend(frameon=False)
