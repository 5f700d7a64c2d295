"""Verdicts of claims by their intervals."""

import pytest

from memlib.evidence.claims import above, below, within
from memlib.evidence.intervals import (
    Interval,
)


@pytest.mark.parametrize(
    ("low", "high", "greater", "equal"),
    [
        (0.02, 0.04, "confirmed", "refuted"),
        (-0.04, -0.02, "refuted", "refuted"),
        (0.005, 0.02, "undecided", "undecided"),
        (-0.005, 0.005, "refuted", "confirmed"),
    ],
)
def test_verdicts(low, high, greater, equal):
    """The whole interval must be on one side of 1 point, or within +-1 point."""
    interval = Interval((low + high) / 2, low, high, 10, 5000)
    assert above("x", interval, 0.01).verdict == greater
    assert within("x", interval, 0.01).verdict == equal
    opposite = {"confirmed": "refuted", "refuted": "confirmed", "undecided": "undecided"}
    assert below("x", interval, 0.01).verdict == opposite[greater]
    assert above("x", interval).effect == pytest.approx(50 * (low + high))


def test_few_seeds_or_images_are_exploratory():
    """Conclusions need 10 seeds and 5,000 images."""
    assert not above("x", Interval(0, 0, 0, 10, 5000)).exploratory
    assert above("x", Interval(0, 0, 0, 9, 5000)).exploratory
    assert above("x", Interval(0, 0, 0, 10, 4999)).exploratory
