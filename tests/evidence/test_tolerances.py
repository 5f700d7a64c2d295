"""Tolerances by hand, and against simulated losses whose truth is known."""

import math

import numpy as np
import pytest

from memlib.evidence.tolerances import tolerance


def held(intervals, truth):
    return np.mean([i.low <= truth <= i.high for i in intervals])


def losing(*losses, images=128):
    """Hits of a chip that gets all right, then of chips that get `losses` of the images wrong."""
    return [np.arange(images) >= loss for loss in (0, *losses)]


@pytest.mark.parametrize(
    ("severities", "losses", "cost", "expected"),
    [
        ([0, 1, 2, 4], [4, 8, 16], 6, 1.5),  # a straight line stays one
        ([0, 1, 2, 3], [0, 32, 32], 5, 1.25),  # a step is smooth: 3 x^2 - 2 x^3
        ([0, 1, 2, 3], [0, 4, 64], 4, 2),  # exactly at a severity that was tried
        ([0, 1, 2, 3], [6, 2, 16], 4, 2),  # 6 and 2 are made monotone: 4 and 4
        ([0, 1, 2], [1, 3], 4, math.inf),
    ],
)
def test_tolerance_by_hand(severities, losses, cost, expected):
    """One chip without noise, images of 128 lost: where the monotone curve crosses the cost."""
    found = tolerance(severities, losing(*losses), cost / 128)
    assert found.severity == pytest.approx(expected)
    assert (found.n, found.images) == (1, 128)


def test_tolerance_is_found_within_its_interval():
    """Chips and images that lose 1 point at severity 1.2: found within 0.03, and by at least 95 % of intervals."""
    rng, severities, found = np.random.default_rng(9), [0, 0.5, 1, 1.5, 2], []
    for _ in range(300):
        right, u = rng.random(3000) < 0.9, rng.random((10, 3000))
        fragile = rng.uniform(0.5, 1.5, (10, 1)) * rng.choice([0.5, 1.5], 3000) * 0.01 / 0.9 / 1.2**2
        found.append(tolerance(severities, [right, *(right & (u > fragile * s**2) for s in severities[1:])]))
    assert np.mean([t.severity for t in found]) == pytest.approx(1.2, abs=0.03)
    assert {(t.low, t.high) for t in found} <= {(1, 1.5), (0.5, 1.5), (1, 2), (0.5, 2), (1, math.inf)}
    assert held(found, 1.2) >= 0.95


def test_tolerance_interval_knows_nothing_between_severities():
    """A loss that begins between 0.1 and 0.2: interpolated too early, but the interval says how little is known."""
    rng = np.random.default_rng(11)
    u, right = rng.random((10, 5000)), np.ones(5000, bool)
    found = tolerance([0, 0.1, 0.2], [right, np.repeat(right[None], 10, 0), u > max(0.2 - 0.15, 0)], 0.01)
    assert (found.low, found.high) == (0.1, 0.2)
    assert 0.1 < found.severity < 0.16


def test_tolerance_of_what_costs_nothing_is_endless():
    """No loss at any severity: endless, and on many images surely more than all that were tried; on few, who knows."""
    sure, unsure = (tolerance([0, 1, 2], [np.ones((5, m))] * 3) for m in (5000, 50))
    assert (sure.severity, sure.low, sure.high) == (math.inf, 2, math.inf)
    assert unsure.severity == unsure.high == math.inf
    assert unsure.low == 0


def test_tolerance_below_all_severities_is_near_0():
    """Half of all images lost at the first severity: next to 0, and surely below that severity."""
    found = tolerance([0, 1, 2], [np.ones(400), *[np.arange(400) < 200] * 2])
    assert (found.low, found.high) == (0, 1)
    assert 0 < found.severity < 0.05


@pytest.mark.parametrize("severities", [[0, 2, 1], [0, 1, 1], [1, 2, 3], [0, 1], [0], [0, 1, math.nan]])
def test_severities_must_ascend_from_0(severities):
    """Unsorted, twice the same, without a baseline, fewer than arrays, or no number."""
    with pytest.raises(ValueError, match=r"severities=.*: must ascend from 0, one for each of 3 arrays"):
        tolerance(severities, losing(1, 2))
