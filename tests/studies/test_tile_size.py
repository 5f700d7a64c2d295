"""The case study: its points, table, verdicts and figure, on made-up and on real small results."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from made_up import made_up

from memlib.evidence.answers import pack
from memlib.evidence.comparisons import Chips, tidy
from memlib.mapping.point_fields import FROZEN
from memlib.studies import s05_tile_size as study
from memlib.sweeps.points import tasks
from memlib.training import trainer
from memlib.zoo import data_sets
from memlib.zoo.checkpoints import load_checkpoint

CHECKPOINTS = ["resnet20-digits", "vgg8-digits"]
SEVERITIES = {"d2d": [0, 0.2], "states": [0, 4], "stuck_on": [0, 0.1], "stuck_off": [0, 0.1]}


def changed(**parameters):
    shared = {"checkpoints": CHECKPOINTS, "images": 10, "device": "10k_100k", "training_seeds": [0, 1]}
    return SimpleNamespace(**shared, **SEVERITIES, **parameters)


def test_effects_share_one_baseline_and_random_points_have_all_seeds():
    """2 networks x 2 tiles x 1 ADC: one baseline and four effects each; states and the baseline need one chip."""
    points = [point for _, point in study.points(changed(tile_rows=[32, 64], adc_bits=[8]))]
    assert len(points) == 2 * 2 * 8
    assert len(tasks(points, study.evaluate, study.seeds_of(3))) == 2 * 2 * (1 + 1 + 3 * 3)
    own = study.At(32, 8, severity=0).point(CHECKPOINTS[0], 10, "neurram")  # errors of the device's own
    assert len(tasks([own], study.evaluate, study.seeds_of(3))) == 3


def test_table_of_means_and_intervals():
    """Each panel has its own effect and the common baseline, with n chips and their mean."""
    labelled = study.points(changed(tile_rows=[32], adc_bits=[4, 8]))
    unique = list({json.dumps(point): point for _, point in labelled}.values())
    results = made_up(unique, study.seeds_of(3), lambda p: 0.3 if p.get("stuck_on") else 0.8)
    frame = tidy(results, labelled)
    assert len(frame) == 2 * 2 * 8
    stuck = (frame["effect"] == "stuck_on") & (frame["severity"] > 0)
    assert np.allclose(frame["accuracy"], np.where(stuck, 0.3, 0.8))
    random = (frame["severity"] > 0) & (frame["effect"] != "states")
    assert frame["n"].tolist() == np.where(random, 3, 1).tolist()
    assert (frame["low"] < frame["accuracy"]).all()
    assert (frame["accuracy"] < frame["high"]).all()


def test_claims_follow_the_measurements():
    """Made-up accuracies with a known verdict for every claim."""
    measured = {(32, 4): 0.9, (256, 4): 0.6, (32, 8): 0.9, (256, 8): 0.9, (256, 10): 0.95}

    def accuracy(point):
        point = FROZEN | point
        if point.get("stuck_on") or point.get("stuck_off"):
            return 0.5 if point.get("stuck_on") else 0.7
        if point.get("adc_range") == "full":
            return 0.3 if point["rows"] == 32 else 0.295
        stem, again = point["checkpoint"].startswith("resnet20-"), "seed1" in point["checkpoint"]
        loses = stem and not point.get("d2d_on")
        return measured[point["rows"], point["adc_bits"]] + (0.05 - 0.02 * again) * loses

    p = changed(claim_images=2000)
    points = list({json.dumps(point): point for point in study.claim_points(p)}.values())
    claims = study.claims(Chips(made_up(points, study.seeds_of(10), accuracy)), p)
    assert [claim.verdict for claim in claims] == [
        "confirmed",
        "confirmed",
        "refuted",
        "refuted",
        "confirmed",
        "confirmed",
    ] * 2 + ["undecided"]
    assert [claim.effect for claim in claims] == pytest.approx([30, 0, 5, 0.5, 60, 20] * 2 + [4])
    between = claims[-1]
    assert between.text.endswith("(256 rows, 8 bits) (2 trainings each)")
    # 5 and 3 points are a standard error of 1 point, times Student's t of 1 degree of freedom and those of images
    assert 5 < between.high - between.effect < 12.7
    assert {claim.n for claim in claims} == {10}


def test_a_point_is_near_the_float_network_when_nothing_is_wrong():
    """An ideal device with 8-bit DACs and 10-bit ADCs answers as the digital network, on almost all images."""
    point = study.At(64, 10, severity=0).point("resnet20-digits", 100, "10k_100k")
    result = study.evaluate(point, seed=0)
    digits = data_sets.load_images("digits", "test")
    first = data_sets.Images(digits.pixels[:100], digits.labels[:100], "")
    expected = trainer.digital_accuracy(load_checkpoint("resnet20-digits"), first)
    assert result["accuracy"] == pytest.approx(expected, abs=0.021)
    assert result["accuracy"] < 1 or result["correct"] == pack(np.ones(100))


def test_a_broken_device_is_at_chance():
    """With half of all cells stuck at LRS nothing is left; the seed decides which."""
    point = study.At(64, 8, "stuck_on", 0.5).point("resnet20-digits", 200, "10k_100k")
    answers = [study.evaluate(point, seed) for seed in (0, 1, 0)]
    assert answers[0] == answers[2] != answers[1]
    assert all(answer["accuracy"] < 0.4 for answer in answers)


def test_footprint_table_by_hand():
    """A ResNet-20 of half width at 128x128, by hand: 1 + 6 tiles for the first stage, 1 + 5x2, 2 + 5x3, 1, in pairs."""
    table = study.footprint_table(["resnet20-digits"], [[128, 128], [256, 64]])
    assert table["tiles"].tolist() == [
        2 * (1 + 6 + 1 + 5 * 2 + 2 + 5 * 3 + 1),
        2 * (1 + 6 + 1 + 5 + 1 + 5 * 2 + 1),
    ]
    assert table["tile"].tolist() == ["128x128", "256x64"]
