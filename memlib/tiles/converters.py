"""The converters of a tile: DACs that drive its rows, and ADCs that round the currents of its columns."""

from collections.abc import Iterator

import torch
from torch import Tensor

from memlib.base.checks import fail
from memlib.base.random_streams import normals
from memlib.mapping.hardware import Hardware
from memlib.mapping.tile import Tile
from memlib.tiles.conductances import ProgrammedTiles
from memlib.tiles.input_record import LayerInputs


def code_limits(bits: int, signed: bool, field: str) -> tuple[int, int]:
    """Smallest and largest code of a converter. Raises ValueError for a signed one of one bit, with no code but 0."""
    if signed and bits == 1:
        fail(field, bits, "at least 2 where the signal is signed, or None for off")
    largest = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    return (-largest if signed else 0), largest


def quantise_input(x: Tensor, tile: Tile, inputs: LayerInputs | None) -> Tensor:
    """Inputs to DAC codes; unchanged without a DAC."""
    if tile.dac_bits is None:
        return x
    assert inputs is not None  # DACs have a range
    low, high = code_limits(tile.dac_bits, inputs.signed, "dac_bits")
    return (x * (high / inputs.x_max)).round_().clamp_(low, high)


def row_inputs(x: Tensor, tile: Tile, inputs: LayerInputs | None) -> Iterator[tuple[int, Tensor]]:
    """For each read of a pass, what drives the rows, codes or their bits in turn, and the factor of its result."""
    codes = quantise_input(x, tile, inputs)
    if not tile.bit_serial:
        yield 1, codes
        return
    assert inputs is not None  # DACs have a range
    for sign in (1, -1) if inputs.signed else (1,):
        rest = (codes * sign).clamp_(min=0)
        for bit in range(tile.planes(inputs.signed) // (1 + inputs.signed)):
            yield sign * 2**bit, rest.remainder(2)
            rest = rest.div(2, rounding_mode="floor")


def input_volts(tile: Tile, inputs: LayerInputs | None) -> float:
    """Volts per unit of what `row_inputs` gives."""
    return tile.v_read / input_top(tile, inputs)


def input_top(tile: Tile, inputs: LayerInputs | None) -> float:
    """The value of `row_inputs` that v_read stands for."""
    if tile.bit_serial:
        return 1.0
    if tile.dac_bits is None:
        return inputs.x_max if inputs else 1.0
    return _largest_input_code(tile, inputs)


def input_at_v_read(tile: Tile, inputs: LayerInputs | None) -> float:
    """The float layer's input that v_read on a row stands for; of the lowest bit, where bits follow each other."""
    x_max = inputs.x_max if inputs else 1.0
    return x_max / _largest_input_code(tile, inputs) if tile.bit_serial else x_max


def _largest_input_code(tile: Tile, inputs: LayerInputs | None) -> int:
    assert tile.dac_bits is not None  # as Tile checks for serial bits
    assert inputs is not None  # DACs have a range
    return code_limits(tile.dac_bits, inputs.signed, "dac_bits")[1]


def adc_limits(tile: Tile, inputs: LayerInputs | None) -> tuple[int, int] | None:
    """Smallest and largest code of a layer's ADCs; None: they are off."""
    if tile.adc_bits is None:
        return None
    assert inputs is not None  # ADCs are calibrated
    signed = tile.converter == "pair" or (inputs.signed and not tile.bit_serial)
    return code_limits(tile.adc_bits, signed, "adc_bits")


def adc_errors(tiles: ProgrammedTiles, hardware: Hardware, name: tuple[int | str, ...]) -> tuple[Tensor, Tensor]:
    """Static gain, and offset relative to the range, of each ADC: (tiles, conversions) float64; streams by `name`."""
    tile, errors = hardware.tile, []
    shape = hardware.mapping.polarities, tile.cols + 1
    places = list(zip(tiles.numbers.tolist(), tiles.columns, strict=True))
    for effect, sigma in (("adc_gain", tile.adc_gain_error), ("adc_offset", tile.adc_offset_error)):
        z = torch.stack([normals(shape, *name, effect, *number)[:, at] for number, at in places]).double()
        z = z[:, 0, : tiles.outputs.shape[1]] if tile.converter == "pair" else z.flatten(1)
        errors.append(sigma * z)
    return 1 + errors[0], errors[1]


def convert_currents(codes: Tensor, limits: tuple[int, int], errors: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Currents of columns, in units of an ADC code, to codes: rounded and clipped, in place. Here the ADC rounds.

    Args:
        codes: (..., conversions), one for each column, or pair of columns, of a tile at one read.
        limits: smallest and largest code.
        errors: gain, and offset in codes, of each conversion's ADC.
    """
    if errors:
        codes = codes.mul_(errors[0]).add_(errors[1])
    return codes.round_().clamp_(*limits)
