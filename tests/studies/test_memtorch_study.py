"""The guide from MemTorch: its documented equations, its probes, and the points, claims and figures of its sweeps."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from made_up import made_up
from torch import nn

from memlib import Device, Hardware, map_network, recalibrate
from memlib.evidence.answers import pack
from memlib.evidence.comparisons import Chips
from memlib.studies.registry import STUDIES
from memlib.studies.s13_memtorch import detector, documented, exemplar, study
from memlib.studies.shared.effects import seeds_of
from memlib.zoo import seizures

PARAMETERS = STUDIES["13_memtorch"].preset("smoke")


# What is documented


def test_formulas_by_hand():
    """MemTorch's formulas as they stand in `documented`, on numbers that are easily computed."""
    device = Device(r_on=1 / 8, r_off=1 / 4)  # 4 to 8 S
    weight = torch.tensor([[2.0, -1.0, 0.0]], dtype=torch.float64)
    assert documented.naive_map(weight, device).tolist() == [[[8, 4, 4]], [[4, 6, 4]]]
    assert documented.single_column(weight, device).tolist() == [[8, 5, 6]]
    assert documented.naive_scale(torch.tensor([0.5, -2.0]), 0.3).tolist() == pytest.approx([0.075, -0.3])
    small = torch.tensor([0.1, -0.2])
    assert documented.naive_scale(small, 0.3) is small
    assert documented.naive_scale(small, 0.3, force=True).tolist() == pytest.approx([0.15, -0.3])
    quantised = documented.linear_quantise(torch.tensor([0.3, 0.9, -1.0, 0.51]), 3)  # steps of 0.25, codes -4 to 3
    assert quantised.tolist() == [0.25, 0.75, -1.0, 0.5]
    assert documented.drifted(torch.tensor(8.0), 16.0, 1.0, 0.5).item() == 2
    assert documented.nearest_state(torch.tensor([4.9, 5.1, 8.0]), 3, device).tolist() == [4, 6, 8]
    outputs = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    assert documented.tuned(outputs, 3 * outputs + 1).tolist() == [
        [pytest.approx(3 * v + 1) for v in r] for r in outputs
    ]


@pytest.mark.parametrize("equation", documented.EQUATIONS, ids=lambda equation: equation[0])
def test_ideal_results_agree(equation):
    """Each of MemTorch's documented equations, against what memlib computes."""
    assert equation[2]() < 1e-12


#: Which rows of `EQUATIONS` each formula is in.
FORMULAS = {
    "naive_map": [0, 2], "single_column": [1, 3], "naive_scale": [2, 3, 4], "linear_quantise": [5],
    "drifted": [6], "nearest_state": [7], "tuned": [8],
}  # fmt: skip


@pytest.mark.parametrize("formula", FORMULAS)
def test_wrong_equations_are_found(formula, monkeypatch):
    """One per cent too much of a formula is seen in every row that it is in, and in no other."""
    right = getattr(documented, formula)
    monkeypatch.setattr(documented, formula, lambda *arguments: 1.01 * right(*arguments))
    found = [row for row, (*_, compare) in enumerate(documented.EQUATIONS) if compare() > 5e-3]
    assert found == FORMULAS[formula]


def test_tuning_by_columns_is_another_thing():
    """Where columns differ, a factor for each and one line for all are far apart, which the table's name says."""
    layer, x = documented._example()
    noisy = documented.DEVICE.replace(program_error=0.05)
    chip = map_network(layer, Hardware(noisy, documented.OFF))
    outputs = chip(x)
    recalibrate(chip, layer, x, "gain")
    assert documented.deviation(chip(x), documented.tuned(outputs, layer(x).detach())) > 0.02
    assert documented.EQUATIONS[8][0] == "tune_, uniform drift only"


def test_deviations_are_seen():
    """A convolution with a bias that should not be there deviates."""
    layer, x = nn.Conv2d(3, 5, 3), torch.ones(1, 3, 6, 6)
    without = nn.functional.conv2d(x, layer.weight)
    assert documented.deviation(layer(x), without) > 0.01


@pytest.mark.parametrize("scheme", ["differential", "offset"])
def test_memlib_is_right_on_every_probe(scheme):
    """Where MemTorch's layers are wrong, an ideal chip computes what torch does."""
    table = documented.probes(scheme)
    assert table["layer"].tolist() == [probe.name for probe in documented.PROBES]
    assert table["memlib is right"].all(), table


# Points, claims and figures


def test_points_share_a_baseline():
    """Of both kinds: severity 0 is the same point for all effects."""
    sweeps = STUDIES["13_memtorch"].sweeps(STUDIES["13_memtorch"].namespace(PARAMETERS))
    points = sweeps["exemplar"].points
    assert len(points) == 2 * 4 * 2 * 2  # tiles, effects, severities with 0, bits
    assert len({str(point) for point in points}) == 2 * 2 * (1 + 4)
    assert all("detector" in point for name in ("case", "case claims") for point in sweeps[name].points)
    claimed = {(p.get("rows", 128), p.get("cols", 128)) for p in sweeps["claims"].points}
    assert claimed == {(128, 128), (256, 64), (256, 256)}


def test_verdicts_follow_the_measurements():
    """Made-up accuracies with a known verdict for every claim."""

    def accuracy(point):
        if "d2d_on" in point:
            return 0.8 if point.get("rows", 128) == 128 else 0.798
        return 0.7 if point.get("rows", 128) == 128 else 0.65

    p = SimpleNamespace(**PARAMETERS | {"claim_images": 5000})
    points = list(exemplar.claim_points(p).values())
    claims = exemplar.claims(Chips(made_up(points, seeds_of(10), accuracy)), p)
    assert [claim.verdict for claim in claims] == ["confirmed"] * 3
    assert [round(claim.effect, 2) for claim in claims] == [0, 5, 0.2]
    results = made_up(points, seeds_of(10), lambda point: accuracy(point) - 0.1 * (point.get("cols") == 256))
    first = exemplar.claims(Chips(results), p)[0]
    assert (first.verdict, first.effect) == ("refuted", 500)


def case_results(points, found, false):
    """Made-up answers: of windows with a seizure, and of the others, fractions that are found, and false alarms."""
    rows = []
    for point in points:
        for seed in seeds_of(10)(point):
            half = point["images"] // 2
            hits = np.empty(point["images"], bool)
            hits[1::2] = np.arange(half) < round(found(point) * half)
            hits[::2] = np.arange(half) >= round(false(point) * half)
            rows.append({**point, "seed": seed, "accuracy": hits.mean(), "correct": pack(hits)})
    fields = dict.fromkeys(name for point in points for name in point)
    return pd.DataFrame(rows)[[*fields, "seed", "accuracy", "correct"]]


def test_case_rates_and_verdicts():
    """Sensitivity and false alarms are of their own windows, and decide the claims."""
    p = SimpleNamespace(**PARAMETERS | {"case_windows": 10_000})
    points = list(detector.case_claim_points(p).values())
    assert len(points) == 5
    measured = {"none": (0.9, 0.2), "gain": (0.7, 0.05), "batch_norm": (0.9, 0.3)}

    def rates(point):
        return measured[point.get("recalibration", "none")] if point.get("program_error") == 0.1 else (0.9, 0.04)

    results = case_results(points, lambda point: rates(point)[0], lambda point: rates(point)[1])
    claims = detector.case_claims(Chips(results), p)
    assert [claim.verdict for claim in claims] == ["confirmed"] * 4 + ["refuted"]
    assert [round(claim.effect, 2) for claim in claims] == [0, 16, 15, 20, -10]
    assert {claim.images for claim in claims} == {5000}
    assert not any(claim.exploratory for claim in claims)


def test_rates_of_the_case():
    """Sensitivity and false positives of made-up answers."""
    case = detector.case_points(SimpleNamespace(**PARAMETERS))
    table = detector.case_tidy(Chips(case_results([p for _, p in case], lambda p: 0.9, lambda p: 0.1)), case)
    rates = table.groupby("measure")["rate"].unique().str[0].to_dict()
    assert rates == {"false positive rate": pytest.approx(0.1), "sensitivity": pytest.approx(0.9)}


def test_a_real_case():
    """Nothing wrong: the detector's own accuracy, within 2 points. Half of all cells stuck: chance."""
    windows = 200
    x, labels = seizures.windows(windows, seizures.TEST_SEED)
    own = (seizures.load()(x).argmax(1) == labels).double().mean().item()
    ideal = study.evaluate(detector.case_point(windows), seed=0)
    assert ideal["accuracy"] == pytest.approx(own, abs=0.021)
    broken = detector.case_point(windows, "stuck_on", 0.5, "gain")
    assert study.evaluate(broken, 0)["accuracy"] == pytest.approx(0.5, abs=0.1)
    assert study.evaluate(broken, 0) == study.evaluate(broken, 0)
    with pytest.raises(ValueError, match=r"is not 0, that of the point's detector"):
        study.evaluate(detector.case_point(windows) | {"detector": "0"}, 0)
