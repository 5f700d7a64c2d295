"""Intervals against theory and simulation; claims against hand-made intervals."""

import numpy as np
import pytest
from scipy import stats

from memlib.claims import above, within
from memlib.statistics import Interval, crossed_interval, pack, unpack


def test_one_chip_is_the_classic_interval_of_a_mean():
    """With one seed, images alone vary: SciPy's Student interval."""
    values = np.random.default_rng(0).random(50)
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    interval = crossed_interval(values)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_seeds_alone_are_the_classic_interval_over_seeds():
    """If every image answers alike, only the seeds' means vary."""
    means = np.array([0.1, 0.4, 0.2, 0.6])
    expected = stats.ttest_1samp(means, 0).confidence_interval()
    interval = crossed_interval(np.repeat(means[:, None], 20, axis=1))
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(("seeds", "seed_sigma", "image_sigma"), [(5, 0.3, 1.0), (10, 1.0, 0.3), (10, 0.3, 3.0)])
def test_coverage_over_seeds_and_images(seeds, seed_sigma, image_sigma):
    """Crossed random effects: the 95 % interval holds the true mean in 93 to 99.5 % of 2,000 simulations."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(2000):
        noise = rng.normal(size=(seeds, 40))
        values = seed_sigma * rng.normal(size=(seeds, 1)) + image_sigma * rng.normal(size=(1, 40)) + noise
        interval = crossed_interval(values)
        hits += interval.low <= 0 <= interval.high
    assert 0.93 <= hits / 2000 <= 0.995


def test_no_variation_gives_a_point():
    """Identical values: no width, no warning."""
    assert crossed_interval(np.ones((3, 7))) == Interval(1.0, 1.0, 1.0, 3, 7)


def test_pack_is_undone_by_unpack():
    """Any number of answers, also not a multiple of 8."""
    answers = np.random.default_rng(2).random(1003) < 0.7
    assert (unpack(pack(answers), 1003) == answers).all()


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
    assert above("x", interval).effect == pytest.approx(50 * (low + high))


def test_few_seeds_or_images_are_exploratory():
    """Conclusions need 10 seeds and 5,000 images."""
    assert not above("x", Interval(0, 0, 0, 10, 5000)).exploratory
    assert above("x", Interval(0, 0, 0, 9, 5000)).exploratory
    assert above("x", Interval(0, 0, 0, 10, 4999)).exploratory
