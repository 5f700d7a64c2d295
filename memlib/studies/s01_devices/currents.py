"""Currents: laws of cells, and what read noise does to a column."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import stats

from memlib.cells.device import Device
from memlib.evidence.intervals import seed_interval
from memlib.studies.drawing import fix_layout, severity_colors
from memlib.studies.run import Run
from memlib.studies.s01_devices.conductances import BASELINE, MICRO, THEORY, V_READ, program

#: v0 of LRS and of HRS, V; the numbers are those of published compact models (see `iv`).
LAWS: dict[str, dict[str, float]] = {
    "linear": {},
    "v0 = 0.43 V": {"v0": 0.43},
    "v0 = 0.25 V": {"v0": 0.25},
    "v0 = 2 V to 0.4 V": {"v0": 2.0, "v0_off": 0.4},
}
POSITIONS = {"HRS": 0.0, "middle": 0.5, "LRS": 1.0}
#: Rows of the column whose current is read.
ROWS = 128
#: Devices with read noise: measured, and the 1 % of the range that aihwkit suggests where nothing was measured.
NOISY: dict[str, Device] = {
    "cmo_hfox, 0.34 % of g": Device.preset("cmo_hfox"),
    "neurram, 1 % of the range": Device.preset("neurram").replace(read_noise=0.01, read_noise_to="range"),
}


def iv(_: Run) -> pd.DataFrame:
    """Current, A, of the baseline's cells by law (those of `LAWS`), state and voltage, V.

    v0 is 0.25 V by default in the Verilog-A code of Stanford-PKU, 0.43 V in that of Stanford and ASU. In PKU-Stanford 2
    it is 0.4 V for a gap, while a filament without one is ohmic. The last law stands for that.
    """
    rows, v = [], np.linspace(-0.6, 0.6, 61)
    for law, fields in LAWS.items():
        device = BASELINE.replace(**fields)
        for state, position in POSITIONS.items():
            g = device.g_off + position * device.g_range
            v0 = float(device.law.own_v0(torch.tensor(g))) if device.law.depends_on_state else device.v0
            current = g * (v if v0 is None else v0 * np.sinh(v / v0))
            rows.append(pd.DataFrame({"law": law, "state": state, "voltage": v, "current": current, "ohmic": g * v}))
    return pd.concat(rows, ignore_index=True)


@dataclass(frozen=True)
class Reads:
    """One column of ROWS cells, read many times."""

    current: np.ndarray  #: with a normal number for each cell and read, A, (chips, reads)
    mean: np.ndarray  #: without noise, A, (chips,)
    sigma: np.ndarray  #: of the one normal number that a column's read gets instead, A, (chips,)


def read_columns(run: Run) -> dict[str, Reads]:
    """Read a column of each noisy device, in random states and at random voltages of up to V_READ."""
    columns = {}
    for name, device in NOISY.items():
        chips = []
        for seed in range(run.p.device_seeds):
            rng = np.random.default_rng([seed, list(NOISY).index(name)])
            v, g = rng.uniform(0, V_READ, ROWS), device.g_off + device.g_range * rng.uniform(size=ROWS)
            g = program(device, g, seed, "01_devices", "reads", name)
            deviation = np.sqrt(device.noise_variance(torch.from_numpy(g)).numpy())
            blocks = [(g + deviation * rng.standard_normal((n, ROWS))) @ v for n in _blocks(run.p.reads)]
            chips.append((np.concatenate(blocks), g @ v, math.sqrt(((deviation * v) ** 2).sum())))
        columns[name] = Reads(*(np.array(values) for values in zip(*chips, strict=True)))
    return columns


def _blocks(reads: int, most: int = 20_000) -> list[int]:
    return [min(most, reads - start) for start in range(0, reads, most)]


def read_summary(run: Run) -> pd.DataFrame:
    """A column's noise: drawn cell by cell over drawn at once (with an interval over chips), and in ADC steps."""
    rows = []
    for name, r in run.once(read_columns).items():
        ratio = seed_interval(r.current.std(1) / r.sigma, constant=True)
        step = ROWS * V_READ * NOISY[name].g_on / 255
        row = {"device": name, "current_uA": r.mean.mean() / MICRO, "sigma_nA": r.sigma.mean() / 1e-9}
        row |= {"sigma_in_8_bit_steps": r.sigma.mean() / step, "ratio": ratio.mean}
        rows.append(row | {"ratio_low": ratio.low, "ratio_high": ratio.high, "n": ratio.n})
    return pd.DataFrame(rows)


def read_histograms(run: Run) -> pd.DataFrame:
    """A row per device and bin (in sigma of the column's normal): the share of the reads in it, and that of theory."""
    rows, edges = [], np.linspace(-4, 4, 65)
    for name, r in run.once(read_columns).items():
        z = (r.current - r.mean[:, None]) / r.sigma[:, None]
        bins = {"left": edges[:-1], "right": edges[1:], "share": np.histogram(z, edges)[0] / z.size}
        rows.append(pd.DataFrame({"device": name, **bins, "expected": np.diff(stats.norm.cdf(edges))}))
    return pd.concat(rows, ignore_index=True)


def plot_reads(curves: pd.DataFrame, noise: pd.DataFrame) -> Figure:
    """Draw the I-V of the LRS, current over the ohmic one by state, and the distribution of a column's current."""
    figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.4), layout="constrained")
    colors = dict(zip(LAWS, severity_colors(5), strict=False))
    for (law, state), group in curves.groupby(["law", "state"], sort=False):
        if state == "LRS":
            style = "--" if "v0_off" in LAWS[law] else "-"
            axes[0].plot(group["voltage"], group["current"] / MICRO, style, color=colors[law], label=law)
        if "v0_off" in LAWS[law] or (state == "LRS"):
            positive = group[group["voltage"] > 0.001]
            style = {"HRS": "-.", "middle": ":", "LRS": "--"}[state] if "v0_off" in LAWS[law] else "-"
            name = f"{law}: {state}" if "v0_off" in LAWS[law] else law
            ratio = positive["current"] / positive["ohmic"]
            axes[1].plot(positive["voltage"], ratio, style, color=colors[law], label=name)
    axes[1].axvline(V_READ, color="0.6", linewidth=0.8)
    axes[1].annotate("read", (V_READ, 0.96), (2, 0), textcoords="offset points", fontsize="small", color="0.4")
    axes[0].set(title="I-V of the LRS (10 kΩ)", xlabel="voltage (V)", ylabel="current (µA)")
    axes[1].set(
        title="beyond Ohm's law", xlabel="voltage (V)", ylabel="current / (g v)", xlim=(0, 0.6), ylim=(0.95, 1.8)
    )
    for color, (name, group) in zip(severity_colors(5)[::2], noise.groupby("device", sort=False), strict=False):
        edges = [*group["left"], group["right"].iloc[-1]]
        axes[2].stairs(100 * group["share"], edges, color=color, linewidth=1.5, label=name)
    axes[2].stairs(100 * group["expected"], edges, baseline=None, linestyle=":", **THEORY, label="one normal per read")
    text = f"noise of a column's current, {ROWS} cells"
    axes[2].set(title=text, xlabel="deviation from the mean (sigma)", ylabel="reads in a bin (%)")
    for axis in axes:
        axis.legend(frameon=False, fontsize="x-small", loc="upper left" if axis is not axes[2] else "lower center")
    return fix_layout(figure)
