"""The study 09_design_space: what to build, what it costs, and how sure that is: searches, fronts, and the answer."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from memlib import train
from memlib.claims import Claim, exactly
from memlib.pareto import hypervolume, mean_draws, nondominated
from memlib.points import Point
from memlib.search import Budget, Evaluator, Fidelity, Known, climb, explore, search
from memlib.space import Axis, Space
from memlib.statistics import difference_interval
from memlib.studies.design_rules import (
    COLORS,
    MARKERS,
    below,
    float_hits,
    formula_points,
    hits_of,
    points_text,
    sensitivity_parts,
)
from memlib.studies.designs import PER_LAYER, QUANTITIES, evaluate, make_point, window_names
from memlib.studies.trained import inputs as trained_inputs, label, origin

__all__ = ["evaluate"]

#: Accuracy against the costs of one inference and the chip.
OBJECTIVES = {"accuracy": "max", "isaac_energy": "min", "isaac_latency": "min", "isaac_area": "min"}
#: What the answer knows of a design beside its accuracy.
COSTS = ("isaac_energy", "isaac_latency", "isaac_area", "li2022_energy", "li2022_latency", "li2022_area")
#: What the answer says of a design: its tile, and what is known of it.
TILE = ("rows", "dac_bits", "adc_bits")
DETAILS = (*TILE, "loss", "low", "high", "keeps", *QUANTITIES, "n", "images")
#: What figures call the technologies.
TITLES = {"isaac": "ISAAC", "li2022": "Li et al."}
BITS = [3, 4, 5, 6, 7, 8]
ROWS = [32, 64, 128, 256, 512]
#: How a network may be trained further, where there is such a checkpoint.
TRAININGS = ("plain", "longer", "noise")
#: A design is recommended if it keeps to its target with this probability.
SURE = 0.9
#: The chips that confirm the answer are others than those that chose it.
FRESH_CHIPS = 100


# The search


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
    """The trainings there are of each network that has several."""
    found = {c: [kind for kind in TRAININGS if trained_as(c, kind) in train.read_manifest()] for c in checkpoints}
    return {c: kinds for c, kinds in found.items() if len(kinds) > 1}


def trained_as(checkpoint: str, training: str) -> str:
    """The name of a checkpoint's network, trained further."""
    name, _, data = checkpoint.rpartition("-")
    return checkpoint if training == "plain" else f"{name}-{training}-{data}"


def searched_point(design: dict[str, Any], images: int) -> Point:
    """The point of a design of `search_space`."""
    design = dict(design)
    training = design.pop(f"training {design['checkpoint']}", "plain")
    return make_point({**design, "checkpoint": trained_as(design["checkpoint"], training)}, images)


def run_search(space: Space, store: Path, points: int, fidelities: Sequence[Fidelity]) -> pd.DataFrame:
    """The search of the figure: see `memlib.search.search`."""
    return search(space, evaluate, searched_point, OBJECTIVES, store, Budget(points=points), fidelities)


def plot_front(found: pd.DataFrame) -> Figure:
    """Accuracy over each cost: all designs tried, and with intervals those that may be on the front of them all."""
    figure, axes = plt.subplots(1, 3, figsize=(11.4, 4.3), sharey=True)
    networks = list(dict.fromkeys(found["checkpoint"]))
    marks = dict(zip(networks, "osD^vP*", strict=False))
    likely = found[found["on_front"] >= 0.05]
    for axis, cost, factor, text in (
        (axes[0], "isaac_energy", 1e6, "energy of an inference (µJ), ISAAC"),
        (axes[1], "isaac_latency", 1e3, "latency of an inference (ms), ISAAC"),
        (axes[2], "isaac_area", 1e6, "area (mm²), ISAAC"),
    ):
        axis.scatter(factor * found[cost], 100 * found["accuracy"], s=5, color="0.8", zorder=0)
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
        if name in set(found["layout"])
    ]
    figure.legend(handles=lines, loc="lower center", ncol=5, frameon=False, bbox_to_anchor=(0.5, 0.03))
    best = found[found["fidelity"] == found["fidelity"].max()]
    note = (
        f"{origin(networks)}. {len(found)} designs tried (grey); coloured: on the front with a probability of 5 % or "
    )
    note += f"more (filled: of half), {best['n'].max()} chips and {best['images'].max()} images; bars: 95 % intervals"
    figure.text(0.01, 0.005, note, fontsize="x-small", color="0.3")
    figure.tight_layout(rect=(0, 0.16, 1, 1))
    return figure


# A space that is known


def known_space(checkpoint: str, device: str, layouts: Sequence[str]) -> Space:
    """A small one, every design of which can be evaluated."""
    axes = {"checkpoint": [checkpoint], "device": [device], "layout": list(layouts), "rows": [64, 128, 256]}
    return Space(axes | {"dac_bits": [3, 4, 6, 8], "adc_bits": BITS[:-1], "recalibration": ["none", "batch_norm"]})


def evaluator(store: Path, objectives: Sequence[str] = tuple(OBJECTIVES)) -> Evaluator:
    """Evaluates designs in the study's store; costs other than those of `OBJECTIVES` are to be small too."""
    return Evaluator(evaluate, searched_point, {name: OBJECTIVES.get(name, "min") for name in objectives}, store, {})


def compare_searches(
    space: Space,
    store: Path,
    fidelity: Fidelity,
    budget: int,
    repeats: int,
    samplers: Sequence[str] = ("tpe", "random"),
) -> pd.DataFrame:
    """How much of what the true front dominates each search has found after so many designs.

    The truth is that of every design at `fidelity`; volumes are of accuracy and the logarithms of those costs that
    differ at all, bounded by the worst of each.

    Returns:
        A row per sampler, repeat (its seed) and number of designs: share, and on_front, those found of the true front.
    """
    evaluate_all = evaluator(store)
    truth = _qualities(evaluate_all(space.grid(), fidelity))
    differ = np.ptp(truth, axis=0) > 0
    senses = [sense for sense, counts in zip(OBJECTIVES.values(), differ, strict=True) if counts]
    everything = truth[:, differ]
    reference = np.where(np.array(senses) == "max", everything.min(0), everything.max(0))
    whole = hypervolume(everything, senses, reference)
    front = {tuple(row) for row in everything[nondominated(everything, senses)]}
    rows = []
    for sampler, repeat in itertools.product(samplers, range(repeats)):
        known = explore(space, evaluate_all, Budget(points=budget), fidelity, repeat, sampler=sampler)
        tried = _qualities(known)[:, differ]
        for n in range(1, len(tried) + 1):
            share = hypervolume(tried[:n], senses, reference) / whole
            hit = len({tuple(row) for row in tried[:n]} & front)
            rows.append({"sampler": sampler, "repeat": repeat, "designs": n, "share": share, "on_front": hit})
    return pd.DataFrame(rows).assign(space=len(truth), front=len(front))


def _qualities(known: Sequence[Known]) -> np.ndarray:
    values = np.array([list(k.values.values()) for k in known])
    values[:, 1:] = np.log(values[:, 1:])
    return values


#: What figures call the samplers.
SAMPLERS = {"tpe": "search (TPE)", "random": "random search"}


def plot_searches(curves: pd.DataFrame) -> Figure:
    """Share of the true front's volume over designs tried: each repeat, and the mean."""
    figure, axis = plt.subplots(figsize=(4.8, 3.6))
    for (sampler, name), color, style in zip(SAMPLERS.items(), (COLORS["dense"], "0.35"), ("-", "--"), strict=True):
        part = curves[curves["sampler"] == sampler].pivot(index="designs", columns="repeat", values="share")
        axis.plot(part.index, 100 * part, color=color, linewidth=0.5, alpha=0.4)
        axis.plot(part.index, 100 * part.mean(axis=1), style, color=color, linewidth=2, label=name)
    axis.set(xlabel=f"designs tried, of {curves['space'].iloc[0]}", ylabel="volume dominated\n(% of the true front's)")
    low = np.percentile(curves[curves["designs"] >= 8]["share"], 1)
    axis.set_ylim(100 * max(0, low - 0.05), 100.8)
    axis.legend(loc="lower right", title=f"thick: mean of {curves['repeat'].nunique()} searches")
    figure.tight_layout()
    return figure


def search_claims(curves: pd.DataFrame) -> list[Claim]:
    """That the search beats random search at equal budget, by the volume dominated in the end."""
    last = curves[curves["designs"] == curves["designs"].max()].pivot(index="repeat", columns="sampler", values="share")
    wins, n = int((last["tpe"] > last["random"]).sum()), len(last)
    budget, size = curves["designs"].max(), curves["space"].iloc[0]
    statement = (
        f"after {budget} of {size} designs, search dominates more than random search in at least 9 of 10 repeats"
    )
    return [exactly(statement, float(wins), wins >= 0.9 * n, unit=f"of {n}")]


# The answer


def candidates(
    checkpoint: str,
    device: str,
    layouts: Sequence[str],
    rows: Sequence[int],
    dac_bits: Sequence[int],
    adc_bits: Sequence[int],
) -> list[dict]:
    """The designs that the answer is chosen from: all combinations."""
    axes = {"layout": layouts, "rows": rows, "dac_bits": dac_bits, "adc_bits": adc_bits}
    common = {"checkpoint": checkpoint, "device": device}
    return [common | dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def loss_draws(known: Sequence[Known]) -> np.ndarray:
    """(draws, designs) joint draws of the losses of one network's designs, against its float self."""
    images = max(k.hits.shape[1] for k in known)
    accuracy = mean_draws([float_hits(known[0].design["checkpoint"], images), *(k.hits for k in known)], 1000)
    return accuracy[:, :1] - accuracy[:, 1:]


def cheapest_probability(known: Sequence[Known], draws: np.ndarray, target: float, cost: str) -> np.ndarray:
    """The probability of each design to be the cheapest of those that lose at most `target`.

    Args:
        draws: (draws, designs) of their losses.
    """
    priced = np.where(draws <= target, [k.values[cost] for k in known], np.inf)
    found = np.bincount(priced.argmin(1)[np.isfinite(priced).any(1)], minlength=len(known))
    return found / len(priced)


def study_candidates(
    designs: Sequence[dict], store: Path, targets: Sequence[float], fidelities: Sequence[Fidelity]
) -> list[Known]:
    """What is known of one network's candidates; those that may be the answer are known best.

    A design is looked at more closely if it may be the cheapest of its layout for some target with a probability of
    2 %, or would be recommended by what is known of it.
    """
    evaluate_here = evaluator(store, ("accuracy", *COSTS))
    known = [k for k in evaluate_here(designs, fidelities[0]) if k]
    return climb(known, evaluate_here, fidelities, 0.02, lambda current: _wanted(current, targets))


def _wanted(known: Sequence[Known], targets: Sequence[float]) -> np.ndarray:
    """How much each design matters for the answer, from 0 to 1."""
    probability, layouts = np.zeros(len(known)), np.array([k.design["layout"] for k in known])
    draws = loss_draws(known)
    for layout, target, technology in itertools.product(dict.fromkeys(layouts), targets, TITLES):
        chosen = np.flatnonzero(layouts == layout)
        part = cheapest_probability([known[i] for i in chosen], draws[:, chosen], target, f"{technology}_energy")
        probability[chosen] = np.maximum(probability[chosen], part)
        best = _recommended(known, draws, chosen, target, technology)
        if best is not None:
            probability[best] = 1.0
    return probability


def _recommended(
    known: Sequence[Known], draws: np.ndarray, chosen: np.ndarray, target: float, technology: str
) -> int | None:
    """The cheapest of the chosen designs that keeps to the target with a probability of `SURE`."""
    sure = [i for i in chosen if (draws[:, i] <= target).mean() >= SURE]
    return min(sure, key=lambda i: known[i].values[f"{technology}_energy"], default=None)


def answer(known: Sequence[Known], targets: Sequence[float], technology: str) -> pd.DataFrame:
    """For each target and layout of one network, the cheapest design that surely keeps to it.

    Returns:
        A row each: checkpoint, technology, target, layout; rows, dac_bits, adc_bits, loss with low and high, energy,
        latency and area of the design (none if no candidate keeps to the target with a probability of `SURE`), keeps,
        that probability, and cheapest, the probability that the cheapest of all candidates is of this layout.
    """
    draws, rows = loss_draws(known), []
    layouts = np.array([k.design["layout"] for k in known])
    for target in targets:
        wins = cheapest_probability(known, draws, target, f"{technology}_energy")
        for layout in dict.fromkeys(layouts):
            chosen = np.flatnonzero(layouts == layout)
            best = _recommended(known, draws, chosen, target, technology)
            labels = {"checkpoint": known[0].design["checkpoint"], "technology": technology, "target": target}
            row = labels | {"layout": layout, "cheapest": wins[chosen].sum()} | dict.fromkeys(DETAILS, np.nan)
            rows.append(row if best is None else row | _details(known[best], draws[:, best], target, technology))
    return pd.DataFrame(rows)


def _details(known: Known, draws: np.ndarray, target: float, technology: str) -> dict[str, Any]:
    found = {name: known.design[name] for name in TILE}
    loss = difference_interval(float_hits(known.design["checkpoint"], known.hits.shape[1]), known.hits)
    found |= {"loss": loss.mean, "low": loss.low, "high": loss.high, "keeps": (draws <= target).mean()}
    found |= {name: known.values[f"{technology}_{name}"] for name in QUANTITIES}
    return found | dict(zip(("n", "images"), known.hits.shape, strict=True))


def confirmed_designs(table: pd.DataFrame, checkpoints: Sequence[str], target: float, device: str) -> list[dict]:
    """The answer's designs that fresh chips confirm, by the energy of ISAAC's circuits."""
    chosen = table[
        table["checkpoint"].isin(checkpoints) & (table["target"] == target) & (table["technology"] == "isaac")
    ]
    names = ["checkpoint", "layout", *TILE]
    chosen = chosen.dropna(subset=["rows"])[names].astype(dict.fromkeys(TILE, int))
    return [{**design, "device": device} for design in chosen.to_dict("records")]


def answer_claims(designs: Sequence[dict], results: pd.DataFrame, table: pd.DataFrame, target: float) -> list[Claim]:
    """That the recommended designs keep to the target on fresh chips, and what they cost beside the dense one.

    Args:
        results: of the designs' points, as `sweep` returns them.
    """
    chips, found = len(results) // max(len(designs), 1), []
    for number, design in enumerate(designs):
        hits = hits_of(results.iloc[number * chips : (number + 1) * chips])
        i = difference_interval(float_hits(design["checkpoint"], hits.shape[1]), hits)
        found.append(below(f"{_name(design)} loses under {points_text(target)} on fresh chips", i, target))
    rows = table[(table["technology"] == "isaac") & (table["target"] == target)].dropna(subset=["rows"])
    for checkpoint in dict.fromkeys(design["checkpoint"] for design in designs):
        energy = rows[rows["checkpoint"] == checkpoint].set_index("layout")["energy"]
        for layout in energy.index.drop("dense", errors="ignore"):
            if "dense" in energy:
                ratio = float(energy[layout] / energy["dense"])
                where = f"{label(checkpoint)}, ISAAC, at most {points_text(target)} lost"
                statement = f"the recommended {layout} design takes less energy than the recommended dense one"
                found.append(exactly(f"{where}: {statement}", ratio, ratio < 1))
    return found


def _name(design: dict[str, Any]) -> str:
    bits = f"{design['dac_bits']} DAC and {design['adc_bits']} ADC bits"
    return f"{label(design['checkpoint'])}: the recommended {design['layout']} design ({design['rows']} rows, {bits})"


def plot_answer(table: pd.DataFrame) -> Figure:
    """Energy of the cheapest design of each layout: a row per technology, a column per target."""
    targets, technologies = sorted(set(table["target"])), list(dict.fromkeys(table["technology"]))
    checkpoints = list(dict.fromkeys(table["checkpoint"]))
    size = (2.9 * len(targets) + 2.2, (0.42 * len(checkpoints) + 1.1) * len(technologies) + 0.8)
    figure, axes = plt.subplots(len(technologies), len(targets), figsize=size, sharex="row", sharey=True, squeeze=False)
    for (technology, target), axis in zip(itertools.product(technologies, targets), axes.flat, strict=True):
        part = table[(table["technology"] == technology) & (table["target"] == target)]
        for i, checkpoint in enumerate(checkpoints):
            _answers(axis, part[part["checkpoint"] == checkpoint], i)
        energy = 1e6 * table[table["technology"] == technology]["energy"].dropna()
        if len(energy):  # a power of ten at least, so that there are marks on the axis
            axis.set_xlim(min(energy.min() / 1.6, energy.max() / 12), 1.6 * energy.max())
        axis.set(xscale="log", ylim=(len(checkpoints) - 0.4, -0.6))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_yticks(range(len(checkpoints)), [label(c) for c in checkpoints])
    for axis, target in zip(axes[0], targets, strict=True):
        axis.set_title(f"at most {points_text(target)} lost")
    for line, technology in zip(axes, technologies, strict=True):
        for axis in line:
            axis.set_xlabel(f"energy (µJ), {TITLES[technology]}")
    layouts = [name for name in COLORS if name in set(table["layout"])]
    lines = [plt.Line2D([], [], color=COLORS[n], marker=MARKERS[n], linestyle="", label=n) for n in layouts]
    figure.legend(handles=lines, loc="lower center", ncol=len(lines), frameon=False)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    return figure


def _answers(axis: Axes, part: pd.DataFrame, place: int) -> None:
    for row in part.dropna(subset=["rows"]).itertuples():
        share = f"{100 * row.cheapest:.0f} %" if row.cheapest >= 0.005 else ""
        axis.plot(1e6 * row.energy, place, MARKERS[row.layout], color=COLORS[row.layout], markersize=6)
        axis.annotate(share, (1e6 * row.energy, place), (0, 5), textcoords="offset points", ha="center", fontsize=6.5)
    if part["rows"].isna().all():
        axis.annotate(
            "none surely", (0.5, place), xycoords=("axes fraction", "data"), ha="center", va="center", color="0.4"
        )


# Sweeps


def sweeps(
    formula_checkpoints: Sequence[str],
    formula_layouts: Sequence[str],
    formula_designs: int,
    severities: Sequence[float],
    tile_rows: Sequence[int],
    adc_bits: Sequence[int],
    images: int,
    device_seeds: int,
    sensitivity_checkpoints: Sequence[str],
    sensitivity_layouts: Sequence[str],
    sensitivity_n: int,
    sensitivity_images: int,
    **_: Any,
) -> list[tuple[list[Point], Any]]:
    """Points and seeds of the formula and the sensitivity; what searches evaluate depends on what they find."""
    designs = formula_points(
        formula_checkpoints, formula_layouts, formula_designs, severities, tile_rows, adc_bits, images
    )
    parts = sensitivity_parts(sensitivity_checkpoints, sensitivity_layouts, sensitivity_n, sensitivity_images)
    return [(designs, range(device_seeds)), *parts]


def inputs(checkpoints: Sequence[str]) -> dict[str, Any]:
    """What is fixed beside the parameters, for the provenance file."""
    trained = [
        trained_as(c, kind) for c in checkpoints for kind in TRAININGS if trained_as(c, kind) in train.read_manifest()
    ]
    return trained_inputs(dict.fromkeys(trained)) | {"sure": SURE, "fresh_chips": FRESH_CHIPS}
