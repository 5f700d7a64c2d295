"""ResNet-20 of several connectivities: the networks, which are equal in parameters or accuracy, and their looks."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from memlib.evidence.comparisons import Loss
from memlib.studies.shared.effects import Setting, loss_of
from memlib.studies.shared.trained_networks import label, mean_accuracy, network_of
from memlib.zoo.checkpoints import manifest_entry

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
#: Numbers of parameters that differ by no more than this factor are called equal.
EQUAL = 1.2
Families = dict[str, Sequence[str]]


def parameters(checkpoint: str) -> int:
    """The number of a network's parameters that are not pruned."""
    return manifest_entry(checkpoint)["nonzero"]


def families_of(p: SimpleNamespace) -> Families:
    """The checkpoints of each of `FAMILIES`."""
    kinds = "ordinary", "grouped", "grouped", "separable", "separable", "weights", "channels"
    return {family: getattr(p, f"{kind}_checkpoints") for family, kind in zip(FAMILIES, kinds, strict=True)}


def lost(p: SimpleNamespace, checkpoint: str, setting: Setting, **choices: Any) -> Loss:
    """The loss by the claims' severity; see `effects.make_point`."""
    return loss_of(checkpoint, p.claim_images, EFFECT, p.claim_severity, setting, **choices)


def slug(family: str) -> str:
    """A family in ids of claims, such as "grouped_formed" where unused cells are at HRS."""
    return family.replace(HRS, "_formed").replace(" ", "_")


def unused_of(family: str) -> dict[str, Any]:
    """The field of points for a family's unused cells."""
    return {"unused": "hrs"} if family.endswith(HRS) else {}


@dataclass(frozen=True)
class Pair:
    """A network, and the ordinary one or two that it is compared with."""

    equal: str  #: "parameters" or "accuracy"
    family: str  #: of the network, one of `FAMILIES`
    checkpoint: str
    others: tuple[tuple[float, str], ...]  #: weights that add up to 1, and checkpoints

    @property
    def id(self) -> str:
        """The name of the claim about it."""
        return f"{self.equal}/{slug(self.family)}/{network_of(self.checkpoint)}"

    @property
    def text(self) -> str:
        """The claim about it, in words."""
        unused = HRS if self.family.endswith(HRS) else ""
        others = label(self.others[0][1]) if self.equal == "parameters" else "ordinary networks"
        return f"equal {self.equal}: {label(self.checkpoint)}{unused} loses more than {others}"


def pairs_of(p: SimpleNamespace) -> list[Pair]:
    """The `pairs` of a study."""
    return pairs(families_of(p), p.finetuned_checkpoints, p.training_seeds)


def pairs(families: Families, finetuned: Sequence[str], seeds: Sequence[int]) -> list[Pair]:
    """The networks that are compared at equal parameters and at equal accuracy, without those that have no equal.

    At equal accuracy, ordinary networks and fine-tuned ones stand in for others, too: they are controls, and whatever
    they seem to lose more than their neighbours is an error of the comparison.

    Args:
        finetuned: ordinary networks that were trained on as pruned ones were, which are compared with these.
        seeds: of the trainings whose mean accuracy counts.
    """
    compared = []
    for family in [name for name in families if name != "ordinary"]:
        twins = finetuned if family.endswith("pruned") else families["ordinary"]
        matches = [(checkpoint, twin(checkpoint, twins)) for checkpoint in families[family]]
        compared += [Pair("parameters", family, checkpoint, ((1.0, other),)) for checkpoint, other in matches if other]
    members = [(family, checkpoint) for family in families for checkpoint in families[family]]
    for family, checkpoint in [*members, *(("ordinary", name) for name in finetuned)]:
        ladder = between(families["ordinary"], checkpoint, seeds)
        if ladder:
            compared.append(Pair("accuracy", family, checkpoint, ladder))
    return compared


def twin(checkpoint: str, others: Sequence[str]) -> str | None:
    """The nearest of other networks in the number of parameters, if it has about as many."""
    ratios = {other: parameters(checkpoint) / parameters(other) for other in others}
    nearest = min(ratios, key=lambda other: abs(math.log(ratios[other])), default=None)
    return nearest if nearest and 1 / EQUAL <= ratios[nearest] <= EQUAL else None


def between(ladder: Sequence[str], checkpoint: str, seeds: Sequence[int]) -> tuple[tuple[float, str], ...]:
    """Two other networks, with weights that add up to 1, whose mean accuracy is that of a network; none if none are.

    Accuracies are means over trainings, and count as exact.
    """
    accuracy = partial(mean_accuracy, seeds=seeds)
    wanted = accuracy(checkpoint)
    for low, high in itertools.pairwise(sorted(set(ladder) - {checkpoint}, key=accuracy)):
        a, b = accuracy(low), accuracy(high)
        if a <= wanted <= b and a < b:
            share = (wanted - a) / (b - a)
            return (1 - share, low), (share, high)
    return ()


def _looks() -> dict[str, dict[str, Any]]:
    kinds = [family for family in FAMILIES if not family.endswith(HRS)]
    colors = dict(zip(kinds, sns.color_palette("colorblind", len(kinds)), strict=True))
    looks = {}
    for family, marker in FAMILIES.items():
        color = colors[family.removesuffix(HRS)]
        looks[family] = {"color": color, "marker": marker, "label": family, "linestyle": "-"}
        if family.endswith(HRS):
            looks[family] |= {"markerfacecolor": "white", "linestyle": ":"}
    return looks


#: Color, marker, line and name of each family.
LOOKS = _looks()


def count_axis(axis: Axes) -> None:
    """Numbers of parameters along x, in thousands."""
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count / 1e3:g} k"))
    axis.xaxis.set_minor_locator(NullLocator())
