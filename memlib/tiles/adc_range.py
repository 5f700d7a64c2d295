"""The range of the currents that the ADCs of a layer convert: full, or calibrated on recorded inputs."""

import functools
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from memlib.base.random_streams import generator
from memlib.mapping.plan import LayerPlan
from memlib.mapping.tile import Tile
from memlib.tiles.converters import input_volts, row_inputs
from memlib.tiles.input_record import LayerInputs
from memlib.tiles.passes import window_inputs
from memlib.tiles.programming import Programmer, program_slices
from memlib.tiles.row_cut import Cut

#: Calibrated ranges are computed from about this many converted values per layer, all those of randomly chosen passes.
CALIBRATION_VALUES = 2**20
LEAST_PASSES = 64  #: from these passes at least, however many conversions a pass has


def upper_quantile(parts: Iterable[Tensor], count: int, q: float) -> float:
    """The q-quantile of `count` values in tensors, interpolated as by numpy.quantile, fast and small for q near 1."""
    position = (count - 1) * q
    below = int(position)
    top = torch.zeros(0, dtype=torch.float64)
    for part in parts:
        values = torch.cat((top.to(part.device), part.flatten().double()))
        top = torch.topk(values, min(count - below, len(values))).values
    low, high = float(top[-1]), float(top[-2] if len(top) > 1 else top[-1])
    return low + (high - low) * (position - below)


def adc_full_scale(layer: LayerPlan, inputs: LayerInputs, chip: Sequence[Programmer] | None = None) -> float:
    """The full scale of a layer's ADCs, A: see `Tile.adc_range`, `Tile.adc_calibration` and `Tile.adc_quantile`.

    Args:
        inputs: recorded of the float layer.
        chip: its cells, a `Programmer` for each slice; None: the range of the design, whatever `adc_calibration` says.

    Raises:
        ValueError: for inputs of another layer.
    """
    tile, geometry = layer.hardware.tile, layer.geometry
    if inputs.passes.shape[1:] != (geometry.inputs * geometry.positions,):
        raise ValueError(f"calibration: recorded for another layer {layer.name!r}; record the inputs of this network")
    if chip is None or tile.adc_calibration == "design" or tile.adc_range == "full":
        ideal = replace(layer, hardware=layer.hardware.design(), name=f"{layer.name}, ideal devices")
        chip = program_slices(ideal)
    full = full_range(chip[0], tile)
    return full if tile.adc_range == "full" else calibrated_range(chip, tile, inputs) or full


def full_range(chip: Programmer, tile: Tile) -> float:
    """The largest current, A, that a column (pair) of this layer could have if all its rows were at v_read."""
    span = chip.device.g_range / (2 if chip.mapping.scheme == "offset" else 1)
    if tile.converter == "column":
        span = chip.device.g_on
    return chip.device.law.full_response(tile.v_read) * int(chip.placement.selected_rows.max()) * span


def calibrated_range(slices: Sequence[Programmer], tile: Tile, inputs: LayerInputs) -> float:
    """The quantile of |I|, A, over the converted currents that the recorded inputs cause in all slices' devices."""
    of_layout = _dense_currents if slices[0].placement.by_convolution else _currents
    counts, currents = zip(*(of_layout(chip, tile, inputs) for chip in slices), strict=True)
    magnitudes = (part.abs() for parts in currents for part in parts)
    return upper_quantile(magnitudes, sum(counts), tile.adc_quantile)


def _volts(x: Tensor, tile: Tile, inputs: LayerInputs, dim: int) -> Tensor:
    """Voltages of the rows, those of a pass's reads one behind the other along `dim`."""
    return torch.cat([u for _, u in row_inputs(x.double(), tile, inputs)], dim) * input_volts(tile, inputs)


def _dense_currents(chip: Programmer, tile: Tile, inputs: LayerInputs) -> tuple[int, Iterator[Tensor]]:
    """How many currents there are, and those of each row cut."""
    window, offset = chip.placement.window, chip.mapping.scheme == "offset"
    matrices = []  # of each cut: its first input, and a matrix for each term
    for tiles in chip.row_cuts():
        cut, terms = Cut.of(tiles, window), tiles.currents(tile.converter).split(tiles.inputs.shape[1], -1)
        matrices.append((cut.first * window.places_count, [cut.matrix(values, offset) for values in terms]))
    conversions = sum(len(terms[0]) for _, terms in matrices)
    passes = max(LEAST_PASSES, CALIBRATION_VALUES // (conversions * tile.planes(inputs.signed)))
    drives = chip.device.law.drives(_volts(inputs.passes[:passes], tile, inputs, 0), tile.v_read)
    return len(drives[0]) * conversions, (_cut_currents(drives, first, terms) for first, terms in matrices)


def _cut_currents(drives: list[Tensor], first: int, terms: list[Tensor]) -> Tensor:
    """Currents (passes, conversions), A, of a row cut that begins at input `first`, from a matrix for each term."""
    parts = (v[:, first : first + m.shape[1]] @ m.to(v).T for v, m in zip(drives, terms, strict=True))
    return functools.reduce(operator.add, parts)


def _currents(chip: Programmer, tile: Tile, inputs: LayerInputs) -> tuple[int, Iterator[Tensor]]:
    """How many currents there are, and those of each block of tiles, of randomly chosen passes over the recorded maps.

    Those of surplus outputs are left out.
    """
    placement, window = chip.placement, chip.placement.window
    if not inputs.maps:
        raise ValueError("calibration: recorded without maps, which layouts except 'dense' need; record with maps=True")
    volts, converted, count = [], [], 0
    for maps in inputs.maps:
        size = tuple(maps.shape[2:])
        per_pass = placement.conversions(size, tile.converter, chip.mapping.scheme)
        x = window_inputs(window, maps).flatten(1)
        planes = tile.planes(inputs.signed)
        wanted = max(LEAST_PASSES, int(CALIBRATION_VALUES // (per_pass.mean() * planes)))
        sample = torch.randperm(x.shape[1], generator=generator("calibration", "passes"))[:wanted]
        volts.append(_volts(x[:, sample.to(x.device)], tile, inputs, 1))
        passes = (sample % len(per_pass)).repeat(planes)
        converted.append(torch.from_numpy(window.converted(size))[:, passes].to(x.device))
        count += int(per_pass[passes.numpy()].sum())
    on_map = torch.cat(converted, 1)
    on_map = torch.cat((on_map, torch.zeros_like(on_map[:1])))  # the last for a column of padding
    return count, _blocks_currents(chip, tile, torch.cat(volts, 1), on_map)


def _blocks_currents(chip: Programmer, tile: Tile, volts: Tensor, on_map: Tensor) -> Iterator[Tensor]:
    window, drives = chip.placement.window, chip.device.law.drives(volts, tile.v_read)
    for tiles in chip.blocks():
        rows = tiles.inputs.to(volts.device)
        driven = torch.cat([v[rows] for v in drives], 1)
        currents = torch.bmm(tiles.currents(tile.converter).to(volts), driven)
        copy = torch.where(tiles.outputs < window.outputs, tiles.outputs % window.copies, window.copies)
        converted = on_map[copy.to(volts.device)]
        if tile.converter == "column":
            behind = torch.ones_like(converted[:, :1]) if tiles.offset else converted
            converted = torch.cat((converted, behind), 1)
        yield currents[converted]
