"""The study 07_capacity: do parameters, connections or the layout decide how much noise is tolerated?"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from memlib import train
from memlib.layers import matrix_layers
from memlib.points import Point
from memlib.pruning import nonzero_count
from memlib.statistics import crossed_interval, tolerance
from memlib.studies.effects import (
    SETTINGS,
    Chips,
    Comparison,
    Loss,
    Setting,
    evaluate,
    interval_columns,
    make_point,
    seeds_of,
)
from memlib.studies.trained import label, origin

__all__ = ["evaluate"]

#: The noise: a normal error of every cell's conductance, relative to the range between HRS and LRS.
EFFECT = "program_error"
HRS = ", unused cells at HRS"
#: Kinds of networks, and markers of figures. Grouped layers leave cells of the dense layout unused; these are unformed
#: but in the kinds that say so. In the other kinds every cell holds a weight, those that are pruned one of 0.
FAMILIES = {
    "ordinary": "o",
    "grouped": "s",
    f"grouped{HRS}": "s",
    "separable": "D",
    f"separable{HRS}": "D",
    "weights pruned": "^",
    "channels pruned": "v",
}
RECALIBRATIONS = {"none": "no recalibration", "batch_norm": "batch norm recalibrated"}
#: How layouts are drawn, and what they choose.
LAYOUTS = {
    "dense": ({"color": "0.2", "marker": "s"}, {}),
    "sparse": ({"color": sns.color_palette("colorblind")[0], "marker": "o"}, {"layout": "sparse"}),
    f"dense{HRS}": ({"color": "0.2", "marker": "s", "markerfacecolor": "white"}, {"unused": "hrs"}),
    f"sparse{HRS}": (
        {"color": sns.color_palette("colorblind")[0], "marker": "o", "markerfacecolor": "white"},
        {"layout": "sparse", "unused": "hrs"},
    ),
}
Families = dict[str, Sequence[str]]


@lru_cache
def parameters(checkpoint: str) -> int:
    """How many parameters a network has, less those that are pruned."""
    return nonzero_count(train.load_checkpoint(checkpoint))


def accuracy_of(checkpoint: str) -> float:
    """Of the float network on the whole test set."""
    return train.manifest_entry(checkpoint)["accuracy"]["test"]


def families_of(
    ordinary: Sequence[str],
    grouped: Sequence[str],
    separable: Sequence[str],
    weights: Sequence[str],
    channels: Sequence[str],
) -> Families:
    """The checkpoints of each of `FAMILIES`."""
    listed = ordinary, grouped, grouped, separable, separable, weights, channels
    return dict(zip(FAMILIES, listed, strict=True))


def _unused(family: str) -> dict[str, str]:
    return {"unused": "hrs"} if family.endswith(HRS) else {}


# Points


def points(families: Families, images: int, severities: Sequence[float]) -> list[tuple[dict[str, Any], Point]]:
    """The ladders with their labels: each network over severities, 0 first, with and without recalibration."""
    found = []
    for family, checkpoints in families.items():
        for checkpoint, recalibration, severity in itertools.product(checkpoints, RECALIBRATIONS, (0, *severities)):
            labels = {"family": family, "checkpoint": checkpoint, "recalibration": recalibration, "severity": severity}
            choices = {"recalibration": recalibration, **_unused(family)}
            found.append((labels, make_point(checkpoint, images, EFFECT, severity, **choices)))
    return found


def layer_points(checkpoints: Sequence[str], images: int, severity: float) -> list[tuple[dict[str, Any], Loss]]:
    """What noise in one layer alone costs."""
    found = []
    for checkpoint in checkpoints:
        baseline = make_point(checkpoint, images)
        for depth, layer in enumerate(matrix_layers(train.load_checkpoint(checkpoint))):
            point = make_point(checkpoint, images, EFFECT, severity, layer=layer)
            found.append(({"checkpoint": checkpoint, "layer": layer, "depth": depth}, Loss(point, baseline)))
    return found


def matched(families: Families, family: str) -> list[tuple[str, str]]:
    """Each network of a family, and the ordinary one whose number of parameters is nearest to its."""
    distance = lambda a, b: abs(math.log(parameters(a) / parameters(b)))  # noqa: E731
    return [(c, min(families["ordinary"], key=lambda o: distance(c, o))) for c in families[family]]


def between(families: Families, checkpoint: str) -> list[tuple[float, str]]:
    """Ordinary networks, with weights that add up to 1, whose mean accuracy is that of a network; none if none are."""
    ladder = sorted(families["ordinary"], key=accuracy_of)
    for low, high in itertools.pairwise(ladder):
        a, b, wanted = accuracy_of(low), accuracy_of(high), accuracy_of(checkpoint)
        if a <= wanted <= b and a < b:
            share = (wanted - a) / (b - a)
            return [(1 - share, low), (share, high)]
    return []


def comparisons(
    families: Families, layout_checkpoints: Sequence[str], images: int, severity: float
) -> list[Comparison]:
    """The claims, in every setting; where several sizes of networks are compared, their mean decides."""
    found = []
    for setting in SETTINGS:
        found += _layout_claims(layout_checkpoints, images, severity, setting)
        found += _connectivity_claims(families, images, severity, setting)
        found += _width_claims(families, images, severity, setting)
    return sorted(found, key=lambda comparison: comparison.statement)


def _layout_claims(checkpoints: Sequence[str], images: int, severity: float, setting: Setting) -> list[Comparison]:
    """The same network in both layouts, without unused cells and with them."""
    found = []
    for checkpoint, cells in itertools.product(checkpoints, ("", HRS)):
        dense, sparse = (
            _layout_loss(checkpoint, images, severity, setting, f"{x}{cells}") for x in ("dense", "sparse")
        )
        statement = f"equal network{cells}: {label(checkpoint)} loses more in the sparse than in the dense layout"
        found.append(Comparison(f"{statement}{setting}", ((1.0, sparse), (-1.0, dense))))
    return found


def _layout_loss(checkpoint: str, images: int, severity: float, setting: Setting, layout: str) -> Loss:
    """What the severity costs in one of `LAYOUTS`."""
    return Loss.of(checkpoint, images, EFFECT, severity, setting, **LAYOUTS[layout][1])


def _connectivity_claims(families: Families, images: int, severity: float, setting: Setting) -> list[Comparison]:
    """At equal parameters, and at equal accuracy, against ordinary networks."""
    found = []
    for family in [name for name in families if name != "ordinary"]:
        equal = [[(1.0, c), (-1.0, o)] for c, o in matched(families, family)]
        inside = [(c, between(families, c)) for c in families[family]]
        alike = [[(1.0, c), *((-share, o) for share, o in ladder)] for c, ladder in inside if ladder]
        for what, sums in (("parameters", equal), ("accuracy", alike)):
            statement = f"equal {what}: {family}: loses more than ordinary networks{setting}"
            found += [_mean(statement, sums, families, family, (images, EFFECT, severity, setting))] if sums else []
    return found


def _width_claims(families: Families, images: int, severity: float, setting: Setting) -> list[Comparison]:
    found = []
    for family in [name for name in families if not name.endswith("pruned")]:
        narrow, wide = (f(families[family], key=parameters) for f in (min, max))
        statement = f"width: {family}: the narrowest network loses more than the widest{setting}"
        found.append(
            _mean(statement, [[(1.0, narrow), (-1.0, wide)]], families, family, (images, EFFECT, severity, setting))
        )
    return found


def _mean(
    statement: str,
    sums: Sequence[Sequence[tuple[float, str]]],
    families: Families,
    family: str,
    at: tuple[int, str, float, Setting],
) -> Comparison:
    """The mean of weighted sums of losses of networks; those of the family with its unused cells."""
    terms = []
    for weight, checkpoint in itertools.chain(*sums):
        unused = _unused(family) if checkpoint in families[family] else {}
        terms.append((weight / len(sums), Loss.of(checkpoint, *at, **unused)))
    return Comparison(statement, tuple(terms))


def sweeps(
    ordinary_checkpoints: Sequence[str],
    grouped_checkpoints: Sequence[str],
    separable_checkpoints: Sequence[str],
    weights_checkpoints: Sequence[str],
    channels_checkpoints: Sequence[str],
    severities: Sequence[float],
    images: int,
    device_seeds: int,
    layer_checkpoints: Sequence[str],
    layer_severity: float,
    layer_seeds: int,
    layout_checkpoints: Sequence[str],
    claim_severity: float,
    claim_images: int,
    claim_seeds: int,
) -> list[tuple[list[Point], Any]]:
    """Points and seeds of the ladders, of single layers, and of the claims, from the notebook's parameters."""
    families = families_of(
        ordinary_checkpoints, grouped_checkpoints, separable_checkpoints, weights_checkpoints, channels_checkpoints
    )
    ladders = [point for _, point in points(families, images, severities)]
    layers = [
        p for _, loss in layer_points(layer_checkpoints, images, layer_severity) for p in (loss.point, loss.baseline)
    ]
    claims = [
        point
        for comparison in comparisons(families, layout_checkpoints, claim_images, claim_severity)
        for point in comparison.points
    ]
    return [(ladders, seeds_of(device_seeds)), (layers, seeds_of(layer_seeds)), (claims, seeds_of(claim_seeds))]


# Tables


def tidy(results: pd.DataFrame, labelled: Sequence[tuple[dict[str, Any], Point]]) -> pd.DataFrame:
    """A row per labelled point: parameters, mean accuracy over chips, and what the severity costs, with intervals."""
    chips, rows = Chips(results), []
    names = "family", "checkpoint", "recalibration"
    baselines = {tuple(x[name] for name in names): point for x, point in labelled if not x["severity"]}
    for labels, point in labelled:
        loss = Loss(point, baselines[tuple(labels[name] for name in names)])
        i, lost = crossed_interval(chips.hits(point)), chips.lost(loss)
        row = {**labels, "parameters": parameters(labels["checkpoint"]), **interval_columns(i)}
        rows.append(row | {"loss": lost.mean, "loss_low": lost.low, "loss_high": lost.high})
    return pd.DataFrame(rows)


def tolerances(results: pd.DataFrame, labelled: Sequence[tuple[dict[str, Any], Point]]) -> pd.DataFrame:
    """For each network, with and without recalibration, the largest severity that costs at most 1 point."""
    chips, curves = Chips(results), {}
    for labels, point in labelled:
        key = tuple(labels[name] for name in ("family", "checkpoint", "recalibration"))
        curves.setdefault(key, {})[labels["severity"]] = chips.hits(point)
    rows = []
    for (family, checkpoint, recalibration), hits in curves.items():
        t = tolerance(list(hits), list(hits.values()))
        labels = {"family": family, "checkpoint": checkpoint, "recalibration": recalibration}
        labels |= {"parameters": parameters(checkpoint), "float_accuracy": accuracy_of(checkpoint)}
        rows.append(labels | {"tolerance": t.severity, "low": t.low, "high": t.high, "n": t.n, "images": t.images})
    return pd.DataFrame(rows)


def matches(families: Families) -> pd.DataFrame:
    """What each network is compared with: the ordinary one nearest in parameters, and those around its accuracy."""
    rows = []
    for family in [name for name in families if name != "ordinary" and not name.endswith(HRS)]:
        for checkpoint, twin in matched(families, family):
            ladder = between(families, checkpoint)
            rows.append(
                {
                    "family": family,
                    "checkpoint": checkpoint,
                    "parameters": parameters(checkpoint),
                    "equal parameters": twin,
                    "their parameters": parameters(twin),
                    "float accuracy": accuracy_of(checkpoint),
                    "equal accuracy": " + ".join(f"{share:.3f} {name}" for share, name in ladder) or "none",
                }
            )
    return pd.DataFrame(rows)


def noise_gains(checkpoints: Sequence[str]) -> pd.DataFrame:
    """How much noise each layer's weights let through: sqrt(2) max|W|/rms(W).

    Times the programming error, relative to g_on - g_off, it is the noise of an output relative to its signal, for
    inputs without correlation: a pair's error is sqrt(2) sigma (g_on - g_off), which stands for max|W|.

    Returns:
        A row per layer: depth, its number from the input; inputs of an output; noise_gain.
    """
    rows = []
    for checkpoint in checkpoints:
        for depth, (name, layer) in enumerate(matrix_layers(train.load_checkpoint(checkpoint)).items()):
            w = layer.weight.detach()
            gain = float(math.sqrt(2) * w.abs().max() / w.square().mean().sqrt())
            labels = {"checkpoint": checkpoint, "layer": name, "depth": depth, "inputs": w[0].numel()}
            rows.append(labels | {"noise_gain": gain, "weights": w.numel()})
    return pd.DataFrame(rows)


def layer_losses(results: pd.DataFrame, labelled: Sequence[tuple[dict[str, Any], Loss]]) -> pd.DataFrame:
    """A row per layer: what noise in it alone costs."""
    chips, rows = Chips(results), []
    for labels, loss in labelled:
        i = chips.lost(loss)
        rows.append(labels | {"loss": i.mean, "low": i.low, "high": i.high, "n": i.n, "images": i.images})
    return pd.DataFrame(rows)


def explanations(frame: pd.DataFrame, severity: float) -> pd.DataFrame:
    """A row per network: what the severity costs it without recalibration and unused cells, and what may explain that.

    Returns:
        noise: the root of the sum over layers of (severity times noise gain)^2; layers; parameters; loss.
    """
    chosen = frame[(frame["severity"] == severity) & (frame["recalibration"] == "none")]
    chosen = chosen[~chosen["family"].str.endswith(HRS)]
    gains = noise_gains(list(chosen["checkpoint"])).groupby("checkpoint", sort=False)["noise_gain"]
    table = chosen[["family", "checkpoint", "parameters", "loss", "loss_low", "loss_high"]].set_index("checkpoint")
    table["noise"] = severity * gains.agg(lambda gain: math.sqrt((gain**2).sum()))
    table["layers"] = gains.size()
    return table.reset_index()


def correlations(table: pd.DataFrame) -> pd.DataFrame:
    """Spearman's rank correlation of the loss with each explanation, over networks, with p-value."""
    rows = []
    for name in ("parameters", "layers", "noise"):
        found = stats.spearmanr(table[name], table["loss"])
        rows.append({"explanation": name, "spearman": found.statistic, "p": found.pvalue, "networks": len(table)})
    return pd.DataFrame(rows)


def layout_losses(results: pd.DataFrame, checkpoints: Sequence[str], images: int, severity: float) -> pd.DataFrame:
    """A row per network, layout and setting: what the severity costs, from the points of the claims."""
    chips, rows = Chips(results), []
    for checkpoint, layout, setting in itertools.product(checkpoints, LAYOUTS, SETTINGS):
        i = chips.lost(_layout_loss(checkpoint, images, severity, setting, layout))
        labels = {"checkpoint": checkpoint, "layout": layout, **asdict(setting)}
        rows.append(labels | {"loss": i.mean, "low": i.low, "high": i.high, "n": i.n, "images": i.images})
    return pd.DataFrame(rows)


# Figures


def _looks() -> dict[str, dict[str, Any]]:
    """Color, marker, line and name of each family."""
    kinds = [family for family in FAMILIES if not family.endswith(HRS)]
    colors = dict(zip(kinds, sns.color_palette("colorblind", len(kinds)), strict=True))
    looks = {}
    for family, marker in FAMILIES.items():
        color = colors[family.removesuffix(HRS)]
        looks[family] = {"color": color, "marker": marker, "label": family, "linestyle": "-"}
        if family.endswith(HRS):
            looks[family] |= {"markerfacecolor": "white", "linestyle": ":"}
    return looks


def plot(frame: pd.DataFrame, tolerances: pd.DataFrame, severity: float) -> Figure:
    """Rows: without and with recalibration. Columns: tolerance and loss over parameters, loss over accuracy."""
    figure, axes = plt.subplots(len(RECALIBRATIONS), 3, figsize=(10.5, 6.4), squeeze=False, sharex="col")
    for (recalibration, title), row in zip(RECALIBRATIONS.items(), axes, strict=True):
        tolerated = tolerances[tolerances["recalibration"] == recalibration]
        lost = frame[(frame["recalibration"] == recalibration) & (frame["severity"] == severity)]
        lost = lost.assign(float_accuracy=lost["checkpoint"].map(accuracy_of))
        for family, look in _looks().items():
            part = tolerated[tolerated["family"] == family].sort_values("parameters")
            _errors(row[0], part["parameters"], part["tolerance"], part["low"], part["high"], **look)
            part = lost[lost["family"] == family].sort_values("parameters")
            bars = [100 * part[name] for name in ("loss", "loss_low", "loss_high")]
            _errors(row[1], part["parameters"], *bars, **look)
            _errors(row[2], 100 * part["float_accuracy"], *bars, **look)
        row[0].set_ylabel(f"{title}\n\ntolerance: sigma by range for 1 point")
        row[1].set_ylabel(f"points lost at {severity:g}")
        row[2].set_ylabel(f"points lost at {severity:g}")
    for axis in axes[:, :2].flat:
        axis.set_xscale("log")
    for axis, name in zip(axes[-1], ("parameters that are not pruned",) * 2 + ("float accuracy (%)",), strict=True):
        axis.set_xlabel(name)
    handles, names = axes[0, 1].get_legend_handles_labels()
    figure.legend(handles, names, loc="upper center", ncols=len(names), frameon=False)
    _note(figure, frame, "dense layout; bars: 95 % intervals, for tolerances between severities tried")
    figure.tight_layout(rect=(0, 0.025, 1, 0.955))
    return figure


def _errors(axis: Axes, x: pd.Series, y: pd.Series, low: pd.Series, high: pd.Series, **look: Any) -> None:
    """A ladder with its intervals; those without an end are drawn to the largest value there is."""
    high = high.replace(np.inf, np.nan).fillna(y)
    bars = np.maximum([y - low, high - y], 0)
    axis.errorbar(x, y, bars, markersize=4, linewidth=1, capsize=2, elinewidth=0.8, **look)


def _note(figure: Figure, frame: pd.DataFrame, more: str) -> None:
    """Where the images come from, and how many of everything there are."""
    images = origin(list(dict.fromkeys(frame["checkpoint"])))
    note = f"{images}: {frame['images'].max()} test images, {frame['n'].max()} chips; {more}"
    figure.text(0.01, 0.006, note, fontsize="small", color="0.3")


def plot_explained(
    gains: pd.DataFrame, losses: pd.DataFrame, table: pd.DataFrame, severity: float, layer_severity: float
) -> Figure:
    """Over depth, a layer's noise gain, and what noise in it alone costs; over their sum, what networks lose."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10.5, 3.5))
    networks = list(losses["checkpoint"].unique())
    for checkpoint, color, marker in zip(networks, sns.color_palette("colorblind"), "osD^v", strict=False):
        look = {"color": color, "marker": marker, "markersize": 3.5, "linewidth": 1, "label": label(checkpoint)}
        part = gains[gains["checkpoint"] == checkpoint]
        left.plot(part["depth"], part["noise_gain"], **look)
        part = losses[losses["checkpoint"] == checkpoint]
        mean, low, high = (100 * part[name] for name in ("loss", "low", "high"))
        middle.errorbar(part["depth"], mean, (mean - low, high - mean), capsize=1.5, elinewidth=0.8, **look)
    for family in table["family"].unique():
        part = table[table["family"] == family]
        bars = [100 * part[name] for name in ("loss", "loss_low", "loss_high")]
        _errors(right, part["noise"], *bars, **_looks()[family] | {"linestyle": ""})
    left.set(xlabel="layer, from the input", ylabel="noise gain, $\\sqrt{2}\\,\\max|W|/\\mathrm{rms}(W)$", yscale="log")
    middle.set(xlabel="layer, from the input", ylabel=f"points lost, {layer_severity:g} in this layer alone")
    right.set(xlabel="root sum over layers of (severity x noise gain)²", ylabel=f"points lost at {severity:g}")
    for axis in (left, right):
        axis.legend(frameon=False, fontsize="small")
    _note(figure, losses, "bars: 95 % intervals")
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return figure


def plot_layouts(frame: pd.DataFrame, severity: float) -> Figure:
    """A panel per network: what the severity costs in each setting, in the dense and the sparse layout."""
    networks = list(frame["checkpoint"].unique())
    figure, axes = plt.subplots(1, len(networks), figsize=(3.1 * len(networks) + 1, 3.3), sharey=True, squeeze=False)
    for checkpoint, axis in zip(networks, axes[0], strict=True):
        part = frame[frame["checkpoint"] == checkpoint]
        for number, (layout, (look, _)) in enumerate(LAYOUTS.items()):
            chosen = part[part["layout"] == layout]
            mean, low, high = (100 * chosen[name] for name in ("loss", "low", "high"))
            places = np.arange(len(chosen)) + 0.15 * (number - 1.5)
            look = look | {"label": layout.replace(", ", ",\n")}
            axis.errorbar(places, mean, (mean - low, high - mean), linestyle="", capsize=2, markersize=4.5, **look)
        names = [f"{RECALIBRATIONS[s.recalibration]},\n{s.adc_calibration} ranges" for s in SETTINGS]
        axis.set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize="small")
        axis.set_title(label(checkpoint))
    axes[0, 0].set_ylabel(f"points lost at {severity:g}")
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    _note(figure, frame, "bars: 95 % intervals")
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return figure
