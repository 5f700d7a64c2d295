"""The study 08_parasitics: what resistive wires do to accuracy, and how well their currents are computed."""

import itertools
import time
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

from memlib.base.checks import one_of, whole
from memlib.cells.device import Device
from memlib.chip.recalibration import METHODS
from memlib.evidence.claims import Claim, above
from memlib.evidence.intervals import crossed_interval, difference_interval, seed_interval
from memlib.evidence.tolerances import crossing
from memlib.mapping.footprints import footprint
from memlib.mapping.hardware import Hardware
from memlib.mapping.point_fields import complete, point_fields
from memlib.mapping.scheme import Mapping
from memlib.mapping.tile import Tile
from memlib.studies.drawing import Drawing, errorbars, severity_colors
from memlib.studies.effects import RECALIBRATIONS, Setting, evaluate
from memlib.studies.trained_networks import INPUT_SHAPE, convolutions, data_of, hits_of, label, seeds_of, shared_fields
from memlib.sweeps.points import Point
from memlib.wires import ngspice
from memlib.wires.nodal import solve_array
from memlib.wires.resistances import Wires
from memlib.wires.solver import effective_conductance, solve
from memlib.zoo.checkpoints import load_checkpoint

__all__ = ["evaluate"]

#: Of DACs and ADCs.
BITS = 8
#: Of ideal devices, relative to g_on - g_off, so that chips differ: about what ihp_hfo2 has.
PROGRAM_ERROR = 0.02
#: The largest input voltage, V.
V_READ = Tile().v_read


# Simulated chips


def device_of(name: str) -> Device:
    """A preset, with `PROGRAM_ERROR` if it has no programming error of its own."""
    device = Device.preset(name)
    return device if device.program_error else device.replace(program_error=PROGRAM_ERROR)


def make_point(
    checkpoint: str,
    images: int,
    device: str,
    tile_size: int,
    r_wire: float,
    sparse_layers: int = 0,
    recalibration: str = "none",
) -> Point:
    """A network on tiles of tile_size x tile_size cells with wires of `r_wire` ohm per segment.

    Args:
        sparse_layers: so many convolutions, the last ones, are in the sparse layout, the others are dense.
        recalibration: see `memlib.recalibrate`; every chip is so on training images of its own. "none" leaves no trace.

    Raises:
        ValueError: if no such hardware can be.
    """
    whole("sparse_layers", sparse_layers, 0, len(convolutions(checkpoint)))
    one_of("recalibration", recalibration, METHODS)
    hardware = Hardware.of(
        device, program_error=device_of(device).program_error, rows=tile_size, cols=tile_size, dac_bits=BITS,
        adc_bits=BITS, r_row=r_wire, r_col=r_wire,
    )  # fmt: skip
    switches: dict[str, Any] = {"sparse_layers": sparse_layers} if sparse_layers else {}
    if recalibration != "none":
        switches |= {"recalibration": recalibration, "own_images": True}
    fields = point_fields(hardware) | {"device_label": device}
    return {**shared_fields(checkpoint, images), **fields, **switches}


def points(
    checkpoints: Sequence[str],
    images: int,
    devices: Sequence[str],
    tile_sizes: Sequence[int],
    r_wire: Sequence[float],
    sparse_layers: Sequence[int] = (0,),
    recalibrations: Sequence[str] = ("none",),
) -> list[Point]:
    """All combinations, tile sizes and resistances ascending."""
    axes = itertools.product(checkpoints, recalibrations, devices, sparse_layers, sorted(tile_sizes), sorted(r_wire))
    return [make_point(checkpoint, images, device, size, ohm, n, how) for checkpoint, how, device, n, size, ohm in axes]


def sweeps(
    checkpoints: Sequence[str],
    devices: Sequence[str],
    tile_sizes: Sequence[int],
    r_wire: Sequence[float],
    recalibrations: Sequence[str],
    images: int,
    device_seeds: int,
    claim_checkpoints: Sequence[str],
    claim_tile_sizes: Sequence[int],
    claim_r_wire: float,
    claim_images: int,
    claim_seeds: int,
    sparse_checkpoint: str,
    sparse_device: str,
    sparse_layers: int,
    sparse_tile_sizes: Sequence[int],
    sparse_r_wire: Sequence[float],
    sparse_images: int,
    sparse_seeds: int,
    arrays: int,
) -> list[tuple[list[Point], Any]]:
    """Points and seeds of the figure, of the claims, and of the layouts, from the notebook's parameters."""
    figure = points(checkpoints, images, devices, tile_sizes, r_wire, recalibrations=recalibrations)
    wires = 0.0, claim_r_wire
    claim = points(claim_checkpoints, claim_images, devices, claim_tile_sizes, wires, recalibrations=recalibrations)
    layouts = points(
        [sparse_checkpoint], sparse_images, [sparse_device], sparse_tile_sizes, sparse_r_wire, (0, sparse_layers)
    )
    return [(figure, seeds_of(device_seeds)), (claim, seeds_of(claim_seeds)), (layouts, seeds_of(sparse_seeds))]


# Accuracy

#: What a point of a figure is named by.
KEYS = ["checkpoint", "recalibration", "device", "sparse_layers", "tile_size", "r_wire"]


def named(results: pd.DataFrame) -> pd.DataFrame:
    """The results of a sweep with all fields of `KEYS`."""
    results = complete(results, "rows", "r_row")
    columns = {"recalibration": "none", "sparse_layers": 0}
    for name, missing in columns.items():
        found = results[name] if name in results else pd.Series(missing, results.index)
        columns[name] = found.where(found.notna(), missing).astype(type(missing))
    names = {"device": results["device_label"], "tile_size": results["rows"], "r_wire": results["r_row"]}
    return results.assign(**columns, **names)


def tidy(results: pd.DataFrame) -> pd.DataFrame:
    """A row per point of `named` results: mean accuracy over chips, with its 95 % interval."""
    rows = []
    for key, group in results.groupby(KEYS, sort=False):
        rows.append(dict(zip(KEYS, key, strict=True)) | crossed_interval(hits_of(group)).columns())
    return pd.DataFrame(rows)


def _losses(results: pd.DataFrame, **fields: Any) -> tuple[np.ndarray, np.ndarray]:
    """(seeds, images) right or wrong without and with wires, of the point of these fields."""
    for name, value in fields.items():
        if name != "r_wire":
            results = results[results[name] == value]
    free, wired = (hits_of(results[results["r_wire"] == ohm]).astype(float) for ohm in (0.0, fields["r_wire"]))
    return free, wired


def _values(results: pd.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    """The distinct combinations of fields."""
    return list(results[list(names)].drop_duplicates().itertuples(index=False, name=None))


def tolerances(results: pd.DataFrame) -> pd.DataFrame:
    """For each network, recalibration, device and wire resistance, the largest tile whose wires cost at most 1 point.

    Returns:
        tolerance: where the loss, made monotone in the tile size and interpolated, crosses 1 point; inf if it does not,
        nan if below the smallest size tried, where nothing is known;
        low, high: the last size tried that surely costs less (0: none), and the first that surely costs more.
    """
    rows = []
    names = "checkpoint", "recalibration", "device", "r_wire"
    for key in _values(results[results["r_wire"] > 0], *names):
        fields = dict(zip(names, key, strict=True))
        sizes = sorted(set(results["tile_size"]))
        t = crossing(sizes, [difference_interval(*_losses(results, **fields, tile_size=n)) for n in sizes])
        found = t.severity if t.severity >= sizes[0] else np.nan
        rows.append(fields | {"tolerance": found, "low": t.low, "high": t.high, "n": t.n, "images": t.images})
    return pd.DataFrame(rows)


def sparse_estimate(checkpoints: Sequence[str], tile_sizes: Sequence[int]) -> pd.DataFrame:
    """Minutes that the wires of one chip take on this computer, by layout, from the time of 32 tiles."""
    rows = []
    for checkpoint, size in itertools.product(checkpoints, sorted(tile_sizes)):
        seconds = _seconds_per_tile(size, 32)
        for layout in ("dense", "sparse"):
            hardware = Hardware(tile=Tile(size, size), mapping=Mapping(layout=layout))
            count = int(footprint(load_checkpoint(checkpoint), INPUT_SHAPE, hardware)["tiles"].sum())
            labels = {"checkpoint": checkpoint, "tile_size": size, "layout": layout, "tiles": count}
            rows.append(labels | {"minutes": count * seconds / 60})
    return pd.DataFrame(rows)


def _seconds_per_tile(size: int, tiles: int) -> float:
    g = _conductances(Device(), size, tiles)
    solve(g[:1], Wires(1.0, 1.0))  # the first is slower
    start = time.perf_counter()
    solve(g, Wires(1.0, 1.0))
    return (time.perf_counter() - start) / tiles


# Single arrays

#: Ohm per segment of the single arrays.
ARRAY_WIRES = (0.1, 0.3, 1.0, 3.0, 10.0)
#: Input vectors of each array.
VECTORS = 100
#: V, of I = g v0 sinh(v/v0).
V0 = (0.25, 0.4, 1.0)
#: Size of the arrays of nonlinear and of noisy cells.
SIZE = 32
#: Relative sigma of read noise; ohm per segment, and how often each cell is drawn, per array of the other parts.
NOISE, NOISE_WIRES, DRAWS = 0.01, (0.0, 1.0, 10.0), 100
#: Sizes of the arrays whose currents are compared, and resistances, ohm.
SIZES = (2, 4, 8, 16, 32, 64)
RESISTANCES = {
    "wires": Wires(row=1.0, col=1.0),
    "wires, drivers": Wires(row=1.0, col=1.0, driver=50.0),
    "wires, sense": Wires(row=1.0, col=1.0, sense=20.0),
    "wires, transistors": Wires(row=1.0, col=1.0, transistor=1e3),
    "all, unequal wires": Wires(row=0.5, col=5.0, driver=50.0, sense=20.0, transistor=1e3),
}


def _conductances(device: Device, size: int, arrays: int) -> Tensor:
    """(arrays, size, size) S, uniform in the device's window; the same draws for every device."""
    u = np.random.default_rng([size, 0]).random((arrays, size, size))
    return torch.from_numpy(device.g_off + device.g_range * u)


def _voltages(size: int, arrays: int, vectors: int = 1) -> Tensor:
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
        g, v = _conductances(Device.preset(device), size, arrays), _voltages(size, arrays, VECTORS)
        wanted, found = v @ g, v @ effective_conductance(g, ohm, ohm)
        factor = (found * wanted).sum((1, 2), keepdim=True) / found.square().sum((1, 2), keepdim=True)
        i = seed_interval(_relative(found, wanted))
        labels = {"device": device, "tile_size": size, "r_wire": ohm, "error": i.mean, "low": i.low, "high": i.high}
        rows.append(labels | {"residual": _relative(factor * found, wanted).mean(), "arrays": arrays})
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
    g, v = _conductances(Device.preset(device), SIZE, arrays), _voltages(SIZE, arrays)
    rows = []
    for v0, ohm in itertools.product(V0, ARRAY_WIRES):
        solved = [
            solve_array(cells, volts[0], Wires(ohm, ohm), v0).output_currents
            for cells, volts in zip(g.numpy(), v.numpy(), strict=True)
        ]
        exact, bent = torch.from_numpy(np.stack(solved))[:, None], v0 * torch.sinh(v / v0)
        for method, matrix in (("approximation", effective_conductance(g, ohm, ohm)), ("no wires", g)):
            i = seed_interval(_relative(bent @ matrix, exact))
            labels = {"v0": v0, "r_wire": ohm, "method": method, "error": i.mean, "low": i.low, "high": i.high}
            rows.append(labels | {"arrays": arrays})
    return pd.DataFrame(rows)


def noise_ratios(device: str, arrays: int) -> pd.DataFrame:
    """Sigma of each column's read noise: all cells drawn again and again and solved, over what `map_network` takes.

    The latter scales each cell's sigma with its G_eff/g. Intervals (chi-squared) are those of `arrays` x `DRAWS` draws.
    """
    draws = arrays * DRAWS
    g, v = _conductances(Device.preset(device), SIZE, 1)[0], _voltages(SIZE, 1)[0]
    noise = np.random.default_rng([SIZE, 2]).standard_normal((draws, SIZE, SIZE))
    noisy = g * (1 + NOISE * torch.from_numpy(noise))
    low, high = np.sqrt((draws - 1) / stats.chi2.ppf([0.975, 0.025], draws - 1))
    rows = []
    for ohm in NOISE_WIRES:
        taken = NOISE * (v.square() @ effective_conductance(g, ohm, ohm).square()).sqrt()
        found = (v @ effective_conductance(noisy, ohm, ohm)).std(0)
        for column, ratio in enumerate((found / taken)[0].tolist()):
            labels = {"r_wire": ohm, "column": column, "ratio": ratio, "low": ratio * low, "high": ratio * high}
            rows.append(labels | {"draws": draws})
    return pd.DataFrame(rows)


def agreement(sizes: Sequence[int]) -> pd.DataFrame:
    """Column currents of the same arrays by three programs.

    Returns:
        A row per size, resistances and law of the cells: current of the last column, A, of `wires.nodal`; largest
        relative differences of any column to it, of `memlib.wires.solver` (linear cells only) and of ngspice (nan if it
        is missing), and ngspice's current.
    """
    rows = []
    for size, (name, wires), v0 in itertools.product(sizes, RESISTANCES.items(), (None, V0[0])):
        g, v = _conductances(Device(), size, 1)[0], _voltages(size, 1)[0, 0]
        currents = solve_array(g, v, wires, v0).output_currents
        others = {"parasitics": None if v0 else (v @ effective_conductance(g, *wires)).numpy()}
        others["ngspice"] = ngspice.array_currents(g, v, wires, v0) if ngspice.find_ngspice() else None
        row = {"size": size, "resistances": name, "cells": "sinh" if v0 else "linear", "current": currents[-1]}
        row |= {k: np.nan if i is None else np.abs(i / currents - 1).max() for k, i in others.items()}
        rows.append(row | {"ngspice current": np.nan if others["ngspice"] is None else others["ngspice"][-1]})
    return pd.DataFrame(rows)


#: What a notebook shows instead.
NO_NGSPICE = (
    "ngspice was not found; to compare with it, install it (Debian, Ubuntu: apt-get install ngspice; conda: "
    "conda install -c conda-forge ngspice) and run this notebook again."
)


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """What an `agreement` says of rounding, which differs between computers."""
    return table[["size", "resistances", "cells", "parasitics", "ngspice"]]


def currents(table: pd.DataFrame, of: str = "current") -> pd.DataFrame:
    """What an `agreement` says on every computer: currents, without differences of rounding."""
    return table[["size", "resistances", "cells", of]].rename(columns={of: "current"})


def verdict(table: pd.DataFrame) -> str:
    """Whether `agreement` found all currents equal, in words, and how to get ngspice if it is missing."""
    lines = []
    for name, limit in (("parasitics", 1e-10), ("ngspice", 1e-6)):
        largest = table[name].max()
        if np.isnan(largest):
            lines.append(f"{name}: not compared. {NO_NGSPICE}")
            continue
        answer = "yes" if largest < limit else "NO"
        lines.append(f"{name} agrees with nodal analysis within {limit:g}: {answer} (largest difference {largest:.1e})")
    return "\n".join(lines)


# Claims


def claims(results: pd.DataFrame) -> list[Claim]:
    """What wires cost on each tile size, on shared device seeds and images."""
    found = []
    wired = results[results["r_wire"] > 0]
    names = "checkpoint", "recalibration", "device", "tile_size", "r_wire"
    for key in _values(wired, *names):
        fields = dict(zip(names, key, strict=True))
        checkpoint, recalibration, device, size, ohm = key
        statement = f"wires of {ohm:g} ohm a segment cost over 1 point of accuracy on {size}x{size} tiles"
        statement = f"{label(checkpoint)}, {device}: {statement}{Setting(recalibration)}"
        found.append(above(statement, difference_interval(*_losses(results, **fields)), 0.01))
    return found


def layout_claims(results: pd.DataFrame) -> list[Claim]:
    """What wires cost the sparse layout and the dense one, on the largest tiles."""
    found = []
    size, sparse = results["tile_size"].max(), results["sparse_layers"].max()
    chosen = results[(results["tile_size"] == size) & (results["r_wire"] > 0)]
    for checkpoint, device, ohm in _values(chosen, "checkpoint", "device", "r_wire"):
        fields = {"checkpoint": checkpoint, "device": device, "tile_size": size, "r_wire": ohm}
        pairs = (_losses(results, **fields, sparse_layers=n) for n in (sparse, 0))
        more, less = (free - wired for free, wired in pairs)
        interval = crossed_interval((more - less) / 2, low=-1, extra=1).scaled(2)
        statement = f"wires of {ohm:g} ohm a segment cost more with {_sparse_text(checkpoint, sparse)} than with none"
        found.append(above(f"{_where(checkpoint)}, {device}: {statement} ({size}x{size} tiles)", interval))
    return found


def _sparse_text(checkpoint: str, sparse: int) -> str:
    return f"{sparse} of {len(convolutions(checkpoint))} convolutions in the sparse layout"


def _where(checkpoint: str) -> str:
    """Network and data set."""
    return f"{label(checkpoint)} on {data_of(checkpoint)}"


# Figures

MARKERS = "osD^v"


def plot(frame: pd.DataFrame, origin: str) -> Figure:
    """A row per network and recalibration, a column per device: accuracy over tile size, a line per resistance."""
    kinds, devices = _values(frame, "checkpoint", "recalibration"), list(dict.fromkeys(frame["device"]))
    size = (2.0 * len(devices) + 1.6, 1.9 * len(kinds) + 0.7)
    figure, axes = plt.subplots(len(kinds), len(devices), figsize=size, sharex=True, sharey=True, squeeze=False)
    for (checkpoint, recalibration), row in zip(kinds, axes, strict=True):
        rows = frame[(frame["checkpoint"] == checkpoint) & (frame["recalibration"] == recalibration)]
        for device, axis in zip(devices, row, strict=True):
            part = rows[rows["device"] == device]
            _accuracy_lines(axis, part, "tile_size", "r_wire", lambda ohm: f"{ohm:g} Ω")
            free = part[part["r_wire"] == 0]
            axis.plot(free["tile_size"], 100 * free["accuracy"] - 1, ":", color="0.3", linewidth=0.9)
            axis.set_xscale("log", base=2)
            _tick_sizes(axis, frame["tile_size"])
        row[0].set_ylabel(f"{label(checkpoint)}\n{RECALIBRATIONS[recalibration]}\n\naccuracy (%)")
    for device, top, bottom in zip(devices, axes[0], axes[-1], strict=True):
        top.set_title(_device_text(device))
        bottom.set_xlabel("rows and columns of a tile")
    axes[0, 0].set_ylim(0, 102)
    axes[0, -1].legend(title="per segment", loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    note = f"{origin}: {frame['images'].max()} test images, {frame['n'].max()} chips"
    note += "; bars: 95 % intervals; dotted: 1 point below 0 Ω"
    figure.text(0.01, 0.005, note, fontsize="small", color="0.3")
    figure.tight_layout(w_pad=0.5, rect=(0, 0.03, 1, 1))
    return figure


def _device_text(device: str) -> str:
    d = Device.preset(device)
    return f"{device}\n{d.r_on / 1e3:.4g} to {d.r_off / 1e3:.4g} kΩ"


def _tick_sizes(axis: Axes, sizes: pd.Series) -> None:
    axis.set_xticks(sorted(set(sizes)), [f"{n}" for n in sorted(set(sizes))])
    axis.minorticks_off()


def _accuracy_lines(axis: Axes, frame: pd.DataFrame, x: str, line: str, name: Any) -> None:
    """Accuracy, %, with its intervals, over column `x`, a line for each value of column `line`."""
    values = list(dict.fromkeys(frame[line]))
    for i, (value, color, marker) in enumerate(zip(values, severity_colors(len(values)), MARKERS, strict=False)):
        part = frame[frame[line] == value]
        look = {"color": color, "marker": marker, "markersize": 3 if i else 4.5}
        errorbars(axis, part[x], part, label=name(value), **look)


def _layout_text(sparse: int, of: int) -> str:
    if not sparse:
        return "all dense"
    last = f"all {of}" if sparse == of else "last" if sparse == 1 else f"last {sparse}"
    return f"{last} convolution{'s' * (sparse > 1)}\nsparse, others dense"


def plot_layouts(frame: pd.DataFrame) -> Figure:
    """A panel per tile size: accuracy over wire resistance, a line per layout."""
    sizes, checkpoint = sorted(set(frame["tile_size"])), frame["checkpoint"].iloc[0]
    figure, axes = plt.subplots(1, len(sizes), figsize=(2.6 * len(sizes) + 2.4, 2.5), sharey=True, squeeze=False)
    of = len(convolutions(checkpoint))
    for size, axis in zip(sizes, axes[0], strict=True):
        part = frame[frame["tile_size"] == size]
        _accuracy_lines(axis, part, "r_wire", "sparse_layers", lambda n: _layout_text(n, of))
        axis.set(title=f"{size}x{size} tiles", xlabel="wire resistance per segment (Ω)")
    axes[0, 0].set(ylabel=f"{_where(checkpoint)}\naccuracy (%)", ylim=(0, 102))
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    figure.tight_layout()
    return figure


def plot_errors(errors: pd.DataFrame, sinh: pd.DataFrame, noise: pd.DataFrame) -> Figure:
    """Errors of single arrays: of wires, by device, above; below of two approximations of `map_network`."""
    devices = list(dict.fromkeys(errors["device"]))
    figure = plt.figure(figsize=(max(2.0 * len(devices), 7.5) + 2.0, 5.2))
    grid = figure.add_gridspec(2, 1)
    axes = grid[0].subgridspec(1, len(devices)).subplots(sharex=True, sharey=True, squeeze=False)[0]
    for device, axis in zip(devices, axes, strict=True):
        _error_lines(axis, errors[errors["device"] == device], "tile_size", lambda n: f"{n}x{n}")
        axis.set_title(_device_text(device))
    axes[0].set_ylabel("error of currents (%)")
    _outside(axes[-1], "tile; dashed: after the\nbest common factor")
    left, right = grid[1].subgridspec(1, 2, wspace=0.8).subplots(squeeze=False)[0]
    near, ignored = (sinh[sinh["method"] == m].reset_index() for m in ("approximation", "no wires"))
    _error_lines(left, near.assign(residual=ignored["error"]), "v0", lambda v: f"{v:g} V")
    left.set(title=f"cells v0 sinh(v/v0), {SIZE}x{SIZE}", ylabel="error of currents (%)")
    _outside(left, "v0; dashed:\nwires ignored")
    _noise_lines(right, noise)
    figure.tight_layout(h_pad=1.2)
    return figure


def _outside(axis: Axes, title: str) -> None:
    axis.legend(title=title, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, alignment="left")


def _error_lines(axis: Axes, frame: pd.DataFrame, line: str, name: Any) -> None:
    """Error, %, over resistance, with its interval and dashed `residual`, a line for each value of a column."""
    values = list(dict.fromkeys(frame[line]))
    for value, color, marker in zip(values, severity_colors(len(values)), MARKERS, strict=False):
        part = frame[frame[line] == value]
        errorbars(axis, part["r_wire"], part, "error", label=name(value), color=color, marker=marker, markersize=3)
        axis.plot(part["r_wire"], 100 * part["residual"], "--", color=color, linewidth=1)
    axis.set(xscale="log", yscale="log", xlabel="ohm per segment")


def _noise_lines(axis: Axes, noise: pd.DataFrame) -> None:
    values = list(dict.fromkeys(noise["r_wire"]))
    for ohm, color, marker in zip(values, sns.color_palette("colorblind"), MARKERS, strict=False):
        part = noise[noise["r_wire"] == ohm]
        text = f"{ohm:g} Ω (mean {part['ratio'].mean():.3f})"
        axis.plot(part["column"], part["ratio"], marker, color=color, markersize=2.5, label=text)
        axis.fill_between(part["column"], part["low"], part["high"], color=color, alpha=0.2, linewidth=0)
    axis.set(
        title=f"read noise, {SIZE}x{SIZE}",
        xlabel="column",
        ylabel="$\\sigma$ of redrawn cells /\n$\\sigma$ of map_network",
    )
    _outside(axis, "per segment")


def plot_agreement(table: pd.DataFrame) -> Figure:
    """`differences` of column currents over array size; marks: resistances, lines: the largest."""
    figure, axis = plt.subplots(figsize=(5.6, 3.0))
    kinds = [("parasitics", "linear"), ("ngspice", "linear"), ("ngspice", "sinh")]
    for (name, cells), color, marker in zip(kinds, sns.color_palette("colorblind"), MARKERS, strict=False):
        part = table[(table["cells"] == cells) & table[name].notna()]
        if part.empty:
            continue
        shown = part.assign(difference=part[name].clip(lower=2**-53))
        largest = shown.groupby("size")["difference"].max()
        axis.plot(shown["size"], shown["difference"], marker, color=color, markersize=3.5, markerfacecolor="none")
        axis.plot(largest.index, largest, color=color, marker=marker, markersize=3.5, label=f"{name}, {cells} cells")
    axis.axhline(2**-52, color="0.5", linewidth=0.8, linestyle=":")
    axis.set(
        xscale="log", yscale="log", xlabel="rows and columns", ylabel="largest relative difference\nto nodal analysis"
    )
    axis.set_xscale("log", base=2)
    _tick_sizes(axis, table["size"])
    _outside(axis, "filled: the largest of\n5 sets of resistances;\ndotted: float64's rounding")
    figure.tight_layout()
    return figure


_ERRORS = ("08_parasitics_errors", "08_parasitics_sinh", "08_parasitics_noise")
FIGURES = {
    "08_parasitics": Drawing(plot, ("08_parasitics",), ("origin",)),
    "08_parasitics_layouts": Drawing(plot_layouts, ("08_parasitics_layouts",)),
    "08_parasitics_errors": Drawing(plot_errors, _ERRORS),
    "08_parasitics_agreement": Drawing(plot_agreement, ("08_parasitics_differences",)),
}
