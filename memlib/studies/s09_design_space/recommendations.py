"""The answer: which hardware is the cheapest for a given accuracy, and how sure that is."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from memlib.evidence.claims import Claim, Statement, above, below, below_times
from memlib.evidence.intervals import Interval, crossed_interval, difference_interval
from memlib.exploration.multi_objective import Known, climb
from memlib.exploration.pareto import mean_draws
from memlib.studies.run import Run
from memlib.studies.s09_design_space.designer_table import by_design, fresh_chips, fresh_losses, points_text
from memlib.studies.s09_design_space.formula_fits import COLORS, MARKERS, float_hits
from memlib.studies.s09_design_space.searches import evaluator, fidelities, searched_point
from memlib.studies.shared.designs import QUANTITIES, output_sizes
from memlib.studies.shared.trained_networks import float_accuracy, label, network_of
from memlib.studies.study import Sweep

#: All that the answer knows of a design beside its accuracy.
COSTS = ("isaac_energy", "isaac_latency", "isaac_area", "li2022_energy", "li2022_latency", "li2022_area")
#: Fields of a design that the answer gives beside its network, layout and tile.
BITS = ("dac_bits", "adc_bits")
#: Fields in which the answer's designs differ.
NAMED = ("checkpoint", "layout", "rows", *BITS)
#: Names of the technologies in figures.
TITLES = {"isaac": "ISAAC", "li2022": "Li et al."}
#: The converters that take most of their energy.
DOMINANT = {"isaac": "DACs", "li2022": "ADCs"}
#: A design is recommended if its mean over chips keeps to its target with this probability.
SURE = 0.9
#: By rows of the tiles, the candidates of each network as far as they are known.
Studied = dict[int, list[list[Known]]]


def candidates(checkpoint: str, rows: int, p: SimpleNamespace) -> list[dict]:
    """The designs that the answer is chosen from: all combinations; one layout if there are no convolutions."""
    layouts = p.answer_layouts if output_sizes(checkpoint) else ["dense"]
    axes = {"layout": layouts, "dac_bits": p.answer_dac_bits, "adc_bits": p.answer_adc_bits}
    common = {"checkpoint": checkpoint, "device": p.answer_device, "rows": rows}
    return [common | dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def losses_of(known: Known) -> np.ndarray:
    """(seeds, images) what a design loses on each image against its float network: 1, 0, or -1 where it is better."""
    return float_hits(known.design["checkpoint"], known.hits.shape[1]) - known.hits.astype(float)


def loss_draws(known: Sequence[Known]) -> np.ndarray:
    """(draws, designs) joint draws of the mean losses of designs, each on its own images."""
    return mean_draws([losses_of(k) for k in known], 1000, bounds=(-1.0, 1.0))


def cheapest_probability(known: Sequence[Known], keeps: np.ndarray, cost: str) -> np.ndarray:
    """The probability of each design to be the cheapest of those that are good enough, on average over chips.

    Args:
        keeps: (draws, designs) whether they are.
    """
    priced = np.where(keeps, [k.values[cost] for k in known], np.inf)
    wins = np.bincount(priced.argmin(1)[np.isfinite(priced).any(1)], minlength=len(known))
    return wins / len(priced)


def recommended(known: Sequence[Known], keeps: np.ndarray, cost: str) -> int | None:
    """Which design is the cheapest that is good enough with a probability of `SURE`; None: none is."""
    sure = np.flatnonzero(keeps.mean(0) >= SURE).tolist()
    return min(sure, key=lambda i: known[i].values[cost], default=None)


def studied(run: Run) -> Studied:
    """All candidates as far as they are known: those that may be the answer are known best."""
    return {
        rows: [_study(candidates(checkpoint, rows, run.p), run) for checkpoint in run.p.answer_checkpoints]
        for rows in run.p.answer_rows
    }


def _study(designs: Sequence[dict], run: Run) -> list[Known]:
    """The candidates of one network on tiles of one size.

    A design is looked at more closely if it may take the least energy of its layout for some target, or accuracy, with
    a probability of 5 %, or would be recommended by what is known of it.
    """
    evaluate_here, looks = evaluator(run.store, ("accuracy", *COSTS)), fidelities(run.p)
    known = [k for k in evaluate_here(designs, looks[0]) if k]
    spare = [float_accuracy(designs[0]["checkpoint"]) - least for least in run.p.answer_accuracies]
    targets = [*run.p.answer_targets, *(loss for loss in spare if loss > 0)]
    return climb(known, evaluate_here, looks, lambda current: _wanted(current, targets))


def answers(run: Run) -> pd.DataFrame:
    """`answer` for all tiles, networks and both technologies, one below another."""
    networks, targets = itertools.chain(*run.once(studied).values()), run.p.answer_targets
    return pd.concat([answer(known, targets, t) for known in networks for t in TITLES], ignore_index=True)


def all_best_networks(run: Run) -> pd.DataFrame:
    """`best_networks` for all tiles and both technologies, one below another."""
    sizes = [list(itertools.chain(*networks)) for networks in run.once(studied).values()]
    at = run.p.answer_accuracies
    return pd.concat([best_networks(known, at, t) for known in sizes for t in TITLES], ignore_index=True)


def _wanted(known: Sequence[Known], targets: Sequence[float]) -> np.ndarray:
    """How much each design matters for the answer, from 0 to 1."""
    probability, draws = np.zeros(len(known)), loss_draws(known)
    for layout, target, technology in itertools.product(_by_layout(known).values(), targets, TITLES):
        rivals, keeps, cost = [known[i] for i in layout], draws[:, layout] <= target, f"{technology}_energy"
        probability[layout] = np.maximum(probability[layout], cheapest_probability(rivals, keeps, cost))
        best = recommended(rivals, keeps, cost)
        if best is not None:
            probability[layout[best]] = 1.0
    return probability


def _by_layout(known: Sequence[Known]) -> dict[str, np.ndarray]:
    layouts = np.array([k.design["layout"] for k in known])
    return {layout: np.flatnonzero(layouts == layout) for layout in dict.fromkeys(layouts)}


def answer(known: Sequence[Known], targets: Sequence[float], technology: str) -> pd.DataFrame:
    """For each target and layout of one network on tiles of one size, the cheapest design that surely keeps to it.

    Returns:
        A row each: checkpoint, technology, rows, target, layout; cheapest, the probability that the cheapest of all
        candidates is of this layout; ratio, the least energy of this layout by that of the dense one, its median and
        95 % interval over draws in which both have a design that keeps to the target; and of the design (none if no
        candidate keeps to the target with a probability of `SURE`) dac_bits, adc_bits, loss with low and high, keeps,
        its probability to keep to the target, energy, latency, area, n and images.
    """
    draws, rows, cost = loss_draws(known), [], f"{technology}_energy"
    for target in targets:
        keeps = draws <= target
        wins = cheapest_probability(known, keeps, cost)
        ratios = _energy_ratios(known, keeps, cost)
        for layout, chosen in _by_layout(known).items():
            row = {name: known[0].design[name] for name in ("checkpoint", "rows")} | {"technology": technology}
            row |= {"target": target, "layout": layout, "cheapest": wins[chosen].sum()}
            row |= dict(zip(RATIO, ratios[layout], strict=True))
            best = recommended([known[i] for i in chosen], keeps[:, chosen], cost)
            if best is not None:
                design = known[chosen[best]]
                loss = _loss(design)
                row |= {"loss": loss.mean, "low": loss.low, "high": loss.high}
                row |= {"keeps": keeps[:, chosen[best]].mean()} | _details(design, technology)
            rows.append(row)
    return pd.DataFrame(rows, columns=ANSWER)


#: Columns of `answer`.
RATIO = ("ratio", "ratio_low", "ratio_high")
ANSWER = ["checkpoint", "technology", "rows", "target", "layout", "cheapest", *RATIO, *BITS, "loss", "low", "high"]
ANSWER += ["keeps", *QUANTITIES, "n", "images"]


def _energy_ratios(known: Sequence[Known], keeps: np.ndarray, cost: str) -> dict[str, tuple[float, float, float]]:
    """The least energy of each layout that keeps to the target, by that of the dense one: median, low and high."""
    energies = np.where(keeps, [k.values[cost] for k in known], np.inf)
    least = {layout: energies[:, chosen].min(1) for layout, chosen in _by_layout(known).items()}
    ratios = {}
    for layout, energy in least.items():
        both = np.isfinite(energy) & np.isfinite(least.get("dense", np.full(len(energy), np.inf)))
        if both.mean() < 0.5:
            ratios[layout] = (np.nan,) * 3
        else:
            ratios[layout] = tuple(np.percentile(energy[both] / least["dense"][both], [50, 2.5, 97.5]))
    return ratios


def _loss(known: Known) -> Interval:
    return difference_interval(float_hits(known.design["checkpoint"], known.hits.shape[1]), known.hits)


def _details(known: Known, technology: str) -> dict[str, Any]:
    details = {name: known.design[name] for name in BITS}
    details |= {name: known.values[f"{technology}_{name}"] for name in QUANTITIES}
    return details | dict(zip(("n", "images"), known.hits.shape, strict=True))


def best_networks(known: Sequence[Known], accuracies: Sequence[float], technology: str) -> pd.DataFrame:
    """For each accuracy, the cheapest design of all networks and layouts, on tiles of one size, that surely reaches it.

    Returns:
        A row for each accuracy that some design reaches with a probability of `SURE`: technology, rows, at_least,
        checkpoint, layout; cheapest, the probability that the cheapest of all is of this network and layout;
        accuracy with low and high, keeps, its probability to be reached; and as `answer` from there.
    """
    networks = np.array([float_accuracy(k.design["checkpoint"]) for k in known])
    draws, rows, cost = networks - loss_draws(known), [], f"{technology}_energy"
    for least in accuracies:
        keeps = draws >= least
        best = recommended(known, keeps, cost)
        if best is not None:
            winner = known[best]
            kind = {name: winner.design[name] for name in ("checkpoint", "layout")}
            same = [all(k.design[name] == value for name, value in kind.items()) for k in known]
            row = {"technology": technology, "rows": winner.design["rows"], "at_least": least, **kind}
            row |= {"cheapest": cheapest_probability(known, keeps, cost)[same].sum()}
            loss, whole = _loss(winner), networks[best]
            row |= {"accuracy": whole - loss.mean, "low": whole - loss.high, "high": whole - loss.low}
            rows.append(row | {"keeps": keeps[:, best].mean()} | _details(winner, technology))
    return pd.DataFrame(rows, columns=NETWORKS)


#: Columns of `best_networks`.
NETWORKS = ["technology", "rows", "at_least", "checkpoint", "layout", "cheapest", "accuracy", "low", "high", "keeps"]
NETWORKS += [*BITS, *QUANTITIES, "n", "images"]


def confirmed_designs(table: pd.DataFrame, checkpoints: Sequence[str], target: float, device: str) -> list[dict]:
    """The answer's designs that fresh chips confirm, by the energy of ISAAC's circuits."""
    chosen = table["checkpoint"].isin(checkpoints) & (table["target"] == target) & (table["technology"] == "isaac")
    designs = table[chosen].dropna(subset=["adc_bits"])[list(NAMED)]
    return [{**design, "device": device} for design in designs.astype(dict.fromkeys(BITS, int)).to_dict("records")]


def on_fresh_chips(run: Run, designs: Sequence[dict]) -> pd.DataFrame:
    """Results of designs on chips that did not choose them."""
    points = [searched_point(design, run.p.claim_images) for design in designs]
    return run.evaluate(Sweep(points, fresh_chips(run.p)))


def claims(run: Run) -> list[Claim]:
    """All claims about the answer."""
    p, table = run.p, run.once(answers)
    smallest = table[table["rows"] == min(p.answer_rows)]
    confirmed = confirmed_designs(smallest, p.claim_checkpoints, p.claim_target, p.answer_device)
    best = run.once(all_best_networks)
    reached = best[best["at_least"] == p.claim_accuracy]
    designs = network_designs(reached, p.answer_device)
    return [
        *answer_claims(confirmed, on_fresh_chips(run, confirmed), table, p.claim_target),
        *network_claims(reached, designs, on_fresh_chips(run, designs)),
    ]


def answer_claims(designs: Sequence[dict], results: pd.DataFrame, table: pd.DataFrame, target: float) -> list[Claim]:
    """The claims that recommended designs keep to the target on fresh chips, and about layouts' energies.

    Args:
        results: of the designs' points, as `sweep` returns them.
        table: from `answer`.
    """
    losses = fresh_losses(designs, results)
    decided = []
    for design, (i, _) in zip(designs, losses, strict=True):
        key = f"recommended/{network_of(design['checkpoint'])}/{design['layout']}/{design['rows']}_rows"
        about = Statement(key, f"{_name(design)} loses under {points_text(target)} on fresh chips", "recommendation")
        decided.append(below(about, i, target))
    checkpoints = [design["checkpoint"] for design in designs]
    chosen = (table["target"] == target) & table["checkpoint"].isin(checkpoints) & (table["layout"] != "dense")
    for row in table[chosen].dropna(subset=["ratio", "n"]).to_dict("records"):
        where = f"{label(row['checkpoint'])}, {TITLES[row['technology']]}, {row['rows']} rows, {points_text(target)}"
        text = f"{where}: {row['layout']} takes less energy than dense, each with what it needs"
        key = f"energy/{row['layout']}/{network_of(row['checkpoint'])}/{row['technology']}/{row['rows']}_rows"
        ratio, low, high = (row[name] for name in RATIO)
        interval = Interval(ratio, low, high, int(row["n"]), int(row["images"]))
        decided.append(below_times(Statement(key, text, "power"), interval))
    return decided


def network_designs(table: pd.DataFrame, device: str) -> list[dict]:
    """The different designs of `best_networks`."""
    designs = table[list(NAMED)].drop_duplicates()
    return [{**design, "device": device} for design in designs.to_dict("records")]


def network_claims(table: pd.DataFrame, designs: Sequence[dict], results: pd.DataFrame) -> list[Claim]:
    """The claims that the networks' recommended designs reach their accuracy on fresh chips, one for each row.

    Args:
        table: from `best_networks`.
        designs: its `network_designs`.
        results: of the designs' points, as `sweep` returns them.
    """
    chips, decided = by_design(designs, results), []
    for row in table.to_dict("records"):
        (hits,) = (h for design, h in zip(designs, chips, strict=True) if all(row[n] == design[n] for n in NAMED))
        accuracy = crossed_interval(hits)
        text = f"{_name(row)}, {TITLES[row['technology']]}: over {100 * row['at_least']:g} % right on fresh chips"
        about = Statement(f"network/{row['technology']}/{row['rows']}_rows", text, "recommendation")
        decided.append(replace(above(about, accuracy, row["at_least"]), unit="%"))
    return decided


def _name(design: dict[str, Any]) -> str:
    bits = f"{design['dac_bits']} DAC and {design['adc_bits']} ADC bits"
    return f"{label(design['checkpoint'])}: the recommended {design['layout']} design ({design['rows']} rows, {bits})"


def plot_answer(table: pd.DataFrame, origin: str) -> Figure:
    """Energy of the cheapest design of each layout: a row per technology, a column per tile and target."""
    columns = list(table[["rows", "target"]].drop_duplicates().sort_values(["rows", "target"]).itertuples(index=False))
    technologies, checkpoints = list(dict.fromkeys(table["technology"])), list(dict.fromkeys(table["checkpoint"]))
    size = (2.5 * len(columns) + 1.8, (0.5 * len(checkpoints) + 1.0) * len(technologies) + 0.8)
    figure, axes = plt.subplots(len(technologies), len(columns), figsize=size, sharex="row", sharey=True, squeeze=False)
    for (technology, (rows, target)), axis in zip(itertools.product(technologies, columns), axes.flat, strict=True):
        group = table[(table["technology"] == technology) & (table["rows"] == rows) & (table["target"] == target)]
        axis.add_patch(plt.Rectangle((0.81, 0), 0.19, 1, transform=axis.transAxes, color="0.93", zorder=0))
        for i, checkpoint in enumerate(checkpoints):
            _answers(axis, group[group["checkpoint"] == checkpoint], i)
        energy = 1e6 * table[table["technology"] == technology]["energy"].dropna()
        if len(energy):  # a power of ten at least, so that there are marks on the axis
            axis.set_xlim(min(energy.min() / 1.6, energy.max() / 12), 20 * energy.max())
        energies = f"energy (µJ), {TITLES[technology]}: {DOMINANT[technology]} dominate"
        axis.set(xscale="log", ylim=(len(checkpoints) - 0.4, -0.6), xlabel=energies)
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.yaxis.grid(visible=False)
        axis.set_yticks(range(len(checkpoints)), [label(c) for c in checkpoints])
    for axis, (rows, target) in zip(axes[0], columns, strict=True):
        axis.set_title(f"tiles of {rows} rows\nat most {points_text(target)} lost", fontsize="medium")
    layouts = [name for name in COLORS if name in set(table["layout"])]
    lines = [plt.Line2D([], [], color=COLORS[n], marker=MARKERS[n], linestyle="", label=n) for n in layouts]
    figure.legend(
        handles=lines, loc="lower center", ncol=len(lines), frameon=False, bbox_to_anchor=(0.5, 0.5 / size[1])
    )
    looks = f"{origin}, up to {table['n'].max():g} chips and {table['images'].max():g} images. "
    note = (
        looks + "%: probability that the cheapest of all\n"
        "designs has this layout (bold: over half). Grey strip: no design of this layout\n"
        "surely loses so little, and its energy is not known"
    )
    figure.text(0.01, 0.1 / size[1], note, fontsize="x-small", color="0.3")
    figure.tight_layout(rect=(0, 0.87 / size[1], 1, 1))
    return figure


def _answers(axis: Axes, group: pd.DataFrame, place: int) -> None:
    """One network's designs, one below another, with the probability that the cheapest is of their layout."""
    axis.axhline(place + 0.5, color="0.85", linewidth=0.6)
    for k, row in enumerate(group.itertuples()):
        y = place + (k - (len(group) - 1) / 2) * 0.22
        known = not np.isnan(row.energy)
        share = f"{100 * row.cheapest:.0f} %" if row.cheapest >= 0.005 else ""
        where = axis.transData if known else axis.get_yaxis_transform()  # in the strip, if there is no energy
        x, fill = (1e6 * row.energy, COLORS[row.layout]) if known else (0.85, "white")
        if known or share:
            look = {"color": COLORS[row.layout], "markerfacecolor": fill, "markersize": 5}
            axis.plot(x, y, MARKERS[row.layout], transform=where, **look)
            offset: dict[str, Any] = {"xycoords": where, "textcoords": "offset points"}
            weight = "bold" if row.cheapest >= 0.5 else "normal"
            axis.annotate(share, (x, y), (5, 0), va="center", fontsize=6.5, fontweight=weight, **offset)
    if group["energy"].isna().all():
        grey: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": "small", "color": "0.4"}
        axis.annotate("none surely", (0.5, place), xycoords=("axes fraction", "data"), **grey)
