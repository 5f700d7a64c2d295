"""Seeds that adapt: numbers by hand, and until intervals are narrow enough."""

import math

import numpy as np
import pandas as pd
import pytest

from memlib.evidence.intervals import (
    Interval,
    seed_interval,
)
from memlib.sweeps.adaptive_seeds import AdaptiveSeeds


def mean_width(intervals):
    return np.mean([i.high - i.low for i in intervals])


def fixed(width, floor=0.0):
    """A function that ignores the rows: 10 seeds had this interval."""
    return lambda rows: Interval(0, -width / 2, width / 2, 10, 1, floor)


@pytest.mark.parametrize(
    ("width", "floor", "asked", "expected"),
    [
        (1.0, 0.0, 1.0, 10),  # narrow enough
        (2.0, 1.0, 1.0, 10),  # more seeds would not help
        (1.0, 0.0, 0.8, 16),  # 10 / 0.64 = 15.6
        (2.0, 1.0, 1.8, 14),  # only 3 of 4 fall with more seeds: 10 * 3 / 2.24 = 13.4
        (1.0, 0.0, 0.999, 11),  # one more at least
        (1.0, 0.0, 0.5, 20),  # 40, but at most twice as many
    ],
)
def test_next_number_of_seeds_by_hand(width, floor, asked, expected):
    """As many as bring the part of the squared width that seeds cause down to what was asked."""
    rows = pd.DataFrame({"seed": range(10)})
    assert AdaptiveSeeds(asked, fixed(width, floor)).count(rows) == expected
    assert AdaptiveSeeds(asked, fixed(width, floor), most=12).count(rows) == min(12, expected)


def test_seeds_follow_the_named_number():
    """5 values of 0 and 5 of 1 are known to 0.754, which is to become 0.6; the other column does not vary."""
    rows = pd.DataFrame({"accuracy": [0, 1] * 5, "energy": [3.0] * 10})
    assert AdaptiveSeeds(0.6).count(rows) == math.ceil(10 * (0.754 / 0.6) ** 2) == 16
    assert AdaptiveSeeds(0.6, "energy").count(rows) == 10
    with pytest.raises(ValueError, match="of='loss': must be among the results: accuracy, energy"):
        AdaptiveSeeds(0.6, "loss").count(rows)


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"width": math.nan}, {"of": 3}, {"first": 1}, {"first": 2.5}, {"first": 9, "most": 8}]
)
def test_adaptive_seeds_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=f"^{list(wrong)[-1]}="):
        AdaptiveSeeds(**{"width": 1.0} | wrong)


def test_noisy_points_get_more_seeds_until_narrow_enough():
    """20 points each of standard deviation 0.1 to 10, grown from 5 seeds: to the width asked, or to the most."""
    seeds, rng, means = AdaptiveSeeds(1.2, first=5), np.random.default_rng(10), []
    for spread in (0.1, 1, 1.5, 10):
        numbers = []
        for _ in range(20):
            rows = pd.DataFrame({"accuracy": rng.normal(scale=spread, size=seeds.most)})
            n = seeds.first
            while (more := seeds.count(rows[:n])) > n:
                n = more
            assert n == seeds.most or mean_width([seed_interval(rows["accuracy"][:n])]) <= seeds.width
            numbers.append(n)
        means.append(np.mean(numbers))
    assert means[0] == 5 < 10 < means[1] < 20 < means[2] < means[3] == 50
