"""The study of capacity: its matches, claims and explanations, on made-up and on small results."""

import itertools
import math

import numpy as np
import pytest
import torch
from made_up import made_up, made_up_run
from torch import nn

from memlib.cells.device import Device
from memlib.chip.network import map_network
from memlib.evidence.comparisons import Chips, Loss
from memlib.mapping.hardware import Hardware
from memlib.mapping.scheme import Mapping
from memlib.mapping.tile import Tile
from memlib.studies.registry import STUDIES
from memlib.studies.s07_capacity import (
    connectivities,
    differences,
    explanation,
    ladders,
    layouts,
    study,
    trainings as trained,
)
from memlib.studies.shared import effects, trained_networks
from memlib.studies.shared.effects import seeds_of
from memlib.tiles.input_record import record_inputs
from memlib.training.recipes import trainings
from memlib.zoo.checkpoints import read_manifest

PARAMETERS = STUDIES["07_capacity"].preset("smoke")
KINDS = ("ordinary", "grouped", "separable", "weights", "channels", "finetuned", "layout")
SETTINGS = {"claim_recalibrations": ["none", "batch_norm"], "claim_ranges": ["design", "chip"]}
HRS = connectivities.HRS
FAMILIES = connectivities.families_of(made_up_run(**PARAMETERS).p)


def run_of(**checkpoints):
    """A run with these networks and no others, in one setting."""
    lists = {f"{kind}_checkpoints": checkpoints.get(kind, []) for kind in KINDS}
    return made_up_run(**PARAMETERS | lists | {"claim_images": 5000})


def made_up_trainings(monkeypatch):
    """Let networks that are not there be trained again."""
    monkeypatch.setattr(trained_networks, "shared_fields", lambda name, images: {"checkpoint": name, "images": images})
    monkeypatch.setattr(trained_networks, "_recipe_of", lambda name: {"start": ""})


def made_loss(checkpoint, images, effect, severity, setting, **choices):
    """The loss of a network that is not there."""
    point = dict(checkpoint=checkpoint, images=images) | choices
    return Loss(point | {"program_error": severity}, point)


def test_pairs(monkeypatch):
    """By hand: the nearest in the logarithm of parameters, and the two other ordinary networks around an accuracy."""
    sizes = {"a": 10, "b": 100, "c": 1000, "tuned": 95, "few": 40, "many": 90, "pruned": 92}
    accuracies = {"a": 0.6, "b": 0.8, "c": 0.9, "tuned": 0.85, "few": 0.5, "many": 0.825, "pruned": 0.95}
    monkeypatch.setattr(connectivities, "parameters", sizes.get)
    monkeypatch.setattr(connectivities, "mean_accuracy", lambda name, seeds: accuracies[name])
    families = {"ordinary": ["c", "a", "b"], "grouped": ["few", "many"], "weights pruned": ["pruned"]}
    found = {(p.equal, p.family, p.checkpoint): p.others for p in connectivities.pairs(families, ["tuned"], [0, 1])}
    assert found == {  # few has 2.5 times less than b, and is less accurate than all; pruned is more accurate
        ("parameters", "grouped", "many"): ((1, "b"),),
        ("parameters", "weights pruned", "pruned"): ((1, "tuned"),),
        ("accuracy", "grouped", "many"): ((pytest.approx(0.75), "b"), (pytest.approx(0.25), "c")),
        ("accuracy", "ordinary", "b"): ((pytest.approx(1 / 3), "a"), (pytest.approx(2 / 3), "c")),
        ("accuracy", "ordinary", "tuned"): ((pytest.approx(0.5), "b"), (pytest.approx(0.5), "c")),
    }
    assert connectivities.pairs(families | {"ordinary": []}, [], [0, 1]) == []


def test_claims_compare_like_with_like():
    """The terms of a claim are a difference of weighted means; every claim is there in all four settings."""
    compared = differences.comparisons(made_up_run(**PARAMETERS | SETTINGS).p)
    assert len({comparison.statement.id for comparison in compared}) == len(compared)
    for comparison in compared:
        weights = [weight for weight, _ in comparison.terms]
        assert sum(weights) == pytest.approx(0)
        assert sum(map(abs, weights)) == pytest.approx(2)
        fields = [dict.fromkeys(loss.point, 0) | loss.point for _, loss in comparison.terms]
        shared = {"program_error", "recalibration", "own_images", "adc_calibration", "images", "w_max"}
        assert all(a.get(name) == b.get(name) for a, b in itertools.pairwise(fields) for name in shared)
        assert all(("recalibration" in point) == ("own_images" in point) for point in fields)
        assert all(loss.point == loss.baseline | {"program_error": 0.03} for _, loss in comparison.terms)
    statements = [comparison.statement.text for comparison in compared]
    scaled = [statement for statement in statements if "by column" in statement]
    set_up = [
        statement
        for statement in statements
        if any(str(setting) in statement for setting in effects.settings(*SETTINGS.values())[1:])
    ]
    plain = set(statements) - {*set_up, *scaled}
    assert len(compared) == 4 * len(plain) + len(scaled)
    assert scaled


#: ResNet-20 of two sizes of each kind, all with as many parameters as an ordinary one of the same size.
LOST = {"ordinary-1": 0.1, "ordinary-2": 0.3, "grouped-1": 0.2, "grouped-2": 0.2, "separable-1": 0.75}


def test_verdicts_follow_the_measurements(monkeypatch):
    """Sizes that differ in sign stand each for itself; what is at chance decides one side only."""
    for module in (connectivities, differences, layouts):
        monkeypatch.setattr(module, "label", str, raising=False)
        monkeypatch.setattr(module, "parameters", lambda name: 10 ** int(name[-1]), raising=False)
    monkeypatch.setattr(connectivities, "mean_accuracy", lambda name, seeds: {"1": 0.8, "2": 0.9}[name[-1]])
    made_up_trainings(monkeypatch)
    monkeypatch.setattr(layouts, "has_unused", lambda name: not name.startswith("ordinary"))

    def accuracy(point):
        more = 0.05 * (point.get("unused") == "hrs") - 0.1 * (point.get("layout") == "sparse")
        return 0.9 - bool(point.get("program_error")) * (LOST[point["checkpoint"].replace("-seed1", "")] + more)

    monkeypatch.setattr(connectivities, "loss_of", made_loss)
    kinds = {"ordinary": ["ordinary-1", "ordinary-2"], "grouped": ["grouped-1", "grouped-2"]}
    run = run_of(**kinds, separable=["separable-1"], layout=["grouped-1", "separable-1"])
    compared = differences.comparisons(run.p)
    points = list({str(p): p for comparison in compared for p in comparison.points}.values())
    results = made_up(points, lambda p: range(10 if p.get("program_error") else 1), accuracy)
    chips = Chips(results)
    claims = [comparison.claim(chips) for comparison in compared]
    texts = [c.text.removeprefix("programming error 0.03, ").replace(" (2 trainings each)", "") for c in claims]
    found = {text: (c.verdict, round(c.effect, 6)) for text, c in zip(texts, claims, strict=True)}
    assert all(("2 trainings each" in c.text) != ("equal network" in c.text) for c in claims)
    expected = {
        "dense, equal parameters: grouped-1 loses more than ordinary-1": ("confirmed", 10),
        "dense, equal parameters: grouped-2 loses more than ordinary-2": ("refuted", -10),
        f"dense, equal parameters: grouped-2{HRS} loses more than ordinary-2": ("refuted", -5),
        "dense, equal parameters: grouped-2 loses more than ordinary-2, scaled by column": ("refuted", -10),
        "dense, equal parameters: separable-1 loses more than ordinary-1; at chance": ("confirmed", 65),
        "dense, width: ordinary: the narrowest network loses more than the widest": ("refuted", -20),
        "dense, width: grouped: the narrowest network loses more than the widest": ("undecided", 0),
        "equal network: grouped-1 loses more in the sparse than in the dense layout": ("refuted", -10),
        f"equal network{HRS}: separable-1 loses more in the sparse than in the dense layout; at chance": (
            "refuted",
            -10,
        ),
    }
    assert expected.items() <= found.items()
    assert not any("width: separable" in statement for statement in found)  # there is one size only
    pairs = connectivities.pairs_of(run.p)
    assert [pair.equal for pair in pairs] == 6 * ["parameters"] + 6 * ["accuracy"]
    run.sweep = {"claims": results}.get
    frame = differences.differences(run)[:6]
    assert [*frame["effect"].round(6)] == [10, -10, 15, -5, 65, 70]
    assert [*frame["at chance"]] == 4 * [False] + 2 * [True]
    run.p.layout_checkpoints = ["grouped-1"]
    frame = layouts.layout_losses(run)
    assert frame["loss"].round(6).tolist() == [0.2, 0.1, 0.25, 0.15]


def test_controls_bound_what_equal_accuracy_says(monkeypatch):
    """An ordinary network loses 6 points more than its neighbours: only what clears 6 points is a finding."""
    monkeypatch.setattr(connectivities, "label", str)
    monkeypatch.setattr(connectivities, "parameters", lambda name: ord(name[0]) ** 3)
    accuracies = {"a": 0.7, "b": 0.8, "c": 0.9}
    monkeypatch.setattr(connectivities, "mean_accuracy", lambda name, seeds: accuracies.get(name, 0.85))

    monkeypatch.setattr(connectivities, "loss_of", made_loss)
    lost = {"a": 0.20, "b": 0.16, "c": 0.0, "above": 0.17, "within": 0.12, "below": 0.0}  # at equal accuracy: 0.08
    families = {"ordinary": ["a", "b", "c"], "grouped": ["above", "within", "below"]}
    at = run_of().p, effects.PLAIN
    pairs = [pair for pair in connectivities.pairs(families, [], [0, 1]) if pair.equal == "accuracy"]
    compared = [differences.pair_comparison(pair, *at) for pair in pairs]
    points = list({str(p): p for comparison in compared for p in comparison.points}.values())
    results = made_up(
        points, lambda p: range(10), lambda p: 0.95 - bool(p.get("program_error")) * lost[p["checkpoint"]]
    )
    chips = Chips(results)
    assert differences.margins(compared, chips) == {effects.PLAIN: pytest.approx(6)}
    found = {
        c.text.split("accuracy: ")[1].split()[0]: (c.verdict, c.effect) for c in differences.decide(compared, chips)
    }
    assert found == {
        "above": ("confirmed", pytest.approx(9)),
        "within": ("undecided", pytest.approx(4)),
        "below": ("refuted", pytest.approx(-8)),
    }
    assert {c.verdict for c in differences.decide(compared[1:], chips)} == {"confirmed", "refuted"}  # without controls


@pytest.mark.parametrize("groups", [1, 4])
def test_noise_gains_are_those_of_chips(groups):
    """Errors of outputs on many chips, relative to the outputs' spread, and split into mean and rest over passes."""
    torch.manual_seed(0)
    layer, sigma = nn.Conv1d(40, 20, 5, groups=groups, bias=False), 0.02
    layer.weight.data[3] = 0  # an output that is pruned counts for nothing
    x = torch.randn(100, 40, 30).relu() + 0.1
    inputs = record_inputs(nn.Sequential(layer), x)["0"]
    constant, varying = explanation._noise_gain(layer.weight.detach(), groups, inputs.passes)
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


@pytest.mark.slow
def test_tables_and_figures():
    """Made-up ladders: losses and tolerances by hand, a panel for each quantity, an interval at every marker."""
    run = made_up_run(**PARAMETERS | {"images": 1000})
    labelled = ladders.points(run.p)
    networks = dict.fromkeys(name for names in FAMILIES.values() for name in names)
    slopes = dict(zip(networks, np.linspace(4, 6, len(networks)), strict=True))
    results = made_up(
        [point for _, point in labelled],
        seeds_of(3),
        lambda p: 0.9 - slopes[p["checkpoint"]] * p.get("program_error", 0),
    )
    run.sweep, run.labelled = {"ladders": results}.get, {"ladders": labelled}.get
    frame, tolerances = ladders.losses(run), ladders.tolerances(run)
    assert len(frame) == 2 * 3 * sum(map(len, FAMILIES.values()))
    assert np.allclose(frame["loss"], frame["checkpoint"].map(slopes) * frame["severity"], atol=1e-3)
    assert tolerances["tolerance"].between(0.001, 0.003).all()
    explained = explanation.explanations(run)
    assert list(explanation.correlations(run)["explanation"]) == 2 * ["parameters", "layers", "noise"]
    noise = explained.pivot_table(index="checkpoint", columns="recalibration", values="noise")
    assert (noise["batch_norm"] < noise["none"]).all()
    pairs = connectivities.pairs_of(run.p)
    assert len(ladders.matches(run)) == sum(not pair.family.endswith(HRS) for pair in pairs)


def test_trained_again(monkeypatch):
    """By hand: losses of three trainings of two sizes; a mean over sizes is surer than one size.

    At equal parameters grouped networks lose 2 points more at both sizes; their trainings differ by 0.5 to 1 point.
    """
    monkeypatch.setattr(connectivities, "label", str)
    made_up_trainings(monkeypatch)
    for module in (trained, connectivities, differences):
        monkeypatch.setattr(module, "parameters", lambda name: 10 ** int(name.split("-")[1]))
    monkeypatch.setattr(trained, "float_accuracy", lambda name: 0.9)
    monkeypatch.setattr(connectivities, "mean_accuracy", lambda name, seeds: 0.9)

    def accuracy(point):
        kind, size, *again = point["checkpoint"].removesuffix("-data").split("-")
        training = {"": 0.0, "seed1": 0.01, "seed2": -0.01}["".join(again)]
        lost = {"1": 0.1, "2": 0.05}[size] + (training if kind == "ordinary" else 0.02 - training / 2)
        return 0.9 - bool(point.get("program_error")) * lost

    monkeypatch.setattr(connectivities, "loss_of", made_loss)
    run = run_of(ordinary=["ordinary-1-data", "ordinary-2-data"], grouped=["grouped-1-data", "grouped-2-data"])
    run.p.training_seeds = [0, 1, 2]
    by_size = {c.statement.id: c for c in differences.comparisons(run.p)}
    compared = [by_size[f"parameters/grouped/grouped-{size}"] for size in (1, 2)] + trained.comparisons(run.p)
    points = list({str(p): p for comparison in compared for p in comparison.points}.values())
    assert len(points) == 2 * 2 * 2 * 3
    results = made_up(points, lambda p: range(10 if p.get("program_error") else 1), accuracy)
    one, two, mean = (c.claim(Chips(results)) for c in compared)
    assert one.text.endswith("grouped-1-data loses more than ordinary-1-data (3 trainings each)")
    assert mean.text.endswith("grouped networks lose more than ordinary ones, mean of 2 sizes (3 trainings each)")
    assert [c.effect for c in (one, two, mean)] == pytest.approx([2, 2, 2])
    # Welch: standard deviations of 1 and 0.5 points in 3 trainings, Student's t of 2.94 degrees of freedom is 3.22
    assert one.high - one.low == pytest.approx(2 * 3.22 * math.sqrt((1 + 0.25) / 3), rel=0.05)
    assert mean.high - mean.low < 0.6 * (one.high - one.low)
    assert [c.verdict for c in (one, two, mean)] == ["undecided", "undecided", "confirmed"]
    run.sweep = {"claims": results}.get
    losses, averages = trained.tables(run)
    lost = [0.1, 0.11, 0.09, 0.05, 0.06, 0.04, 0.12, 0.115, 0.125, 0.07, 0.065, 0.075]
    assert losses["loss"].round(6).tolist() == lost
    assert averages["loss"].round(6).tolist() == [0.1, 0.05, 0.12, 0.07]
    assert averages["sd_trainings"].round(3).tolist() == [0.01, 0.01, 0.005, 0.005]
    assert averages["share_of_trainings"].between(0, 1).all()
    unlucky = made_up(
        points, lambda p: range(10 if p.get("program_error") else 1),
        lambda p: 0.15 if p.get("program_error") and "ordinary-1-seed1" in p["checkpoint"] else accuracy(p),
    )  # fmt: skip
    one, two, _ = (c.claim(Chips(unlucky)) for c in compared)
    assert (one.at_chance, two.at_chance) == (True, False)
    run.sweep = {"claims": unlucky}.get
    losses, averages = trained.tables(run)
    assert losses["at chance"].tolist() == [False, True, *[False] * 10]
    run.p.training_seeds = [1]
    with pytest.raises(ValueError, match=r"training_seeds=\[1\]: must be at least two seeds, all different"):
        trained.comparisons(run.p)


def test_all_trainings_are_there():
    """Of the smoke preset, which asks for fewer."""
    parameters, more = STUDIES["07_capacity"].preset("smoke"), STUDIES["03_networks"].preset("smoke")
    names = study._all_networks(made_up_run(**parameters).p)
    names += [name for n in more["claim_checkpoints"] for name in trainings(n, more["training_seeds"])]
    assert set(names) <= set(read_manifest())
