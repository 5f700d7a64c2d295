"""Comparisons of designs on shared chips and images, for the results of any sweep.

A sweep whose function returns `correct`, the packed answers of one chip to the first point["images"] images (see
`answers.pack`), knows what each chip got right. Points that were tried at the same seeds are compared chip by chip
and image by image, so that what all of them share cancels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from memlib.base.canonical import LABEL, deciding, dumps
from memlib.base.checks import fail
from memlib.evidence.answers import unpack
from memlib.evidence.claims import Claim, Statement, above
from memlib.evidence.intervals import Interval, crossed_interval, trainings_interval

Point = dict[str, Any]
#: Labels of a row in a table, and the point that it is about.
Labelled = Sequence[tuple[dict[str, Any], Point]]


class Chips:
    """The answers of all chips of a sweep, by point.

    Args:
        results: as `sweep` returns them: the points' fields with `images`, `seed`, and `correct`.
        chance: accuracy of guessing, a fraction. Below twice that a network counts as lost.

    Raises:
        ValueError: for results without one of these columns.
    """

    def __init__(self, results: pd.DataFrame, chance: float = 0.1) -> None:
        for name in ("images", "seed", "correct"):
            if name not in results:
                fail("results", list(results), f"with a column {name!r}")
        self.floor = 2 * chance
        names = [name for name in list(results)[: list(results).index("seed")] if not name.endswith(LABEL)]
        self._hits: dict[str, np.ndarray] = {}
        keys = [_key(point) for point in results[names].to_dict("records")]  # pandas cannot group by lists
        for key, group in results.groupby(keys, sort=False):
            group = group.sort_values("seed")
            hits = [unpack(text, n) for text, n in zip(group["correct"], group["images"], strict=True)]
            self._hits[key] = np.stack(hits).astype(float)

    def hits(self, point: Point) -> np.ndarray:
        """(seeds, images) 1.0 or 0.0 for right or wrong; one row where chips are alike. Raises KeyError if unknown."""
        return self._hits[_key(point)]

    def loss(self, loss: "Loss") -> np.ndarray:
        """(seeds, images) what each image lost: -1, 0 or 1."""
        return self.hits(loss.baseline) - self.hits(loss.point)

    def lost(self, loss: "Loss") -> Interval:
        """The mean of `loss` with its 95 % interval."""
        return crossed_interval(self.loss(loss), low=-1, extra=1)


def _key(point: Point) -> str:
    """What decides a point's result; NaN is what a table makes of None."""
    return dumps(deciding({n: v for n, v in point.items() if not (isinstance(v, float) and math.isnan(v))}))


def tidy(results: pd.DataFrame, labelled: Labelled) -> pd.DataFrame:
    """A row per labelled point: its labels, and mean accuracy over chips with its 95 % interval."""
    chips = Chips(results)
    return pd.DataFrame([labels | crossed_interval(chips.hits(point)).columns() for labels, point in labelled])


@dataclass(frozen=True)
class Loss:
    """What one design loses against another: an effect against the same hardware without it, for one."""

    point: Point
    baseline: Point


@dataclass(frozen=True)
class Comparison:
    """The claim that a weighted sum of losses is above 0, decided on the same device seeds and images."""

    statement: Statement
    terms: tuple[tuple[float, Loss], ...]  #: weight and loss
    #: Where networks were trained several times: the network of each term within one training. `terms` are all of the
    #: first training, then the same of the next. Terms of one network share the chance of its training.
    networks: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def points(self) -> list[Point]:
        """All that it needs."""
        return [point for _, loss in self.terms for point in (loss.baseline, loss.point)]

    def claim(self, chips: Chips) -> Claim:
        """The claim, decided on the results of a sweep.

        A network at chance cannot lose any more, so its loss is too small: a sum that adds it is too low, and one that
        subtracts it too high. A verdict that a larger loss could turn around is undecided.
        """
        claim = above(self.statement, self.interval(chips))
        floored = [weight for weight, loss in self.terms if chips.hits(loss.point).mean() < chips.floor]
        hidden = {"confirmed": min(floored, default=0) < 0, "refuted": max(floored, default=0) > 0}
        verdict = "undecided" if hidden.get(claim.verdict) else claim.verdict
        return replace(claim, verdict=verdict, at_chance=bool(floored))

    def interval(self, chips: Chips) -> Interval:
        """The sum with its 95 % interval over device seeds and images, and over trainings if there are several."""
        if self.networks:
            return trainings_interval(self._by_training(chips))
        bound = sum(abs(weight) for weight, _ in self.terms)
        total = sum((weight * chips.loss(loss) for weight, loss in self.terms), np.zeros(1))
        return crossed_interval(total / bound, low=-1, extra=1).scaled(bound)

    def _by_training(self, chips: Chips) -> np.ndarray:
        """(networks, trainings, seeds, images), what each network adds to the sum, each training standing for all."""
        trainings = len(self.terms) // len(self.networks)
        sums: dict[str, list[Any]] = {network: [0.0] * trainings for network in self.networks}
        for i, (weight, loss) in enumerate(self.terms):
            training, term = divmod(i, len(self.networks))
            sums[self.networks[term]][training] += weight * trainings * chips.loss(loss)
        shape = np.broadcast_shapes(*(values.shape for found in sums.values() for values in found))
        return np.array([[np.broadcast_to(values, shape) for values in found] for found in sums.values()])
