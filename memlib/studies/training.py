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
from memlib.validate import fail

__all__ = ["evaluate"]

#: The noise, as in training: a normal error of every cell's conductance, relative to the range between HRS and LRS.
EFFECT = "program_error"
TITLES = {"none": "no recalibration", "gain": "columns rescaled", "batch_norm": "batch norm recalibrated"}
Labelled = list[tuple[dict[str, Any], Point]]


#: What a network's trainings are called, first the one that the others start from.
TRAININGS = ("plain", "noise-aware", "noise-aware (batches)")
Networks = dict[str, dict[str, str]]


def networks_of(plain: Sequence[str], aware: Sequence[str], batch: Sequence[str]) -> Networks:
    """The checkpoints of each network's trainings, by the plain one; there may be fewer of the last.

    Raises:
        ValueError: if there is not a noise-aware one for each plain one.
    """
    if len(plain) != len(aware):
        fail("aware_checkpoints", list(aware), f"one for each of the {len(plain)} plain ones")
    rows = itertools.zip_longest(plain, aware, batch)
    return {row[0]: {how: name for how, name in zip(TRAININGS, row, strict=True) if name} for row in rows}


def points(networks: Networks, images: int, severities: Sequence[float]) -> Labelled:
    """Each network and training over severities, 0 first, with each recalibration."""
    found = []
    for (network, trainings), method, severity in itertools.product(networks.items(), METHODS, (0, *severities)):
        for training, checkpoint in trainings.items():
            labels = {"network": network, "training": training, "recalibration": method, "severity": severity}
            point = make_point(checkpoint, images, EFFECT, severity, recalibration=method)
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


def comparisons(networks: Networks, images: int, severity: float) -> list[Comparison]:
    """What training, recalibration, and both recover of the plain network's loss; and of gaps between networks."""
    found = []
    for setting in SETTINGS:
        lost = {plain: _losses(trainings, images, severity, setting) for plain, trainings in networks.items()}
        for plain, losses in lost.items():
            for training, left in list(losses.items())[1:]:
                statement = f"{label(plain)}: {training} training recovers at least half of the loss{setting}"
                found.append(Comparison(statement, ((0.5, losses["plain"]), (-1.0, left))))
        first, *others = lost
        for other, training in itertools.product(others, TRAININGS[:2]):
            statement = f"{training} training: noise costs {label(other)} more than {label(first)}{setting}"
            found.append(Comparison(statement, ((1.0, lost[other][training]), (-1.0, lost[first][training]))))
    for plain, method, ranges in itertools.product(networks, METHODS[1:], ("design", "chip")):
        setting = Setting("none", ranges)
        before = Loss.of(plain, images, EFFECT, severity, setting)
        after = Loss(Loss.of(plain, images, EFFECT, severity, Setting(method, ranges)).point, before.baseline)
        how = {"gain": "rescaling columns", "batch_norm": "recalibrating batch norm"}[method]
        statement = f"{label(plain)}: {how} recovers at least half of the loss{setting}"
        found.append(Comparison(statement, ((0.5, before), (-1.0, after))))
    return found


def _losses(trainings: dict[str, str], images: int, severity: float, setting: Setting) -> dict[str, Loss]:
    """What noise costs each training of a network, measured from what the plain one reaches without noise."""
    losses = {how: Loss.of(name, images, EFFECT, severity, setting) for how, name in trainings.items()}
    return {how: Loss(loss.point, losses["plain"].baseline) for how, loss in losses.items()}


def sweeps(
    plain_checkpoints: Sequence[str],
    aware_checkpoints: Sequence[str],
    batch_checkpoints: Sequence[str],
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
    networks = networks_of(plain_checkpoints, aware_checkpoints, batch_checkpoints)
    noisy = [point for _, point in points(networks, images, severities)]
    levels = {"states": states, "dac_bits": dac_bits}
    coarse = [point for _, point in quantised_points(tuple(quantised_checkpoints), quantised_images, levels)]
    claims = [p for comparison in comparisons(networks, claim_images, claim_severity) for p in comparison.points]
    return [(noisy, seeds_of(device_seeds)), (coarse, seeds_of(device_seeds)), (claims, seeds_of(claim_seeds))]


def tidy(results: pd.DataFrame, labelled: Labelled) -> pd.DataFrame:
    """A row per labelled point: mean accuracy over chips, with its 95 % interval."""
    chips = Chips(results)
    return pd.DataFrame([labels | interval_columns(crossed_interval(chips.hits(point))) for labels, point in labelled])


#: How trainings are drawn.
LOOKS = dict(
    zip(
        (*TRAININGS, "quantisation-aware"),
        ({"color": c, "marker": m} for c, m in zip(sns.color_palette("colorblind"), "osD^", strict=False)),
        strict=True,
    )
)


def plot(frame: pd.DataFrame, chance: float = 0.1) -> Figure:
    """A row per network, a column per recalibration: accuracy over the programming error, for each training."""
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
