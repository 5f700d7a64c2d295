"""The digits at 8x8 pixels, and their small networks."""

import shutil

import pytest
import torch

from memlib.zoo import data_sets, digits_8x8
from memlib.zoo.checkpoints import CHECKPOINTS, CheckpointError


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_same_digits_as_elsewhere(split):
    """Not resized, in the same order and split as `memlib.zoo.data_sets` has them."""
    pixels, labels = digits_8x8.images(split)
    resized = data_sets.load_images("digits", split)
    assert torch.equal(labels, resized.labels)
    large = torch.nn.functional.interpolate(pixels.view(-1, 1, 8, 8), (32, 32), mode="bilinear", align_corners=False)
    assert (large[:, 0] * 255 - resized.pixels[:, 0].double()).abs().max() <= 0.5 + 1e-9
    assert (pixels * 16 == (pixels * 16).round()).all()
    assert (float(pixels.min()), float(pixels.max())) == (0, 1)


def test_training_makes_the_committed_networks_again(tmp_path):
    """To the last digits, which depend on the processor."""
    entry, committed = digits_8x8.train(8, tmp_path), digits_8x8.manifest()[digits_8x8.name_of(8)]
    assert abs(entry["accuracy"]["test"] - committed["accuracy"]["test"]) <= 0.02
    pairs = zip(digits_8x8.load(8, tmp_path).parameters(), digits_8x8.load(8).parameters(), strict=True)
    for found, expected in pairs:
        torch.testing.assert_close(found, expected, rtol=0, atol=0.05 * float(expected.abs().max()))


def test_checkpoints(tmp_path):
    """All are there with the accuracy that the manifest says; damaged ones are refused."""
    x, labels = digits_8x8.images("test")
    for hidden in digits_8x8.HIDDEN:
        model = digits_8x8.load(hidden)
        accuracy = (model(x).argmax(1) == labels).double().mean().item()
        entry = digits_8x8.manifest()[digits_8x8.name_of(hidden)]
        assert accuracy == pytest.approx(entry["accuracy"]["test"], abs=0.004)
        assert (model[0].out_features, accuracy > 0.9) == (hidden, True)
    name = f"{digits_8x8.name_of(8)}.safetensors"
    shutil.copy(CHECKPOINTS / digits_8x8.MANIFEST, tmp_path)
    (tmp_path / name).write_bytes((CHECKPOINTS / name).read_bytes()[:-1] + b"!")
    with pytest.raises(CheckpointError, match=r"python -m memlib\.zoo\.digits_8x8"):
        digits_8x8.load(8, tmp_path)
    with pytest.raises(ValueError, match="hidden=9: must be one of 8, 16, 32, 64"):
        digits_8x8.load(9)
