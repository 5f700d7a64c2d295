"""The study 12_training: what noise-aware and quantisation-aware training and digital recalibration recover."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memlib.base.checks import fail
from memlib.chip.recalibration import METHODS
from memlib.evidence.claims import Claim, Statement, above
from memlib.evidence.comparisons import Chips, Comparison, Labelled, Loss
from memlib.evidence.intervals import trainings_interval
from memlib.studies.drawing import Drawing, errorbars, panels, where
from memlib.studies.shared.effects import (
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
from memlib.studies.shared.network_lists import AWARE, EQUALS, LONGER, QUANTISED
from memlib.studies.shared.trained_networks import (
    every_training,
    inputs,
    label,
    network_of,
    over_trainings,
    trained_again,
)
from memlib.studies.study import Study, Sweep, Values, networks, same
from memlib.sweeps.points import Point
from memlib.zoo.checkpoints import manifest_entry

#: The noise, as in training: a normal error of every cell's conductance, relative to the range between HRS and LRS.
EFFECT = "program_error"

#: What a network's trainings are called. The others go on from the plain one, for as long, at the same learning rate.
TRAININGS = ("plain", "trained longer", "noise-aware")


def networks_of(p: SimpleNamespace) -> dict[str, dict[str, str]]:
    """The checkpoints of each network's trainings, by the plain one.

    Raises:
        ValueError: if one does not start from the plain one of the same number.
    """
    plain, longer, aware = p.plain_checkpoints, p.longer_checkpoints, p.aware_checkpoints
    for field, names in (("longer_checkpoints", longer), ("aware_checkpoints", aware)):
        if [manifest_entry(name)["recipe"]["start"] for name in names] != list(plain):
            fail(field, list(names), f"one that starts from each of {list(plain)}")
    return {row[0]: dict(zip(TRAININGS, row, strict=True)) for row in zip(plain, longer, aware, strict=True)}


def points(p: SimpleNamespace) -> Labelled:
    """Each network and training over severities, 0 first, with each recalibration."""
    found = []
    for (network, trainings), method, severity, training in itertools.product(
        networks_of(p).items(), METHODS, (0, *p.severities), TRAININGS
    ):
        labels = {"network": network, "training": training, "recalibration": method, "severity": severity}
        point = make_point(trainings[training], p.images, EFFECT, severity, recalibration=method)
        found.append((labels | {"checkpoint": trainings[training]}, point))
    return found


def trained_for(aware: str) -> dict[str, Any]:
    """The states and DAC bits that a quantisation-aware network was trained with, as fields of a point."""
    recipe = manifest_entry(aware)["recipe"]
    return {"states": dict(recipe["device"])["states"], "dac_bits": recipe["dac_bits"]}


def quantised_points(p: SimpleNamespace) -> Labelled:
    """A network and its quantisation-aware twin, over numbers of states, of bits, and of bits with few states.

    The last has as many states as the twin was trained for, and its DAC bits among the levels: its best case.
    """
    pair = p.quantised_checkpoints
    states, bits = trained_for(pair[1]).values()
    both = sorted({bits, *p.dac_bits}, reverse=True)
    panels: list[tuple[str, str, Sequence[int], dict[str, Any]]] = [
        ("states", "states", p.states, {}),
        ("dac_bits", "dac_bits", p.dac_bits, {}),
        (f"dac_bits, {states} states", "dac_bits", both, {"states": states}),
    ]
    twins = list(zip(("trained longer", "quantisation-aware"), pair, strict=True))
    found = []
    for panel, effect, levels, choices in panels:
        for severity, (training, checkpoint) in itertools.product(levels, twins):
            labels = {"network": pair[0], "training": training, "effect": panel, "severity": severity}
            point = make_point(checkpoint, p.quantised_images, effect, severity, **choices)
            found.append((labels | {"checkpoint": checkpoint}, point))
    return found


def quantised_pairs(p: SimpleNamespace) -> list[list[Point]]:
    """The control and the quantisation-aware network of each training, on the hardware that the latter is for."""
    trained = trained_for(p.quantised_checkpoints[1])
    pair = [make_point(name, p.quantised_images, **trained) for name in p.quantised_checkpoints]
    return [[trained_again(point, seed) for point in pair] for seed in p.training_seeds]


def quantised_claims(chips: Chips, p: SimpleNamespace) -> list[Claim]:
    """Whether quantisation-aware training pays where it should most: on the hardware that it was for.

    No chip differs from another there, so that the interval is one over trainings and images.
    """
    pair = p.quantised_checkpoints
    trained, points = trained_for(pair[1]), quantised_pairs(p)
    gains = np.stack([chips.hits(aware) - chips.hits(control) for control, aware in points])
    where = f"{trained['states']} states and {trained['dac_bits']}-bit inputs"
    network = label(manifest_entry(pair[1])["recipe"]["start"])
    text = f"{network}, {where}: quantisation-aware training is more accurate than equally long plain training"
    about = Statement(f"quantised/{network_of(pair[1])}", f"{text} ({len(points)} trainings each)", "training")
    return [replace(above(about, trainings_interval(gains[None])), n=0)]


def comparisons(p: SimpleNamespace) -> list[Comparison]:
    """What noise-aware training recovers of what its control loses, and what recalibration does of the plain loss."""
    compared: list[Comparison] = []
    networks = networks_of(p)
    for setting in settings(p.claim_recalibrations, p.claim_ranges):
        lost = {
            plain: {how: _lost(p, name, setting) for how, name in trainings.items()}
            for plain, trainings in networks.items()
        }
        for plain, losses in lost.items():
            control = losses["trained longer"]
            left = Loss(losses["noise-aware"].point, control.baseline)
            text = "noise-aware training removes at least half of the loss that equally long plain training leaves"
            about = _statement(p, "noise_aware", plain, text, setting)
            compared.append(Comparison(about, ((0.5, control), (-1.0, left))))
        compared += _gap_claims(p, lost, setting)
    words = {"gain": "rescaling columns", "batch_norm": "recalibrating batch norm"}
    for plain, (method, how), ranges in itertools.product(networks, words.items(), sorted(set(p.claim_ranges))):
        setting = Setting("none", ranges)
        before = _lost(p, plain, setting)
        after = Loss(_lost(p, plain, Setting(method, ranges)).point, before.baseline)
        text = f"{how} removes at least half of the loss"
        about = _statement(p, f"recalibration/{method}", plain, text, setting, "recalibration")
        compared.append(Comparison(about, ((0.5, before), (-1.0, after))))
    return [over_trainings(comparison, p.training_seeds) for comparison in compared]


def _lost(p: SimpleNamespace, checkpoint: str, setting: Setting) -> Loss:
    return loss_of(checkpoint, p.claim_images, EFFECT, p.claim_severity, setting)


#: The claims that the README shows, of the first network without recalibration.
IN_README = ("noise_aware/resnet20-0.5", "recalibration/batch_norm/resnet20-0.5")


def _statement(
    p: SimpleNamespace, key: str, plain: str, text: str, setting: Setting, subject: str = "training"
) -> Statement:
    """About one network. An effect is half of the loss less what is left of it."""
    name = f"{key}/{network_of(plain)}{setting.id}"
    sentence = f"{label(plain)}, programming error {p.claim_severity:g}: {text}{setting}"
    return Statement(name, sentence, subject, "12_training" if name in IN_README else "")


def _gap_claims(p: SimpleNamespace, lost: dict[str, dict[str, Loss]], setting: Setting) -> list[Comparison]:
    """How much more other networks lose than the first, each measured from itself without noise.

    And whether training takes more off their loss than off that of the first.
    """
    (first, losses), *others = lost.items()
    compared = []
    for other, more in others:
        gaps = {how: ((1.0, more[how]), (-1.0, losses[how])) for how in TRAININGS}
        for how in TRAININGS[1:]:
            text = f"{how}, it loses more than {label(first)}"
            about = _statement(p, f"gap/{how.replace(' ', '_')}", other, text, setting)
            compared.append(Comparison(about, gaps[how]))
        more_taken = (*gaps["trained longer"], *((-weight, loss) for weight, loss in gaps["noise-aware"]))
        text = f"noise-aware training takes more off its loss than off that of {label(first)}"
        compared.append(Comparison(_statement(p, "gap/taken", other, text, setting), more_taken))
    return compared


#: How trainings are drawn.
LOOKS = {
    training: {"color": color, "marker": marker}
    for training, color, marker in zip(
        (*TRAININGS, "quantisation-aware"), sns.color_palette("colorblind"), "osD^", strict=False
    )
}


def plot(frame: pd.DataFrame, origin: str) -> Figure:
    """A row per network, a column per recalibration: accuracy over the programming error, for each training."""
    rows = {network: f"{label(network)}\n\naccuracy (%)" for network in frame["network"].unique()}
    titles = {method: RECALIBRATIONS[method] for method in METHODS}
    grid = panels(rows, titles, (8.5 / len(METHODS), 2.3), (0, 0.6), "programming error (sigma by range)")
    for network, method, axis in grid:
        part = where(frame, network=network, recalibration=method)
        _lines(axis, part, part["severity"])
    grid.axes[0, 0].legend(frameon=False)
    return _finished(grid.figure, frame, origin, 0.02)


def plot_quantised(frame: pd.DataFrame, origin: str) -> Figure:
    """A panel per effect: accuracy over states or bits, for both trainings."""
    effects = frame["effect"].unique()
    grid = panels({"": "accuracy (%)"}, dict.fromkeys(effects, ""), (3.1, 3.0), (0, 0), sharex=False)
    for _, effect, axis in grid:
        part = where(frame, effect=effect)
        levels = sorted(part["severity"].unique())
        _lines(axis, part, part["severity"].map(levels.index))
        axis.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
        name, _, more = effect.partition(", ")
        axis.set_xlabel(f"{EFFECTS[name].title}: {EFFECTS[name].unit}{more and f' ({more})'}")
    grid.axes[0, 0].legend(frameon=False, loc="lower right")
    return _finished(grid.figure, frame, origin, 0.04)


def _lines(axis: Axes, part: pd.DataFrame, x: pd.Series) -> None:
    for training, line in part.groupby("training", sort=False):
        errorbars(axis, x[line.index], line, label=training, **LOOKS[training])
    chance_line(axis)
    axis.set_ylim(0, 102)


def _finished(figure: Figure, frame: pd.DataFrame, origin: str, bottom: float) -> Figure:
    add_note(figure, frame, origin, "bars: 95 % intervals; dotted: chance")
    figure.tight_layout(rect=(0, bottom, 1, 1))
    return figure


def all_networks(p: SimpleNamespace) -> list[str]:
    """The networks of all trainings."""
    known = [name for trainings in networks_of(p).values() for name in trainings.values()]
    return every_training([*known, *p.quantised_checkpoints], p.training_seeds)


def _sweeps(p: SimpleNamespace) -> dict[str, Sweep]:
    return {
        "figure": Sweep.labelled(points(p), seeds_of(p.device_seeds)),
        "quantised": Sweep.labelled(quantised_points(p), seeds_of(p.device_seeds)),
        "quantised claims": Sweep([point for pair in quantised_pairs(p) for point in pair], seeds_of(p.device_seeds)),
        "claims": Sweep.compared(comparisons(p), seeds_of(p.claim_seeds)),
    }


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
        "training_seeds": Values([0, 1, 2], [0, 1]),
    },
    evaluate=evaluate,
    sweeps=_sweeps,
    tables={
        "12_training": lambda run: run.tidy("figure"),
        "12_training_quantised": lambda run: run.tidy("quantised"),
    },
    drawings={
        "12_training": Drawing(plot, ("12_training",), ("origin",)),
        "12_training_quantised": Drawing(plot_quantised, ("12_training_quantised",), ("origin",)),
    },
    claims={
        "12_training": lambda run: run.decided("claims"),
        "12_training_quantised": lambda run: quantised_claims(run.chips("quantised claims"), run.p),
    },
    inputs=lambda p: inputs(all_networks(p)),
)
