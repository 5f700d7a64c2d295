"""The zoo's table, weights and claims."""

import numpy as np
import pytest
from made_up import made_up_run
from torch import nn

from memlib.studies import s03_networks as study
from memlib.training import trainer
from memlib.training.recipes import again
from memlib.zoo import data_sets
from memlib.zoo.checkpoints import load_checkpoint, manifest_entry


def test_connections_by_hand():
    """Half of an ordinary layer pruned, and a layer of two groups: 18 + 18 of 36 + 36 weights are there."""
    ordinary, grouped = nn.Conv2d(2, 2, 3, bias=False), nn.Conv2d(2, 2, 3, groups=2, bias=False)
    assert study.connections(nn.Sequential(ordinary)) == 1
    ordinary.weight.data[:, 0] = 0
    assert study.connections(nn.Sequential(ordinary, grouped)) == pytest.approx((18 + 18) / (36 + 36))


def test_table_and_weights():
    """Accuracies are those of torch, and densities add up to 1."""
    names = ["vgg8-digits", "mlp-digits"]
    run = made_up_run(checkpoints=names, weight_checkpoints=names, claim_checkpoints=[], training_seeds=[0], images=200)
    hits = study.hits_of(run)
    table = study.zoo(run)
    images = data_sets.load_images("digits", "test")
    few = data_sets.Images(images.pixels[:200], images.labels[:200], "")
    expected = [trainer.digital_accuracy(load_checkpoint(name), few) for name in names]
    assert table["accuracy"].tolist() == pytest.approx(expected)
    assert [hits[name].mean() for name in names] == pytest.approx(expected)
    assert table["images"].tolist() == [200, 200]
    all_of_them = [manifest_entry(name)["parameters"] for name in names]
    assert table["parameters"].tolist() == pytest.approx(all_of_them, abs=2)  # a weight may have become 0
    assert study.connections(load_checkpoint("vgg8-digits")) == 1
    histograms = study.weight_histograms(run)
    assert np.allclose(histograms.groupby("checkpoint")["density"].sum() * 2 / 80, 1)


def test_claims(monkeypatch):
    """A network that reaches what it should, and one that is 20 points worse than another."""
    monkeypatch.setattr(study, "WANTED", {"vgg8-digits": 0.99, "mlp-digits": 1.01})
    right = [np.arange(500) < count for count in (390, 405, 405)]
    hits = {again("vgg8-digits", seed): np.ones((1, 500)) for seed in range(3)}
    hits |= {again("mlp-digits", seed): right[seed][None].astype(float) for seed in range(3)}
    compared = {"claim_checkpoints": ["vgg8-digits", "mlp-digits"], "training_seeds": range(3)}
    claims = study.claims(made_up_run({study.hits_of: hits}, **compared))
    assert [(claim.verdict, claim.unit, claim.exploratory) for claim in claims] == [
        ("confirmed", "%", False),
        ("refuted", "%", False),
        ("confirmed", "points", True),
    ]
    assert claims[2].text.startswith("3 trainings each: ")
    assert claims[2].effect == pytest.approx(20)
    of_images = np.mean(right, 0).std(ddof=1) / np.sqrt(500)
    of_trainings = np.std([0.78, 0.81, 0.81], ddof=1) / np.sqrt(3)
    normal = 2 * 196 * np.hypot(of_images, of_trainings)  # with few degrees of freedom a little more
    assert normal < claims[2].high - claims[2].low < 1.5 * normal
    twice = made_up_run({study.hits_of: hits}, claim_checkpoints=["vgg8-digits"], training_seeds=[0, 0])
    with pytest.raises(ValueError, match=r"training_seeds=\[0, 0\]: must be at least two seeds, all different"):
        study.claims(twice)
