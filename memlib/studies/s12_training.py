"""The study 12_training: what noise-aware and quantisation-aware training and digital recalibration recover."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memlib.base.checks import fail
from memlib.chip.recalibration import METHODS
from memlib.evidence.claims import Claim, above
from memlib.evidence.comparisons import Chips, Comparison, Labelled, Loss, tidy
from memlib.evidence.intervals import difference_interval
from memlib.studies.drawing import Drawing, errorbars
from memlib.studies.effects import (
    EFFECTS,
    RECALIBRATIONS,
    Setting,
    add_note,
    chance_line,
    evaluate,
    loss_of,
    make_point,
    seeds_of,
    settings,
)
from memlib.studies.trained_networks import label
from memlib.sweeps.points import Point
from memlib.zoo.checkpoints import manifest_entry

__all__ = ["Chips", "evaluate", "settings", "tidy"]

#: The noise, as in training: a normal error of every cell's conductance, relative to the range between HRS and LRS.
EFFECT = "program_error"

#: What claims measure, in words.
HALF = "half of it less what is left"
#: What a network's trainings are called. The others go on from the plain one, for as long, at the same learning rate.
TRAININGS = ("plain", "trained longer", "noise-aware")
Networks = dict[str, dict[str, str]]


def networks_of(plain: Sequence[str], longer: Sequence[str], aware: Sequence[str]) -> Networks:
    """The checkpoints of each network's trainings, by the plain one.

    Raises:
        ValueError: if one does not start from the plain one of the same number.
    """
    for field, chosen in (("longer_checkpoints", longer), ("aware_checkpoints", aware)):
        if [manifest_entry(name)["recipe"]["start"] for name in chosen] != list(plain):
            fail(field, list(chosen), f"one that starts from each of {list(plain)}")
    return {row[0]: dict(zip(TRAININGS, row, strict=True)) for row in zip(plain, longer, aware, strict=True)}


def points(networks: Networks, images: int, severities: Sequence[float]) -> Labelled:
    """Each network and training over severities, 0 first, with each recalibration."""
    found = []
    for (network, trainings), method, severity in itertools.product(networks.items(), METHODS, (0, *severities)):
        for training, checkpoint in trainings.items():
            labels = {"network": network, "training": training, "recalibration": method, "severity": severity}
            point = make_point(checkpoint, images, EFFECT, severity, recalibration=method)
            found.append((labels | {"checkpoint": checkpoint}, point))
    return found


def trained_for(aware: str) -> dict[str, Any]:
    """The states and DAC bits that a quantisation-aware network was trained with, as fields of a point."""
    recipe = manifest_entry(aware)["recipe"]
    return {"states": dict(recipe["device"])["states"], "dac_bits": recipe["dac_bits"]}


def quantised_points(pair: Sequence[str], images: int, severities: dict[str, Sequence[int]]) -> Labelled:
    """A network and its quantisation-aware twin, over numbers of states, of bits, and of bits with few states.

    The last has as many states as the twin was trained for, and its DAC bits among the levels: its best case.
    """
    states, bits = trained_for(pair[1]).values()
    panels: list[tuple[str, str, Sequence[int], dict[str, Any]]] = [
        (effect, effect, levels, {}) for effect, levels in severities.items()
    ]
    both = sorted({bits, *severities["dac_bits"]}, reverse=True)
    panels.append((f"dac_bits, {states} states", "dac_bits", both, {"states": states}))
    twins = list(zip(("trained longer", "quantisation-aware"), pair, strict=True))
    found = []
    for panel, effect, levels, choices in panels:
        for severity, (training, checkpoint) in itertools.product(levels, twins):
            labels = {"network": pair[0], "training": training, "effect": panel, "severity": severity}
            point = make_point(checkpoint, images, effect, severity, **choices)
            found.append((labels | {"checkpoint": checkpoint}, point))
    return found


def quantised_claim(pair: Sequence[str], images: int, chips: Chips) -> Claim:
    """Whether quantisation-aware training pays where it should most: on the hardware that it was for.

    No chip differs from another there, so that the interval is one over images.
    """
    trained = trained_for(pair[1])
    control, aware = (chips.hits(make_point(name, images, **trained)) for name in pair)
    where = f"{trained['states']} states and {trained['dac_bits']}-bit inputs"
    network = label(manifest_entry(pair[1])["recipe"]["start"])
    what = f"{network}, {where}: quantisation-aware training is more accurate than as long a plain one"
    return replace(above(what, difference_interval(aware, control)), n=0)


def comparisons(networks: Networks, images: int, severity: float, chosen: Sequence[Setting]) -> list[Comparison]:
    """What noise-aware training recovers of what its control loses, and what recalibration does of the plain loss."""
    found = []
    for setting in chosen:
        lost = {
            plain: {how: loss_of(name, images, EFFECT, severity, setting) for how, name in trainings.items()}
            for plain, trainings in networks.items()
        }
        for plain, losses in lost.items():
            control = losses["trained longer"]
            left = Loss(losses["noise-aware"].point, control.baseline)
            what = f"noise-aware training recovers at least half of what as long a plain one loses ({HALF})"
            found.append(_claim(plain, severity, what, setting, ((0.5, control), (-1.0, left))))
        found += _gap_claims(lost, severity, setting)
    for plain, method, ranges in itertools.product(networks, METHODS[1:], sorted({s.adc_calibration for s in chosen})):
        setting = Setting("none", ranges)
        before = loss_of(plain, images, EFFECT, severity, setting)
        after = Loss(loss_of(plain, images, EFFECT, severity, Setting(method, ranges)).point, before.baseline)
        how = {"gain": "rescaling columns", "batch_norm": "recalibrating batch norm"}[method]
        what = f"{how} recovers at least half of the loss ({HALF})"
        found.append(_claim(plain, severity, what, setting, ((0.5, before), (-1.0, after))))
    return found


def _claim(
    plain: str, severity: float, what: str, setting: Setting, terms: tuple[tuple[float, Loss], ...]
) -> Comparison:
    return Comparison(f"{label(plain)}, programming error {severity:g}: {what}{setting}", terms)


def _gap_claims(lost: dict[str, dict[str, Loss]], severity: float, setting: Setting) -> list[Comparison]:
    """How much more other networks lose than the first, each measured from itself without noise.

    And whether training takes more off their loss than off that of the first.
    """
    (first, losses), *others = lost.items()
    found = []
    for other, more in others:
        gaps = {how: ((1.0, more[how]), (-1.0, losses[how])) for how in TRAININGS}
        what = f"it loses more than {label(first)}"
        for how in TRAININGS[1:]:
            found.append(_claim(other, severity, f"{how}, {what}", setting, gaps[how]))
        more_taken = (*gaps["trained longer"], *((-weight, loss) for weight, loss in gaps["noise-aware"]))
        what = f"noise-aware training takes more off its loss than off that of {label(first)}"
        found.append(_claim(other, severity, what, setting, more_taken))
    return found


def sweeps(
    plain_checkpoints: Sequence[str],
    longer_checkpoints: Sequence[str],
    aware_checkpoints: Sequence[str],
    severities: Sequence[float],
    images: int,
    device_seeds: int,
    quantised_checkpoints: Sequence[str],
    states: Sequence[int],
    dac_bits: Sequence[int],
    quantised_images: int,
    claim_severity: float,
    claim_recalibrations: Sequence[str],
    claim_ranges: Sequence[str],
    claim_images: int,
    claim_seeds: int,
) -> list[tuple[list[Point], Any]]:
    """Points and seeds of the two figures, and of the claims, from the notebook's parameters."""
    networks = networks_of(plain_checkpoints, longer_checkpoints, aware_checkpoints)
    noisy = [point for _, point in points(networks, images, severities)]
    levels = {"states": states, "dac_bits": dac_bits}
    coarse = [point for _, point in quantised_points(quantised_checkpoints, quantised_images, levels)]
    compared = comparisons(networks, claim_images, claim_severity, settings(claim_recalibrations, claim_ranges))
    claims = [point for comparison in compared for point in comparison.points]
    return [(noisy, seeds_of(device_seeds)), (coarse, seeds_of(device_seeds)), (claims, seeds_of(claim_seeds))]


#: How trainings are drawn.
LOOKS = dict(
    zip(
        (*TRAININGS, "quantisation-aware"),
        ({"color": c, "marker": m} for c, m in zip(sns.color_palette("colorblind"), "osD^", strict=False)),
        strict=True,
    )
)


def plot(frame: pd.DataFrame, origin: str) -> Figure:
    """A row per network, a column per recalibration: accuracy over the programming error, for each training."""
    networks = list(frame["network"].unique())
    size = (8.5, 2.3 * len(networks) + 0.6)
    figure, axes = plt.subplots(len(networks), len(METHODS), figsize=size, sharex=True, sharey=True, squeeze=False)
    for network, row in zip(networks, axes, strict=True):
        for method, axis in zip(METHODS, row, strict=True):
            part = frame[(frame["network"] == network) & (frame["recalibration"] == method)]
            _lines(axis, part, part["severity"])
            chance_line(axis)
        row[0].set_ylabel(f"{label(network)}\n\naccuracy (%)")
    for method, top, bottom in zip(METHODS, axes[0], axes[-1], strict=True):
        top.set_title(RECALIBRATIONS[method])
        bottom.set_xlabel("programming error (sigma by range)")
    axes[0, 0].legend(frameon=False)
    axes[0, 0].set_ylim(0, 102)
    add_note(figure, frame, origin, "bars: 95 % intervals; dotted: chance")
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    return figure


def plot_quantised(frame: pd.DataFrame, origin: str) -> Figure:
    """A panel per effect: accuracy over states or bits, for both trainings."""
    effects = list(frame["effect"].unique())
    figure, axes = plt.subplots(1, len(effects), figsize=(3.1 * len(effects), 3.0), sharey=True, squeeze=False)
    for effect, axis in zip(effects, axes[0], strict=True):
        part = frame[frame["effect"] == effect]
        levels = sorted(part["severity"].unique())
        _lines(axis, part, part["severity"].map(levels.index))
        axis.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
        name, _, more = effect.partition(", ")
        axis.set(xlabel=f"{EFFECTS[name].title}: {EFFECTS[name].unit}{more and f' ({more})'}", ylim=(0, 102))
        chance_line(axis)
    axes[0, 0].set_ylabel("accuracy (%)")
    axes[0, 0].legend(frameon=False, loc="lower right")
    add_note(figure, frame, origin, "bars: 95 % intervals; dotted: chance")
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return figure


def _lines(axis: Axes, part: pd.DataFrame, x: pd.Series) -> None:
    for training, line in part.groupby("training", sort=False):
        errorbars(axis, x[line.index], line, label=training, markersize=3.5, **LOOKS[training])


FIGURES = {
    "12_training": Drawing(plot, ("12_training",), ("origin",)),
    "12_training_quantised": Drawing(plot_quantised, ("12_training_quantised",), ("origin",)),
}
