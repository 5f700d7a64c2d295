"""The study of training and recalibration: its points, claims and figures, on made-up results."""

import pytest
from made_up import made_up, made_up_run

from memlib.evidence.claims import effect_text
from memlib.studies import s12_training as study
from memlib.studies.effects import seeds_of
from memlib.studies.registry import STUDIES

PARAMETERS = STUDIES["12_training"].preset("smoke")
SETTINGS = {"claim_recalibrations": ["none", "batch_norm"], "claim_ranges": ["design", "chip"]}


def run_with(**changes):
    """A run at smoke size on many images, with some changes."""
    return made_up_run(**PARAMETERS | {"claim_images": 5000} | changes)


def test_verdicts_follow_the_measurements():
    """Training leaves 0.04 of a loss of 0.2, which others lose twice; rescaling leaves all, batch norm a quarter."""

    def accuracy(point):
        aware, first = "noise" in point["checkpoint"], point["checkpoint"].startswith("resnet20-")
        loss = (0.04 if aware else 0.2) * (1 if first else 2)
        recalibrated = 0.25 if point.get("recalibration") == "batch_norm" else 1
        return 0.9 - 0.01 * aware - bool(point.get("program_error")) * (loss * recalibrated - 0.01 * aware)

    compared = study.comparisons(run_with(**SETTINGS).p)
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


def test_trainings_belong_together():
    """Each goes on from its plain network."""
    for field, of in (("aware_checkpoints", slice(None, None, -1)), ("longer_checkpoints", slice(1))):
        p = run_with(**{field: PARAMETERS[field][of]}).p
        with pytest.raises(ValueError, match=field):
            study.networks_of(p)


def test_quantisation_aware_training_is_judged_on_its_own_hardware():
    """Made-up accuracies: the twin is 10 points better; no chip differs from another, so none is counted."""
    run = run_with(quantised_images=100, states=[8, 4], dac_bits=[4])
    labelled = study.quantised_points(run.p)
    results = made_up([p for _, p in labelled], seeds_of(3), lambda p: 0.8 + 0.1 * ("quantised" in p["checkpoint"]))
    assert (study.tidy(results, labelled)["n"] == 1).all()
    run.sweep = {"quantised": results}.get
    (claim,) = study.quantised_claims(run)
    assert (claim.verdict, claim.effect, claim.n) == ("confirmed", pytest.approx(10), 0)
    assert claim.exploratory  # 100 images
    assert "16 states and 4-bit inputs" in claim.text
    assert "[" in effect_text(claim)
