"""Networks trained again: how much of the loss by a connectivity is a training's chance?"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from memlib.evidence.claims import Claim, Statement
from memlib.evidence.comparisons import Comparison, Loss
from memlib.evidence.intervals import standard_error, training_variance, trainings_interval
from memlib.studies.drawing import dodges, errorbars, panels, shared_legend, where
from memlib.studies.run import Run
from memlib.studies.s07_capacity.connectivities import (
    FAMILIES,
    HRS,
    LOOKS,
    count_axis,
    families_of,
    lost,
    pairs,
    parameters,
)  # fmt: skip
from memlib.studies.shared.effects import PLAIN, RECALIBRATIONS, Setting, add_note, settings
from memlib.studies.shared.trained_networks import float_accuracy, over_trainings
from memlib.training.recipes import trainings


@dataclass(frozen=True)
class TrainedAgain:
    """A network, and how it stands in comparisons."""

    family: str
    checkpoint: str  #: of seed 0

    def losses(self, p: SimpleNamespace, setting: Setting) -> list[Loss]:
        """The loss of each training of it by the claims' severity."""
        return [lost(p, name, setting) for name in trainings(self.checkpoint, p.training_seeds)]


def networks(p: SimpleNamespace) -> list[TrainedAgain]:
    """Grouped and separable networks with an ordinary equal in parameters, and these; unused cells are unformed."""
    members = dict.fromkeys(member for pair in _compared(p) for member in pair)
    order = list(FAMILIES)
    return sorted(members, key=lambda network: (order.index(network.family), parameters(network.checkpoint)))


def _compared(p: SimpleNamespace) -> list[tuple[TrainedAgain, TrainedAgain]]:
    """Each network with the ordinary one of equal parameters."""
    return [
        (TrainedAgain(pair.family, pair.checkpoint), TrainedAgain("ordinary", pair.others[0][1]))
        for pair in pairs(families_of(p), [], p.training_seeds)
        if pair.equal == "parameters" and not pair.family.endswith((HRS, "pruned"))
    ]


def _settings(p: SimpleNamespace) -> list[Setting]:
    return settings(p.claim_recalibrations, p.claim_ranges[:1])


def comparisons(p: SimpleNamespace) -> list[Comparison]:
    """In every setting, the networks of each family against the ordinary ones that are their equals.

    Raises:
        ValueError: if there are fewer than two seeds, or one twice.
    """
    compared: list[Comparison] = []
    for setting in _settings(p):
        by_family: dict[str, list[tuple[TrainedAgain, TrainedAgain]]] = {}
        for pair in _compared(p):
            by_family.setdefault(pair[0].family, []).append(pair)
        compared += [_comparison(*family, p, setting) for family in by_family.items() if len(family[1]) > 1]
    return compared


def _comparison(
    family: str, members: Sequence[tuple[TrainedAgain, TrainedAgain]], p: SimpleNamespace, setting: Setting
) -> Comparison:
    """The claim that a family's networks lose more than their equals, in the mean over its sizes."""
    terms = [
        (sign / len(members), lost(p, network.checkpoint, setting))
        for pair in members
        for sign, network in zip((1, -1), pair, strict=True)
    ]
    text = f"{family} networks lose more than ordinary ones, mean of {len(members)} sizes"
    about = Statement(
        f"trainings/{family}{setting.id}",
        f"programming error {p.claim_severity:g}, dense, equal parameters: {text}{setting}",
        "noise, trainings",
        "07_capacity_trainings" if setting == PLAIN else "",
    )
    return over_trainings(Comparison(about, tuple(terms)), p.training_seeds)


def claims(run: Run) -> list[Claim]:
    """The comparisons, decided."""
    return [comparison.claim(run.chips("claims")) for comparison in comparisons(run.p)]


def tables(run: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Losses of each training, and of each network in the mean of its trainings, in every setting.

    Returns:
        A row per training: loss with its interval over chips and images. A row per network: loss with its interval over
        trainings, chips and images; sd_trainings, the standard deviation between them, without what chips and images
        add to it; share_of_trainings, the part of the mean's variance that is from trainings.
    """
    p, chips, single, averages = run.p, run.chips("claims"), [], []
    for setting, network in itertools.product(_settings(p), networks(p)):
        labels: dict[str, Any] = {**asdict(network), **asdict(setting)}
        losses, names = network.losses(p, setting), trainings(network.checkpoint, p.training_seeds)
        for seed, name, loss in zip(p.training_seeds, names, losses, strict=True):
            row = labels | {"seed": seed, "parameters": parameters(name), "float_accuracy": float_accuracy(name)}
            row |= {"at chance": bool(chips.hits(loss.point).mean() < chips.floor)}  # it may have lost any more
            single.append(row | chips.lost(loss).columns("loss"))
        each = np.stack([chips.loss(loss) for loss in losses])
        row = labels | {"parameters": parameters(network.checkpoint)}
        row |= trainings_interval(each[None]).columns("loss")
        variance, from_chips = training_variance(each), standard_error(each.mean(0)) ** 2
        share = variance / (variance + len(names) * from_chips) if variance else 0.0
        averages.append(row | {"sd_trainings": math.sqrt(variance), "share_of_trainings": share})
    return pd.DataFrame(single), pd.DataFrame(averages)


def each_training(run: Run) -> pd.DataFrame:
    """The first of `tables`."""
    return run.once(tables)[0]


def means(run: Run) -> pd.DataFrame:
    """The second of `tables`."""
    return run.once(tables)[1]


def plot_trainings(frame: pd.DataFrame, averages: pd.DataFrame, claim_severity: float, origin: str) -> Figure:
    """A panel per recalibration: losses of all trainings over parameters, and the mean of each network's."""
    names = {name: RECALIBRATIONS[name] for name in averages["recalibration"].unique()}
    grid = panels({"": ""}, names, (4.2, 3.9), (0.8, 0), "parameters", sharex=False, sharey=False)
    families = averages["family"].unique()
    step = np.exp(0.022 * np.ptp(np.log(averages["parameters"])))  # this share of the axis, so that bars do not overlap
    for _, name, axis in grid:
        for family, steps in zip(families, dodges(len(families), 1), strict=True):
            dodge, look = step**steps, LOOKS[family]
            mean, single = (where(table, family=family, recalibration=name) for table in (averages, frame))
            errorbars(axis, dodge * mean["parameters"], mean, "loss", markersize=5, capsize=2.5, **look)
            for floored, marker in ((False, "."), (True, "x")):
                part = single[single["at chance"] == floored]
                beside, points = step**0.4 * dodge * part["parameters"], 100 * part["loss"]
                axis.plot(beside, points, linestyle="", marker=marker, markersize=5, color=look["color"])
        axis.axhline(0, color="0.6", linewidth=0.7)
        axis.set_ylabel(f"points lost at {100 * claim_severity:g} % error")
        count_axis(axis)
    shared_legend(grid.axes[0, 0])
    bars = "95 % intervals of their means over trainings, chips and images"
    chance = "; crosses: at chance" if frame["at chance"].any() else ""
    dots = f"dots: {frame['seed'].nunique()} trainings of each{chance}; families are moved apart, and scales differ"
    note = f"\n{dots};\nbars: {bars}"
    add_note(grid.figure, frame, origin, note)
    grid.figure.tight_layout(rect=(0, 0.12, 1, 0.93))
    return grid.figure
