"""The study 12_training: what noise-aware and quantisation-aware training and digital recalibration recover."""

import itertools
from collections.abc import Sequence
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from memlib.points import Point
from memlib.recalibration import METHODS
from memlib.statistics import crossed_interval
from memlib.studies.effects import (
    EFFECTS,
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

#: The noise, as in training: a normal error of every cell's conductance, relative to the range between HRS and LRS.
EFFECT = "program_error"
TITLES = {"none": "no recalibration", "gain": "columns rescaled", "batch_norm": "batch norm recalibrated"}
Labelled = list[tuple[dict[str, Any], Point]]


def points(pairs: Sequence[tuple[str, str]], images: int, severities: Sequence[float]) -> Labelled:
    """Each network and its noise-aware twin over severities, 0 first, with each recalibration."""
    found = []
    for pair, recalibration, severity in itertools.product(pairs, METHODS, (0, *severities)):
        for training, checkpoint in zip(("plain", "noise-aware"), pair, strict=True):
            labels = {"network": pair[0], "training": training, "recalibration": recalibration, "severity": severity}
            point = make_point(checkpoint, images, EFFECT, severity, recalibration=recalibration)
            found.append((labels | {"checkpoint": checkpoint}, point))
    return found


def quantised_points(pair: tuple[str, str], images: int, severities: dict[str, Sequence[int]]) -> Labelled:
    """A network and its quantisation-aware twin, over numbers of states and of bits."""
    found = []
    for effect, levels in severities.items():
        for severity, (training, checkpoint) in itertools.product(
            levels, zip(("plain", "quantisation-aware"), pair, strict=True)
        ):
            labels = {"network": pair[0], "training": training, "effect": effect, "severity": severity}
            found.append((labels | {"checkpoint": checkpoint}, make_point(checkpoint, images, effect, severity)))
    return found


def comparisons(pairs: Sequence[tuple[str, str]], images: int, severity: float) -> list[Comparison]:
    """What training, recalibration, and both recover of the plain network's loss; and of gaps between networks."""
    found = []
    for setting in SETTINGS:
        at = images, EFFECT, severity, setting
        recovered = {plain: _recovered(plain, aware, images, severity, setting) for plain, aware in pairs}
        for plain, left in recovered.items():
            statement = f"{label(plain)}: noise-aware training recovers at least half of the loss{setting}"
            found.append(Comparison(statement, ((0.5, Loss.of(plain, *at)), (-1.0, left))))
        (first, _), *others = pairs
        for other, _ in others:
            gap = ((1.0, recovered[other]), (-1.0, recovered[first]))
            against = f"{label(other)} than {label(first)}"
            statement = f"after noise-aware training, noise still costs more in {against}{setting}"
            found.append(Comparison(statement, gap))
    for (plain, _), method, ranges in itertools.product(pairs, METHODS[1:], ("design", "chip")):
        setting = Setting("none", ranges)
        before = Loss.of(plain, images, EFFECT, severity, setting)
        after = Loss(Loss.of(plain, images, EFFECT, severity, Setting(method, ranges)).point, before.baseline)
        how = {"gain": "rescaling columns", "batch_norm": "recalibrating batch norm"}[method]
        statement = f"{label(plain)}: {how} recovers at least half of the loss{setting}"
        found.append(Comparison(statement, ((0.5, before), (-1.0, after))))
    return found


def _recovered(plain: str, aware: str, images: int, severity: float, setting: Setting) -> Loss:
    """What noise costs the noise-aware network, measured from what the plain one reaches without noise."""
    at = images, EFFECT, severity, setting
    return Loss(Loss.of(aware, *at).point, Loss.of(plain, *at).baseline)


def pairs_of(plain_checkpoints: Sequence[str], aware_checkpoints: Sequence[str]) -> list[tuple[str, str]]:
    """Networks with their noise-aware twins.

    Raises:
        ValueError: if there is not one for each.
    """
    return list(zip(plain_checkpoints, aware_checkpoints, strict=True))


def sweeps(
    plain_checkpoints: Sequence[str],
    aware_checkpoints: Sequence[str],
    severities: Sequence[float],
    images: int,
    device_seeds: int,
    quantised_checkpoints: Sequence[str],
    states: Sequence[int],
    dac_bits: Sequence[int],
    quantised_images: int,
    claim_severity: float,
    claim_images: int,
    claim_seeds: int,
) -> list[tuple[list[Point], Any]]:
    """Points and seeds of the two figures, and of the claims, from the notebook's parameters."""
    pairs = pairs_of(plain_checkpoints, aware_checkpoints)
    noisy = [point for _, point in points(pairs, images, severities)]
    levels = {"states": states, "dac_bits": dac_bits}
    coarse = [point for _, point in quantised_points(tuple(quantised_checkpoints), quantised_images, levels)]
    claims = [p for comparison in comparisons(pairs, claim_images, claim_severity) for p in comparison.points]
    return [(noisy, seeds_of(device_seeds)), (coarse, seeds_of(device_seeds)), (claims, seeds_of(claim_seeds))]


def tidy(results: pd.DataFrame, labelled: Labelled) -> pd.DataFrame:
    """A row per labelled point: mean accuracy over chips, with its 95 % interval."""
    chips = Chips(results)
    return pd.DataFrame([labels | interval_columns(crossed_interval(chips.hits(point))) for labels, point in labelled])


#: How trainings are drawn.
LOOKS = dict(
    zip(
        ("plain", "noise-aware", "quantisation-aware"),
        ({"color": c, "marker": m} for c, m in zip(sns.color_palette("colorblind"), "osD", strict=False)),
        strict=True,
    )
)


def plot(frame: pd.DataFrame, chance: float = 0.1) -> Figure:
    """A row per network, a column per recalibration: accuracy over the programming error, for both trainings."""
    networks = list(frame["network"].unique())
    size = (8.5, 2.3 * len(networks) + 0.6)
    figure, axes = plt.subplots(len(networks), len(METHODS), figsize=size, sharex=True, sharey=True, squeeze=False)
    for network, row in zip(networks, axes, strict=True):
        for method, axis in zip(METHODS, row, strict=True):
            part = frame[(frame["network"] == network) & (frame["recalibration"] == method)]
            _lines(axis, part, part["severity"])
            axis.axhline(100 * chance, color="0.6", linewidth=0.7, linestyle=":")
        row[0].set_ylabel(f"{label(network)}\n\naccuracy (%)")
    for method, top, bottom in zip(METHODS, axes[0], axes[-1], strict=True):
        top.set_title(TITLES[method])
        bottom.set_xlabel("programming error (sigma by range)")
    axes[0, 0].legend(frameon=False)
    axes[0, 0].set_ylim(0, 102)
    _note(figure, frame, "bars: 95 % intervals; dotted: chance")
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    return figure


def plot_quantised(frame: pd.DataFrame, chance: float = 0.1) -> Figure:
    """A panel per effect: accuracy over states or bits, for both trainings."""
    effects = list(frame["effect"].unique())
    figure, axes = plt.subplots(1, len(effects), figsize=(3.5 * len(effects), 3.0), sharey=True, squeeze=False)
    for effect, axis in zip(effects, axes[0], strict=True):
        part = frame[frame["effect"] == effect]
        levels = sorted(part["severity"].unique())
        _lines(axis, part, part["severity"].map(levels.index))
        axis.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
        axis.set(xlabel=f"{EFFECTS[effect].title}: {EFFECTS[effect].unit}", ylim=(0, 102))
        axis.axhline(100 * chance, color="0.6", linewidth=0.7, linestyle=":")
    axes[0, 0].set_ylabel("accuracy (%)")
    axes[0, 0].legend(frameon=False, loc="lower right")
    _note(figure, frame, "bars: 95 % intervals; dotted: chance")
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return figure


def _lines(axis: Any, part: pd.DataFrame, x: pd.Series) -> None:
    for training in part["training"].unique():
        line = part[part["training"] == training]
        mean, low, high = (100 * line[name] for name in ("accuracy", "low", "high"))
        look = {"label": training, "markersize": 3.5, "linewidth": 1, "capsize": 1.5, "elinewidth": 0.8}
        axis.errorbar(x[line.index], mean, (mean - low, high - mean), **look, **LOOKS[training])


def _note(figure: Figure, frame: pd.DataFrame, more: str) -> None:
    """Where the images come from, and how many of everything there are."""
    chips = f", {frame['n'].max()} chips" if frame["n"].max() > 1 else ""
    images = origin(list(dict.fromkeys(frame["checkpoint"])))
    figure.text(
        0.01, 0.006, f"{images}: {frame['images'].max()} test images{chips}; {more}", fontsize="small", color="0.3"
    )
