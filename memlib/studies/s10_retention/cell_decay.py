"""Part of the study 10_retention: the cells, and how they lose their conductance.

The numbers are this study's own, within what is published of filaments of oxygen vacancies in HfO2 and TaOx (barriers
of 1 to 1.6 eV): nothing of the device of Yu et al. (Micromachines 13, 308, 2022) but its abstract was used.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from memlib.cells.device import Device
from memlib.cells.recombination import BOLTZMANN, demarcation_energy
from memlib.cells.static_effects import named_draws, program_cells
from memlib.evidence.claims import Claim, Statement, within
from memlib.evidence.intervals import seed_interval
from memlib.studies.drawing import note, panels, severity_colors, where

#: What the interfacial layer adds to every barrier, eV, and by which factor tail cells become rarer.
LAYER_ENERGY, LAYER_TAIL = 0.25, 1 / 3
#: A self-selecting cell: its resistances, the error that writing leaves, and the barriers of its vacancies.
PLAIN: dict[str, Any] = {
    "r_on": 1e6, "r_off": 100e6, "program_error": 0.01, "recombination_energy": 1.3, "recombination_within": 0.08,
    "recombination_between": 0.06, "recombination_tail": 0.03, "recombination_tail_energy": 1.0,
}  # fmt: skip
SECONDS = {"1 s": 1.0, "1 h": 3600.0, "1 day": 86400.0, "1 y": 365.25 * 86400, "10 y": 10 * 365.25 * 86400}
KELVIN = 273.15


def with_layer(energy: float = LAYER_ENERGY) -> dict[str, Any]:
    """Fields of `Device` of cells with a retention-enhancing layer, which raises the barriers of all vacancies.

    Args:
        energy: by how much, eV; at 0 the layer is none.
    """
    changes = {name: PLAIN[name] + energy for name in ("recombination_energy", "recombination_tail_energy")}
    return PLAIN | changes | {"recombination_tail": PLAIN["recombination_tail"] * (LAYER_TAIL if energy else 1)}


#: The two stacks of layers, by what figures call them.
STACKS = {"plain": PLAIN, "with layer": with_layer()}


def celsius(temperature: float) -> str:
    """A temperature, K, as figures and claims write it."""
    return f"{temperature - KELVIN:.0f} °C"


def seconds(time: float) -> str:
    """A time, s, as figures and claims write it; a dash if there is none."""
    return "–" if math.isnan(time) else f"{time:.4g} s".replace("e+0", "e")


def cells(stack: dict[str, Any], temperature: float, time: float, n: int, seed: int) -> np.ndarray:
    """Conductances of n cells that were written to LRS some time ago, relative to their window."""
    device = Device(**stack | {"retention_time": time, "retention_temperature": temperature})
    draw = named_draws((n,), seed, "10_retention")
    g = program_cells(device, torch.full((n,), device.g_on, dtype=torch.float64), draw, None)
    return ((g - device.g_off) / device.g_range).numpy()


def limit(stack: dict[str, Any], temperature: float, time: float) -> float:
    """Mean of what cells have left where barriers spread over many kT: normal in log time, and a share of tail cells.

    The mean over cells is as if all vacancies were in one cell, whose energies vary within cells and between them.
    """
    kt = BOLTZMANN * temperature
    edge = demarcation_energy(time, temperature, Device().recombination_rate) + np.euler_gamma * kt
    sigma = math.hypot(stack["recombination_within"], stack["recombination_between"], math.pi / math.sqrt(6) * kt)
    main, tail = (stats.norm.cdf((stack[f"recombination_{name}"] - edge) / sigma) for name in ("energy", "tail_energy"))
    return float(main + stack["recombination_tail"] * (tail - main))


def decay(temperatures: Sequence[float], n: int, seeds: int) -> pd.DataFrame:
    """A row per stack, temperature and time: mean, 1 % and 99 % of what n cells have left, pooled over chips."""
    rows, times = [], np.geomspace(1, SECONDS["10 y"], 35)
    for name, temperature, time in itertools.product(STACKS, sorted(temperatures), times):
        left = np.stack([cells(STACKS[name], temperature, time, n, seed) for seed in range(seeds)])
        mean, (low, high) = seed_interval(left.mean(1), constant=True), np.quantile(left, (0.01, 0.99))
        labels = {"stack": name, "temperature": temperature, "time": time}
        row = labels | mean.named("mean") | {"p1": low, "p99": high, "n": seeds}
        rows.append(row | {"limit": limit(STACKS[name], temperature, time)})
    return pd.DataFrame(rows)


def decay_claim(temperatures: Sequence[float], n: int, seeds: int) -> Claim:
    """Simulated cells against the analytic limit, where it is furthest off."""
    differences, times = [], np.geomspace(1, SECONDS["10 y"], 12)
    for stack, temperature, time in itertools.product(STACKS.values(), temperatures, times):
        left = np.array([cells(stack, temperature, time, n, seed).mean() for seed in range(seeds)])
        differences.append(seed_interval(left - limit(stack, temperature, time), constant=True))
    text = "cells have left on average what the normal limit says, within 1 % of the window"
    statement = Statement("cells_follow_the_limit", text, "retention")
    return within(statement, max(differences, key=lambda i: abs(i.mean)), 0.01)


def plot_decay(frame: pd.DataFrame) -> Figure:
    """A panel per stack: what cells have left over time, for each temperature."""
    rows, columns = {"": "conductance left of LRS (% of the window)"}, {name: name for name in frame["stack"].unique()}
    grid = panels(rows, columns, (4.25, 3.2), (0, 0), "time since writing", sharex=False)
    temperatures = sorted(frame["temperature"].unique())
    for _, name, axis in grid:
        for color, temperature in zip(severity_colors(len(temperatures) + 1), temperatures, strict=False):
            line = where(frame, stack=name, temperature=temperature)
            axis.fill_between(line["time"], 100 * line["p1"], 100 * line["p99"], color=color, alpha=0.2, linewidth=0)
            axis.plot(line["time"], 100 * line["mean"], color=color, label=celsius(temperature))
            axis.plot(line["time"], 100 * line["limit"], ":", color="black", linewidth=1)
        axis.set_ylim(-4, 106)
        time_axis(axis)
    first = grid.axes[0, 0]
    first.plot([], [], ":", color="black", linewidth=1, label="analytic limit")
    first.legend(frameon=False, fontsize="small", loc="lower left")
    note(grid.figure, "lines: mean of cells; bands: 1 to 99 % of them", 0.01)
    grid.figure.tight_layout(rect=(0, 0.05, 1, 1))
    return grid.figure


def time_axis(axis: Axes) -> None:
    """From 1 s to 10 years."""
    axis.set(xscale="log", xlim=(0.8, 1.3 * SECONDS["10 y"]))
    axis.set_xticks(list(SECONDS.values()), list(SECONDS))
    axis.minorticks_off()
