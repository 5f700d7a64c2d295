"""Claims: statements that are checked by measurement each time, and may be refuted."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from memlib.evidence.intervals import Interval

SEEDS, IMAGES = 10, 5000  #: a claim on fewer seeds or images is exploratory
VERDICTS = ("confirmed", "refuted", "undecided")


@dataclass(frozen=True)
class Statement:
    """A sentence that measurement can confirm or refute."""

    id: str  #: unique within its study, whatever the preset, such as "rows_at_4_bits/resnet20"
    text: str
    subject: str  #: the question that it belongs to, such as "tile size"
    headline: str = ""  #: the figure that the README shows beside it; empty: the README leaves the claim out

    def __add__(self, more: str) -> "Statement":
        """The statement with a longer text."""
        return replace(self, text=self.text + more)


@dataclass(frozen=True)
class Claim:
    """One statement about a quantity, and what was measured."""

    statement: Statement
    verdict: str  #: one of VERDICTS
    effect: float  #: percentage points, or times
    low: float  #: of the 95 % interval
    high: float
    n: int  #: device seeds; 0 if nothing is random
    images: int  #: 0 if the quantity is not of images
    unit: str = "points"  #: or "times", or "%"
    at_chance: bool = False  #: whether a compared network is at chance, where it cannot lose any more

    @property
    def exploratory(self) -> bool:
        """Whether there are too few seeds or, if any, images for a conclusion."""
        return 0 < self.n < SEEDS or 0 < self.images < IMAGES

    @property
    def text(self) -> str:
        """The statement's sentence, marked where a network is at chance."""
        return self.statement.text + ("; at chance" if self.at_chance else "")

    @property
    def marked_verdict(self) -> str:
        """The verdict, marked if exploratory."""
        return self.verdict + (" (exploratory)" if self.exploratory else "")

    def as_dict(self) -> dict[str, Any]:
        """For the provenance file; points rounded to 0.01, and ratios to 3 digits."""
        digits = (lambda v: round(v, 2)) if self.unit == "points" else (lambda v: float(f"{v:.3g}"))
        about = asdict(self.statement)
        about["statement"] = about.pop("text")
        fields = {k: digits(v) if isinstance(v, float) else v for k, v in vars(self).items() if k != "statement"}
        return about | fields | {"exploratory": self.exploratory}


def claim_of(content: dict[str, Any]) -> Claim:
    """The claim that `Claim.as_dict` wrote."""
    known = {name: content[name] for name in Claim.__dataclass_fields__ if name != "statement"}
    about = {name: content[name] for name in ("id", "subject", "headline")}
    return Claim(Statement(text=content["statement"], **about), **known)


def effect_text(claim: Claim) -> str:
    """Effect, interval and unit of a claim, for tables."""
    form = "{:.2f}" if claim.unit == "points" else "{:.3g}"
    effect, low, high = (form.format(value) for value in (claim.effect, claim.low, claim.high))
    return f"{effect} [{low}, {high}] {claim.unit}" if claim.n or claim.images else f"{effect} {claim.unit}"


def exactly(statement: Statement, value: float, holds: bool, unit: str = "times") -> Claim:
    """The claim about a ratio of counts, or another number in which nothing is random."""
    return Claim(statement, "confirmed" if holds else "refuted", value, value, value, 0, 0, unit)


def below_times(statement: Statement, ratio: Interval, threshold: float = 1.0) -> Claim:
    """The claim that a ratio is below `threshold`: decided if the interval clears it."""
    verdict = _verdict(ratio.high < threshold, ratio.low > threshold)
    return Claim(statement, verdict, ratio.mean, ratio.low, ratio.high, ratio.n, ratio.images, "times")


def above(statement: Statement, difference: Interval, threshold: float = 0.0) -> Claim:
    """The claim that a difference of accuracies exceeds `threshold` (a fraction): decided if the interval clears it."""
    return _claim(statement, difference, difference.low > threshold, difference.high < threshold)


def below(statement: Statement, difference: Interval, threshold: float) -> Claim:
    """The claim that a difference of accuracies, or an error, is below `threshold` (a fraction), decided likewise."""
    return _claim(statement, difference, difference.high < threshold, difference.low > threshold)


def within(statement: Statement, difference: Interval, margin: float) -> Claim:
    """The claim that a difference lies within +-`margin` (a fraction): equivalence, decided by the whole interval."""
    confirmed = -margin < difference.low and difference.high < margin
    return _claim(statement, difference, confirmed, difference.low > margin or difference.high < -margin)


def beyond(claim: Claim, margin: float) -> Claim:
    """A claim decided by `above` 0, decided again: only what clears +-`margin` (in the claim's unit) counts."""
    hidden = -margin <= claim.high and claim.low <= margin
    return replace(claim, verdict="undecided" if hidden else claim.verdict)


def _claim(statement: Statement, i: Interval, confirmed: bool, refuted: bool) -> Claim:
    return Claim(statement, _verdict(confirmed, refuted), 100 * i.mean, 100 * i.low, 100 * i.high, i.n, i.images)


def _verdict(confirmed: bool, refuted: bool) -> str:
    return "confirmed" if confirmed else "refuted" if refuted else "undecided"
