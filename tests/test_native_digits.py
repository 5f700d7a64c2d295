"""The digits at 8x8 pixels, and their small networks."""

import shutil

import pytest
import torch

from memlib import data, native_digits
from memlib.checkpoint import CHECKPOINTS, CheckpointError


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_same_digits_as_elsewhere(split):
    """Not resized, in the same order and split as `memlib.data` has them."""
    pixels, labels = native_digits.images(split)
    resized = data.load("digits", split)
    assert torch.equal(labels, resized.labels)
    large = torch.nn.functional.interpolate(pixels.view(-1, 1, 8, 8), (32, 32), mode="bilinear", align_corners=False)
    assert (large[:, 0] * 255 - resized.pixels[:, 0].double()).abs().max() <= 0.5 + 1e-9
    assert (pixels * 16 == (pixels * 16).round()).all()
    assert (float(pixels.min()), float(pixels.max())) == (0, 1)


def test_training_makes_the_committed_networks_again(tmp_path):
    """To the last digits, which depend on the processor."""
    entry, committed = native_digits.train(8, tmp_path), native_digits.manifest()[native_digits.name_of(8)]
    assert abs(entry["accuracy"]["test"] - committed["accuracy"]["test"]) <= 0.02
    pairs = zip(native_digits.load(8, tmp_path).parameters(), native_digits.load(8).parameters(), strict=True)
    for found, expected in pairs:
        torch.testing.assert_close(found, expected, rtol=0, atol=0.05 * float(expected.abs().max()))


def test_checkpoints(tmp_path):
    """All are there with the accuracy that the manifest says; damaged ones are refused."""
    x, labels = native_digits.images("test")
    for hidden in native_digits.HIDDEN:
        model = native_digits.load(hidden)
        accuracy = (model(x).argmax(1) == labels).double().mean().item()
        entry = native_digits.manifest()[native_digits.name_of(hidden)]
        assert accuracy == pytest.approx(entry["accuracy"]["test"], abs=0.004)
        assert (model[0].out_features, accuracy > 0.9) == (hidden, True)
    name = f"{native_digits.name_of(8)}.safetensors"
    shutil.copy(CHECKPOINTS / native_digits.MANIFEST, tmp_path)
    (tmp_path / name).write_bytes((CHECKPOINTS / name).read_bytes()[:-1] + b"!")
    with pytest.raises(CheckpointError, match=r"python -m memlib\.native_digits"):
        native_digits.load(8, tmp_path)
    with pytest.raises(ValueError, match="hidden=9: must be one of 8, 16, 32, 64"):
        native_digits.load(9)
