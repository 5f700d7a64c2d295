"""The study 01_devices: what each non-ideality does to conductances, currents and time, and how cells are written."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
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

from memlib.claims import Claim, above, below_times
from memlib.device import Device
from memlib.figures import Drawing, fix_layout, severity_colors
from memlib.programming import UNIFORM_EFFECTS
from memlib.statistics import Interval, seed_interval
from memlib.streams import normals, uniforms
from memlib.switching import preset
from memlib.writing import PulseScheme, WriteResult, programming_error, pulse_trains, sweep_iv, write_verify

MICRO = 1e-6
SECONDS = {"1 s": 1.0, "1 h": 3600.0, "1 day": 86400.0, "2 days": 172800.0, "10 years": 10 * 365.25 * 86400}
#: Read voltage, V.
V_READ = 0.3
#: Drawn over what was simulated.
THEORY: dict[str, Any] = {"color": "black", "linewidth": 0.8}


def program(device: Device, targets: np.ndarray, *name: int | str) -> np.ndarray:
    """Conductances, S, of cells whose targets are `targets`, S; the same name draws the same cells."""

    def draw(effect: str) -> torch.Tensor:
        """Random numbers of an effect, one a cell."""
        return (uniforms if effect in UNIFORM_EFFECTS else normals)(targets.shape, *name, effect)

    return device.program(torch.from_numpy(targets), draw, device.states).numpy()


def rounded(frame: pd.DataFrame, digits: int = 4) -> pd.DataFrame:
    """Numbers with few significant digits, so that processors which differ in the last ones agree."""
    return frame.map(lambda v: float(f"{v:.{digits}g}") if isinstance(v, float) else v)


# Programmed conductances


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
#: Of the legend.
NTHS = ("lowest target (dotted)", "second", "third", "highest")


def cdf(device: Device, target: float, g: np.ndarray) -> np.ndarray:
    """P(conductance <= g) of cells programmed to `target`, S: what theory says of `Device.program` without ageing.

    For continuous targets (or a level), and either a programming error or device-to-device variation.
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
    """A place in the window between a lognormal g_off, over which Gauss-Hermite sums, and a lognormal g_on."""
    if not position:
        return stats.lognorm.cdf(g, off, scale=device.g_off)
    nodes, weights = np.polynomial.hermite_e.hermegauss(32)
    own = device.g_off * np.exp(off * nodes)
    parts = (stats.lognorm.cdf((g - (1 - position) * g_off) / position, on, scale=device.g_on) for g_off in own)
    return sum(w * p for w, p in zip(weights / weights.sum(), parts, strict=True))


def programmed(cells: int, seeds: int) -> dict[str, np.ndarray]:
    """Conductances of every case, S: (targets, chips, cells)."""
    found = {}
    for name, case in CASES.items():
        targets = np.repeat(case.targets[:, None], cells, 1)
        found[name] = np.stack([program(case.device, targets, seed, "01_devices", name) for seed in range(seeds)], 1)
    return found


def histograms(found: dict[str, np.ndarray]) -> pd.DataFrame:
    """A row per case, target and bin (uS): its share of the cells, and that expected."""
    rows = []
    for name, case in CASES.items():
        edges = np.linspace(*case.window, BINS + 1)
        for target, g in zip(case.targets, found[name], strict=True):
            counts, _ = np.histogram(g / MICRO, edges)
            expected = np.diff(cdf(case.device, target, np.nextafter(edges * MICRO, -1)))  # a bin holds its left edge
            columns = {"left": edges[:-1], "right": edges[1:], "share": counts / g.size, "expected": expected}
            rows.append(pd.DataFrame({"case": name, "target": target / MICRO, **columns}))
    return pd.concat(rows, ignore_index=True)


def agreement(found: dict[str, np.ndarray]) -> pd.DataFrame:
    """A row per case and target: mean and sd (uS, with an interval over chips), and distance from theory.

    The distance is Kolmogorov and Smirnov's; by chance it exceeds `limit` in one of a thousand distributions.
    """
    rows = []
    for name, case in CASES.items():
        for target, g in zip(case.targets, found[name], strict=True):
            sd = seed_interval(g.std(1) / MICRO)
            row = {"case": name, "target": target / MICRO, "cells": g.size, "mean": g.mean() / MICRO, "sd": sd.mean}
            row |= {"sd_low": sd.low, "sd_high": sd.high, "zero": (g == 0).mean()}
            rows.append(row | {"distance": _distance(case.device, target, g), "limit": 1.949 / math.sqrt(g.size)})
    return pd.DataFrame(rows)


def _distance(device: Device, target: float, g: np.ndarray) -> float:
    """Largest difference of the two distribution functions, on both sides of every step."""
    values, counts = np.unique(g, return_counts=True)
    upper = counts.cumsum() / g.size
    after, before = cdf(device, target, values), cdf(device, target, np.nextafter(values, -1))
    return float(max(np.abs(upper - after).max(), np.abs(upper - counts / g.size - before).max()))


def plot_programmed(frame: pd.DataFrame) -> Figure:
    """States that are asked for against those that there are, and a panel for each case."""
    figure, axes = plt.subplots(2, 4, figsize=(11.5, 5), layout="constrained")
    _staircase(axes[0, 0])
    for axis, (name, case) in zip(axes.flat[1:], CASES.items(), strict=True):
        part = frame[frame["case"] == name]
        for color, (target, line) in zip(severity_colors(5), part.groupby("target"), strict=False):
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
    """The levels that targets go to."""
    device = BASELINE.replace(states=QUANTISED)
    targets = np.linspace(device.g_off, device.g_on, 1001)
    axis.plot(targets / MICRO, targets / MICRO, ":", color="0.5", label="continuous")
    label = f"{QUANTISED} states"
    axis.plot(targets / MICRO, program(device, targets, 0) / MICRO, color=severity_colors(5)[1], label=label)
    axis.set(title="states", xlabel="target (µS)", ylabel="conductance (µS)")
    axis.legend(frameon=False)


# Currents

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


def iv() -> pd.DataFrame:
    """Current, A, of cells of the baseline by law (those of `LAWS`), state and voltage, V.

    v0 is 0.25 V by default in the Verilog-A code of Stanford-PKU, 0.43 V in that of Stanford and ASU. In PKU-Stanford 2
    it is 0.4 V for a gap, while a filament without one is ohmic; the last law stands for that.
    """
    rows, v = [], np.linspace(-0.6, 0.6, 61)
    for law, fields in LAWS.items():
        device = BASELINE.replace(**fields)
        for state, position in POSITIONS.items():
            g = device.g_off + position * device.g_range
            v0 = float(device.own_v0(torch.tensor(g))) if device.state_dependent else device.v0
            current = g * (v if v0 is None else v0 * np.sinh(v / v0))
            rows.append(pd.DataFrame({"law": law, "state": state, "voltage": v, "current": current, "ohmic": g * v}))
    return pd.concat(rows, ignore_index=True)


@dataclass(frozen=True)
class Reads:
    """One column of ROWS cells, read many times."""

    current: np.ndarray  #: with a normal number for each cell and read, A, (chips, reads)
    mean: np.ndarray  #: without noise, A, (chips,)
    sigma: np.ndarray  #: of the one normal number that a column's read gets instead, A, (chips,)


def read_columns(reads: int, seeds: int) -> dict[str, Reads]:
    """Columns of each noisy device in random states, at random voltages of up to V_READ."""
    found = {}
    for name, device in NOISY.items():
        chips = []
        for seed in range(seeds):
            rng = np.random.default_rng([seed, list(NOISY).index(name)])
            v, g = rng.uniform(0, V_READ, ROWS), device.g_off + device.g_range * rng.uniform(size=ROWS)
            g = program(device, g, seed, "01_devices", "reads", name)
            deviation = np.sqrt(device.noise_variance(torch.from_numpy(g)).numpy())
            current = np.concatenate([(g + deviation * rng.standard_normal((n, ROWS))) @ v for n in _parts(reads)])
            chips.append((current, g @ v, math.sqrt(((deviation * v) ** 2).sum())))
        found[name] = Reads(*(np.array(values) for values in zip(*chips, strict=True)))
    return found


def _parts(reads: int, most: int = 20_000) -> list[int]:
    return [min(most, reads - start) for start in range(0, reads, most)]


def read_summary(found: dict[str, Reads]) -> pd.DataFrame:
    """The noise of a column: cell by cell over drawn at once (with an interval over chips), and in steps of an ADC."""
    rows = []
    for name, r in found.items():
        ratio = seed_interval(r.current.std(1) / r.sigma)
        step = ROWS * V_READ * NOISY[name].g_on / 255
        row = {"device": name, "current_uA": r.mean.mean() / MICRO, "sigma_nA": r.sigma.mean() / 1e-9}
        row |= {"sigma_in_8_bit_steps": r.sigma.mean() / step, "ratio": ratio.mean}
        rows.append(row | {"ratio_low": ratio.low, "ratio_high": ratio.high, "n": ratio.n})
    return pd.DataFrame(rows)


def read_histograms(found: dict[str, Reads]) -> pd.DataFrame:
    """A row per device and bin (in sigma of the column's normal): its share of the reads, and that expected."""
    rows, edges = [], np.linspace(-4, 4, 65)
    for name, r in found.items():
        z = (r.current - r.mean[:, None]) / r.sigma[:, None]
        columns = {"left": edges[:-1], "right": edges[1:], "share": np.histogram(z, edges)[0] / z.size}
        rows.append(pd.DataFrame({"device": name, **columns, "expected": np.diff(stats.norm.cdf(edges))}))
    return pd.concat(rows, ignore_index=True)


def plot_reads(curves: pd.DataFrame, noise: pd.DataFrame) -> Figure:
    """I-V of the LRS, current over the ohmic one by state, and the distribution of a column's current."""
    figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.4), layout="constrained")
    colors = dict(zip(LAWS, severity_colors(5), strict=False))
    for (law, state), part in curves.groupby(["law", "state"], sort=False):
        if state == "LRS":
            style = "--" if "v0_off" in LAWS[law] else "-"
            axes[0].plot(part["voltage"], part["current"] / MICRO, style, color=colors[law], label=law)
        if "v0_off" in LAWS[law] or (state == "LRS"):
            positive = part[part["voltage"] > 0.001]
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
    for color, (name, part) in zip(severity_colors(5)[::2], noise.groupby("device", sort=False), strict=False):
        edges = [*part["left"], part["right"].iloc[-1]]
        axes[2].stairs(100 * part["share"], edges, color=color, linewidth=1.5, label=name)
    axes[2].stairs(100 * part["expected"], edges, baseline=None, linestyle=":", **THEORY, label="one normal per read")
    text = f"noise of a column's current, {ROWS} cells"
    axes[2].set(title=text, xlabel="deviation from the mean (sigma)", ylabel="reads in a bin (%)")
    for axis in axes:
        axis.legend(frameon=False, fontsize="x-small", loc="upper left" if axis is not axes[2] else "lower center")
    return fix_layout(figure)


# Time and cycles

#: Another stack than the preset "hfalo": LRS of Ti/HfAlO/TiN, fitted for this study to the bakes at 473, 523 and 573 K
#: of Lammie et al. (2021), Fig. 3B. Nothing is known of other states, nor of the spread.
BAKED = Device(
    r_on=3.92e3, r_off=65e3, retention_nu=0.67, retention_t0=4.7e4, retention_energy=1.65, retention_reference=473.0
)
#: Activation energies that ways of fitting give, eV.
ENERGIES = (1.62, 1.69)
TEMPERATURES = (573.0, 523.0, 473.0, 423.0, 398.0, 358.0)  #: K
#: NeuRRAM was measured for so long.
MEASURED = {"neurram": SECONDS["2 days"]}
LEVELS = (4, 8, 16, 32)


def times(last: float = SECONDS["10 years"], per_decade: int = 4) -> np.ndarray:
    """From 1 s to `last`, s, evenly on a log scale."""
    return np.geomspace(1, last, 1 + round(per_decade * math.log10(last)))


def at_time(device: Device, position: float, time: float, cells: int, *name: int | str) -> np.ndarray:
    """Conductances, S, of cells that were programmed to a place in the window, not just a level, some time ago, s."""
    targets = np.full(cells, device.g_off + position * device.g_range)
    return program(
        device.replace(states=None, retention_time=time), targets, *name, "01_devices", "retention", str(position)
    )


def retention(cells: int, seeds: int) -> pd.DataFrame:
    """Mean and 5-95 % band of conductances (uS) over time, pooled over chips, and their rms error (of the range)."""
    rows = []
    for name in ("cmo_hfox", "neurram"):
        device = Device.preset(name)
        for position in THIRDS:
            target = device.g_off + position * device.g_range
            for time in times(MEASURED.get(name, SECONDS["10 years"])):
                g = np.stack([at_time(device, position, time, cells, seed) for seed in range(seeds)])
                error = seed_interval(np.sqrt((((g - target) / device.g_range) ** 2).mean(1)))
                p5, p95 = np.quantile(g, (0.05, 0.95)) / MICRO
                row = {"device": name, "target": target / MICRO, "time": time, "mean": g.mean() / MICRO}
                row |= {"p5": p5, "p95": p95, "rms": error.mean, "rms_low": error.low, "rms_high": error.high}
                rows.append(row)
    return pd.DataFrame(rows)


def baked() -> pd.DataFrame:
    """Conductance (uS) of the baked LRS over time, for each temperature (K)."""
    g = np.array([BAKED.g_on])
    rows = [
        {"temperature": t, "time": s, "mean": program(BAKED.replace(retention_temperature=t, retention_time=s), g)[0]}
        for t in TEMPERATURES
        for s in times(per_decade=10)
    ]
    return pd.DataFrame(rows).assign(mean=lambda frame: frame["mean"] / MICRO)


def wrong_level(device: Device, levels: int, time: float, cells: int, *name: int | str) -> float:
    """Share of cells, programmed to all levels alike, that are nearer to another level some time later, s."""
    wanted = np.arange(levels).repeat(-(-cells // levels))
    step = device.g_range / (levels - 1)
    aged = device.replace(states=levels, retention_time=time)
    g = program(aged, device.g_off + wanted * step, *name, "01_devices", "levels")
    return float((np.clip(np.round((g - device.g_off) / step), 0, levels - 1) != wanted).mean())


def wrong_level_theory(device: Device, levels: int, time: float) -> float:
    """The same by the normal distribution: a programming error that decays with the state, and a spread."""
    device = device.replace(retention_time=time)
    age, step = max(device.age, 1), device.g_range / (levels - 1)
    decay = age**-device.retention_nu
    sigma = device.g_range * math.hypot(device.program_error * decay, device.retention_spread * math.log10(age))
    centers = device.g_off + step * np.arange(levels)
    low, high = np.append(-np.inf, centers[:-1] + step / 2), np.append(centers[1:] - step / 2, np.inf)
    right = stats.norm.cdf(high, decay * centers, sigma) - stats.norm.cdf(low, decay * centers, sigma)
    return float(1 - right.mean())


def wrong_levels(cells: int, seeds: int) -> pd.DataFrame:
    """A row per number of levels and time: share of cells of cmo_hfox at another level, simulated and by theory."""
    device, rows = Device.preset("cmo_hfox"), []
    for levels in LEVELS:
        for time in times(per_decade=2):
            share = seed_interval([wrong_level(device, levels, time, cells, seed) for seed in range(seeds)])
            row = {"levels": levels, "time": time, "share": share.mean, "share_low": share.low}
            rows.append(row | {"share_high": share.high, "expected": wrong_level_theory(device, levels, time)})
    return pd.DataFrame(rows)


def endurance() -> pd.DataFrame:
    """Conductance (uS) of four states of hfalo over switching cycles."""
    device, rows = Device.preset("hfalo"), []
    targets = device.g_off + np.array(THIRDS) * device.g_range
    for cycles in np.geomspace(1, 1e9, 91):
        g = program(device.replace(endurance_cycles=cycles), targets)
        rows += [{"target": t / MICRO, "cycles": cycles, "mean": m / MICRO} for t, m in zip(targets, g, strict=True)]
    return pd.DataFrame(rows)


def ageing(cells: int, seeds: int) -> pd.DataFrame:
    """Everything that the figure of ageing shows, one part below another."""
    parts = {"retention": retention(cells, seeds), "levels": wrong_levels(cells, seeds)}
    parts |= {"baked": baked(), "endurance": endurance()}
    return pd.concat([frame.assign(part=name) for name, frame in parts.items()], ignore_index=True)


def ageing_claims(cells: int, seeds: int) -> list[Claim]:
    """What is claimed about time, each over chips but for the last, whose interval is that of the energies."""
    neurram, cmo = Device.preset("neurram"), Device.preset("cmo_hfox")
    share = [wrong_level(cmo, 32, SECONDS["1 h"], cells, seed) for seed in range(seeds)]
    kept = [_kept(energy, 398.0) for energy in (BAKED.retention_energy, *ENERGIES)]
    return [
        below_times(
            "neurram: the programming error is smaller than what one day adds to it",
            seed_interval([_written_to_added(neurram, SECONDS["1 day"], cells, seed) for seed in range(seeds)]),
        ),
        above(
            "cmo_hfox: after an hour, over 1 % of the cells are nearer to another of the 32 levels",
            seed_interval(share),
            0.01,
        ),
        below_times(
            "baked HfAlO: after 10 years at 125 °C the LRS conducts less than half of what it did"
            f" (times {kept[1]:.2f} to {kept[2]:.2f} for {ENERGIES[0]} to {ENERGIES[1]} eV)",
            Interval(kept[0], min(kept), max(kept), 0, 0),
            0.5,
        ),
    ]


def _written_to_added(device: Device, time: float, cells: int, seed: int) -> float:
    """Rms error of programming over the rms change since, of cells half-way between LRS and HRS (where none ends)."""
    fresh, aged = (at_time(device, 0.5, t, cells, seed) for t in (0.0, time))
    middle = device.g_off + device.g_range / 2
    return float(np.sqrt(((fresh - middle) ** 2).mean() / ((aged - fresh) ** 2).mean()))


def _kept(energy: float, temperature: float) -> float:
    """Part of the LRS's conductance left after 10 years."""
    device = BAKED.replace(
        retention_energy=energy, retention_temperature=temperature, retention_time=SECONDS["10 years"]
    )
    return max(device.age, 1) ** -device.retention_nu


def plot_ageing(frame: pd.DataFrame) -> Figure:
    """Retention of two devices, their errors, levels mixed up, a bake, and switching cycles."""
    figure, axes = plt.subplots(2, 3, figsize=(11.5, 6), layout="constrained")
    parts = dict(list(frame.groupby("part")))
    for axis, (name, part) in zip(axes[0], parts["retention"].groupby("device", sort=False), strict=False):
        for color, (target, line) in zip(severity_colors(5), part.groupby("target"), strict=False):
            axis.fill_between(line["time"], line["p5"], line["p95"], color=color, alpha=0.3, linewidth=0)
            axis.plot(line["time"], line["mean"], color=color, label=f"{target:.3g}")
        axis.set(title=f"{name}: mean, 5-95 % of cells", ylabel="conductance (µS)")
    axes[0, 1].axvspan(MEASURED["neurram"], SECONDS["10 years"], color="0.9")
    axes[0, 1].annotate(
        "not\nmeasured", (0.85, 0.5), xycoords="axes fraction", ha="center", va="center", fontsize="small"
    )
    _errors(axes[0, 2], parts["retention"])
    _levels(axes[1, 0], parts["levels"])
    for color, (t, line) in zip(severity_colors(7), parts["baked"].groupby("temperature", sort=False), strict=False):
        axes[1, 1].plot(line["time"], line["mean"], color=color, label=f"{t - 273:.0f} °C")
    axes[1, 1].legend(frameon=False, fontsize="x-small", loc="lower left")
    axes[1, 1].set(title="baked HfAlO, LRS", ylabel="conductance (µS)", yscale="log", ylim=(20, 300))
    axes[1, 1].set_yticks([20, 50, 100, 200], ["20", "50", "100", "200"])
    axes[1, 1].minorticks_off()
    for color, (target, line) in zip(severity_colors(5), parts["endurance"].groupby("target"), strict=False):
        axes[1, 2].plot(line["cycles"], line["mean"], color=color, label=f"{target:.3g}")
    axes[1, 2].set(title="hfalo: switching cycles", xlabel="cycles", ylabel="conductance (µS)", xscale="log", ylim=0)
    axes[1, 2].legend(
        title="target (µS)", frameon=False, fontsize="x-small", title_fontsize="x-small", loc="upper right"
    )
    for axis in axes.flat[:5]:
        _time_axis(axis)
    return fix_layout(figure)


def _time_axis(axis: Axes) -> None:
    axis.set(xscale="log", xlim=(1, SECONDS["10 years"]), xlabel="time since programming")
    marks = {name.replace(" years", " y"): SECONDS[name] for name in ("1 s", "1 h", "1 day", "10 years")}
    axis.set_xticks(list(marks.values()), list(marks))
    axis.minorticks_off()


def _errors(axis: Axes, part: pd.DataFrame) -> None:
    """Rms error of an inner state, of which no cell is near 0."""
    for color, (name, device) in zip(severity_colors(5)[::2], part.groupby("device", sort=False), strict=False):
        line = device[device["target"] == sorted(device["target"].unique())[2]]
        axis.fill_between(line["time"], 100 * line["rms_low"], 100 * line["rms_high"], color=color, alpha=0.3)
        axis.plot(line["time"], 100 * line["rms"], color=color, label=name)
    axis.set(
        title="rms error, target at 2/3 of the range", ylabel="error (% of the range)", yscale="log", ylim=(0.4, 12)
    )
    axis.set_yticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
    axis.legend(frameon=False)


def _levels(axis: Axes, part: pd.DataFrame) -> None:
    for color, (levels, line) in zip(severity_colors(5), part.groupby("levels"), strict=False):
        spread = 100 * np.abs(line[["share_low", "share_high"]].T - line["share"])
        axis.errorbar(
            line["time"], 100 * line["share"], spread, fmt="o", color=color, markersize=3, label=f"{levels:.0f}"
        )
        axis.plot(line["time"], 100 * line["expected"], **THEORY)
    axis.set(title="cmo_hfox: cells nearer to another level", ylabel="cells (%)", ylim=(0, 100))
    axis.set_yscale("symlog", linthresh=0.1)
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.legend(title="levels", frameon=False, fontsize="x-small", title_fontsize="x-small", loc="upper left")


# Switching


@dataclass(frozen=True)
class Drive:
    """How a switching model is driven in the figure."""

    title: str
    peaks: tuple[float, float]  #: of the triangular voltage, V
    period: float  #: s
    pulses: tuple[float, float]  #: of setting and of resetting, V
    width: float  #: s
    state0: float | None = None  #: of the loop; None: HRS
    scales: tuple[str, str] = ("linear", "linear")  #: of current (then without its sign) and conductance


DRIVES: dict[str, Drive] = {
    "strukov_2b": Drive("linear ion drift (strukov_2b)", (1, -1), 1.5, (1.0, -1.0), 10e-3, 0.1),
    "vteam_memtorch": Drive("VTEAM (vteam_memtorch)", (-0.3, 0.15), 10e-6, (-0.25, 0.1), 50e-9),
    "stanford_pku": Drive(
        "Stanford-PKU (stanford_pku)", (1.42, -1.5), 8e-3, (1.42, -1.3), 10e-9, scales=("log", "log")
    ),
    "tiox_2": Drive("data-driven (tiox_2)", (-0.8, 0.8), 0.1, (-0.7, 0.7), 100e-6),
}


def loops(cycles: int = 2) -> pd.DataFrame:
    """I-V loops of the four models: voltage (V), current (A), time (s)."""
    rows = []
    for name, d in DRIVES.items():
        loop = sweep_iv(preset(name), d.peaks, d.period, cycles, d.state0, samples=50)
        rows.append(pd.DataFrame({"model": name, "time": loop.time, "voltage": loop.voltage, "current": loop.current}))
    return pd.concat(rows, ignore_index=True)


def pulses(count: int = 50) -> pd.DataFrame:
    """Conductance (S) after each of `count` setting and as many resetting pulses, twice."""
    trains = {name: [(volts, count) for volts in d.pulses * 2] for name, d in DRIVES.items()}
    tables = [
        pulse_trains(preset(name), train, DRIVES[name].width).assign(model=name) for name, train in trains.items()
    ]
    return pd.concat(tables, ignore_index=True)[["model", "pulse", "voltage", "conductance"]]


def switching(cycles: int = 2, count: int = 50) -> pd.DataFrame:
    """Everything that the figure of switching shows, one part below another."""
    return pd.concat([loops(cycles).assign(part="loop"), pulses(count).assign(part="pulses")], ignore_index=True)


def plot_switching(frame: pd.DataFrame) -> Figure:
    """A column per model: its I-V loop, and its conductance under pulses."""
    figure, axes = plt.subplots(2, len(DRIVES), figsize=(11.5, 5.2), layout="constrained")
    dark, light = severity_colors(5)[0], severity_colors(5)[3]
    for column, (name, d) in zip(axes.T, DRIVES.items(), strict=True):
        part = frame[frame["model"] == name]
        loop, train = part[part["part"] == "loop"], part[part["part"] == "pulses"]
        _loop(column[0], loop, d)
        for chosen, color, word, volts in (
            (train["voltage"] == d.pulses[0], dark, "set", d.pulses[0]),
            (train["voltage"] == d.pulses[1], light, "reset", d.pulses[1]),
        ):
            x, y = train["pulse"][chosen], 1e3 * train["conductance"][chosen]
            column[1].plot(x, y, ".", color=color, markersize=3, label=f"{word}, {volts:g} V")
        column[1].set(xlabel=f"pulses of {_unit(d.width)}", ylabel="conductance (mS)", yscale=d.scales[1])
        column[1].legend(frameon=False, fontsize="x-small")
    return fix_layout(figure)


def drives() -> dict[str, Any]:
    """For the provenance file."""
    return {name: asdict(drive) for name, drive in DRIVES.items()}


def _loop(axis: Axes, loop: pd.DataFrame, drive: Drive) -> None:
    current = 1e3 * loop["current"]
    if drive.scales[0] == "log":
        current = current.abs().where(loop["voltage"].abs() > 0.02 * max(drive.peaks))  # it has no logarithm at 0 V
    axis.plot(loop["voltage"], current, color=severity_colors(5)[0], linewidth=1)
    name = "|current| (mA)" if drive.scales[0] == "log" else "current (mA)"
    axis.set(title=drive.title, xlabel="voltage (V)", ylabel=name, yscale=drive.scales[0])


def _unit(seconds: float) -> str:
    scale, unit = next(pair for pair in ((1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")) if seconds >= pair[0])
    return f"{seconds / scale:.0f} {unit}"


# Write-verify

#: Programs the gap of `MODEL` finely. Every cell and every pulse has a speed of its own.
MODEL = "stanford_pku"
SCHEME = PulseScheme(set_volts=(1.0, 0.02, 1.6), reset_volts=(-1.06, -0.02, -1.5), width=1e-8)
CELL_SPREAD = CYCLE_SPREAD = 0.3
#: Devices whose programming error was measured, with the time since.
PUBLISHED = {"neurram": "neurram, after 1 s", "ihp_hfo2": "ihp_hfo2", "cmo_hfox": "cmo_hfox, after 1 s"}


def scheme() -> dict[str, Any]:
    """For the provenance file."""
    return {"model": MODEL, "scheme": asdict(SCHEME), "cell_spread": CELL_SPREAD, "cycle_spread": CYCLE_SPREAD}


@cache
def written(tolerance: float, read_noise: float, cells: int, max_pulses: int, seed: int) -> WriteResult:
    """An array of cells with targets that are uniformly distributed between the model's HRS and LRS."""
    model = preset(MODEL)
    low, high = (float(model.conductance(state)) for state in (model.hrs, model.lrs))
    targets = np.random.default_rng(seed).uniform(low, high, cells)
    return write_verify(
        model, targets, SCHEME, tolerance=tolerance, max_pulses=max_pulses,
        read_noise=read_noise, cell_spread=CELL_SPREAD, cycle_spread=CYCLE_SPREAD, seed=seed,
    )  # fmt: skip


def write_table(
    tolerances: Sequence[float], read_noises: Sequence[float], cells: int, max_pulses: int, seeds: int
) -> pd.DataFrame:
    """A row per tolerance and read noise: rms and mean error (of the range), failures and pulses, with intervals."""
    rows = []
    for read_noise in read_noises:
        for tolerance in tolerances:
            arrays = [written(tolerance, read_noise, cells, max_pulses, seed) for seed in range(seeds)]
            errors = [programming_error(array) for array in arrays]
            rms, failed = (seed_interval([getattr(e, name) for e in errors]) for name in ("sigma", "failed"))
            applied = np.concatenate([array.pulses for array in arrays])
            p5, p95 = np.quantile(applied, (0.05, 0.95))
            row = {"read_noise": read_noise, "tolerance": tolerance, "rms": rms.mean, "rms_low": rms.low}
            row |= {"rms_high": rms.high, "mean": float(np.mean([e.mean for e in errors])), "failed": failed.mean}
            row |= {"failed_low": max(failed.low, 0), "failed_high": failed.high, "pulses": applied.mean()}
            rows.append(row | {"pulses_p5": p5, "pulses_p95": p95, "n": seeds})
    return pd.DataFrame(rows)


def write_histograms(
    tolerance: float, read_noises: Sequence[float], cells: int, max_pulses: int, seeds: int
) -> pd.DataFrame:
    """A row per read noise and bin: share of the converged cells by error over tolerance."""
    rows, edges = [], np.linspace(-3, 3, 61)
    for read_noise in read_noises:
        arrays = [written(tolerance, read_noise, cells, max_pulses, seed) for seed in range(seeds)]
        errors = np.concatenate([programming_error(array).errors for array in arrays]) / tolerance
        share = np.histogram(errors, edges)[0] / len(errors)
        rows.append(pd.DataFrame({"read_noise": read_noise, "left": edges[:-1], "right": edges[1:], "share": share}))
    return pd.concat(rows, ignore_index=True)


def program_errors(table: pd.DataFrame) -> pd.DataFrame:
    """What `Device.program_error` would be: of write-verify by tolerance and read noise, and of published devices."""
    names = [
        f"write-verify to {100 * row.tolerance:g} %, read noise {100 * row.read_noise:g} %"
        for row in table.itertuples()
    ]
    rows = [{"source": n, "program_error": e} for n, e in zip(names, table["rms"], strict=True)]
    rows += [{"source": text, "program_error": Device.preset(name).program_error} for name, text in PUBLISHED.items()]
    return pd.DataFrame(rows).sort_values("program_error", kind="stable", ignore_index=True)


def write_claims(tolerance: float, read_noise: float, cells: int, max_pulses: int, seeds: int) -> list[Claim]:
    """What is claimed about write-verify, over arrays."""

    def over_seeds(function: Callable[..., float], *points: tuple[float, float]) -> Interval:
        """Of a function of the errors at these points, each a tolerance and a read noise."""
        arrays = [[written(*point, cells, max_pulses, seed) for point in points] for seed in range(seeds)]
        return seed_interval([function(*map(programming_error, row)) for row in arrays])

    text, neurram = f"write-verify to {100 * tolerance:g} % of the range", Device.preset("neurram").program_error
    return [
        below_times(
            f"{text}: the error is nearer to a uniform distribution than to a normal one",
            over_seeds(lambda e: _distances(e.errors, tolerance), (tolerance, 0.0)),
        ),
        below_times(
            f"{text}, reads with {100 * read_noise:g} % noise: half the tolerance removes over a third of the error",
            over_seeds(
                lambda full, half: half.sigma / full.sigma, (tolerance, read_noise), (tolerance / 2, read_noise)
            ),
            2 / 3,
        ),
        below_times(
            "write-verify to 5 % of the range leaves a smaller error than neurram has after a second",
            over_seeds(lambda e: e.sigma / neurram, (0.05, 0.0)),
        ),
    ]


def _distances(errors: np.ndarray, tolerance: float) -> float:
    """Kolmogorov-Smirnov distance from uniform within the tolerance, over that from the normal of the same rms."""
    uniform = stats.kstest(errors, stats.uniform(-tolerance, 2 * tolerance).cdf).statistic
    normal = stats.kstest(errors, stats.norm(0, np.sqrt((errors**2).mean())).cdf).statistic
    return float(uniform / normal)


def plot_writing(table: pd.DataFrame, errors: pd.DataFrame, claim_tolerance: float) -> Figure:
    """Distribution of the error, its rms over tolerance beside published devices, pulses, and cells that failed.

    Args:
        table: see `write_table`; errors: see `write_histograms`.
        claim_tolerance: that of the errors.
    """
    figure, axes = plt.subplots(1, 4, figsize=(11.5, 3.3), layout="constrained", width_ratios=(1, 1.3, 1, 1))
    noises = list(table["read_noise"].unique())
    colors = dict(zip(noises, severity_colors(len(noises) + 1), strict=False))
    _write_errors(axes[0], errors, colors, claim_tolerance)
    for noise, part in table.groupby("read_noise"):
        look: dict[str, Any] = {"color": colors[noise], "marker": "o", "markersize": 3}
        x = 100 * part["tolerance"]
        axes[1].errorbar(x, 100 * part["rms"], _bars(part, "rms"), **look)
        axes[2].fill_between(x, part["pulses_p5"], part["pulses_p95"], color=colors[noise], alpha=0.2, linewidth=0)
        axes[2].plot(x, part["pulses"], **look)
        axes[3].errorbar(x, 100 * part["failed"], _bars(part, "failed"), capsize=2, **look)
    _published_errors(axes[1], x)
    axes[1].set(title="error left", ylabel="rms error (% of the range)", yscale="log")
    axes[2].set(title="pulses: mean, 5-95 %", ylabel="pulses per cell", ylim=0)
    axes[3].set(title="not converged", ylabel="cells (%)", ylim=(0, None))
    for axis in axes[1:]:
        axis.set(xlabel="tolerance (% of the range)", xscale="log")
        axis.set_xticks(list(x), [f"{v:g}" for v in x])
        axis.minorticks_off()
    axes[1].set_yticks([0.1, 0.2, 0.5, 1, 2, 5], ["0.1", "0.2", "0.5", "1", "2", "5"])
    axes[1].minorticks_off()
    return fix_layout(figure)


def _bars(part: pd.DataFrame, name: str) -> pd.DataFrame:
    """Lengths of error bars, %."""
    return 100 * np.abs(part[[f"{name}_low", f"{name}_high"]].T - part[name])


def _write_errors(axis: Axes, errors: pd.DataFrame, colors: dict[float, Any], tolerance: float) -> None:
    for noise, part in errors.groupby("read_noise"):
        edges = [*part["left"], part["right"].iloc[-1]]
        axis.stairs(100 * part["share"], edges, color=colors[noise], linewidth=1.3, label=f"{100 * noise:g} %")
    axis.plot([-1, -1, 1, 1], [0, 5, 5, 0], ":", **THEORY, label="uniform")
    title = f"errors, tolerance {100 * tolerance:g} %"
    axis.set(title=title, xlabel="error / tolerance", ylabel="cells in a bin (%)")
    axis.legend(title="noise of a read", frameon=False, fontsize="x-small", title_fontsize="x-small")


def _published_errors(axis: Axes, x: pd.Series) -> None:
    """What a uniform error within the tolerances `x`, %, amounts to, and what was measured of devices."""
    axis.plot(x, x / math.sqrt(3), ":", **THEORY)
    for name, text in PUBLISHED.items():
        value = 100 * Device.preset(name).program_error
        axis.axhline(value, color="0.5", linewidth=0.8, linestyle="--")
        at, side = (x.max(), "right") if name == "cmo_hfox" else (x.min(), "left")
        axis.annotate(text, (at, value), (0, 2), textcoords="offset points", ha=side, fontsize="x-small")


FIGURES = {
    "01_devices": Drawing(plot_programmed, ("01_devices",)),
    "01_devices_currents": Drawing(plot_reads, ("01_devices_currents", "01_devices_currents_noise")),
    "01_devices_ageing": Drawing(plot_ageing, ("01_devices_ageing",)),
    "01_devices_switching": Drawing(plot_switching, ("01_devices_switching",)),
    "01_devices_write_verify": Drawing(
        plot_writing, ("01_devices_write_verify", "01_devices_write_errors"), ("claim_tolerance",)
    ),
}
