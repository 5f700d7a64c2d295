"""Claims: statements that are checked by measurement each time, and may be refuted."""

from dataclasses import asdict, dataclass
from typing import Any

from memlib.statistics import Interval

#: What a claim needs to be more than exploratory.
SEEDS, IMAGES = 10, 5000


@dataclass(frozen=True)
class Claim:
    """One statement about a quantity in percentage points, and what was measured."""

    statement: str
    verdict: str  #: "confirmed", "refuted" or "undecided"
    effect: float  #: percentage points
    low: float  #: of the 95 % interval
    high: float
    n: int  #: device seeds
    images: int

    @property
    def exploratory(self) -> bool:
        """Whether there are too few seeds or images for a conclusion."""
        return self.n < SEEDS or self.images < IMAGES

    def as_dict(self) -> dict[str, Any]:
        """For the provenance file; numbers rounded to 0.01 points."""
        fields = {k: round(v, 2) if isinstance(v, float) else v for k, v in asdict(self).items()}
        return fields | {"exploratory": self.exploratory}


def above(statement: str, difference: Interval, threshold: float = 0.0) -> Claim:
    """The claim that a difference of accuracies exceeds `threshold` (a fraction): decided if the interval clears it."""
    confirmed, refuted = difference.low > threshold, difference.high < threshold
    return _claim(statement, difference, confirmed, refuted)


def within(statement: str, difference: Interval, margin: float) -> Claim:
    """The claim that a difference lies within +-`margin` (a fraction): equivalence, decided by the whole interval."""
    confirmed = -margin < difference.low and difference.high < margin
    refuted = difference.low > margin or difference.high < -margin
    return _claim(statement, difference, confirmed, refuted)


def _claim(statement: str, i: Interval, confirmed: bool, refuted: bool) -> Claim:
    verdict = "confirmed" if confirmed else "refuted" if refuted else "undecided"
    return Claim(statement, verdict, 100 * i.mean, 100 * i.low, 100 * i.high, i.n, i.images)
