"""The zoo's table, weights and claims."""

import matplotlib as mpl
import numpy as np
import pytest
from torch import nn

from memlib import data, train
from memlib.checkpoint import load_checkpoint, manifest_entry
from memlib.studies import networks as study

mpl.use("agg")


def test_connections_by_hand():
    """Half of an ordinary layer pruned, and a layer of two groups: 18 + 18 of 36 + 36 weights are there."""
    ordinary, grouped = nn.Conv2d(2, 2, 3, bias=False), nn.Conv2d(2, 2, 3, groups=2, bias=False)
    assert study.connections(nn.Sequential(ordinary)) == 1
    ordinary.weight.data[:, 0] = 0
    assert study.connections(nn.Sequential(ordinary, grouped)) == pytest.approx((18 + 18) / (36 + 36))


def test_table_weights_and_figure():
    """Accuracies are those of torch, densities add up to 1, markers have intervals."""
    names = ["vgg8-digits", "mlp-digits"]
    table = study.zoo(names, 200)
    images = data.load("digits", "test")
    few = data.Images(images.pixels[:200], images.labels[:200], "")
    expected = [train.digital_accuracy(load_checkpoint(name), few) for name in names]
    assert table["accuracy"].tolist() == pytest.approx(expected)
    all_of_them = [manifest_entry(name)["parameters"] for name in names]
    assert table["parameters"].tolist() == pytest.approx(all_of_them, abs=2)  # a weight may have become 0
    assert study.connections(load_checkpoint("vgg8-digits")) == 1
    histograms = study.weight_histograms(names, bins=50)
    assert np.allclose(histograms.groupby("checkpoint")["density"].sum() * 2 / 50, 1)
    figure = study.plot(table, histograms, "")
    assert [len(axis.containers) for axis in figure.axes[:2]] == [2, 2]
    mpl.pyplot.close(figure)


def test_trained_again():
    """Rows are trainings, in the order of seeds, and columns the first images."""
    hits = study.trained_again(["resnet20-0.25-digits"], [2, 0], 150)["resnet20-0.25-digits"]
    images, labels = data.load("digits", "test").head(150)
    for row, name in zip(hits, ["resnet20-0.25-seed2-digits", "resnet20-0.25-digits"], strict=True):
        assert np.array_equal(row[0], load_checkpoint(name)(images).argmax(1) == labels)
    with pytest.raises(ValueError, match=r"training_seeds=\[0, 0\]: must be at least two seeds, all different"):
        study.trained_again(["resnet20-0.25-digits"], [0, 0], 150)


def test_claims(monkeypatch):
    """A network that reaches what it should, and one that is 20 points worse than another."""
    monkeypatch.setattr(study, "WANTED", {"vgg8-digits": 0.99, "mlp-digits": 1.01})
    right = [np.arange(500) < count for count in (390, 405, 405)]
    hits = {"vgg8-digits": np.ones((3, 1, 500)), "mlp-digits": np.array(right)[:, None].astype(float)}
    found = study.claims(list(hits), hits)
    assert [(claim.verdict, claim.unit, claim.exploratory) for claim in found] == [
        ("confirmed", "%", False),
        ("refuted", "%", False),
        ("confirmed", "points", True),
    ]
    assert found[2].statement.startswith("3 trainings each: ")
    assert found[2].effect == pytest.approx(20)
    of_images = np.mean(right, 0).std(ddof=1) / np.sqrt(500)
    of_trainings = np.std([0.78, 0.81, 0.81], ddof=1) / np.sqrt(3)
    normal = 2 * 196 * np.hypot(of_images, of_trainings)  # with few degrees of freedom a little more
    assert normal < found[2].high - found[2].low < 1.5 * normal
