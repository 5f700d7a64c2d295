"""Time and cycles: how conductances drift until levels are mistaken."""

import math

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from memlib.cells.device import Device
from memlib.evidence.claims import Claim, Statement, above, below_times
from memlib.evidence.intervals import Interval, seed_interval
from memlib.studies.drawing import fix_layout, severity_colors
from memlib.studies.run import Run
from memlib.studies.s01_devices.conductances import MICRO, SECONDS, THEORY, THIRDS, program

#: The LRS of Ti/HfAlO/TiN, another stack than that of the preset "hfalo". Fitted for this study to the bakes at 473,
#: 523 and 573 K of Lammie et al. (2021), Fig. 3B. They say nothing of other states, nor of the spread.
BAKED = Device(
    r_on=3.92e3, r_off=65e3, retention_nu=0.67, retention_t0=4.7e4, retention_energy=1.65, retention_reference=473.0
)
#: Activation energies that ways of fitting give, eV.
ENERGIES = (1.62, 1.69)
TEMPERATURES = (573.0, 523.0, 473.0, 423.0, 398.0, 358.0)  #: K
#: How long a device was measured, s.
MEASURED = {"neurram": SECONDS["2 days"]}
LEVELS = (4, 8, 16, 32)


def times(last: float = SECONDS["10 years"], per_decade: int = 4) -> np.ndarray:
    """From 1 s to `last`, s, evenly on a log scale."""
    return np.geomspace(1, last, 1 + round(per_decade * math.log10(last)))


def at_time(device: Device, position: float, time: float, cells: int, *name: int | str) -> np.ndarray:
    """(cells,) conductances, S, some time, s, after cells were programmed to any place in the window (0 to 1)."""
    targets = np.full(cells, device.g_off + position * device.g_range)
    aged = device.replace(states=None, retention_time=time)
    return program(aged, targets, *name, "01_devices", "retention", str(position))


def retention(cells: int, seeds: int) -> pd.DataFrame:
    """Mean and 5-95 % band of conductances (uS) over time, pooled over chips, and their rms error (of the range)."""
    rows = []
    for name in ("cmo_hfox", "neurram"):
        device = Device.preset(name)
        for position in THIRDS:
            target = device.g_off + position * device.g_range
            for time in times(MEASURED.get(name, SECONDS["10 years"])):
                g = np.stack([at_time(device, position, time, cells, seed) for seed in range(seeds)])
                error = seed_interval(np.sqrt((((g - target) / device.g_range) ** 2).mean(1)), constant=True)
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
            wrong = [wrong_level(device, levels, time, cells, seed) for seed in range(seeds)]
            share = seed_interval(wrong, constant=True)  # soon after writing no cell is
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


def ageing_table(run: Run) -> pd.DataFrame:
    """All that the figure of ageing shows, one part below another."""
    chips = run.p.cells, run.p.device_seeds
    parts = {"retention": retention(*chips), "levels": wrong_levels(*chips), "baked": baked(), "endurance": endurance()}
    return pd.concat([frame.assign(part=name) for name, frame in parts.items()], ignore_index=True)


def ageing_claims(run: Run) -> list[Claim]:
    """The claims about time. Intervals are over chips, except the last, which is that of the activation energies."""
    neurram, cmo, cells, seeds = *map(Device.preset, ("neurram", "cmo_hfox")), run.p.cells, range(run.p.device_seeds)
    added = [_written_to_added(neurram, SECONDS["1 day"], cells, seed) for seed in seeds]
    wrong = [wrong_level(cmo, 32, SECONDS["1 h"], cells, seed) for seed in seeds]
    kept = [_kept(energy, 398.0) for energy in (BAKED.retention_energy, *ENERGIES)]
    energies = f"(times {kept[1]:.2f} to {kept[2]:.2f} for {ENERGIES[0]} to {ENERGIES[1]} eV)"
    texts = {
        "neurram/one_day": "neurram: the programming error is smaller than what one day adds to it",
        "cmo_hfox/32_levels": "cmo_hfox: after an hour, over 1 % of the cells are nearer to another of the 32 levels",
        "baked_hfalo/10_years": "baked HfAlO: after 10 years at 125 °C the LRS conducts less than half of what it did "
        + energies,
    }
    one_day, levels, years = (Statement(key, text, "retention") for key, text in texts.items())
    return [
        below_times(one_day, seed_interval(added, constant=True)),
        above(levels, seed_interval(wrong, constant=True), 0.01),
        below_times(years, Interval(kept[0], min(kept), max(kept), 0, 0), 0.5),
    ]


def _written_to_added(device: Device, time: float, cells: int, seed: int) -> float:
    """Rms programming error over the rms change since, of cells half-way between LRS and HRS, far from either end."""
    fresh, aged = (at_time(device, 0.5, t, cells, seed) for t in (0.0, time))
    middle = device.g_off + device.g_range / 2
    return float(np.sqrt(((fresh - middle) ** 2).mean() / ((aged - fresh) ** 2).mean()))


def _kept(energy: float, temperature: float) -> float:
    """Share of the LRS's conductance that is left after 10 years at a temperature, K, given the energy, eV."""
    after = {"retention_temperature": temperature, "retention_time": SECONDS["10 years"]}
    device = BAKED.replace(retention_energy=energy, **after)
    return max(device.age, 1) ** -device.retention_nu


def plot_ageing(frame: pd.DataFrame) -> Figure:
    """Draw retention of two devices, their errors, mistaken levels, a bake, and switching cycles."""
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
    """Draw the rms error of an inner state, none of whose cells is near 0."""
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
