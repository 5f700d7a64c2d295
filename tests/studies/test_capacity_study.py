"""The study of capacity: its matches, claims and explanations, on made-up and on small results."""

import itertools
import math

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from made_up import made_up
from torch import nn

from memlib.artifact.presets import PRESETS
from memlib.cells.device import Device
from memlib.chip.network import map_network
from memlib.mapping.hardware import Hardware
from memlib.mapping.scheme import Mapping
from memlib.mapping.tile import Tile
from memlib.studies.effects import seeds_of
from memlib.studies.s07_capacity import connectivities, losses as study, trainings as trained
from memlib.tiles.input_record import record_inputs
from memlib.training.recipes import trainings
from memlib.zoo.checkpoints import read_manifest

mpl.use("agg")
PARAMETERS = PRESETS["smoke"]["07_capacity"]
KINDS = ("ordinary", "grouped", "separable", "weights", "channels")
FINETUNED, LAYOUTS = PARAMETERS["finetuned_checkpoints"], PARAMETERS["layout_checkpoints"]
SETTINGS = study.settings(["none", "batch_norm"], ["design", "chip"])
FAMILIES = study.families_of(*(PARAMETERS[f"{name}_checkpoints"] for name in KINDS))


def test_pairs(monkeypatch):
    """By hand: the nearest in the logarithm of parameters, and the two other ordinary networks around an accuracy."""
    sizes = {"a": 10, "b": 100, "c": 1000, "tuned": 95, "few": 40, "many": 90, "pruned": 92}
    accuracies = {"a": 0.6, "b": 0.8, "c": 0.9, "tuned": 0.85, "few": 0.5, "many": 0.825, "pruned": 0.95}
    monkeypatch.setattr(connectivities, "parameters", sizes.get)
    monkeypatch.setattr(connectivities, "float_accuracy", accuracies.get)
    families = {"ordinary": ["c", "a", "b"], "grouped": ["few", "many"], "weights pruned": ["pruned"]}
    found = {(p.equal, p.family, p.checkpoint): p.others for p in study.pairs(families, ["tuned"])}
    assert found == {  # few has 2.5 times less than b, and is less accurate than all; pruned is more accurate
        ("parameters", "grouped", "many"): ((1, "b"),),
        ("parameters", "weights pruned", "pruned"): ((1, "tuned"),),
        ("accuracy", "grouped", "many"): ((pytest.approx(0.75), "b"), (pytest.approx(0.25), "c")),
        ("accuracy", "ordinary", "b"): ((pytest.approx(1 / 3), "a"), (pytest.approx(2 / 3), "c")),
        ("accuracy", "ordinary", "tuned"): ((pytest.approx(0.5), "b"), (pytest.approx(0.5), "c")),
    }
    assert study.pairs(families | {"ordinary": []}, []) == []


def test_claims_compare_like_with_like():
    """The terms of a claim are a difference of weighted means; every claim is there in all four settings."""
    compared = study.comparisons(FAMILIES, FINETUNED, LAYOUTS, 500, 0.03, SETTINGS)
    assert len({comparison.statement for comparison in compared}) == len(compared)
    for comparison in compared:
        weights = [weight for weight, _ in comparison.terms]
        assert sum(weights) == pytest.approx(0)
        assert sum(map(abs, weights)) == pytest.approx(2)
        fields = [dict.fromkeys(loss.point, 0) | loss.point for _, loss in comparison.terms]
        shared = {"program_error", "recalibration", "own_images", "adc_calibration", "images", "w_max"}
        assert all(a.get(name) == b.get(name) for a, b in itertools.pairwise(fields) for name in shared)
        assert all(("recalibration" in point) == ("own_images" in point) for point in fields)
        assert all(loss.point == loss.baseline | {"program_error": 0.03} for _, loss in comparison.terms)
    statements = [comparison.statement for comparison in compared]
    scaled = [statement for statement in statements if "by column" in statement]
    set_up = [statement for statement in statements if any(str(setting) in statement for setting in SETTINGS[1:])]
    plain = set(statements) - {*set_up, *scaled}
    assert len(compared) == 4 * len(plain) + len(scaled)
    assert scaled


#: ResNet-20 of two sizes of each kind, all with as many parameters as an ordinary one of the same size.
LOST = {"ordinary-1": 0.1, "ordinary-2": 0.3, "grouped-1": 0.2, "grouped-2": 0.2, "separable-1": 0.75}


def test_verdicts_follow_the_measurements(monkeypatch):
    """Sizes that differ in sign stand each for itself; what is at chance decides one side only."""
    for module in (study, connectivities):
        monkeypatch.setattr(module, "label", str)
        monkeypatch.setattr(module, "parameters", lambda name: 10 ** int(name[-1]))
    monkeypatch.setattr(connectivities, "float_accuracy", lambda name: {"1": 0.8, "2": 0.9}[name[-1]])
    monkeypatch.setattr(study, "has_unused", lambda name: not name.startswith("ordinary"))

    def made(checkpoint, images, effect, severity, setting, **choices):
        point = dict(checkpoint=checkpoint, images=images, unused="unformed") | choices
        return study.Loss(point | {"program_error": severity}, point)

    def accuracy(point):
        more = 0.05 * (point["unused"] == "hrs") - 0.1 * (point.get("layout") == "sparse")
        return 0.9 - bool(point.get("program_error")) * (LOST[point["checkpoint"]] + more)

    for module in (study, trained):
        monkeypatch.setattr(module, "loss_of", made)
    kinds = ["ordinary-1", "ordinary-2"], ["grouped-1", "grouped-2"], ["separable-1"], [], []
    families = study.families_of(*kinds)
    compared = study.comparisons(families, [], ["grouped-1", "separable-1"], 5000, 0.03, [study.PLAIN])
    points = list({str(p): p for comparison in compared for p in comparison.points}.values())
    results = made_up(points, lambda p: range(10 if p.get("program_error") else 1), accuracy)
    chips = study.Chips(results)
    claims = [comparison.claim(chips) for comparison in compared]
    found = {c.statement.removeprefix("programming error 0.03, "): (c.verdict, round(c.effect, 6)) for c in claims}
    expected = {
        "dense, equal parameters: grouped-1 loses more than ordinary-1": ("confirmed", 10),
        "dense, equal parameters: grouped-2 loses more than ordinary-2": ("refuted", -10),
        f"dense, equal parameters: grouped-2{study.HRS} loses more than ordinary-2": ("refuted", -5),
        "dense, equal parameters: grouped-2 loses more than ordinary-2, scaled by column": ("refuted", -10),
        "dense, equal parameters: separable-1 loses more than ordinary-1; at chance": ("confirmed", 65),
        "dense, width: ordinary: the narrowest network loses more than the widest": ("refuted", -20),
        "dense, width: grouped: the narrowest network loses more than the widest": ("undecided", 0),
        "equal network: grouped-1 loses more in the sparse than in the dense layout": ("refuted", -10),
        f"equal network{study.HRS}: separable-1 loses more in the sparse than in the dense layout; at chance": (
            "refuted",
            -10,
        ),
    }
    assert expected.items() <= found.items()
    assert not any("width: separable" in statement for statement in found)  # there is one size only
    pairs = study.pairs(families, [])
    assert [pair.equal for pair in pairs] == 6 * ["parameters"] + 6 * ["accuracy"]
    figure = study.plot_differences(study.differences(results, pairs, 5000, 0.03, [study.PLAIN]), 0.03, "")
    assert [len(axis.get_yticks()) for axis in figure.axes] == [6, 6]
    mpl.pyplot.close(figure)
    frame = study.differences(results, pairs[:6], 5000, 0.03, [study.PLAIN])
    assert [*frame["effect"].round(6)] == [10, -10, 15, -5, 65, 70]
    assert [*frame["at chance"]] == 4 * [False] + 2 * [True]
    frame = study.layout_losses(results, ["grouped-1"], 5000, 0.03, [study.PLAIN])
    assert frame["loss"].round(6).tolist() == [0.2, 0.1, 0.25, 0.15]
    figure = study.plot_layouts(frame, 0.03, "")
    assert figure.axes[0].get_ylabel() == "points lost at 0.03"
    mpl.pyplot.close(figure)


def test_controls_bound_what_equal_accuracy_says(monkeypatch):
    """An ordinary network loses 6 points more than its neighbours: only what clears 6 points is a finding."""
    monkeypatch.setattr(connectivities, "label", str)
    monkeypatch.setattr(connectivities, "parameters", lambda name: ord(name[0]) ** 3)
    monkeypatch.setattr(connectivities, "float_accuracy", lambda name: {"a": 0.7, "b": 0.8, "c": 0.9}.get(name, 0.85))

    def made(checkpoint, images, effect, severity, setting, **choices):
        point = dict(checkpoint=checkpoint, images=images) | choices
        return study.Loss(point | {"program_error": severity}, point)

    for module in (study, trained):
        monkeypatch.setattr(module, "loss_of", made)
    lost = {"a": 0.20, "b": 0.16, "c": 0.0, "above": 0.17, "within": 0.12, "below": 0.0}  # at equal accuracy: 0.08
    families = {"ordinary": ["a", "b", "c"], "grouped": ["above", "within", "below"]}
    compared = [
        study.pair_comparison(p, 5000, 0.03, study.PLAIN) for p in study.pairs(families, []) if p.equal[0] == "a"
    ]
    points = list({str(p): p for comparison in compared for p in comparison.points}.values())
    results = made_up(
        points, lambda p: range(10), lambda p: 0.95 - bool(p.get("program_error")) * lost[p["checkpoint"]]
    )
    chips = study.Chips(results)
    assert study.margins(compared, chips) == {study.PLAIN: pytest.approx(6)}
    found = {
        c.statement.split("accuracy: ")[1].split()[0]: (c.verdict, c.effect) for c in study.claims(compared, chips)
    }
    assert found == {
        "above": ("confirmed", pytest.approx(9)),
        "within": ("undecided", pytest.approx(4)),
        "below": ("refuted", pytest.approx(-8)),
    }
    assert {c.verdict for c in study.claims(compared[1:], chips)} == {"confirmed", "refuted"}  # without controls


@pytest.mark.parametrize("groups", [1, 4])
def test_noise_gains_are_those_of_chips(groups):
    """Errors of outputs on many chips, relative to the outputs' spread, and split into mean and rest over passes."""
    torch.manual_seed(0)
    layer, sigma = nn.Conv1d(40, 20, 5, groups=groups, bias=False), 0.02
    layer.weight.data[3] = 0  # an output that is pruned counts for nothing
    x = torch.randn(100, 40, 30).relu() + 0.1
    inputs = record_inputs(nn.Sequential(layer), x)["0"]
    constant, varying = study._noise_gain(layer.weight.detach(), groups, inputs.passes)
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
    pairs = study.pairs(FAMILIES, FINETUNED)
    assert len(study.matches(pairs)) == sum(not pair.family.endswith(study.HRS) for pair in pairs)
    figure = study.plot(frame, tolerances, 0.03, "")
    assert len(figure.axes) == 6
    assert all(len(axis.containers) == len(FAMILIES) for axis in figure.axes)
    drawn = [len(container.lines[0].get_xdata()) for axis in figure.axes for container in axis.containers]
    assert drawn == [len(FAMILIES[family]) for _ in figure.axes for family in study.FAMILIES]  # each network once
    alone = pd.DataFrame({"checkpoint": "vgg8-digits", "depth": range(3), "loss": 0.1, "low": 0.0, "high": 0.2})
    alone = alone.assign(n=3, images=100)
    figure = study.plot_explained(study.noise_gains(["vgg8-digits"]), alone, explained, 0.03, 0.1, "")
    assert [axis.get_xlabel()[:5] for axis in figure.axes] == ["layer", "layer", "root ", "root "]
    mpl.pyplot.close("all")


def test_trained_again(monkeypatch):
    """By hand: losses of three trainings of two sizes; a mean over sizes is surer than one size.

    At equal parameters grouped networks lose 2 points more at both sizes; their trainings differ by 0.5 to 1 point.
    """
    monkeypatch.setattr(trained, "label", str)
    for module in (trained, connectivities):
        monkeypatch.setattr(module, "parameters", lambda name: 10 ** int(name.split("-")[1]))
        monkeypatch.setattr(module, "float_accuracy", lambda name: 0.9)

    def made(checkpoint, images, effect, severity, setting, **choices):
        point = dict(checkpoint=checkpoint, images=images) | choices
        return study.Loss(point | {"program_error": severity}, point)

    def accuracy(point):
        kind, size, *again = point["checkpoint"].removesuffix("-data").split("-")
        training = {"": 0.0, "seed1": 0.01, "seed2": -0.01}["".join(again)]
        lost = {"1": 0.1, "2": 0.05}[size] + (training if kind == "ordinary" else 0.02 - training / 2)
        return 0.9 - bool(point.get("program_error")) * lost

    for module in (study, trained):
        monkeypatch.setattr(module, "loss_of", made)
    kinds = ["ordinary-1-data", "ordinary-2-data"], ["grouped-1-data", "grouped-2-data"], [], [], []
    families = study.families_of(*kinds)
    at = [0, 1, 2], 5000, 0.03, [study.PLAIN]
    compared = trained.comparisons(families, *at)
    points = list({str(p): p for comparison in compared for p in comparison.points}.values())
    assert len(points) == 2 * len(trained.checkpoints(families, at[0])) == 2 * 2 * 2 * 3
    results = made_up(points, lambda p: range(10 if p.get("program_error") else 1), accuracy)
    one, two, mean = trained.claims(compared, study.Chips(results))
    assert one.statement.endswith("3 trainings each: grouped-1-data loses more than ordinary-1-data")
    assert mean.statement.endswith("3 trainings each: grouped networks lose more than ordinary ones, mean of 2 sizes")
    assert [c.effect for c in (one, two, mean)] == pytest.approx([2, 2, 2])
    # Welch: standard deviations of 1 and 0.5 points in 3 trainings, Student's t of 2.94 degrees of freedom is 3.22
    assert one.high - one.low == pytest.approx(2 * 3.22 * math.sqrt((1 + 0.25) / 3), rel=0.05)
    assert mean.high - mean.low < 0.6 * (one.high - one.low)
    assert [c.verdict for c in (one, two, mean)] == ["undecided", "undecided", "confirmed"]
    losses, averages = trained.tables(results, families, *at)
    assert losses["loss"].round(6).tolist() == [
        0.1,
        0.11,
        0.09,
        0.05,
        0.06,
        0.04,
        0.12,
        0.115,
        0.125,
        0.07,
        0.065,
        0.075,
    ]
    assert averages["loss"].round(6).tolist() == [0.1, 0.05, 0.12, 0.07]
    assert averages["sd_trainings"].round(6).tolist() == [0.01, 0.01, 0.005, 0.005]
    figure = trained.plot(losses, averages, 0.03, "")
    assert [len(axis.containers) for axis in figure.axes] == [2]
    mpl.pyplot.close(figure)
    unlucky = made_up(
        points, lambda p: range(10 if p.get("program_error") else 1),
        lambda p: 0.15 if p.get("program_error") and "ordinary-1-seed1" in p["checkpoint"] else accuracy(p),
    )  # fmt: skip
    one, two, _ = trained.claims(compared, study.Chips(unlucky))
    assert one.statement.endswith("; at chance")
    assert two.statement.endswith("ordinary-2-data")
    losses, averages = trained.tables(unlucky, families, *at)
    assert losses["at chance"].tolist() == [False, True, *[False] * 10]
    figure = trained.plot(losses, averages, 0.03, "")
    assert "crosses: at chance" in figure.texts[-1].get_text()
    mpl.pyplot.close(figure)
    with pytest.raises(ValueError, match=r"training_seeds=\[1\]: must be at least two seeds, all different"):
        trained.comparisons(families, [1], *at[1:])


def test_all_trainings_are_there():
    """Of every preset."""
    for preset, notebooks in PRESETS.items():
        parameters = notebooks["07_capacity"]
        families = study.families_of(*(parameters[f"{name}_checkpoints"] for name in KINDS))
        names = trained.checkpoints(families, parameters["training_seeds"])
        more = notebooks["03_networks"]
        names += [name for n in more["claim_checkpoints"] for name in trainings(n, more["training_seeds"])]
        assert set(names) <= set(read_manifest()), preset
