"""The study of capacity: its matches, claims and explanations, on made-up and on small results."""

import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from made_up import made_up
from torch import nn

from memlib.calibration import record_inputs
from memlib.chip import map_network
from memlib.device import Device
from memlib.hardware import Hardware
from memlib.mapping import Mapping
from memlib.presets import PRESETS
from memlib.studies import capacity as study
from memlib.studies.effects import seeds_of
from memlib.tile import Tile

mpl.use("agg")
PARAMETERS = PRESETS["smoke"]["07_capacity"]
KINDS = ("ordinary", "grouped", "separable", "weights", "channels")
LONGER, LAYOUTS = PARAMETERS["longer_checkpoints"], PARAMETERS["layout_checkpoints"]
SETTINGS = study.settings(["none", "batch_norm"], ["design", "chip"])
FAMILIES = study.families_of(*(PARAMETERS[f"{name}_checkpoints"] for name in KINDS))


def test_matches(monkeypatch):
    """By hand: the nearest in the logarithm of parameters, and the two ordinary networks around an accuracy."""
    sizes, accuracies = {"a": 10, "b": 100, "c": 1000, "x": 40}, {"a": 0.6, "b": 0.8, "c": 0.9, "x": 0.85}
    monkeypatch.setattr(study, "parameters", sizes.get)
    monkeypatch.setattr(study, "accuracy_of", accuracies.get)
    families = {"ordinary": ["c", "a", "b"], "grouped": ["x"]}
    assert study.matched(families, [], "grouped") == []  # 2.5 times fewer
    sizes["x"] = 90
    assert study.matched(families, [], "grouped") == [("x", "b")]
    sizes["y"] = 95
    assert study.matched(families | {"weights pruned": ["x"]}, ["y"], "weights pruned") == [("x", "y")]
    assert study.between(families, "x") == [(pytest.approx(0.5), "b"), (pytest.approx(0.5), "c")]
    accuracies["x"] = 0.5
    assert study.between(families, "x") == []


def test_claims_compare_like_with_like():
    """Weights add up to 0, or to nothing but a difference; every claim is there in all four settings."""
    compared = study.comparisons(FAMILIES, LONGER, LAYOUTS, 500, 0.03, SETTINGS)
    assert len({comparison.statement for comparison in compared}) == len(compared)
    for comparison in compared:
        weights = [weight for weight, _ in comparison.terms]
        assert sum(weights) == pytest.approx(0)
        assert sum(map(abs, weights)) == pytest.approx(2)
        fields = [dict.fromkeys(loss.point, 0) | loss.point for _, loss in comparison.terms]
        shared = {"program_error", "recalibration", "adc_calibration", "images", "w_max"}
        assert all(a.get(name) == b.get(name) for a, b in itertools.pairwise(fields) for name in shared)
        assert all(loss.point == loss.baseline | {"program_error": 0.03} for _, loss in comparison.terms)
    statements = [comparison.statement for comparison in compared]
    plain = [statement for statement in statements if not statement.endswith(")") and "by column" not in statement]
    scaled = [statement for statement in statements if "by column" in statement]
    assert len(compared) == 4 * len(plain) + len(scaled)
    assert scaled


def test_verdicts_follow_the_measurements():
    """Networks that lose by their family alone: equal within, unequal between families, sparse worse than dense."""
    lost = {"ordinary": 0.1, "grouped": 0.2, "separable": 0.05, "weights": 0.1, "channels": 0.3}
    family_of = {name: kind for kind in KINDS for name in PARAMETERS[f"{kind}_checkpoints"]}
    family_of |= dict.fromkeys(LONGER, "ordinary")

    def accuracy(point):
        more = -0.05 * (point.get("layout") == "sparse") + 0.2 * (point["unused"] == "hrs")
        return 0.9 - bool(point.get("program_error")) * (lost[family_of[point["checkpoint"]]] + more)

    compared = study.comparisons(FAMILIES, LONGER, LAYOUTS, 5000, 0.03, SETTINGS)
    points = list({str(p): p for comparison in compared for p in comparison.points}.values())
    results = made_up(points, seeds_of(10), accuracy)
    chips = study.Chips(results)
    verdicts = {}
    for comparison in compared:
        claim = comparison.claim(chips)
        what = claim.statement.partition(", one training")[0].partition(" (")[0]
        verdicts.setdefault(what.removeprefix("programming error 0.03, "), set()).add(
            (claim.verdict, round(claim.effect, 6))
        )
    expected = {
        "dense, equal parameters: grouped: loses more than ordinary networks, 1 size": ("confirmed", 10),
        f"dense, equal parameters: grouped{study.HRS}: loses more than ordinary networks, 1 size": ("confirmed", 30),
        "dense, equal parameters: grouped: loses more than ordinary networks, scaled by column, 1 size": (
            "confirmed",
            10,
        ),
        "dense, equal parameters: weights pruned: loses more than ordinary networks, 1 size": ("undecided", 0),
        "dense, equal parameters: channels pruned: loses more than ordinary networks, 1 size": ("confirmed", 20),
        "dense, width: ordinary: the narrowest network loses more than the widest, 1 size": ("undecided", 0),
    }
    assert {kind: verdicts.get(kind) for kind in expected} == {kind: {found} for kind, found in expected.items()}
    assert not any("width: separable" in kind for kind in verdicts)  # there is one size only
    layouts = [found for kind, found in verdicts.items() if "equal network" in kind]
    assert sorted(layouts, key=str) == [{("confirmed", 15)}, {("refuted", -5)}]  # dense has no unused cells here
    frame = study.layout_losses(results, LAYOUTS, 5000, 0.03, SETTINGS)
    assert frame.groupby("layout", sort=False)["loss"].mean().round(3).tolist() == [0.1, 0.05, 0.25]
    figure = study.plot_layouts(frame, 0.03)
    assert figure.axes[0].get_ylabel() == "points lost at 0.03"
    mpl.pyplot.close(figure)


@pytest.mark.parametrize("groups", [1, 4])
def test_noise_gains_are_those_of_chips(groups):
    """Errors of outputs on many chips, relative to the outputs' spread, and split into mean and rest over passes."""
    torch.manual_seed(0)
    layer, sigma = nn.Conv1d(40, 20, 5, groups=groups, bias=False), 0.02
    layer.weight.data[3] = 0  # an output that is pruned counts for nothing
    x = torch.randn(100, 40, 30).relu() + 0.1
    inputs = record_inputs(nn.Sequential(layer), x)["0"]
    constant, varying = study._noise_gain(layer, inputs.passes)
    # HRS cells are clipped at 0 S beyond 5 sigma only, as g_off is 0.11 of the range
    hardware = Hardware(Device(program_error=sigma), Tile(dac_bits=None, adc_bits=None), Mapping(unused="unformed"))
    with torch.no_grad():
        clean = layer(x).movedim(1, 0).flatten(1)
        model = nn.Sequential(layer)
        errors = [map_network(model, hardware, seed=s)(x).movedim(1, 0).flatten(1) - clean for s in range(60)]
    errors = torch.stack(errors)  # (chips, outputs, passes)
    parts = errors.mean(2).square().mean(0).sqrt(), errors.var(2).mean(0).sqrt()
    alive = torch.arange(20) != 3
    measured = [float((part / clean.std(1))[alive].median()) for part in parts]
    assert measured == pytest.approx([sigma * constant, sigma * varying], rel=0.08)


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
    assert list(study.correlations(explained)["explanation"]) == 2 * ["parameters", "layers", "noise"]
    noise = explained.pivot_table(index="checkpoint", columns="recalibration", values="noise")
    assert (noise["batch_norm"] < noise["none"]).all()
    figure = study.plot(frame, tolerances, 0.03)
    assert len(figure.axes) == 6
    assert all(len(axis.containers) == len(FAMILIES) for axis in figure.axes)
    alone = pd.DataFrame({"checkpoint": "vgg8-digits", "depth": range(3), "loss": 0.1, "low": 0.0, "high": 0.2})
    alone = alone.assign(n=3, images=100)
    figure = study.plot_explained(study.noise_gains(["vgg8-digits"]), alone, explained, 0.03, 0.1)
    assert [axis.get_xlabel()[:5] for axis in figure.axes] == ["layer", "layer", "root ", "root "]
    mpl.pyplot.close("all")
