"""Chips by point, and claims about weighted sums of losses, for points of any kind."""

import numpy as np
import pytest
from made_up import made_up

from memlib.evidence.claims import Statement
from memlib.evidence.comparisons import Chips, Comparison, Loss, tidy
from memlib.evidence.intervals import difference_interval


def point(images=400, **fields):
    """A point of somebody's own sweep."""
    return {"material": "mine", "images": images, "material_label": "a name", **fields}


def losses(images=400):
    """Two designs against the same baseline."""
    return [Loss(point(images, heat=heat), point(images)) for heat in (0.1, 0.2)]


def chips_of(reached, found, seeds=10, **more):
    """Chips that reach the accuracy of their point's heat."""
    points = [found[0].baseline, *(loss.point for loss in found)]
    return Chips(made_up(points, lambda _: range(seeds), lambda p: reached.get(p.get("heat"), 0.95)), **more)


def test_points_are_found_by_what_decides_them():
    """Numbers that a table turns into floats, fields that are None, and labels do not confuse."""
    points = [point(80), point(80, rows=64), point(80, rows=64, own=True), point(80, kinds="a")]
    accuracies = [0.25, 0.5, 0.75, 1.0]
    results = made_up(points, lambda p: range(3 if "rows" in p else 1), lambda p: accuracies[points.index(p)])
    chips = Chips(results)
    assert [chips.hits(p).mean() for p in points] == accuracies
    assert [len(chips.hits(p)) for p in points] == [1, 3, 3, 1]
    assert chips.hits(points[1] | {"rows": 64.0, "kinds": None, "material_label": "another"}).mean() == 0.5
    assert chips.lost(Loss(points[0], points[1])).mean == pytest.approx(0.25)
    assert tidy(results, [({"name": "b"}, points[1])]).iloc[0][["name", "accuracy"]].tolist() == ["b", 0.5]
    with pytest.raises(KeyError):
        chips.hits(point(80, rows=32))
    with pytest.raises(ValueError, match=r"results=\[.*\]: must be with a column 'correct'"):
        Chips(results.drop(columns="correct"))


def test_claims_about_sums_of_losses():
    """Half of one loss minus another: its mean by hand; of two losses, the interval of their difference."""
    noisy, worse = found = losses()
    chips = chips_of({0.1: 0.7, 0.2: 0.45}, found)
    half = Comparison(Statement("half", "half", "test"), ((0.5, worse), (-1.0, noisy)))
    assert half.points == [worse.baseline, worse.point, noisy.baseline, noisy.point]
    claim = half.claim(chips)
    assert (claim.verdict, claim.n, claim.images) == ("undecided", 10, 400)
    assert claim.effect == pytest.approx(100 * (0.5 * 0.5 - 0.25))
    claim = Comparison(Statement("more", "more", "test"), ((1.0, worse), (-1.0, noisy))).claim(chips)
    expected = difference_interval(chips.hits(noisy.point), chips.hits(worse.point))
    assert claim.effect == pytest.approx(100 * expected.mean)
    assert np.allclose([claim.low, claim.high], [100 * expected.low, 100 * expected.high], atol=0.5)
    assert claim.verdict == "confirmed"


@pytest.mark.parametrize(
    ("reached", "verdict"),
    [
        ((0.15, 0.5), "confirmed"),  # it loses at least so much more
        ((0.5, 0.15), "refuted"),
        ((0.15, 0.12), "undecided"),  # neither can lose more than it did
        ((0.12, 0.15), "undecided"),
        ((0.25, 0.3), "confirmed"),
    ],
)
def test_losses_end_at_chance(reached, verdict):
    """What is at chance may have lost any more: where that could turn a claim around, it is undecided."""
    found, accuracies = losses(5000), dict(zip((0.1, 0.2), reached, strict=True))
    comparison = Comparison(Statement("more", "more", "test"), ((1.0, found[0]), (-1.0, found[1])))
    claim = comparison.claim(chips_of(accuracies, found))
    assert claim.verdict == verdict
    assert claim.text == ("more; at chance" if min(reached) < 0.2 else "more")
    assert claim.effect == pytest.approx(100 * (reached[1] - reached[0]))
    of_many_classes = comparison.claim(chips_of(accuracies, found, chance=0.01))
    assert of_many_classes.verdict == ("confirmed" if reached[0] < reached[1] else "refuted")


def test_claims_over_trainings():
    """By hand: Student's t over trainings; what a training changes in two terms of a network cancels, or adds up."""
    base, trainings = point(5000), (-0.02, 0.0, 0.02)
    reached = {(name, k): 0.75 + x for k, x in enumerate(trainings) for name in ("a", "a, treated")}
    reached |= {("b", k): 0.8 for k in range(3)}

    def comparison(*names):
        terms = [
            (weight / 3, Loss(base | {"network": name, "training": k}, base))
            for k in range(3)
            for weight, name in zip((1.0, -1.0), names, strict=True)
        ]
        roots = tuple(name.partition(",")[0] for name in names)
        return Comparison(Statement("more", "more", "test"), tuple(terms), networks=roots)

    compared = [comparison("a", "b"), comparison("a", "a, treated")]
    points = [base, *({str(p): p for c in compared for _, loss in c.terms for p in [loss.point]}.values())]
    results = made_up(points, lambda _: range(10), lambda p: reached.get((p.get("network"), p.get("training")), 0.95))
    apart, paired = (c.claim(Chips(results)) for c in compared)
    assert (apart.effect, paired.effect) == (pytest.approx(5), pytest.approx(0, abs=1e-9))
    # the standard deviation of a's trainings is 2 points; Student's t of 2 degrees of freedom is 4.303
    assert apart.high - apart.effect == pytest.approx(4.303 * 2 / 3**0.5, rel=0.1)
    assert paired.high - paired.effect < 0.2 * (apart.high - apart.effect)
    assert (apart.n, apart.images) == (10, 5000)
