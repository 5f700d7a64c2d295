"""The study of capacity: its matches, claims and explanations, on made-up and on small results."""

import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from made_up import made_up
from torch import nn

from memlib import train
from memlib.chip import map_network
from memlib.device import Device
from memlib.hardware import Hardware
from memlib.presets import PRESETS
from memlib.studies import capacity as study
from memlib.studies.effects import seeds_of
from memlib.tile import Tile

mpl.use("agg")
PARAMETERS = PRESETS["smoke"]["07_capacity"]
KINDS = ("ordinary", "grouped", "separable", "weights", "channels")
FAMILIES = study.families_of(*(PARAMETERS[f"{name}_checkpoints"] for name in KINDS))


def test_matches(monkeypatch):
    """By hand: the nearest in the logarithm of parameters, and the two ordinary networks around an accuracy."""
    sizes, accuracies = {"a": 10, "b": 100, "c": 1000, "x": 40}, {"a": 0.6, "b": 0.8, "c": 0.9, "x": 0.85}
    monkeypatch.setattr(study, "parameters", sizes.get)
    monkeypatch.setattr(study, "accuracy_of", accuracies.get)
    families = {"ordinary": ["c", "a", "b"], "grouped": ["x"]}
    assert study.matched(families, "grouped") == [("x", "b")]
    assert study.between(families, "x") == [(pytest.approx(0.5), "b"), (pytest.approx(0.5), "c")]
    accuracies["x"] = 0.5
    assert study.between(families, "x") == []


def test_claims_compare_like_with_like():
    """Weights add up to 0, or to nothing but a difference; every claim is there in all four settings."""
    compared = study.comparisons(FAMILIES, PARAMETERS["layout_checkpoints"], 500, 0.03)
    assert len({comparison.statement for comparison in compared}) == len(compared)
    for comparison in compared:
        weights = [weight for weight, _ in comparison.terms]
        assert sum(weights) == pytest.approx(0)
        assert sum(map(abs, weights)) == pytest.approx(2)
        fields = [dict.fromkeys(loss.point, 0) | loss.point for _, loss in comparison.terms]
        shared = {"program_error", "recalibration", "adc_calibration", "images"}
        assert all(a.get(name) == b.get(name) for a, b in itertools.pairwise(fields) for name in shared)
        assert all(loss.point == loss.baseline | {"program_error": 0.03} for _, loss in comparison.terms)
    plain = [comparison for comparison in compared if not comparison.statement.endswith(")")]
    assert len(compared) == 4 * len(plain)


def test_verdicts_follow_the_measurements():
    """Networks that lose by their family alone: equal within, unequal between families, sparse worse than dense."""
    lost = {"ordinary": 0.1, "grouped": 0.2, "separable": 0.05, "weights": 0.1, "channels": 0.3}
    family_of = {name: kind for kind in KINDS for name in PARAMETERS[f"{kind}_checkpoints"]}

    def accuracy(point):
        more = -0.05 * (point.get("layout") == "sparse") + 0.2 * (point["unused"] == "hrs")
        return 0.9 - bool(point.get("program_error")) * (lost[family_of[point["checkpoint"]]] + more)

    compared = study.comparisons(FAMILIES, PARAMETERS["layout_checkpoints"], 5000, 0.03)
    points = list({str(p): p for comparison in compared for p in comparison.points}.values())
    results = made_up(points, seeds_of(10), accuracy)
    chips = study.Chips(results)
    verdicts = {}
    for comparison in compared:
        claim = comparison.claim(chips)
        kind = claim.statement.partition(" (batch")[0].partition(" (ADC")[0]
        verdicts.setdefault(kind, set()).add((claim.verdict, round(claim.effect, 6)))
    expected = {
        "equal parameters: grouped: loses more than ordinary networks": ("confirmed", 10),
        "equal parameters: grouped, unused cells at HRS: loses more than ordinary networks": ("confirmed", 30),
        "equal parameters: separable: loses more than ordinary networks": ("refuted", -5),
        "equal parameters: weights pruned: loses more than ordinary networks": ("undecided", 0),
        "equal parameters: channels pruned: loses more than ordinary networks": ("confirmed", 20),
        "width: ordinary: the narrowest network loses more than the widest": ("undecided", 0),
        "width: separable, unused cells at HRS: the narrowest network loses more than the widest": ("undecided", 0),
    }
    assert {kind: verdicts[kind] for kind in expected} == {kind: {found} for kind, found in expected.items()}
    layouts = [found for kind, found in verdicts.items() if kind.startswith("equal network")]
    assert layouts == [{("refuted", -5)}] * 2
    frame = study.layout_losses(results, PARAMETERS["layout_checkpoints"], 5000, 0.03)
    assert frame.groupby("layout", sort=False)["loss"].mean().round(3).tolist() == [0.1, 0.05, 0.3, 0.25]
    figure = study.plot_layouts(frame, 0.03)
    assert figure.axes[0].get_ylabel() == "points lost at 0.03"
    mpl.pyplot.close(figure)


def test_noise_gain_is_the_noise_of_outputs():
    """Outputs of many chips of a layer, for inputs without correlation: noise by signal is sigma times the gain."""
    torch.manual_seed(0)
    layer, sigma = nn.Linear(400, 50, bias=False), 0.02
    x = torch.randn(200, 400)
    # HRS cells are clipped at 0 S beyond 5 sigma only, as g_off is 0.11 of the range
    hardware = Hardware(Device(program_error=sigma), Tile(dac_bits=None, adc_bits=None))
    clean = layer(x).detach()
    noise = [map_network(nn.Sequential(layer), hardware, seed=seed)(x) - clean for seed in range(20)]
    measured = float(torch.stack(noise).std() / clean.std())
    w = layer.weight.detach()
    expected = sigma * np.sqrt(2) * float(w.abs().max() / w.square().mean().sqrt())
    assert measured == pytest.approx(expected, rel=0.03)
    gains = study.noise_gains(["vgg8-digits"])
    w = train.load_checkpoint("vgg8-digits").get_submodule(gains["layer"][3]).weight.detach().numpy()
    assert gains["noise_gain"][3] == pytest.approx(np.sqrt(2) * np.abs(w).max() / np.sqrt((w**2).mean()), rel=1e-5)


def test_tables_and_figures():
    """Made-up ladders: losses and tolerances by hand, a panel for each quantity, an interval at every marker."""
    labelled = study.points(FAMILIES, 1000, [0.01, 0.03])
    networks = dict.fromkeys(name for names in FAMILIES.values() for name in names)
    slopes = dict(zip(networks, np.linspace(4, 6, len(networks)), strict=True))
    results = made_up(
        [point for _, point in labelled],
        seeds_of(3),
        lambda p: 0.9 - slopes[p["checkpoint"]] * p.get("program_error", 0),
    )
    frame, tolerances = study.tidy(results, labelled), study.tolerances(results, labelled)
    assert len(frame) == 2 * 3 * sum(map(len, FAMILIES.values()))
    assert np.allclose(frame["loss"], frame["checkpoint"].map(slopes) * frame["severity"], atol=1e-3)
    assert tolerances["tolerance"].between(0.001, 0.003).all()
    explained = study.explanations(frame, 0.03)
    assert list(study.correlations(explained)["explanation"]) == ["parameters", "layers", "noise"]
    figure = study.plot(frame, tolerances, 0.03)
    assert len(figure.axes) == 6
    assert all(len(axis.containers) == len(FAMILIES) for axis in figure.axes)
    alone = pd.DataFrame({"checkpoint": "vgg8-digits", "depth": range(3), "loss": 0.1, "low": 0.0, "high": 0.2})
    alone = alone.assign(n=3, images=100)
    figure = study.plot_explained(study.noise_gains(["vgg8-digits"]), alone, explained, 0.03, 0.1)
    assert [axis.get_xlabel()[:5] for axis in figure.axes] == ["layer", "layer", "root "]
    mpl.pyplot.close("all")
