"""The list of recipes, and recipes that cannot be."""

import re

import pytest
from messages import raises

from memlib.training import recipes, trainer
from memlib.zoo import networks

TINY = trainer.Recipe("digits", "resnet20", 0.25, epochs=3, batch=16, label_smoothing=0.1)


def test_recipes():
    """26 for CIFAR-10, all but three of them with two more seeds, and a twin for the digits of each.

    What they start from is a recipe for the same network and images, with the same seed.
    """
    named = recipes.RECIPES
    cifar10 = {name.removesuffix("-cifar10") for name in named if name.endswith("-cifar10")}
    once = {"mobilenetv2", "mlp", "vgg8-0.375-binary"}
    stems = {name for name in cifar10 if "seed" not in name}
    assert len(stems) == 26
    assert cifar10 == stems | {f"{stem}-seed{seed}" for stem in stems - once for seed in (1, 2)}
    assert {name.removesuffix("-digits") for name in named if name.endswith("-digits")} == cifar10
    for name, recipe in named.items():
        assert name.endswith(f"-{recipe.data}")
        assert recipe.seed == (int(name.rsplit("seed", 1)[1][0]) if "seed" in name else 0)
        first = named[name.replace(f"-seed{recipe.seed}", "")]
        assert recipe.replace(seed=0, start=first.start) == first
        if recipe.start:
            start = named[recipe.start]
            assert (recipe.data, recipe.network, recipe.width) == (start.data, start.network, start.width)
            assert (start.start, start.seed) == ("", recipe.seed)


def test_compared_networks_are_trained_alike():
    """ResNet-20 of every width and connectivity differs in these alone; VGG-8 in its width."""
    plain = [r for n, r in recipes.RECIPES.items() if r.data == "cifar10" and not r.start and not r.seed]
    for family, count in (("resnet20", 10), ("vgg8", 2)):
        members = [recipe for recipe in plain if recipe.network.startswith(family)]
        assert len(members) == count
        assert len({recipe.replace(network="mlp", width=1) for recipe in members}) == 1


def test_twins_for_the_digits():
    """Some, by hand."""
    named, common = recipes.RECIPES, {"batch": 64, "flip": False}
    assert named["resnet20-digits"] == recipes.Recipe("digits", "resnet20", 0.5, epochs=30, **common)
    assert named["resnet20-0.25-seed2-digits"] == recipes.Recipe("digits", "resnet20", 0.125, 12, seed=2, **common)
    assert named["vgg8-digits"] == recipes.Recipe("digits", "vgg8", 0.125, epochs=30, **common)
    assert named["vgg8-0.375-digits"].width == 0.188
    noisy = recipes.Recipe(
        "digits", "resnet20", 0.25, 24, lr=0.005, start="resnet20-0.5-digits", frozen_statistics=True,
        device=(("program_error", 0.05),), **common
    )  # fmt: skip
    assert named["resnet20-0.5-noise-digits"] == noisy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "mnist"}, "data='mnist': must be one of 'digits', 'cifar10'"),
        ({"network": "lenet"}, "network='lenet': must be one of 'resnet20'"),
        ({"width": 0}, "width=0: must be a finite number above 0"),
        ({"epochs": 0}, "epochs=0: must be a whole number at least 1"),
        ({"flip": 1}, "flip=1: must be True or False"),
        ({"label_smoothing": 2}, "label_smoothing=2: must be a number from 0 to 1"),
        ({"prune": "rows"}, "prune='rows': must be one of '', 'weights', 'channels'"),
        ({"prune": "weights"}, "sparsity=0.0: must be between 0 and 1 with pruning"),
        ({"sparsity": 0.5}, "sparsity=0.5: must be between 0 and 1 with pruning, and 0 without"),
        ({"prune": "weights", "sparsity": 0.5, "dac_bits": 8}, "prune='weights': must be '' in noise-aware"),
        ({"frozen_statistics": True}, "frozen_statistics=True: must be False without `start`"),
        ({"dac_bits": 1, "start": "tiny"}, "dac_bits=1: must be a whole number from 2 to 24, or None for off"),
        ({"dac_bits": 8}, "dac_bits=8: must be None without `start`"),
        ({"device": (("noise", 1),)}, "noise=1"),
        ({"device": (("program_error", -1),)}, "program_error=-1: must be a relative sigma (0.02 is 2 %) from 0 to 1"),
        ({"device": (("read_noise", 0.1),)}, "device=('read_noise', 0.1): must be what keeps a programmed cell"),
        ({"binary": 1}, "binary=1: must be True or False"),
        ({"binary": True, "device": (("states", 8),)}, "binary=True: must be False in noise-aware"),
        ({"binary": True, "prune": "weights", "sparsity": 0.5}, "prune='weights': must be '' in noise-aware"),
        ({"momentun": 0.5}, "Recipe(momentun=0.5): unknown field; allowed: data"),
    ],
)
def test_wrong_recipes(changes, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        TINY.replace(**changes)


def test_unknown_recipe_and_network(tmp_path):
    """Names of recipes and networks, before anything is written."""
    folders = tmp_path / "checkpoints", tmp_path / "states"
    raises(ValueError, lambda: trainer.train("resnet50", *folders), "recipe='resnet50'", "'resnet20-cifar10'")
    assert not any(folder.exists() for folder in folders)
    raises(ValueError, lambda: networks.build_network("resnet50"), "network='resnet50'", "'resnet20'", "'vgg8'")
    raises(ValueError, lambda: networks.build_network("vgg8", width=0), "width=0", "above 0")
    raises(ValueError, lambda: networks.build_network("vgg8", classes=0), "classes=0", "at least 1")
