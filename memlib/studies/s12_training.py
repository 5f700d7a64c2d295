"""The study 12_training: how much accuracy noise-aware and quantisation-aware training and recalibration recover."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memlib.base.checks import fail
from memlib.chip.recalibration import METHODS
from memlib.evidence.claims import Claim, Statement, above
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
)  # fmt: skip
from memlib.studies.network_lists import AWARE, EQUALS, LONGER, QUANTISED
from memlib.studies.run import Run
from memlib.studies.study import Study, Sweep, Values, networks, same
from memlib.studies.trained_networks import inputs, label, network_of
from memlib.zoo.checkpoints import manifest_entry

#: The noise, as in training: a normal error of every cell's conductance, relative to the range between HRS and LRS.
EFFECT = "program_error"

#: Names of a network's trainings. The others go on from the plain one, for as long, at the same learning rate.
TRAININGS = ("plain", "trained longer", "noise-aware")
Networks = dict[str, dict[str, str]]


def networks_of(p: SimpleNamespace) -> Networks:
    """The checkpoints of each network's trainings, by the plain one.

    Raises:
        ValueError: if one does not start from the plain one of the same number.
    """
    for field in ("longer_checkpoints", "aware_checkpoints"):
        if [manifest_entry(name)["recipe"]["start"] for name in getattr(p, field)] != p.plain_checkpoints:
            fail(field, getattr(p, field), f"one that starts from each of {p.plain_checkpoints}")
    rows = zip(p.plain_checkpoints, p.longer_checkpoints, p.aware_checkpoints, strict=True)
    return {row[0]: dict(zip(TRAININGS, row, strict=True)) for row in rows}


def points(p: SimpleNamespace) -> Labelled:
    """Each network and training over severities, 0 first, with each recalibration."""
    labelled, severities = [], (0, *p.severities)
    for (network, trainings), method, severity in itertools.product(networks_of(p).items(), METHODS, severities):
        for training, checkpoint in trainings.items():
            labels = {"network": network, "training": training, "recalibration": method, "severity": severity}
            point = make_point(checkpoint, p.images, EFFECT, severity, recalibration=method)
            labelled.append((labels | {"checkpoint": checkpoint}, point))
    return labelled


def trained_for(aware: str) -> dict[str, Any]:
    """The states and DAC bits that a quantisation-aware network was trained with, as fields of a point."""
    recipe = manifest_entry(aware)["recipe"]
    return {"states": dict(recipe["device"])["states"], "dac_bits": recipe["dac_bits"]}


def quantised_points(p: SimpleNamespace) -> Labelled:
    """A network and its quantisation-aware twin, over numbers of states, of bits, and of bits with few states.

    The last has as many states as the twin was trained for, and its DAC bits among the levels: its best case.
    """
    pair, labelled = p.quantised_checkpoints, []
    states, bits = trained_for(pair[1]).values()
    panels: list[tuple[str, str, Sequence[int], dict[str, Any]]] = [
        ("states", "states", p.states, {}),
        ("dac_bits", "dac_bits", p.dac_bits, {}),
        (f"dac_bits, {states} states", "dac_bits", sorted({bits, *p.dac_bits}, reverse=True), {"states": states}),
    ]
    twins = list(zip(("trained longer", "quantisation-aware"), pair, strict=True))
    for panel, effect, levels, choices in panels:
        for severity, (training, checkpoint) in itertools.product(levels, twins):
            labels = {"network": pair[0], "training": training, "effect": panel, "severity": severity}
            point = make_point(checkpoint, p.quantised_images, effect, severity, **choices)
            labelled.append((labels | {"checkpoint": checkpoint}, point))
    return labelled


def quantised_claims(run: Run) -> list[Claim]:
    """Whether quantisation-aware training pays where it should most, on the hardware that it was for.

    No chip differs from another there, so the interval is over images only.
    """
    pair, chips = run.p.quantised_checkpoints, Chips(run.sweep("quantised"))
    trained = trained_for(pair[1])
    control, aware = (chips.hits(make_point(name, run.p.quantised_images, **trained)) for name in pair)
    where = f"{trained['states']} states and {trained['dac_bits']}-bit inputs"
    network = label(manifest_entry(pair[1])["recipe"]["start"])
    text = f"{network}, {where}: quantisation-aware training is more accurate than equally long plain training"
    statement = Statement(f"quantised/{network_of(pair[1])}", text, "training")
    return [replace(above(statement, difference_interval(aware, control)), n=0)]


def comparisons(p: SimpleNamespace) -> list[Comparison]:
    """How much of its control's loss noise-aware training removes, and how much of the plain loss recalibration."""
    networks, images, severity = networks_of(p), p.claim_images, p.claim_severity
    compared: list[Comparison] = []
    for setting in settings(p.claim_recalibrations, p.claim_ranges):
        lost = {
            plain: {how: loss_of(name, images, EFFECT, severity, setting) for how, name in trainings.items()}
            for plain, trainings in networks.items()
        }
        for plain, losses in lost.items():
            control = losses["trained longer"]
            left = Loss(losses["noise-aware"].point, control.baseline)
            text = "noise-aware training removes at least half of the loss that equally long plain training leaves"
            about = _statement("noise_aware", plain, severity, text, setting, "training")
            compared.append(Comparison(about, ((0.5, control), (-1.0, left))))
        compared += _gap_claims(lost, severity, setting)
    for plain, method, ranges in itertools.product(networks, METHODS[1:], sorted(set(p.claim_ranges))):
        setting = Setting("none", ranges)
        before = loss_of(plain, images, EFFECT, severity, setting)
        after = Loss(loss_of(plain, images, EFFECT, severity, Setting(method, ranges)).point, before.baseline)
        how = {"gain": "rescaling columns", "batch_norm": "recalibrating batch norm"}[method]
        text = f"{how} removes at least half of the loss"
        about = _statement(f"recalibration/{method}", plain, severity, text, setting, "recalibration")
        compared.append(Comparison(about, ((0.5, before), (-1.0, after))))
    return compared


#: The claims that the README shows, of the first network without recalibration.
IN_README = ("noise_aware/resnet20-0.5", "recalibration/batch_norm/resnet20-0.5")


def _statement(key: str, plain: str, severity: float, text: str, setting: Setting, subject: str) -> Statement:
    """About one network. An effect is half of the loss less what is left of it."""
    name = f"{key}/{network_of(plain)}{setting.id}"
    sentence = f"{label(plain)}, programming error {severity:g}: {text}{setting}"
    return Statement(name, sentence, subject, "12_training" if name in IN_README else "")


def _gap_claims(lost: dict[str, dict[str, Loss]], severity: float, setting: Setting) -> list[Comparison]:
    """How much more other networks lose than the first, each measured from itself without noise.

    And whether training takes more off their loss than off that of the first.
    """
    (first, losses), *others = lost.items()
    compared = []
    for other, more in others:
        gaps = {how: ((1.0, more[how]), (-1.0, losses[how])) for how in TRAININGS}
        for how in TRAININGS[1:]:
            text = f"{how}, it loses more than {label(first)}"
            about = _statement(f"gap/{how.replace(' ', '_')}", other, severity, text, setting, "training")
            compared.append(Comparison(about, gaps[how]))
        more_taken = (*gaps["trained longer"], *((-weight, loss) for weight, loss in gaps["noise-aware"]))
        text = f"noise-aware training takes more off its loss than off that of {label(first)}"
        about = _statement("gap/taken", other, severity, text, setting, "training")
        compared.append(Comparison(about, more_taken))
    return compared


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
            group = frame[(frame["network"] == network) & (frame["recalibration"] == method)]
            _lines(axis, group, group["severity"])
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
        group = frame[frame["effect"] == effect]
        levels = sorted(group["severity"].unique())
        _lines(axis, group, group["severity"].map(levels.index))
        axis.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
        name, _, more = effect.partition(", ")
        axis.set(xlabel=f"{EFFECTS[name].title}: {EFFECTS[name].unit}{more and f' ({more})'}", ylim=(0, 102))
        chance_line(axis)
    axes[0, 0].set_ylabel("accuracy (%)")
    axes[0, 0].legend(frameon=False, loc="lower right")
    add_note(figure, frame, origin, "bars: 95 % intervals; dotted: chance")
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return figure


def _lines(axis: Axes, group: pd.DataFrame, x: pd.Series) -> None:
    for training, line in group.groupby("training", sort=False):
        errorbars(axis, x[line.index], line, label=training, markersize=3.5, **LOOKS[training])


def _sweeps(p: SimpleNamespace) -> dict[str, Sweep]:
    claims = [point for comparison in comparisons(p) for point in comparison.points]
    return {
        "figure": Sweep([point for _, point in points(p)], seeds_of(p.device_seeds)),
        "quantised": Sweep([point for _, point in quantised_points(p)], seeds_of(p.device_seeds)),
        "claims": Sweep(claims, seeds_of(p.claim_seeds)),
    }


def _claims(run: Run) -> list[Claim]:
    chips = Chips(run.sweep("claims"))
    return [comparison.claim(chips) for comparison in comparisons(run.p)]


STUDY = Study(
    name="12_training",
    parameters={
        "plain_checkpoints": networks(*EQUALS, smoke=EQUALS[:2]),
        "aware_checkpoints": networks(*AWARE, smoke=AWARE[:2]),
        "longer_checkpoints": networks(*LONGER, smoke=LONGER[:2]),
        "severities": Values([0.02, 0.03, 0.05, 0.07, 0.1], [0.02, 0.05]),
        "images": Values(1000, 100),
        "device_seeds": Values(10, 3),
        "quantised_checkpoints": networks(LONGER[0], QUANTISED),
        "states": Values([32, 16, 8, 4], [32, 8]),
        "dac_bits": Values([6, 4, 3, 2], [6, 3]),
        "quantised_images": Values(5000, 500),
        "claim_severity": same(0.05),
        "claim_recalibrations": Values(["none", "batch_norm"], ["none"]),
        "claim_ranges": Values(["design", "chip"], ["design"]),
        "claim_images": Values(5000, 500),
        "claim_seeds": Values(10, 3),
    },
    evaluate=evaluate,
    sweeps=_sweeps,
    tables={
        "12_training": lambda run: tidy(run.sweep("figure"), points(run.p)),
        "12_training_quantised": lambda run: tidy(run.sweep("quantised"), quantised_points(run.p)),
    },
    drawings={
        "12_training": Drawing(plot, ("12_training",), ("origin",)),
        "12_training_quantised": Drawing(plot_quantised, ("12_training_quantised",), ("origin",)),
    },
    claims={"12_training": _claims, "12_training_quantised": quantised_claims},
    inputs=lambda p: inputs([name for trainings in networks_of(p).values() for name in trainings.values()]),
)
