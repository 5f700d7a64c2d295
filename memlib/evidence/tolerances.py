"""Tolerances: the largest severity of an effect that costs at most so much accuracy."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from memlib.evidence.comparisons import Chips, Labelled
from memlib.evidence.intervals import Interval, difference_interval


@dataclass(frozen=True)
class Tolerance:
    """The largest severity that costs at most so much accuracy, with its interval; inf if none that was tried does."""

    severity: float
    low: float
    high: float
    n: int  #: device seeds
    images: int

    def columns(self) -> dict[str, float]:
        """As columns of a table."""
        return {"tolerance": self.severity, "low": self.low, "high": self.high, "n": self.n, "images": self.images}


def tolerance(severities: Sequence[float], hits: Sequence[np.ndarray], cost: float = 0.01) -> Tolerance:
    """The largest severity whose mean loss of accuracy is at most `cost`.

    The mean loss against severity is made monotone (isotonic regression) and interpolated by a monotone cubic (PCHIP).
    The interval goes from the last severity tried before the upper 95 % limit of the loss exceeds `cost` to the first
    at which the lower limit does: what happens between two severities that were tried is not known.

    Args:
        severities: ascending, the first is 0, the baseline that losses are measured from.
        hits: for each severity (seeds, images), 0/1 for wrong and right, on the same seeds and images; the baseline may
            have one row.
        cost: a fraction of all images.

    Raises:
        ValueError: if severities do not start at 0 and ascend, or do not match `hits`.
    """
    tried = np.asarray(severities, float).tolist()
    if len(tried) < 2 or tried[0] != 0 or not (np.diff(tried) > 0).all() or len(tried) != len(hits):
        raise ValueError(f"severities={tried}: must ascend from 0, one for each of {len(hits)} arrays")
    return crossing(tried[1:], [difference_interval(hits[0], other) for other in hits[1:]], cost)


def tolerance_table(results: pd.DataFrame, labelled: Labelled) -> pd.DataFrame:
    """A row for each combination of labels other than `severity`: the `tolerance` of the severities that it has."""
    chips, curves = Chips(results), dict[str, tuple[dict[str, Any], dict[float, np.ndarray]]]()
    for labels, point in labelled:
        others = {name: value for name, value in labels.items() if name != "severity"}
        _, hits = curves.setdefault(repr(others), (others, {}))
        hits[labels["severity"]] = chips.hits(point)
    return pd.DataFrame([labels | tolerance(list(h), list(h.values())).columns() for labels, h in curves.values()])


def crossing(severities: Sequence[float], losses: Sequence[Interval], cost: float = 0.01) -> Tolerance:
    """`tolerance` from the losses (fractions) at ascending severities above 0, each with a baseline of its own.

    Raises ValueError if severities do not ascend from above 0, or do not match `losses`.
    """
    tried = np.array([0.0, *severities])
    if len(tried) < 2 or not (np.diff(tried) > 0).all() or len(tried) != len(losses) + 1:
        found = tried[1:].tolist()
        raise ValueError(f"severities={found}: must ascend from above 0, one for each of {len(losses)} losses")
    mean, upper, lower = (np.array([0.0, *(getattr(i, name) for i in losses)]) for name in ("mean", "high", "low"))
    low = tried[np.argmax(upper > cost) - 1] if (upper > cost).any() else tried[-1]
    high = tried[np.argmax(lower > cost)] if (lower > cost).any() else math.inf
    return Tolerance(_crossing(tried, mean, cost), float(low), float(high), losses[0].n, losses[0].images)


def _crossing(severities: np.ndarray, losses: np.ndarray, cost: float) -> float:
    """The largest severity before a loss, made monotone, exceeds `cost`; inf if none does."""
    from scipy import interpolate, optimize  # 50 MB, which a simulation alone does not need

    rising = np.maximum(optimize.isotonic_regression(losses).x, 0)
    above = np.flatnonzero(rising > cost)
    if not len(above):
        return math.inf
    curve = interpolate.PchipInterpolator(severities, rising)
    bracket = severities[above[0] - 1], severities[above[0]]
    if curve(bracket[1]) <= cost:  # by a rounding
        return float(bracket[1])
    return float(optimize.brentq(lambda severity: curve(severity) - cost, *bracket))
