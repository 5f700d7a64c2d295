"""The study 07_capacity: do parameters, connections or the layout decide how much noise is tolerated?"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from scipy import stats
from torch import Tensor

from memlib.base.checks import one_of
from memlib.evidence.claims import Claim, beyond
from memlib.evidence.comparisons import Chips, Comparison, Labelled, Loss
from memlib.evidence.intervals import crossed_interval
from memlib.evidence.tolerances import tolerance
from memlib.layers.geometry import Geometry
from memlib.layers.mappable import matrix_layers
from memlib.studies.drawing import Drawing, errorbars
from memlib.studies.effects import (
    PLAIN,
    RECALIBRATIONS,
    Setting,
    add_note,
    evaluate,
    loss_of,
    make_point,
    seeds_of,
    settings,
)
from memlib.studies.s07_capacity import trainings
from memlib.studies.s07_capacity.connectivities import (
    EFFECT,
    FAMILIES,
    HRS,
    Families,
    Pair,
    count_axis,
    families_of,
    float_accuracy,
    looks,
    pairs,
    parameters,
    unused_of,
)
from memlib.studies.trained_networks import label, prepared, shared_fields, split
from memlib.sweeps.points import Point
from memlib.training.pruning import following_norms
from memlib.zoo.checkpoints import load_checkpoint

__all__ = ["Chips", "evaluate", "pairs", "settings"]

#: Recalibrations of the ladders.
ROWS = ("none", "batch_norm")
#: How layouts are drawn, and what they choose.
LAYOUTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "dense": ({"color": "0.2", "marker": "s"}, {}),
    "sparse": ({"color": sns.color_palette("colorblind")[0], "marker": "o"}, {"layout": "sparse"}),
    f"dense{HRS}": ({"color": "0.2", "marker": "s", "markerfacecolor": "white"}, {"unused": "hrs"}),
    f"sparse{HRS}": (
        {"color": sns.color_palette("colorblind")[0], "marker": "o", "markerfacecolor": "white"},
        {"layout": "sparse", "unused": "hrs"},
    ),
}


# Points


def points(families: Families, images: int, severities: Sequence[float]) -> Labelled:
    """The ladders with their labels: each network over severities, 0 first, with and without recalibration."""
    found = []
    for family, checkpoints in families.items():
        for checkpoint, recalibration, severity in itertools.product(checkpoints, ROWS, (0, *severities)):
            labels = {"family": family, "checkpoint": checkpoint, "recalibration": recalibration, "severity": severity}
            how = recalibration
            point = make_point(checkpoint, images, EFFECT, severity, recalibration=how, **unused_of(family))
            found.append((labels, point))
    return found


def layer_points(checkpoints: Sequence[str], images: int, severity: float) -> list[tuple[dict[str, Any], Loss]]:
    """What noise in one layer alone costs."""
    found = []
    for checkpoint in checkpoints:
        baseline = make_point(checkpoint, images)
        for depth, layer in enumerate(matrix_layers(load_checkpoint(checkpoint))):
            point = make_point(checkpoint, images, EFFECT, severity, layer=layer)
            found.append(({"checkpoint": checkpoint, "layer": layer, "depth": depth}, Loss(point, baseline)))
    return found


@dataclass(frozen=True)
class PairComparison(Comparison):
    """A claim about a pair."""

    pair: Pair
    setting: Setting

    @property
    def control(self) -> bool:
        """Whether it says how far to trust the others, rather than anything by itself."""
        return self.pair.equal == "accuracy" and self.pair.family == "ordinary"


def comparisons(
    families: Families,
    finetuned: Sequence[str],
    layout_checkpoints: Sequence[str],
    images: int,
    severity: float,
    chosen: Sequence[Setting],
) -> list[Comparison]:
    """The claims, in every setting, and controls.

    In the first one, connectivities of equal parameters are also compared with conductances scaled to the largest
    weight of each column rather than of the layer.
    """
    found = []
    for setting in chosen:
        at = images, severity, setting
        found += _layout_claims(layout_checkpoints, *at)
        for pair in pairs(families, finetuned):
            found.append(pair_comparison(pair, *at))
            if setting == PLAIN and pair.equal == "parameters" and not pair.family.endswith("pruned"):
                found.append(pair_comparison(pair, *at, w_max="column"))
        found += _width_claims(families, *at)
    return sorted(found, key=lambda comparison: comparison.statement)


def pair_comparison(pair: Pair, images: int, severity: float, setting: Setting, **more: Any) -> PairComparison:
    """The claim that a pair's network loses more."""

    def loss(checkpoint: str, **choices: Any) -> Loss:
        """What one of its networks loses."""
        return loss_of(checkpoint, images, EFFECT, severity, setting, **choices, **more)

    scaled = ", scaled by column" if more else ""
    statement = f"programming error {severity:g}, dense, {pair.statement}{scaled}{setting}"
    return PairComparison(statement, pair.terms(loss), pair, setting)


def margins(compared: Sequence[Comparison], chips: Chips) -> dict[Setting, float]:
    """By how many points a network may differ from ordinary ones of its accuracy for no reason but the comparison.

    A loss is no straight line over accuracy, as the comparison takes it for, and each network was trained once. Both
    show in the controls: the margin of a setting is their largest difference, up or down.
    """
    found: dict[Setting, float] = {}
    for comparison in compared:
        if isinstance(comparison, PairComparison) and comparison.control:
            effect = abs(comparison.claim(chips).effect)
            found[comparison.setting] = max(effect, found.get(comparison.setting, 0.0))
    return found


def decided(comparison: Comparison, chips: Chips, margin: dict[Setting, float]) -> Claim:
    """The claim; at equal accuracy, only what lies beyond the margin of its setting counts."""
    claim = comparison.claim(chips)
    if not isinstance(comparison, PairComparison) or comparison.pair.equal != "accuracy":
        return claim
    return beyond(claim, margin.get(comparison.setting, 0.0))


def claims(compared: Sequence[Comparison], chips: Chips) -> list[Claim]:
    """All but the controls, decided."""
    margin = margins(compared, chips)
    chosen = [c for c in compared if not (isinstance(c, PairComparison) and c.control)]
    return [decided(comparison, chips, margin) for comparison in chosen]


def _width_claims(families: Families, images: int, severity: float, setting: Setting) -> list[Comparison]:
    """The narrowest of each family against the widest."""
    found = []
    for family in [name for name in families if not name.endswith("pruned") and len(families[name]) > 1]:
        ends = (f(families[family], key=parameters) for f in (min, max))
        narrow, wide = (loss_of(c, images, EFFECT, severity, setting, **unused_of(family)) for c in ends)
        statement = f"dense, width: {family}: the narrowest network loses more than the widest{setting}"
        found.append(Comparison(f"programming error {severity:g}, {statement}", ((1.0, narrow), (-1.0, wide))))
    return found


def _layout_claims(checkpoints: Sequence[str], images: int, severity: float, setting: Setting) -> list[Comparison]:
    """The same network in both layouts, without unused cells and with them."""
    found = []
    for checkpoint, cells in itertools.product(checkpoints, ("", HRS)):
        dense, sparse = (
            _layout_loss(checkpoint, images, severity, setting, f"{x}{cells}") for x in ("dense", "sparse")
        )
        statement = f"equal network{cells}: {label(checkpoint)} loses more in the sparse than in the dense layout"
        terms = (1.0, sparse), (-1.0, dense)
        found.append(Comparison(f"programming error {severity:g}, {statement}{setting}", terms))
    return found


def has_unused(checkpoint: str) -> bool:
    """Whether the dense layout leaves cells unused, between the groups of a layer."""
    return any(Geometry.of(layer).groups > 1 for layer in matrix_layers(load_checkpoint(checkpoint)).values())


def _layout_loss(checkpoint: str, images: int, severity: float, setting: Setting, layout: str) -> Loss:
    """What the severity costs in one of `LAYOUTS`."""
    if layout == f"dense{HRS}" and not has_unused(checkpoint):
        layout = "dense"
    return loss_of(checkpoint, images, EFFECT, severity, setting, **LAYOUTS[layout][1])


def sweeps(
    ordinary_checkpoints: Sequence[str],
    grouped_checkpoints: Sequence[str],
    separable_checkpoints: Sequence[str],
    weights_checkpoints: Sequence[str],
    channels_checkpoints: Sequence[str],
    finetuned_checkpoints: Sequence[str],
    severities: Sequence[float],
    images: int,
    device_seeds: int,
    layer_checkpoints: Sequence[str],
    layer_severity: float,
    layer_seeds: int,
    layout_checkpoints: Sequence[str],
    claim_severity: float,
    claim_recalibrations: Sequence[str],
    claim_ranges: Sequence[str],
    claim_images: int,
    claim_seeds: int,
    training_seeds: Sequence[int],
) -> list[tuple[list[Point], Any]]:
    """Points and seeds of the ladders, single layers, claims and other trainings, from the notebook's parameters.

    Raises:
        ValueError: for a claim_severity that is none of severities.
    """
    one_of("claim_severity", claim_severity, severities)
    families = families_of(
        ordinary_checkpoints, grouped_checkpoints, separable_checkpoints, weights_checkpoints, channels_checkpoints
    )
    ladders = [point for _, point in points(families, images, severities)]
    layers = [
        p for _, loss in layer_points(layer_checkpoints, images, layer_severity) for p in (loss.point, loss.baseline)
    ]
    chosen = settings(claim_recalibrations, claim_ranges)
    compared = comparisons(families, finetuned_checkpoints, layout_checkpoints, claim_images, claim_severity, chosen)
    chosen = settings(claim_recalibrations, claim_ranges[:1])
    compared += trainings.comparisons(families, training_seeds, claim_images, claim_severity, chosen)
    claims = [point for comparison in compared for point in comparison.points]
    return [(ladders, seeds_of(device_seeds)), (layers, seeds_of(layer_seeds)), (claims, seeds_of(claim_seeds))]


# Tables


def tidy(results: pd.DataFrame, labelled: Labelled) -> pd.DataFrame:
    """A row per labelled point: parameters, mean accuracy over chips, and what the severity costs, with intervals."""
    chips, rows = Chips(results), []
    names = "family", "checkpoint", "recalibration"
    baselines = {tuple(x[name] for name in names): point for x, point in labelled if not x["severity"]}
    for labels, point in labelled:
        loss = Loss(point, baselines[tuple(labels[name] for name in names)])
        i, lost = crossed_interval(chips.hits(point)), chips.lost(loss)
        row = {**labels, "parameters": parameters(labels["checkpoint"]), **i.columns()}
        rows.append(row | {"loss": lost.mean, "loss_low": lost.low, "loss_high": lost.high})
    return pd.DataFrame(rows)


def tolerances(results: pd.DataFrame, labelled: Labelled) -> pd.DataFrame:
    """For each network, with and without recalibration, the largest severity that costs at most 1 point."""
    chips = Chips(results)
    curves: dict[tuple[str, ...], dict[float, Any]] = {}
    for labels, point in labelled:
        key = tuple(labels[name] for name in ("family", "checkpoint", "recalibration"))
        curves.setdefault(key, {})[labels["severity"]] = chips.hits(point)
    rows = []
    for (family, checkpoint, recalibration), hits in curves.items():
        t = tolerance(list(hits), list(hits.values()))
        labels = {"family": family, "checkpoint": checkpoint, "recalibration": recalibration}
        labels |= {"parameters": parameters(checkpoint), "float_accuracy": float_accuracy(checkpoint)}
        rows.append(labels | {"tolerance": t.severity, "low": t.low, "high": t.high, "n": t.n, "images": t.images})
    return pd.DataFrame(rows)


def matches(compared: Sequence[Pair]) -> pd.DataFrame:
    """A row per pair: what each network is compared with, unused cells or not."""
    rows = []
    for pair in [pair for pair in compared if not pair.family.endswith(HRS)]:
        row: dict[str, Any] = {"equal": pair.equal, "family": pair.family, "checkpoint": pair.checkpoint}
        row |= {"parameters": parameters(pair.checkpoint), "float accuracy": float_accuracy(pair.checkpoint)}
        names = [name if share == 1 else f"{share:.3f} {name}" for share, name in pair.others]
        rows.append(row | {"compared with": " + ".join(names)})
    return pd.DataFrame(rows)


def differences(
    results: pd.DataFrame, compared: Sequence[Pair], images: int, severity: float, chosen: Sequence[Setting]
) -> pd.DataFrame:
    """A row per pair and setting: how much more its network loses, and whether that is no more than a bound."""
    chips, rows = Chips(results), []
    all_of = [pair_comparison(pair, images, severity, setting) for setting in chosen for pair in compared]
    margin = margins(all_of, chips)
    for comparison in all_of:
        claim, pair = decided(comparison, chips, margin), comparison.pair
        labels: dict[str, Any] = {"equal": pair.equal, "family": pair.family, "checkpoint": pair.checkpoint}
        labels |= {**asdict(comparison.setting), "control": comparison.control}
        found = {name: getattr(claim, name) for name in ("effect", "low", "high", "verdict", "n", "images")}
        rows.append(labels | found | {"at chance": claim.statement.endswith("at chance")})
    return pd.DataFrame(rows)


def noise_gains(checkpoints: Sequence[str]) -> pd.DataFrame:
    """How much noise each layer lets through, for the inputs that calibration images cause.

    A pair's programming error, sigma (g_on - g_off) in each cell, stands for sqrt(2) sigma max|W|. Over the passes of a
    layer the error of output j has a part that does not change, from the mean of the inputs, which in the dense layout
    shifts a whole channel, and one that does:

        constant_j = sqrt(2) max|W| sqrt(sum_i E[x_i]^2)/std(y_j)
        varying_j = sqrt(2) max|W| sqrt(sum_i Var[x_i])/std(y_j)

    Times sigma they are errors relative to the spread of the output, which batch norm scales to 1.

    Returns:
        A row per layer: depth, its number from the input; inputs of an output; normalised, whether batch norm takes its
        output; constant and varying, of the median output that has weights.
    """
    rows = []
    for checkpoint in checkpoints:
        found = prepared(*split(shared_fields(checkpoint, 1))[0])
        norms = following_norms(found.model)
        for depth, (name, layer) in enumerate(matrix_layers(found.model).items()):
            weight = layer.weight.detach()
            constant, varying = _noise_gain(weight, Geometry.of(layer).groups, found.record[name].passes)
            labels = {"checkpoint": checkpoint, "layer": name, "depth": depth, "inputs": weight[0].numel()}
            rows.append(labels | {"normalised": name in norms, "constant": constant, "varying": varying})
    return pd.DataFrame(rows)


def _noise_gain(weight: Tensor, groups: int, passes: Tensor) -> tuple[float, float]:
    """The two noise gains of the median output of a layer, from (n, inputs) of its passes."""
    w = weight.double().flatten(1).unflatten(0, (groups, -1))  # (groups, outputs, inputs)
    x = passes.double().unflatten(1, (groups, -1)).movedim(1, 0)  # (groups, n, inputs)
    spread = (x @ w.mT).std(1)  # (groups, outputs)
    error = math.sqrt(2) * w.abs().max()
    alive = w.abs().amax(2) > 0

    def median(variance: Tensor) -> float:
        """Of the gains, from (groups,) what the inputs of an output add up to."""
        return float((error * variance.sqrt()[:, None] / spread)[alive].median())

    return median(x.mean(1).square().sum(1)), median(x.var(1).sum(1))


def layer_losses(results: pd.DataFrame, labelled: Sequence[tuple[dict[str, Any], Loss]]) -> pd.DataFrame:
    """A row per layer: what noise in it alone costs."""
    chips, rows = Chips(results), []
    for labels, loss in labelled:
        rows.append(labels | chips.lost(loss).columns("loss"))
    return pd.DataFrame(rows)


def explanations(frame: pd.DataFrame, severity: float) -> pd.DataFrame:
    """A row per network and recalibration: what the severity costs without unused cells, and what may explain it.

    Returns:
        noise: the root of the sum over layers of (severity times noise gain)^2, of both gains, or of the varying one
        where batch norm is recalibrated, which takes constant errors away; layers; parameters; loss.
    """
    chosen = frame[(frame["severity"] == severity) & ~frame["family"].str.endswith(HRS)]
    gains = noise_gains(list(dict.fromkeys(chosen["checkpoint"])))
    names = ["family", "checkpoint", "recalibration", "parameters", "loss", "loss_low", "loss_high", "n", "images"]
    table = chosen[names].reset_index(drop=True)
    left = {"none": gains["constant"], "batch_norm": gains["constant"].where(~gains["normalised"], 0.0)}
    for recalibration, constant in left.items():
        squares = (gains["varying"] ** 2 + constant**2).groupby(gains["checkpoint"]).sum()
        rows = table["recalibration"] == recalibration
        table.loc[rows, "noise"] = severity * np.sqrt(table.loc[rows, "checkpoint"].map(squares))
    table["layers"] = table["checkpoint"].map(gains["checkpoint"].value_counts())
    return table


def correlations(table: pd.DataFrame) -> pd.DataFrame:
    """Spearman's rank correlation of the loss with each explanation, over networks: a description, no test."""
    rows = []
    for recalibration, part in table.groupby("recalibration", sort=False):
        for name in ("parameters", "layers", "noise"):
            found = stats.spearmanr(part[name], part["loss"]).statistic
            labels = {"recalibration": recalibration, "explanation": name}
            rows.append(labels | {"spearman": found, "networks": len(part)})
    return pd.DataFrame(rows)


def layout_losses(
    results: pd.DataFrame, checkpoints: Sequence[str], images: int, severity: float, chosen: Sequence[Setting]
) -> pd.DataFrame:
    """A row per network, layout and setting: what the severity costs, from the points of the claims."""
    chips, rows = Chips(results), []
    for checkpoint, layout, setting in itertools.product(checkpoints, LAYOUTS, chosen):
        if layout == f"dense{HRS}" and not has_unused(checkpoint):
            continue
        lost = chips.lost(_layout_loss(checkpoint, images, severity, setting, layout))
        labels = {"checkpoint": checkpoint, "layout": layout, **asdict(setting)}
        rows.append(labels | lost.columns("loss"))
    return pd.DataFrame(rows)


# Figures


def plot(frame: pd.DataFrame, tolerances: pd.DataFrame, claim_severity: float, origin: str) -> Figure:
    """Rows: without and with recalibration. Columns: tolerance and loss over parameters, loss over accuracy."""
    one_of("claim_severity", claim_severity, frame["severity"].unique())
    figure, axes = plt.subplots(len(ROWS), 3, figsize=(10.5, 6.4), squeeze=False, sharex="col")
    for recalibration, row in zip(ROWS, axes, strict=True):
        tolerated = tolerances[tolerances["recalibration"] == recalibration]
        lost = frame[(frame["recalibration"] == recalibration) & (frame["severity"] == claim_severity)]
        lost = lost.merge(tolerances[["family", "checkpoint", "recalibration", "float_accuracy"]])
        for family, look in looks().items():
            part = tolerated[tolerated["family"] == family].sort_values("parameters")
            _tolerances(row[0], part, frame["severity"].max(), look)
            part = lost[lost["family"] == family].sort_values("parameters")
            bars = [100 * part[name] for name in ("loss", "loss_low", "loss_high")]
            _errors(row[1], part["parameters"], *bars, **look)
            _errors(row[2], 100 * part["float_accuracy"], *bars, **look)
        row[0].set_ylabel(f"{RECALIBRATIONS[recalibration]}\n\ntolerance: sigma by range for 1 point")
        row[1].set_ylabel(f"points lost at {claim_severity:g}")
        row[2].set_ylabel(f"points lost at {claim_severity:g}")
    for axis in axes[:, :2].flat:
        count_axis(axis)
    for axis, name in zip(axes[-1], ("parameters that are not pruned",) * 2 + ("float accuracy (%)",), strict=True):
        axis.set_xlabel(name)
    handles, names = axes[0, 1].get_legend_handles_labels()
    figure.legend(handles, names, loc="upper center", ncols=len(names), frameon=False)
    add_note(figure, frame, origin, "dense layout; bars: 95 % intervals, for tolerances between severities tried")
    figure.tight_layout(rect=(0, 0.025, 1, 0.955))
    return figure


def _errors(axis: Axes, x: pd.Series, y: pd.Series, low: pd.Series, high: pd.Series, **look: Any) -> None:
    """A ladder with its intervals."""
    axis.errorbar(x, y, (y - low, high - y), markersize=4, linewidth=1, capsize=2, elinewidth=0.8, **look)


def _tolerances(axis: Axes, part: pd.DataFrame, most: float, look: dict[str, Any]) -> None:
    """Tolerances and intervals; arrows point to those beyond the largest severity tried."""
    y, low, high = (part[name].clip(upper=most) for name in ("tolerance", "low", "high"))
    bars = np.maximum([y - low, high - y], 0)
    axis.errorbar(part["parameters"], y, bars, markersize=4, linewidth=1, capsize=2, elinewidth=0.8, **look)
    beyond = part["parameters"][np.isinf(part["high"])]
    axis.plot(beyond, [1.03 * most] * len(beyond), linestyle="", marker="$\\uparrow$", color=look["color"])


def plot_explained(
    gains: pd.DataFrame,
    losses: pd.DataFrame,
    table: pd.DataFrame,
    claim_severity: float,
    layer_severity: float,
    origin: str,
) -> Figure:
    """Over depth, noise gains, and what noise in a layer alone costs; over the sum of gains, what networks lose."""
    figure, axes = plt.subplots(1, 4, figsize=(13.5, 3.9))
    networks = list(losses["checkpoint"].unique())
    for checkpoint, color, marker in zip(networks, sns.color_palette("colorblind"), "osD^v", strict=False):
        look: dict[str, Any] = {"color": color, "marker": marker, "markersize": 3.5, "linewidth": 1}
        part = gains[gains["checkpoint"] == checkpoint]
        axes[0].plot(part["depth"], part["varying"], **look, label=label(checkpoint))
        axes[0].plot(part["depth"], part["constant"], **look, linestyle=":", markerfacecolor="w")
        part = losses[losses["checkpoint"] == checkpoint]
        errorbars(axes[1], part["depth"], part, "loss", **look)
    for axis, recalibration in zip(axes[2:], ROWS, strict=True):
        for family in table["family"].unique():
            part = table[(table["family"] == family) & (table["recalibration"] == recalibration)]
            bars = [100 * part[name] for name in ("loss", "loss_low", "loss_high")]
            _errors(axis, part["noise"], *bars, **looks()[family] | {"linestyle": ""})
        which = "both gains" if recalibration == "none" else "varying gains"
        axis.set(title=RECALIBRATIONS[recalibration], ylabel=f"points lost at {claim_severity:g}")
        axis.set_xlabel(f"root sum of squares of {claim_severity:g} x {which}")
    axes[0].set(xlabel="layer, from the input", ylabel="noise gain (dotted: constant)", yscale="log")
    axes[1].set(xlabel="layer, from the input", ylabel=f"points lost, {layer_severity:g} in this layer alone")
    for axis, x in ((axes[0], 0.03), (axes[2], 0.53)):
        handles, names = axis.get_legend_handles_labels()
        place = {"bbox_to_anchor": (x, 1.0), "ncols": 3}
        figure.legend(handles, names, loc="upper left", **place, frameon=False, fontsize="small")
    add_note(figure, losses, origin, f"right: {table['n'].max()} chips; bars: 95 % intervals")
    figure.tight_layout(rect=(0, 0.04, 1, 0.87))
    return figure


def plot_differences(frame: pd.DataFrame, claim_severity: float, origin: str) -> Figure:
    """Left at equal parameters, right at equal accuracy: how many more points each network loses, in every setting."""
    chosen = frame[["recalibration", "adc_calibration"]].drop_duplicates().to_dict("records")
    kinds = [kind for kind in ("parameters", "accuracy") if kind in set(frame["equal"])]
    drawn, families = dict.fromkeys(zip(frame["family"], frame["checkpoint"], strict=True)), list(FAMILIES)
    names = sorted(drawn, key=lambda name: families.index(name[0]))
    size = (4.2 * len(kinds) + 2.4, 0.3 * len(names) + 1.6)
    figure, axes = plt.subplots(1, len(kinds), figsize=size, sharex=True, sharey=True, squeeze=False)
    for kind, axis in zip(kinds, axes[0], strict=True):
        axis.set_xscale("symlog", linthresh=1)  # most are about a point, some half of all
        part = frame[frame["equal"] == kind]
        for number, setting in enumerate(chosen):
            here = part[(part[list(setting)] == pd.Series(setting)).all(axis=1)]
            _forest(axis, here, names, 0.18 * (number - (len(chosen) - 1) / 2), setting)
        axis.axvline(0, color="0.4", linewidth=0.8)
        _margins(axis, part[part["control"]])
        axis.set_xlabel(f"points lost at a programming error of {claim_severity:g},\nmore than ordinary networks")
        axis.set_title(f"equal {kind}")
    axes[0, 0].set_yticks(range(len(names)), [_network(*name) for name in names], fontsize="small")
    axes[0, 0].set_ylim(len(names) - 0.5, -0.5)
    axes[0, 0].xaxis.set_major_locator(FixedLocator([-100, -30, -10, -3, -1, 0, 1, 3, 10, 30, 100]))
    axes[0, 0].xaxis.set_major_formatter("{x:g}")
    axes[0, 0].xaxis.set_minor_locator(NullLocator())
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=len(labels), frameon=False)
    dotted = "; dotted: the largest of ordinary networks" if frame["control"].any() else ""
    note = f"\nbars: 95 % intervals; crosses: bounds (at chance); linear from -1 to 1{dotted}"
    add_note(figure, frame, origin, note)
    figure.tight_layout(rect=(0, 0.4 / size[1], 1, 0.95))
    return figure


def _margins(axis: Axes, controls: pd.DataFrame) -> None:
    """Dotted lines at the largest difference of controls, for each setting."""
    for (recalibration, _), part in controls.groupby(["recalibration", "adc_calibration"]):
        color = sns.color_palette("colorblind")[list(RECALIBRATIONS).index(str(recalibration))]
        for x in (-1, 1):
            axis.axvline(x * part["effect"].abs().max(), color=color, linewidth=0.9, linestyle=":")


def _network(family: str, checkpoint: str) -> str:
    return label(checkpoint).removeprefix("ResNet-20, ") + (HRS if family.endswith(HRS) else "")


def _forest(
    axis: Axes, part: pd.DataFrame, names: list[tuple[str, str]], dodge: float, setting: dict[str, str]
) -> None:
    """One setting's differences, a row per network, a little above or below the others'."""
    color = sns.color_palette("colorblind")[list(RECALIBRATIONS).index(setting["recalibration"])]
    look: dict[str, Any] = {"color": color, "linestyle": "", "capsize": 1.5, "elinewidth": 0.8, "markersize": 4}
    look["markerfacecolor"] = color if setting["adc_calibration"] == "design" else "white"
    rows = [names.index(name) for name in zip(part["family"], part["checkpoint"], strict=True)]
    places = np.array(rows) + dodge
    for floored, marker in ((False, "o"), (True, "x")):
        here = (part["at chance"] == floored).to_numpy()
        shown = part[here]
        bars = (shown["effect"] - shown["low"], shown["high"] - shown["effect"])
        text = f"{RECALIBRATIONS[setting['recalibration']]}, {setting['adc_calibration']} ranges"
        axis.errorbar(shown["effect"], places[here], xerr=bars, marker=marker, **look, label=None if floored else text)


def plot_layouts(frame: pd.DataFrame, claim_severity: float, origin: str) -> Figure:
    """A panel per network: what the severity costs in each setting, in the dense and the sparse layout."""
    networks = list(frame["checkpoint"].unique())
    figure, axes = plt.subplots(1, len(networks), figsize=(3.1 * len(networks) + 1, 3.3), sharey=True, squeeze=False)
    for checkpoint, axis in zip(networks, axes[0], strict=True):
        part = frame[frame["checkpoint"] == checkpoint]
        for number, (layout, (look, _)) in enumerate(LAYOUTS.items()):
            chosen = part[part["layout"] == layout]
            places = np.arange(len(chosen)) + 0.15 * (number - 1.5)
            look = look | {"label": layout.replace(", ", ",\n"), "linestyle": "", "capsize": 2, "markersize": 4.5}
            errorbars(axis, places, chosen, "loss", **look)
        found = part[["recalibration", "adc_calibration"]].drop_duplicates()
        names = [f"{RECALIBRATIONS[r]},\n{a} ranges" for r, a in found.itertuples(index=False)]
        axis.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize="x-small")
        axis.set_title(label(checkpoint))
    axes[0, 0].set_ylabel(f"points lost at {claim_severity:g}")
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    add_note(figure, frame, origin, "bars: 95 % intervals")
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return figure


_EXPLAINED = ("07_capacity_explained_gains", "07_capacity_explained", "07_capacity_explained_networks")
FIGURES = {
    "07_capacity": Drawing(plot, ("07_capacity", "07_capacity_tolerance"), ("claim_severity", "origin")),
    "07_capacity_explained": Drawing(plot_explained, _EXPLAINED, ("claim_severity", "layer_severity", "origin")),
    "07_capacity_differences": Drawing(plot_differences, ("07_capacity_differences",), ("claim_severity", "origin")),
    "07_capacity_layouts": Drawing(plot_layouts, ("07_capacity_layouts",), ("claim_severity", "origin")),
}
