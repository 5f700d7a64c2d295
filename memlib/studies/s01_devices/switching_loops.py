"""Switching: loops and pulse trains of published cell models."""

from dataclasses import dataclass

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memlib.cells.pulses import pulse_trains, sweep_iv
from memlib.cells.switching import preset
from memlib.studies.drawing import fix_layout, severity_colors
from memlib.studies.run import Run


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


def switching_table(_: Run) -> pd.DataFrame:
    """I-V loops (two each: s, V, A), and below conductances (S) after 50 setting and 50 resetting pulses, twice."""
    loops, trains = [], []
    for name, d in DRIVES.items():
        loop = sweep_iv(preset(name), d.peaks, d.period, 2, d.state0, samples=50)
        columns = {"model": name, "time": loop.time, "voltage": loop.voltage, "current": loop.current, "part": "loop"}
        loops.append(pd.DataFrame(columns))
        train = pulse_trains(preset(name), [(volts, 50) for volts in d.pulses * 2], d.width)
        trains.append(train.assign(model=name, part="pulses")[["model", "pulse", "voltage", "conductance", "part"]])
    return pd.concat([*loops, *trains], ignore_index=True)


def plot_switching(frame: pd.DataFrame) -> Figure:
    """Draw a column per model: its I-V loop, and its conductance under pulses."""
    figure, axes = plt.subplots(2, len(DRIVES), figsize=(11.5, 5.2), layout="constrained")
    dark, light = severity_colors(5)[0], severity_colors(5)[3]
    for column, (name, d) in zip(axes.T, DRIVES.items(), strict=True):
        part = frame[frame["model"] == name]
        loop, train = part[part["part"] == "loop"], part[part["part"] == "pulses"]
        _loop(column[0], loop, d)
        for volts, color, word in zip(d.pulses, (dark, light), ("set", "reset"), strict=True):
            driven = train[train["voltage"] == volts]
            look = {"color": color, "markersize": 3, "label": f"{word}, {volts:g} V"}
            column[1].plot(driven["pulse"], 1e3 * driven["conductance"], ".", **look)
        column[1].set(xlabel=f"pulses of {_unit(d.width)}", ylabel="conductance (mS)", yscale=d.scales[1])
        column[1].legend(frameon=False, fontsize="x-small")
    return fix_layout(figure)


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
