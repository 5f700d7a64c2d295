"""Claims: statements that are checked by measurement each time, and may be refuted."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from memlib.evidence.intervals import Interval

#: What a claim needs to be more than exploratory.
SEEDS, IMAGES = 10, 5000


@dataclass(frozen=True)
class Claim:
    """One statement about a quantity, and what was measured."""

    statement: str
    verdict: str  #: "confirmed", "refuted" or "undecided"
    effect: float  #: percentage points, or times
    low: float  #: of the 95 % interval
    high: float
    n: int  #: device seeds; 0 if nothing is random
    images: int  #: 0 if the quantity is not of images
    unit: str = "points"  #: or "times", or "%"

    @property
    def exploratory(self) -> bool:
        """Whether there are too few seeds or, if any, images for a conclusion."""
        return 0 < self.n < SEEDS or 0 < self.images < IMAGES

    def as_dict(self) -> dict[str, Any]:
        """For the provenance file; points rounded to 0.01, and ratios to 3 digits."""
        digits = (lambda v: round(v, 2)) if self.unit == "points" else (lambda v: float(f"{v:.3g}"))
        fields = {k: digits(v) if isinstance(v, float) else v for k, v in asdict(self).items()}
        return fields | {"exploratory": self.exploratory}


def effect_text(claim: dict[str, Any]) -> str:
    """Effect, interval and unit of a claim's dictionary, for tables."""
    unit = claim.get("unit", "points")
    form = "{:.2f}" if unit == "points" else "{:.3g}"
    effect, low, high = (form.format(claim[name]) for name in ("effect", "low", "high"))
    return f"{effect} [{low}, {high}] {unit}" if claim["n"] or claim["images"] else f"{effect} {unit}"


def exactly(statement: str, value: float, holds: bool, unit: str = "times") -> Claim:
    """The claim about a ratio of counts, or another number in which nothing is random."""
    return Claim(statement, "confirmed" if holds else "refuted", value, value, value, 0, 0, unit)


def below_times(statement: str, ratio: Interval, threshold: float = 1.0) -> Claim:
    """The claim that a ratio is below `threshold`: decided if the interval clears it."""
    verdict = "confirmed" if ratio.high < threshold else "refuted" if ratio.low > threshold else "undecided"
    return Claim(statement, verdict, ratio.mean, ratio.low, ratio.high, ratio.n, ratio.images, "times")


def above(statement: str, difference: Interval, threshold: float = 0.0) -> Claim:
    """The claim that a difference of accuracies exceeds `threshold` (a fraction): decided if the interval clears it."""
    confirmed, refuted = difference.low > threshold, difference.high < threshold
    return _claim(statement, difference, confirmed, refuted)


def below(statement: str, difference: Interval, threshold: float) -> Claim:
    """The claim that a difference of accuracies, or an error, is below `threshold` (a fraction), decided likewise."""
    return _claim(statement, difference, difference.high < threshold, difference.low > threshold)


def within(statement: str, difference: Interval, margin: float) -> Claim:
    """The claim that a difference lies within +-`margin` (a fraction): equivalence, decided by the whole interval."""
    confirmed = -margin < difference.low and difference.high < margin
    refuted = difference.low > margin or difference.high < -margin
    return _claim(statement, difference, confirmed, refuted)


def beyond(claim: Claim, margin: float) -> Claim:
    """A claim decided by `above` 0, decided again: only what clears +-`margin` (in the claim's unit) counts."""
    hidden = -margin <= claim.high and claim.low <= margin
    return replace(claim, verdict="undecided" if hidden else claim.verdict)


def _claim(statement: str, i: Interval, confirmed: bool, refuted: bool) -> Claim:
    verdict = "confirmed" if confirmed else "refuted" if refuted else "undecided"
    return Claim(statement, verdict, 100 * i.mean, 100 * i.low, 100 * i.high, i.n, i.images)
