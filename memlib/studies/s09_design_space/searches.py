"""Searches: in the space of all designs for its front, and in a space small enough for its front to be known."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from memlib.evidence.claims import Claim, Statement, above
from memlib.evidence.intervals import seed_interval
from memlib.exploration.multi_objective import Evaluator, Fidelity, Known, explore, search
from memlib.exploration.pareto import hypervolume, nondominated
from memlib.exploration.space import Axis, Space
from memlib.studies.run import Run
from memlib.studies.s09_design_space.formula_fits import COLORS
from memlib.studies.shared.designs import PER_LAYER, evaluate, make_point, window_names
from memlib.studies.shared.trained_networks import label
from memlib.sweeps.engine import SweepError
from memlib.sweeps.points import Point
from memlib.training.recipes import RECIPES

#: Accuracy against the costs of one inference and the chip.
OBJECTIVES = {"accuracy": "max", "isaac_energy": "min", "isaac_latency": "min", "isaac_area": "min"}
BITS = [3, 4, 5, 6, 7, 8]
ROWS = [32, 64, 128, 256, 512]
#: How a network may be trained further, where there is such a checkpoint.
TRAININGS = ("plain", "longer", "noise")


def search_space(checkpoints: Sequence[str], devices: Sequence[str], layouts: Sequence[str]) -> Space:
    """Network and training, device, layout with a window for each size of map, tile, converters, recalibration."""
    axes: dict[str, Any] = {"checkpoint": list(checkpoints)}
    for kind, trained in _trainings(checkpoints).items():
        axes[f"training {kind}"] = Axis(trained, when={"checkpoint": [kind]})
    axes |= {"device": list(devices), "layout": list(layouts)}
    if PER_LAYER in layouts:
        names: dict[str, list[str]] = {}
        for checkpoint in checkpoints:
            for name in window_names(checkpoint):
                names.setdefault(name, []).append(checkpoint)
        for name in sorted(names, key=lambda text: -int(text.split("x")[-1])):
            small = int(name.split("x")[-1]) < 8
            windows = ["1x1", "2x2"] if small else ["1x1", "2x2", "4x4"]
            axes[name] = Axis(windows, when={"layout": [PER_LAYER], "checkpoint": names[name]})
    axes |= {"rows": ROWS, "dac_bits": BITS, "adc_bits": BITS}
    return Space(axes | {"unused": ["unformed", "hrs"], "recalibration": ["none", "batch_norm"]})


def _trainings(checkpoints: Sequence[str]) -> dict[str, list[str]]:
    """The trainings of each network that has several."""
    known = {c: [kind for kind in TRAININGS if trained_as(c, kind) in RECIPES] for c in checkpoints}
    return {c: kinds for c, kinds in known.items() if len(kinds) > 1}


def trained_as(checkpoint: str, training: str) -> str:
    """The name of a checkpoint's network, trained further."""
    name, _, data = checkpoint.rpartition("-")
    return checkpoint if training == "plain" else f"{name}-{training}-{data}"


def searched_point(design: dict[str, Any], images: int) -> Point:
    """The point of a design of `search_space`; one and the same where all windows are alike and that layout."""
    design = dict(design)
    training = design.pop(f"training {design['checkpoint']}", "plain")
    windows = [name for name in design if name.startswith("window ")]
    if len({design[name] for name in windows}) == 1:
        (layout,) = {design.pop(name) for name in windows}
        design["layout"] = "dense" if layout == "1x1" else layout
    return make_point({**design, "checkpoint": trained_as(design["checkpoint"], training)}, images)


def fidelities(p: SimpleNamespace) -> list[Fidelity]:
    """Images and chips of a first look at a design, and of a closer one."""
    return [Fidelity(p.first_images, p.first_seeds), Fidelity(p.closer_images, p.closer_seeds)]


def front(run: Run) -> pd.DataFrame:
    """The search of the figure: see `memlib.exploration.multi_objective.search`."""
    p = run.p
    space = search_space(p.search_checkpoints, p.devices, p.search_layouts)
    looks = [fidelities(p)[0], Fidelity(p.search_images, p.search_seeds)]
    return search(space, evaluate, searched_point, OBJECTIVES, run.store, p.search_points, looks)


def plot_front(frame: pd.DataFrame, origin: str) -> Figure:
    """Accuracy over each cost: all designs tried, and with intervals those that may be on the front of them all."""
    figure, axes = plt.subplots(1, 3, figsize=(11.4, 4.3), sharey=True)
    networks = list(dict.fromkeys(frame["checkpoint"]))
    marks = dict(zip(networks, "osD^vP*", strict=False))
    likely = frame[frame["on_front"] >= 0.05]
    for axis, cost, factor, text in (
        (axes[0], "isaac_energy", 1e6, "energy of an inference (µJ), ISAAC"),
        (axes[1], "isaac_latency", 1e3, "latency of an inference (ms), ISAAC"),
        (axes[2], "isaac_area", 1e6, "area (mm²), ISAAC"),
    ):
        axis.scatter(factor * frame[cost], 100 * frame["accuracy"], s=5, color="0.8", zorder=0)
        for row in likely.itertuples():
            x, y = factor * getattr(row, cost), 100 * row.accuracy
            bars = [[y - 100 * row.low], [100 * row.high - y]]
            axis.errorbar(
                x, y, bars, fmt=marks[row.checkpoint], color=COLORS[row.layout], markersize=3 + 4 * row.on_front,
                markerfacecolor=COLORS[row.layout] if row.on_front >= 0.5 else "white", elinewidth=0.7,
            )  # fmt: skip
        axis.set(xscale="log", xlabel=text)
    axes[0].set_ylabel("accuracy (%)")
    lines = [plt.Line2D([], [], color="0.3", marker=marks[c], linestyle="", label=label(c)) for c in networks]
    lines += [
        plt.Line2D([], [], color=COLORS[name], linewidth=4, label=name)
        for name in COLORS
        if name in set(frame["layout"])
    ]
    figure.legend(handles=lines, loc="lower center", ncol=5, frameon=False, bbox_to_anchor=(0.5, 0.03))
    first, best = frame[frame["fidelity"] == 0], frame[frame["fidelity"] == frame["fidelity"].max()]
    looks = [f"{part['n'].max()} chips and {part['images'].max()} images" for part in (best, first) if len(part)]
    note = f"{origin}. {len(frame)} designs tried, with {', or unlikely ones '.join(looks)}. Coloured:\n"
    note += (
        "on the front of all four objectives with a probability of 5 % or more (filled: of half). Bars: 95 % intervals"
    )
    figure.text(0.01, 0.005, note, fontsize="x-small", color="0.3")
    figure.tight_layout(rect=(0, 0.16, 1, 1))
    return figure


# A space that is known


def known_space(p: SimpleNamespace) -> Space:
    """A small space, so that every design can be evaluated."""
    axes: dict[str, Any] = {"checkpoint": [p.known_checkpoint], "device": [p.answer_device]}
    axes |= {"layout": p.known_layouts, "rows": [64, 128, 256], "dac_bits": p.known_dac_bits, "adc_bits": BITS[:-1]}
    return Space(axes | {"recalibration": ["none", "batch_norm"]})


def evaluator(store: Path, objectives: Sequence[str] = tuple(OBJECTIVES)) -> Evaluator:
    """An evaluator of designs in the study's store; costs other than those of `OBJECTIVES` should be small too."""
    return Evaluator(evaluate, searched_point, {name: OBJECTIVES.get(name, "min") for name in objectives}, store, {})


def curves(run: Run) -> pd.DataFrame:
    """The share of the true front's volume that each search dominates after each design.

    The truth is that of every design at a first look; volumes are of accuracy and the logarithms of those costs that
    differ at all, bounded by the worst of each.

    Returns:
        A row per sampler, repeat (its seed) and number of designs: share, and on_front, those found of the true front.

    Raises:
        SweepError: if a design of the space fails.
    """
    p, evaluate_all, space = run.p, evaluator(run.store), known_space(run.p)
    fidelity, grid = fidelities(p)[0], space.grid()
    evaluated = [known for known in evaluate_all(grid, fidelity) if known]
    if len(evaluated) < len(grid):
        raise SweepError(f"{len(grid) - len(evaluated)} of {len(grid)} designs failed: the true front is not known")
    truth = _qualities(evaluated)
    differ = np.ptp(truth, axis=0) > 0
    senses = [sense for sense, counts in zip(OBJECTIVES.values(), differ, strict=True) if counts]
    everything = truth[:, differ]
    reference = np.where(np.array(senses) == "max", everything.min(0), everything.max(0))
    whole = hypervolume(everything, senses, reference)
    true_front = {tuple(row) for row in everything[nondominated(everything, senses)]}
    rows = []
    for sampler, repeat in itertools.product(("tpe", "random"), range(p.known_repeats)):
        known = explore(space, evaluate_all, p.known_points, fidelity, repeat, sampler=sampler)
        tried = _qualities(known)[:, differ]
        for n in range(1, len(tried) + 1):
            share = hypervolume(tried[:n], senses, reference) / whole
            hit = len({tuple(row) for row in tried[:n]} & true_front)
            rows.append({"sampler": sampler, "repeat": repeat, "designs": n, "share": share, "on_front": hit})
    return pd.DataFrame(rows).assign(space=len(truth), front=len(true_front))


def _qualities(known: Sequence[Known]) -> np.ndarray:
    values = np.array([list(k.values.values()) for k in known])
    values[:, 1:] = np.log(values[:, 1:])
    return values


#: Names of the samplers in figures.
SAMPLERS = {"tpe": "search (TPE)", "random": "random search"}


def plot_searches(frame: pd.DataFrame) -> Figure:
    """Share of the true front's volume over designs tried: each repeat, and the mean."""
    figure, axis = plt.subplots(figsize=(4.8, 3.6))
    for (sampler, name), color, style in zip(SAMPLERS.items(), (COLORS["dense"], "0.35"), ("-", "--"), strict=True):
        part = frame[frame["sampler"] == sampler].pivot(index="designs", columns="repeat", values="share")
        axis.plot(part.index, 100 * part, color=color, linewidth=0.5, alpha=0.4)
        axis.plot(part.index, 100 * part.mean(axis=1), style, color=color, linewidth=2, label=name)
    axis.set(xlabel=f"designs tried, of {frame['space'].iloc[0]}", ylabel="volume dominated\n(% of the true front's)")
    low = np.percentile(frame[frame["designs"] >= 8]["share"], 1)
    axis.set_ylim(100 * max(0, low - 0.05), 100.8)
    axis.legend(loc="lower right", title=f"thick: mean of {frame['repeat'].nunique()} searches")
    figure.tight_layout()
    return figure


def search_claims(run: Run) -> list[Claim]:
    """The claim that the search beats random search at equal budget, by the share of the volume that it dominates."""
    frame = run.once(curves)
    budget, size = frame["designs"].max(), frame["space"].iloc[0]
    last = frame[frame["designs"] == budget].pivot(index="repeat", columns="sampler", values="share")
    text = f"after {budget} of {size} designs, search dominates more of the front's volume than random search"
    about = Statement("search_against_random", text, "search", "09_design_space_search")
    return [above(about, seed_interval(last["tpe"] - last["random"], constant=True))]
