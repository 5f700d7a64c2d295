"""What the studies of trained networks share: a checkpoint with its images, what identifies them, and their chips."""

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from torch import Tensor, nn

from memlib import data, train
from memlib.calibration import Record, record_inputs
from memlib.chip import AnalogNetwork, design_ranges, map_network
from memlib.hardware import Hardware
from memlib.networks import LABELS
from memlib.points import Point

CALIBRATION_IMAGES = 256
#: The fields of a point that say which network runs on which images.
SHARED = ("checkpoint", "weights", "pixels", "images", "calibration_images")
Shared = tuple[str, str, str, int, int]


def shared_fields(checkpoint: str, images: int) -> Point:
    """The fields of a point that runs a checkpoint on so many test images."""
    entry = train.manifest_entry(checkpoint)
    pixels = _pixels(entry["recipe"]["data"])
    values = (checkpoint, entry["sha256"], pixels, images, CALIBRATION_IMAGES)
    return dict(zip(SHARED, values, strict=True))


def split(point: Point) -> tuple[Shared, dict[str, Any]]:
    """A point's shared fields, and the others."""
    others = dict(point)
    return tuple(others.pop(name) for name in SHARED), others


def mapped(shared: Shared, hardware: dict[str, Hardware], seed: int) -> tuple[AnalogNetwork, Tensor, Tensor]:
    """One chip of the network, and the test images and labels.

    Args:
        hardware: by layer name, "*" for the rest.

    Raises:
        ValueError: if checkpoint or images are not those of the point.
    """
    model, record, images, labels = prepared(*shared)
    design = tuple((name, _design(choice)) for name, choice in hardware.items())
    chip = map_network(model, hardware, record, seed, ranges=_ranges(shared, design))
    return chip, images, labels


@lru_cache(maxsize=4)
def prepared(
    checkpoint: str, weights: str, pixels: str, images: int, calibration_images: int
) -> tuple[nn.Module, Record, Tensor, Tensor]:
    """What all chips share, once per process: network, calibration record, test images and labels."""
    train_set, test_set = (data.load(data_of(checkpoint), split) for split in ("train", "test"))
    found = train.manifest_entry(checkpoint)["sha256"], f"{train_set.sha256}-{test_set.sha256}"
    if found != (weights, pixels):
        raise ValueError(f"checkpoint={checkpoint!r}: it, or its images, changed since the sweep began; start it again")
    model = train.load_checkpoint(checkpoint)
    record = record_inputs(model, train_set.head(calibration_images)[0])
    return model, record, *test_set.head(images)


def _design(hardware: Hardware) -> Hardware:
    """What decides ADC ranges: no effect of the device, no number of bits, and no error of converters."""
    design = hardware.design()
    return design.replace(tile=design.tile.replace(adc_bits=8, adc_gain_error=0.0, adc_offset_error=0.0))


@lru_cache(maxsize=16)
def _ranges(shared: Shared, design: tuple[tuple[str, Hardware], ...]) -> dict[str, float]:
    """The ADC ranges of all chips of a design."""
    model, record, _, _ = prepared(*shared)
    return design_ranges(model, dict(design), record)


def data_of(checkpoint: str) -> str:
    """The data set a checkpoint was trained on."""
    return train.manifest_entry(checkpoint)["recipe"]["data"]


def _identity(name: str, split: str) -> tuple[str, str]:
    """Checksum and origin of a set of images."""
    return _identity_at(name, split, os.environ.get("MEMLIB_DATA"))


@lru_cache
def _identity_at(name: str, split: str, _folder: str | None) -> tuple[str, str]:
    images = data.load(name, split)
    return images.sha256, images.origin


def _pixels(name: str) -> str:
    """Checksums of the images that calibrate and test."""
    return "-".join(_identity(name, split)[0] for split in ("train", "test"))


def label(checkpoint: str) -> str:
    """What figures and claims call a checkpoint's network."""
    recipe = train.manifest_entry(checkpoint)["recipe"]
    width = "" if recipe["width"] == 1 else f" (width {recipe['width']:g})"
    return LABELS[recipe["network"]] + width


def inputs(checkpoints: Sequence[str]) -> dict[str, Any]:
    """Checksums of the checkpoints and images, and where these are from, for the provenance file."""
    sets = {data_of(checkpoint) for checkpoint in checkpoints}
    return {
        "weights": {checkpoint: train.manifest_entry(checkpoint)["sha256"] for checkpoint in checkpoints},
        "pixels": {
            f"{name} {split}": _identity(name, split)[0] for name in sorted(sets) for split in ("train", "test")
        },
        "origin": origin(checkpoints),
        "calibration_images": CALIBRATION_IMAGES,
    }


def origin(checkpoints: Sequence[str]) -> str:
    """What the test images were read from."""
    return "; ".join(sorted({_identity(data_of(checkpoint), "test")[1] for checkpoint in checkpoints}))
