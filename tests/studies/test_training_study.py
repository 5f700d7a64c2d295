"""The study of training and recalibration: its points, claims and figures, on made-up results."""

from types import SimpleNamespace

import pytest
from made_up import made_up

from memlib.evidence.claims import effect_text
from memlib.evidence.comparisons import tidy
from memlib.studies import s12_training as study
from memlib.studies.registry import STUDIES
from memlib.studies.shared.effects import seeds_of

PARAMETERS = STUDIES["12_training"].preset("smoke")


def changed(**parameters):
    return SimpleNamespace(**PARAMETERS | parameters)


def test_verdicts_follow_the_measurements():
    """Training leaves 0.04 of a loss of 0.2, which others lose twice; rescaling leaves all, batch norm a quarter."""

    def accuracy(point):
        aware, first = "noise" in point["checkpoint"], point["checkpoint"].startswith("resnet20-")
        loss = (0.04 if aware else 0.2) * (1 if first else 2)
        recalibrated = 0.25 if point.get("recalibration") == "batch_norm" else 1
        return 0.9 - 0.01 * aware - bool(point.get("program_error")) * (loss * recalibrated - 0.01 * aware)

    all_settings = {"claim_recalibrations": ["none", "batch_norm"], "claim_ranges": ["design", "chip"]}
    compared = study.comparisons(changed(claim_images=5000, **all_settings))
    points = list({str(p): p for comparison in compared for p in comparison.points}.values())
    chips = study.Chips(made_up(points, seeds_of(10), accuracy))
    claims = [comparison.claim(chips) for comparison in compared]
    verdicts = {what: {c.verdict for c in claims if what in c.text} for what in (
        "noise-aware training removes", "rescaling columns removes", "recalibrating batch norm removes"
    )}  # fmt: skip
    assert list(verdicts.values()) == [{"confirmed"}, {"refuted"}, {"confirmed"}]
    # the noise-aware ones lose from 0.89 what leaves them at 0.86 and 0.82
    gaps = {what: {round(c.effect, 6) for c in claims if what in c.text} for what in (
        ": trained longer, it loses more", ": noise-aware, it loses more", "takes more off its loss"
    )}  # fmt: skip
    assert list(gaps.values()) == [{20, 5}, {4, 1}, {16, 4}]
    first = next(c for c in claims if "noise-aware training removes" in c.text)
    assert first.effect == pytest.approx(100 * (0.5 * 0.2 - 0.04))


def test_a_training_and_what_goes_on_from_it_share_its_chance():
    """A training that loses more does so plainly and noise-aware: the claim on what is recovered is as sure as ever."""

    def accuracy(point):
        first = point["checkpoint"].replace("-seed1", "").startswith("resnet20-0.5")
        more = 0.1 * ("seed1" in point["checkpoint"]) * first
        left = 0.5 if "noise" in point["checkpoint"] else 1
        return 0.9 - bool(point.get("program_error")) * left * (0.2 + more)

    compared = study.comparisons(changed(claim_images=5000))
    points = list({str(p): p for comparison in compared for p in comparison.points}.values())
    chips = study.Chips(made_up(points, seeds_of(10), accuracy))
    claims = {comparison.statement.id: comparison.claim(chips) for comparison in compared}
    removed, gap = claims["noise_aware/resnet20-0.5"], claims["gap/trained_longer/resnet20_grouped-1"]
    # half of the loss less what is left is 0 in each training; how much is lost differs by 10 points between two
    assert removed.effect == pytest.approx(0, abs=0.01)
    assert removed.high - removed.low < 5
    assert gap.high - gap.low > 100


def test_trainings_belong_together():
    """Each goes on from its plain network."""
    for name, wrong in (("aware_checkpoints", slice(None, None, -1)), ("longer_checkpoints", slice(1))):
        with pytest.raises(ValueError, match=name):
            study.networks_of(changed(**{name: PARAMETERS[name][wrong]}))


def test_quantisation_aware_training_is_judged_on_its_own_hardware():
    """Made-up accuracies: the twin is 10 and 20 points better, which two trainings cannot tell from none.

    No chip differs from another, so none is counted.
    """
    p = changed(quantised_images=100, states=[8, 4], dac_bits=[4])
    labelled = study.quantised_points(p)
    results = made_up([p for _, p in labelled], seeds_of(3), lambda p: 0.8 + 0.1 * ("quantised" in p["checkpoint"]))
    assert (tidy(results, labelled)["n"] == 1).all()

    def accuracy(point):
        """The second training gains twice as much."""
        return 0.8 + 0.1 * ("quantised" in point["checkpoint"]) * (2 if "seed1" in point["checkpoint"] else 1)

    pairs = [point for pair in study.quantised_pairs(p) for point in pair]
    (claim,) = study.quantised_claims(study.Chips(made_up(pairs, seeds_of(3), accuracy)), p)
    assert (claim.verdict, claim.effect, claim.n) == ("undecided", pytest.approx(15), 0)
    assert claim.exploratory  # 100 images
    assert "16 states and 4-bit inputs" in claim.text
    assert "[" in effect_text(claim)
