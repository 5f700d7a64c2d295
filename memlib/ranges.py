"""What the ADCs of a layer are set to: the range of the currents that they convert."""

from collections.abc import Iterator

import torch
from torch import Tensor

from memlib.calibration import LayerInputs, input_volts, quantise_input
from memlib.programming import Programmer
from memlib.reads import Cut, window_inputs
from memlib.streams import generator
from memlib.tile import CALIBRATION_VALUES, LEAST_PASSES, Tile, upper_quantile


def full_range(chip: Programmer, tile: Tile) -> float:
    """The largest current, A, that a column (pair) of this layer could have if all its rows were at v_read."""
    span = chip.device.g_range / (2 if chip.mapping.scheme == "offset" else 1)
    if tile.converter == "column":
        span = chip.device.g_on
    return tile.v_read * int(chip.placement.selected_rows.max()) * span


def calibrated_range(chip: Programmer, tile: Tile, inputs: LayerInputs) -> float:
    """The quantile of |I|, A, over the converted currents that the recorded inputs cause in these devices."""
    of_layout = _dense_currents if chip.placement.by_convolution else _currents
    count, currents = of_layout(chip, tile, inputs)
    return upper_quantile((part.abs() for part in currents), count, tile.adc_quantile)


def _volts(x: Tensor, tile: Tile, inputs: LayerInputs) -> Tensor:
    return quantise_input(x.double(), tile, inputs) * input_volts(tile, inputs)


def _dense_currents(chip: Programmer, tile: Tile, inputs: LayerInputs) -> tuple[int, Iterator[Tensor]]:
    """How many currents there are, and those of each row cut."""
    window, offset = chip.placement.window, chip.mapping.scheme == "offset"
    cuts = [(Cut.of(tiles, window), tiles.currents(tile.converter)) for tiles in chip.row_cuts()]
    matrices = [(cut.first * window.places_count, cut.matrix(values, offset)) for cut, values in cuts]
    conversions = sum(len(matrix) for _, matrix in matrices)
    v = _volts(inputs.passes[: max(LEAST_PASSES, CALIBRATION_VALUES // conversions)], tile, inputs)
    currents = (v[:, first : first + m.shape[1]] @ m.to(v).T for first, m in matrices)
    return len(v) * conversions, currents


def _currents(chip: Programmer, tile: Tile, inputs: LayerInputs) -> tuple[int, Iterator[Tensor]]:
    """How many currents there are, and those of each block of tiles, of randomly chosen passes over the recorded maps.

    Those of surplus outputs are left out.
    """
    placement, window = chip.placement, chip.placement.window
    if not inputs.maps:
        raise ValueError(
            "calibration: recorded without maps, which layouts other than 'dense' need; record with maps=True"
        )
    volts, converted, count = [], [], 0
    for maps in inputs.maps:
        size = tuple(maps.shape[2:])
        per_pass = placement.conversions(size, tile.converter, chip.mapping.scheme)
        x = window_inputs(window, maps).flatten(1)
        wanted = max(LEAST_PASSES, int(CALIBRATION_VALUES // per_pass.mean()))
        chosen = torch.randperm(x.shape[1], generator=generator("calibration", "passes"))[:wanted]
        volts.append(_volts(x[:, chosen.to(x.device)], tile, inputs))
        passes = chosen % len(per_pass)
        converted.append(torch.from_numpy(window.converted(size))[:, passes].to(x.device))
        count += int(per_pass[passes.numpy()].sum())
    on_map = torch.cat(converted, 1)
    on_map = torch.cat((on_map, torch.zeros_like(on_map[:1])))  # the last for a column that is none
    return count, _blocks_currents(chip, tile, torch.cat(volts, 1), on_map)


def _blocks_currents(chip: Programmer, tile: Tile, volts: Tensor, on_map: Tensor) -> Iterator[Tensor]:
    window = chip.placement.window
    for tiles in chip.blocks():
        currents = torch.bmm(tiles.currents(tile.converter).to(volts), volts[tiles.inputs.to(volts.device)])
        copy = torch.where(tiles.outputs < window.outputs, tiles.outputs % window.copies, window.copies)
        converted = on_map[copy.to(volts.device)]
        if tile.converter == "column":
            behind = converted if tiles.reference is None else torch.ones_like(converted[:, :1])
            converted = torch.cat((converted, behind), 1)
        yield currents[converted]
