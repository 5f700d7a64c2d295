"""Chips whose arrays' power is measured, by network and layout."""

import itertools
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from memlib.costs.activity import measure
from memlib.mapping.footprints import best_windows
from memlib.mapping.hardware import Hardware
from memlib.mapping.point_fields import point_fields
from memlib.mapping.scheme import Mapping
from memlib.mapping.tile import Tile
from memlib.studies.shared.trained_networks import INPUT_SHAPE, by_layer, mapped, model_of, shared_fields, split
from memlib.sweeps.points import Point, named

#: Relative sigma of device-to-device variation, so that chips differ.
D2D = 0.2
#: Parts of the images. Their energies show the spread from image to image.
BLOCKS = 10
#: The layout that gives each convolution the window of the fewest tile reads.
BEST = "best windows"


@lru_cache
def windows_of(checkpoint: str, rows: int) -> str:
    """The best window of every convolution on tiles of rows x rows cells, as "conv1=2x2 conv2=4x4"."""
    hardware = Hardware(tile=Tile(rows, rows), mapping=Mapping(order="hwc"))
    best = best_windows(model_of(checkpoint), INPUT_SHAPE, hardware)
    return " ".join(f"{name}={h}x{w}" for name, (h, w) in zip(best["layer"], best["window"], strict=True))


@named("array power")
def evaluate(point: Point, seed: int) -> dict[str, Any]:
    """Power of one chip's arrays: the sum of v^2 g over all cells and passes, W, mean over images.

    Returns:
        "W <layer>": of each layer; "blocks": of the network, in `BLOCKS` parts of the images, as a JSON list.
    """
    shared, fields = split(point)
    chip, images, _ = mapped(shared, by_layer(shared[0], fields), seed)
    parts = [measure(chip, part) for part in images.chunk(BLOCKS)]
    sizes = [len(part) for part in images.chunk(BLOCKS)]
    layers = {name: np.average([p[name].power for p in parts], weights=sizes) for name in parts[0]}
    blocks = [sum(found.power for found in part.values()) for part in parts]
    return {f"W {name}": float(watt) for name, watt in layers.items()} | {"blocks": json.dumps(blocks)}


def points(
    checkpoints: Sequence[str], layouts: Sequence[str], images: int, device: str, rows: int, bits: int
) -> list[Point]:
    """A point for each network and layout; DAC and ADC have the same bits."""
    choices = {"d2d_on": D2D, "d2d_off": D2D, "rows": rows, "cols": rows, "dac_bits": bits, "adc_bits": bits}
    made = []
    for checkpoint, layout in itertools.product(checkpoints, layouts):
        windows = {"windows": windows_of(checkpoint, rows)} if layout == BEST else {}
        fields = point_fields(Hardware.of(device, "dense" if windows else layout, **choices)) | windows
        labels = {"device_label": device, "layout_label": layout}
        made.append({**shared_fields(checkpoint, images), **fields, **labels})
    return made
