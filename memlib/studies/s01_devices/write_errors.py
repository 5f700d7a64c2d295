"""Write-verify: the error that it leaves, and the pulses that it takes."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from memlib.cells.device import Device
from memlib.cells.switching import preset
from memlib.cells.writing import PulseScheme, WriteResult, programming_error, write_verify
from memlib.evidence.claims import Claim, Statement, below_times
from memlib.evidence.intervals import Interval, seed_interval
from memlib.studies.drawing import fix_layout, severity_colors
from memlib.studies.run import Run
from memlib.studies.s01_devices.conductances import THEORY

MODEL = "stanford_pku"
#: Programs the gap of `MODEL` finely. Every cell and every pulse has a speed of its own.
SCHEME = PulseScheme(set_volts=(1.0, 0.02, 1.6), reset_volts=(-1.06, -0.02, -1.5), width=1e-8)
CELL_SPREAD = CYCLE_SPREAD = 0.3
#: Devices whose programming error was measured, with the time since.
PUBLISHED = {"neurram": "neurram, after 1 s", "ihp_hfo2": "ihp_hfo2", "cmo_hfox": "cmo_hfox, after 1 s"}


@cache
def written(tolerance: float, read_noise: float, cells: int, max_pulses: int, seed: int) -> WriteResult:
    """Write an array of cells, with targets that are evenly distributed between the model's HRS and LRS."""
    model = preset(MODEL)
    low, high = (float(model.conductance(state)) for state in (model.hrs, model.lrs))
    targets = np.random.default_rng(seed).uniform(low, high, cells)
    return write_verify(
        model, targets, SCHEME, tolerance=tolerance, max_pulses=max_pulses,
        read_noise=read_noise, cell_spread=CELL_SPREAD, cycle_spread=CYCLE_SPREAD, seed=seed,
    )  # fmt: skip


def arrays_of(run: Run, tolerance: float, read_noise: float) -> list[WriteResult]:
    """The written arrays of a run, one for each seed."""
    p = run.p
    return [written(tolerance, read_noise, p.write_cells, p.max_pulses, seed) for seed in range(p.device_seeds)]


def write_table(run: Run) -> pd.DataFrame:
    """A row per tolerance and read noise: rms and mean error (of the range), failures and pulses, with intervals."""
    rows = []
    for read_noise in run.p.read_noises:
        for tolerance in run.p.tolerances:
            arrays = arrays_of(run, tolerance, read_noise)
            errors = [programming_error(array) for array in arrays]
            rms, failed = (
                seed_interval([getattr(e, name) for e in errors], constant=True) for name in ("sigma", "failed")
            )
            applied = np.concatenate([array.pulses for array in arrays])
            p5, p95 = np.quantile(applied, (0.05, 0.95))
            row = {"read_noise": read_noise, "tolerance": tolerance, "rms": rms.mean, "rms_low": rms.low}
            row |= {"rms_high": rms.high, "mean": float(np.mean([e.mean for e in errors])), "failed": failed.mean}
            row |= {"failed_low": max(failed.low, 0), "failed_high": failed.high, "pulses": applied.mean()}
            rows.append(row | {"pulses_p5": p5, "pulses_p95": p95, "n": len(arrays)})
    return pd.DataFrame(rows)


def write_histograms(run: Run) -> pd.DataFrame:
    """A row per read noise and bin: share of the converged cells by error over tolerance, at the claims' tolerance."""
    rows, edges, tolerance = [], np.linspace(-3, 3, 61), run.p.claim_tolerance
    for read_noise in run.p.read_noises:
        arrays = arrays_of(run, tolerance, read_noise)
        errors = np.concatenate([programming_error(array).errors for array in arrays]) / tolerance
        share = np.histogram(errors, edges)[0] / len(errors)
        rows.append(pd.DataFrame({"read_noise": read_noise, "left": edges[:-1], "right": edges[1:], "share": share}))
    return pd.concat(rows, ignore_index=True)


def program_errors(run: Run) -> pd.DataFrame:
    """`Device.program_error` of write-verify by tolerance and read noise, and of published devices, rising."""
    rows: list[dict[str, Any]] = []
    for row in run.once(write_table).itertuples():
        source = f"write-verify to {100 * row.tolerance:g} %, read noise {100 * row.read_noise:g} %"
        rows.append({"source": source, "program_error": row.rms})
    rows += [{"source": text, "program_error": Device.preset(name).program_error} for name, text in PUBLISHED.items()]
    return pd.DataFrame(rows).sort_values("program_error", kind="stable", ignore_index=True)


def write_claims(run: Run) -> list[Claim]:
    """The claims about write-verify, with intervals over arrays."""
    tolerance, noise, neurram = run.p.claim_tolerance, run.p.claim_read_noise, Device.preset("neurram").program_error

    def over_arrays(function: Callable[..., float], *points: tuple[float, float]) -> Interval:
        """The interval of a function of the errors at these points, each a tolerance and a read noise."""
        arrays = zip(*(arrays_of(run, *point) for point in points), strict=True)
        return seed_interval([function(*map(programming_error, row)) for row in arrays], constant=True)

    text = f"write-verify to {100 * tolerance:g} % of the range"
    noisy = f"{text}, reads with {100 * noise:g} % noise: half the tolerance removes over a third of the error"
    uniform = f"{text}: the error is nearer to a uniform distribution than to a normal one"
    coarse = "write-verify to 5 % of the range leaves a smaller error than neurram has after a second"
    halved = Statement("write_verify/half_tolerance", noisy, "writing", headline="01_devices_write_verify")
    ratio = over_arrays(lambda full, half: half.sigma / full.sigma, (tolerance, noise), (tolerance / 2, noise))
    return [
        below_times(
            Statement("write_verify/uniform", uniform, "writing"),
            over_arrays(lambda e: _distances(e.errors, tolerance), (tolerance, 0.0)),
        ),
        below_times(halved, ratio, 2 / 3),
        below_times(
            Statement("write_verify/neurram", coarse, "writing"), over_arrays(lambda e: e.sigma / neurram, (0.05, 0.0))
        ),
    ]


def _distances(errors: np.ndarray, tolerance: float) -> float:
    """Kolmogorov-Smirnov distance from uniform within the tolerance, over that from the normal of the same rms."""
    uniform = stats.kstest(errors, stats.uniform(-tolerance, 2 * tolerance).cdf).statistic
    normal = stats.kstest(errors, stats.norm(0, np.sqrt((errors**2).mean())).cdf).statistic
    return float(uniform / normal)


def plot_writing(table: pd.DataFrame, errors: pd.DataFrame, claim_tolerance: float) -> Figure:
    """Draw the errors, their rms over tolerance beside published devices, pulses, and cells that failed.

    Args:
        table: see `write_table`.
        errors: see `write_histograms`.
        claim_tolerance: that of the errors.
    """
    figure, axes = plt.subplots(1, 4, figsize=(11.5, 3.3), layout="constrained", width_ratios=(1, 1.3, 1, 1))
    noises = list(table["read_noise"].unique())
    colors = dict(zip(noises, severity_colors(len(noises) + 1), strict=False))
    _write_errors(axes[0], errors, colors, claim_tolerance)
    for noise, group in table.groupby("read_noise"):
        look: dict[str, Any] = {"color": colors[noise], "marker": "o", "markersize": 3}
        x = 100 * group["tolerance"]
        axes[1].errorbar(x, 100 * group["rms"], _bars(group, "rms"), **look)
        axes[2].fill_between(x, group["pulses_p5"], group["pulses_p95"], color=colors[noise], alpha=0.2, linewidth=0)
        axes[2].plot(x, group["pulses"], **look)
        axes[3].errorbar(x, 100 * group["failed"], _bars(group, "failed"), capsize=2, **look)
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


def _bars(group: pd.DataFrame, name: str) -> pd.DataFrame:
    """(2, rows) lengths of error bars, %."""
    return 100 * np.abs(group[[f"{name}_low", f"{name}_high"]].T - group[name])


def _write_errors(axis: Axes, errors: pd.DataFrame, colors: dict[float, Any], tolerance: float) -> None:
    for noise, group in errors.groupby("read_noise"):
        edges = [*group["left"], group["right"].iloc[-1]]
        axis.stairs(100 * group["share"], edges, color=colors[noise], linewidth=1.3, label=f"{100 * noise:g} %")
    axis.plot([-1, -1, 1, 1], [0, 5, 5, 0], ":", **THEORY, label="uniform")
    title = f"errors, tolerance {100 * tolerance:g} %"
    axis.set(title=title, xlabel="error / tolerance", ylabel="cells in a bin (%)")
    axis.legend(title="noise of a read", frameon=False, fontsize="x-small", title_fontsize="x-small")


def _published_errors(axis: Axes, x: pd.Series) -> None:
    """Draw the rms of a uniform error within the tolerances `x`, %, and the errors that were measured of devices."""
    axis.plot(x, x / math.sqrt(3), ":", **THEORY)
    for name, text in PUBLISHED.items():
        value = 100 * Device.preset(name).program_error
        axis.axhline(value, color="0.5", linewidth=0.8, linestyle="--")
        at, side = (x.max(), "right") if name == "cmo_hfox" else (x.min(), "left")
        axis.annotate(text, (at, value), (0, 2), textcoords="offset points", ha=side, fontsize="x-small")
