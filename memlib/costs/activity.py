"""How often a layer uses its circuits in one inference, and what its arrays dissipate, measured on images."""

import contextlib
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from memlib.base.checks import images_of
from memlib.chip.layer import AnalogLayer
from memlib.chip.network import AnalogNetwork, check_chip
from memlib.layers.geometry import Size
from memlib.layers.tracing import calls_of, fitting, input_of
from memlib.mapping.footprints import layer_activity
from memlib.mapping.hardware import Hardware
from memlib.mapping.placement import Placement
from memlib.mapping.tile import Tile
from memlib.tiles.converters import input_volts, row_inputs

#: Every pass fetches the inputs of its rows from the buffer; or line buffers keep them, each fetched once an inference.
FETCHES = ("pass", "once")
BATCH = 100  #: images that are run at once to measure the array energy


@dataclass(frozen=True)
class Activity:
    """The uses of a layer's circuits in one inference."""

    passes: int
    row: int  #: rows driven, of all physical tiles
    conversion: int
    result: int  #: converted column pairs, or columns less their reference, each added to a partial sum
    input_byte: int  #: fetched from the buffer, see `FETCHES`
    row_byte: int  #: put to rows
    result_byte: int
    output: int  #: values that leave the layer
    operations: int  #: of the float layer, two for each multiplication and addition
    nothing: int = 0

    @classmethod
    def of(cls, placement: Placement, hardware: Hardware, measured: "Measured", result_bytes: int, fetch: str) -> Self:
        """The activity of a layer with such calls."""
        g, calls, bits = placement.window.geometry, measured.calls, driven_bits(hardware.tile)
        counts = layer_activity(placement, hardware, calls, measured.signed)
        by_pair = hardware.replace(tile=hardware.tile.replace(converter="pair"))
        results = layer_activity(placement, by_pair, calls, measured.signed)["conversions"]
        fetched = counts["passes"] * placement.matrix_rows * bits
        if fetch == "once":
            assert hardware.tile.dac_bits is not None  # as `_table` checks
            fetched = g.inputs * sum(math.prod(size) for size in calls) * hardware.tile.dac_bits
        outputs = g.outputs * sum(math.prod(g.output_size(size) if g.dims else size) for size in calls)
        return cls(
            passes=counts["passes"],
            row=counts["row_activations"],
            conversion=counts["conversions"],
            result=results,
            input_byte=math.ceil(fetched / 8),
            row_byte=math.ceil(counts["row_activations"] * bits / 8),
            result_byte=results * result_bytes,
            output=outputs,
            operations=2 * outputs * (g.inputs // g.groups) * g.positions,
        )


@dataclass(frozen=True)
class Measured:
    """The calls and the power of one layer, measured on images."""

    calls: Sequence[Size]  #: see `layers.call_sizes`
    power: float  #: of its arrays, summed over all passes, mean over images, W (see `Load.power`)
    signed: bool = False  #: whether its input is, which bit-serial reads take twice as long for


@torch.inference_mode()
def measure(analog: AnalogNetwork, images: Tensor) -> dict[str, Measured]:
    """Run images (n, *input shape) through a mapped network and add up what its cells conduct.

    Its read noise is left as it was. Raises TypeError for what is no chip, and ValueError for images that do not fit.
    """
    check_chip(analog)
    images_of("images", images)
    calls: dict[str, list[Size]] = {name: [] for name in analog.layers}
    power, size, batches = dict.fromkeys(analog.layers, 0.0), len(images), images.split(BATCH)

    def watch(layer: AnalogLayer, arguments: tuple, named: dict, name: str) -> None:
        x = input_of(arguments, named)
        calls[name].extend(calls_of(layer.geometry, x, size))
        power[name] += _power(layer, x) / len(images)

    fits = fitting(f"images: of shape {tuple(images.shape)} do not fit the model")
    with contextlib.ExitStack() as hooks, analog.rewound(), fits:
        for name, layer in analog.layers.items():
            hook = layer.register_forward_pre_hook(functools.partial(watch, name=name), with_kwargs=True)
            hooks.callback(hook.remove)
        for batch in batches:
            size = len(batch)
            analog(batch)
    signed = {name: bool(layer.inputs and layer.inputs.signed) for name, layer in analog.layers.items()}
    return {name: Measured(c[: len(c) // len(batches)], power[name], signed[name]) for name, c in calls.items()}


def driven_bits(tile: Tile) -> int:
    """Bits of a row's DAC, which is there: one where the bits of a code follow each other."""
    assert tile.dac_bits is not None
    return 1 if tile.bit_serial else tile.dac_bits


def _power(layer: AnalogLayer, x: Tensor) -> float:
    """Power, W, summed over the images, passes and reads of one call."""
    tile, inputs = layer.hardware.tile, layer.inputs
    x = x[None] if x.dim() == layer.geometry.dims + 1 else x
    volts = input_volts(tile, inputs)
    return sum(layer.load.power(u * volts) for _, u in row_inputs(x.double(), tile, inputs))
