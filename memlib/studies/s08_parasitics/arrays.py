"""Errors of single arrays with resistive wires, and of two approximations that `map_network` makes of them."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats
from torch import Tensor

from memlib.cells.device import Device
from memlib.evidence.intervals import seed_interval
from memlib.mapping.tile import Tile
from memlib.studies.drawing import MARKERS, errorbars, legend_beside, severity_colors, where
from memlib.wires.nodal import solve_array
from memlib.wires.resistances import Wires
from memlib.wires.solver import effective_conductance

#: The largest input voltage, V.
V_READ = Tile().v_read
#: Ohm per segment of the single arrays.
ARRAY_WIRES = (0.1, 0.3, 1.0, 3.0, 10.0)
#: Input vectors of each array.
VECTORS = 100
#: V, of I = g v0 sinh(v/v0).
V0 = (0.25, 0.4, 1.0)
#: Size of the arrays of nonlinear and of noisy cells.
SIZE = 32
#: Relative sigma of read noise, ohm per segment, and how often each cell is drawn per array of the other parts.
NOISE, NOISE_WIRES, DRAWS = 0.01, (0.0, 1.0, 10.0), 100


def device_title(device: str) -> str:
    """Name and window of a device preset."""
    d = Device.preset(device)
    return f"{device}\n{d.r_on / 1e3:.4g} to {d.r_off / 1e3:.4g} kΩ"


def uniform_conductances(device: Device, size: int, arrays: int) -> Tensor:
    """(arrays, size, size) S, uniform in the device's window; the same draws for every device."""
    u = np.random.default_rng([size, 0]).random((arrays, size, size))
    return torch.from_numpy(device.g_off + device.g_range * u)


def uniform_voltages(size: int, arrays: int, vectors: int = 1) -> Tensor:
    """(arrays, vectors, size) V, uniform in [0, v_read]."""
    return torch.from_numpy(V_READ * np.random.default_rng([size, 1]).random((arrays, vectors, size)))


def output_errors(devices: Sequence[str], tile_sizes: Sequence[int], arrays: int) -> pd.DataFrame:
    """Rms error of column currents, relative to the rms current without wires, over columns and input vectors.

    Returns:
        A row per device, tile size and resistance: error with its 95 % interval over arrays, and residual, the mean
        error left after the best common factor of an array's currents.
    """
    rows = []
    for device, size, ohm in itertools.product(devices, sorted(tile_sizes), ARRAY_WIRES):
        g, v = uniform_conductances(Device.preset(device), size, arrays), uniform_voltages(size, arrays, VECTORS)
        ideal, wired = v @ g, v @ effective_conductance(g, ohm, ohm)
        factor = (wired * ideal).sum((1, 2), keepdim=True) / wired.square().sum((1, 2), keepdim=True)
        i = seed_interval(_relative(wired, ideal), constant=True)
        row = {"device": device, "tile_size": size, "r_wire": ohm, "error": i.mean, "low": i.low, "high": i.high}
        rows.append(row | {"residual": _relative(factor * wired, ideal).mean(), "arrays": arrays})
    return pd.DataFrame(rows)


def _relative(found: Tensor, wanted: Tensor) -> np.ndarray:
    """(arrays,) rms difference relative to the rms of what is wanted."""
    return ((found - wanted).square().mean((1, 2)) / wanted.square().mean((1, 2))).sqrt().numpy()


def sinh_errors(device: str, arrays: int) -> pd.DataFrame:
    """Rms error of column currents of nonlinear cells, against Newton's method on the whole array.

    Returns:
        A row per v0 and resistance, one input vector per array: with the law applied to the drivers' voltages and then
        effective conductances ("approximation"), as `map_network` does, and without wires ("no wires").
    """
    g, v = uniform_conductances(Device.preset(device), SIZE, arrays), uniform_voltages(SIZE, arrays)
    rows = []
    for v0, ohm in itertools.product(V0, ARRAY_WIRES):
        solved = [
            solve_array(cells, volts[0], Wires(ohm, ohm), v0).output_currents
            for cells, volts in zip(g.numpy(), v.numpy(), strict=True)
        ]
        exact, bent = torch.from_numpy(np.stack(solved))[:, None], v0 * torch.sinh(v / v0)
        for method, matrix in (("approximation", effective_conductance(g, ohm, ohm)), ("no wires", g)):
            i = seed_interval(_relative(bent @ matrix, exact), constant=True)
            row = {"v0": v0, "r_wire": ohm, "method": method, "error": i.mean, "low": i.low, "high": i.high}
            rows.append(row | {"arrays": arrays})
    return pd.DataFrame(rows)


def noise_ratios(device: str, arrays: int) -> pd.DataFrame:
    """Sigma of each column's read noise over what `map_network` takes, which scales each cell's with its G_eff/g.

    All cells are drawn `arrays` x `DRAWS` times, and the array is solved for each draw. Intervals are chi-squared.
    """
    draws = arrays * DRAWS
    g, v = uniform_conductances(Device.preset(device), SIZE, 1)[0], uniform_voltages(SIZE, 1)[0]
    noise = np.random.default_rng([SIZE, 2]).standard_normal((draws, SIZE, SIZE))
    noisy = g * (1 + NOISE * torch.from_numpy(noise))
    low, high = np.sqrt((draws - 1) / stats.chi2.ppf([0.975, 0.025], draws - 1))
    rows = []
    for ohm in NOISE_WIRES:
        taken = NOISE * (v.square() @ effective_conductance(g, ohm, ohm).square()).sqrt()
        sigma = (v @ effective_conductance(noisy, ohm, ohm)).std(0)
        for column, ratio in enumerate((sigma / taken)[0].tolist()):
            row = {"r_wire": ohm, "column": column, "ratio": ratio, "low": ratio * low, "high": ratio * high}
            rows.append(row | {"draws": draws})
    return pd.DataFrame(rows)


def plot_errors(errors: pd.DataFrame, sinh: pd.DataFrame, noise: pd.DataFrame) -> Figure:
    """Errors of single arrays, above by device, below those of two approximations of `map_network`."""
    devices = list(dict.fromkeys(errors["device"]))
    figure = plt.figure(figsize=(max(2.0 * len(devices), 7.5) + 2.0, 5.2))
    grid = figure.add_gridspec(2, 1)
    axes = grid[0].subgridspec(1, len(devices)).subplots(sharex=True, sharey=True, squeeze=False)[0]
    for device, axis in zip(devices, axes, strict=True):
        _error_lines(axis, where(errors, device=device), "tile_size", lambda n: f"{n}x{n}")
        axis.set_title(device_title(device))
    axes[0].set_ylabel("error of currents (%)")
    legend_beside(axes[-1], "tile; dashed: after the\nbest common factor")
    left, right = grid[1].subgridspec(1, 2, wspace=0.8).subplots(squeeze=False)[0]
    near, ignored = (where(sinh, method=name).reset_index() for name in ("approximation", "no wires"))
    _error_lines(left, near.assign(residual=ignored["error"]), "v0", lambda v: f"{v:g} V")
    left.set(title=f"cells v0 sinh(v/v0), {SIZE}x{SIZE}", ylabel="error of currents (%)")
    legend_beside(left, "v0; dashed:\nwires ignored")
    _noise_lines(right, noise)
    figure.tight_layout(h_pad=1.2)
    return figure


def _error_lines(axis: Axes, frame: pd.DataFrame, line: str, name: Any) -> None:
    """Error, %, over resistance, with its interval and dashed `residual`, a line for each value of a column."""
    values = frame[line].unique()
    for value, color, marker in zip(values, severity_colors(len(values)), MARKERS, strict=False):
        group = frame[frame[line] == value]
        errorbars(axis, group["r_wire"], group, "error", label=name(value), color=color, marker=marker, markersize=3)
        axis.plot(group["r_wire"], 100 * group["residual"], "--", color=color, linewidth=1)
    axis.set(xscale="log", yscale="log", xlabel="ohm per segment")


def _noise_lines(axis: Axes, noise: pd.DataFrame) -> None:
    for ohm, color, marker in zip(noise["r_wire"].unique(), sns.color_palette("colorblind"), MARKERS, strict=False):
        group = where(noise, r_wire=ohm)
        text = f"{ohm:g} Ω (mean {group['ratio'].mean():.3f})"
        axis.plot(group["column"], group["ratio"], marker, color=color, markersize=2.5, label=text)
        axis.fill_between(group["column"], group["low"], group["high"], color=color, alpha=0.2, linewidth=0)
    text = "$\\sigma$ of redrawn cells /\n$\\sigma$ of map_network"
    axis.set(title=f"read noise, {SIZE}x{SIZE}", xlabel="column", ylabel=text)
    legend_beside(axis, "per segment")
