"""ResNet-20 of several connectivities: what networks there are, which are equal in what, and how they are drawn."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from memlib.evidence.comparisons import Loss
from memlib.studies.trained_networks import float_accuracy, label
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
    """How many parameters a network has, less those that are pruned."""
    return manifest_entry(checkpoint)["nonzero"]


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


def unused_of(family: str) -> dict[str, Any]:
    """What a point says of a family's unused cells."""
    return {"unused": "hrs"} if family.endswith(HRS) else {}


@dataclass(frozen=True)
class Pair:
    """A network, and the ordinary one or two that it is compared with."""

    equal: str  #: "parameters" or "accuracy"
    family: str  #: of the network, one of `FAMILIES`
    checkpoint: str
    others: tuple[tuple[float, str], ...]  #: weights that add up to 1, and checkpoints

    @property
    def statement(self) -> str:
        """The claim about it."""
        unused = HRS if self.family.endswith(HRS) else ""
        others = label(self.others[0][1]) if self.equal == "parameters" else "ordinary networks"
        return f"equal {self.equal}: {label(self.checkpoint)}{unused} loses more than {others}"

    def terms(self, loss: Callable[..., Loss]) -> tuple[tuple[float, Loss], ...]:
        """Its loss less theirs."""
        theirs = ((-share, loss(other)) for share, other in self.others)
        return (1.0, loss(self.checkpoint, **unused_of(self.family))), *theirs


def pairs(families: Families, finetuned: Sequence[str]) -> list[Pair]:
    """What is compared at equal parameters and at equal accuracy; networks without an equal are left out.

    At equal accuracy, ordinary networks and fine-tuned ones stand in for others, too: they are controls, and whatever
    they seem to lose more than their neighbours is an error of the comparison.

    Args:
        finetuned: ordinary networks that were trained on as pruned ones were, which are compared with these.
    """
    found = []
    for family in [name for name in families if name != "ordinary"]:
        twins = finetuned if family.endswith("pruned") else families["ordinary"]
        matches = [(checkpoint, twin(checkpoint, twins)) for checkpoint in families[family]]
        found += [Pair("parameters", family, checkpoint, ((1.0, other),)) for checkpoint, other in matches if other]
    chosen = [(family, checkpoint) for family in families for checkpoint in families[family]]
    for family, checkpoint in [*chosen, *(("ordinary", name) for name in finetuned)]:
        ladder = between(families["ordinary"], checkpoint)
        if ladder:
            found.append(Pair("accuracy", family, checkpoint, ladder))
    return found


def twin(checkpoint: str, others: Sequence[str]) -> str | None:
    """The nearest of other networks in the number of parameters, if it has about as many."""
    ratios = {other: parameters(checkpoint) / parameters(other) for other in others}
    nearest = min(ratios, key=lambda other: abs(math.log(ratios[other])), default=None)
    return nearest if nearest and 1 / EQUAL <= ratios[nearest] <= EQUAL else None


def between(ladder: Sequence[str], checkpoint: str) -> tuple[tuple[float, str], ...]:
    """Two other networks, with weights that add up to 1, whose mean accuracy is that of a network; none if none are."""
    for low, high in itertools.pairwise(sorted(set(ladder) - {checkpoint}, key=float_accuracy)):
        a, b, wanted = float_accuracy(low), float_accuracy(high), float_accuracy(checkpoint)
        if a <= wanted <= b and a < b:
            share = (wanted - a) / (b - a)
            return (1 - share, low), (share, high)
    return ()


def looks() -> dict[str, dict[str, Any]]:
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


def count_axis(axis: Axes) -> None:
    """Numbers of parameters along x, in thousands."""
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count / 1e3:g} k"))
    axis.xaxis.set_minor_locator(NullLocator())
