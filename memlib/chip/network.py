"""A whole network on one simulated chip: `map_network`."""

import contextlib
from collections.abc import Iterator, Mapping as MappingType
from typing import Any, cast

import numpy as np
import pandas as pd
from torch import Tensor, nn

from memlib.base.checks import one_of, positive, whole
from memlib.base.progress_bar import note
from memlib.chip.layer import AnalogLayer, analog_layer
from memlib.chip.resources import check_memory, wire_seconds
from memlib.layers.geometry import MatrixLayer
from memlib.layers.mappable import float_copy, put_in_place
from memlib.mapping.footprints import layer_footprint
from memlib.mapping.hardware import Choices, choices
from memlib.mapping.plan import Plan, plan_chip
from memlib.tiles.adc_range import adc_full_scale
from memlib.tiles.input_record import Record, record_inputs, seen_sizes
from memlib.tiles.programming import program_slices


class AnalogNetwork(nn.Module):
    """A network whose matrix layers run on tiles; behaves like the float network in eval mode. Print it for a table."""

    def __init__(self, network: nn.Module, layers: dict[str, AnalogLayer], seed: int) -> None:
        super().__init__()
        self.network, self.seed = network, seed
        self._names = list(layers)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The network's output, with this chip's devices."""
        return self.network(*args, **kwargs)

    @property
    def layers(self) -> dict[str, AnalogLayer]:
        """The layers on tiles, by name."""
        return {name: cast(AnalogLayer, self.network.get_submodule(name)) for name in self._names}

    def reset(self) -> None:
        """Rewind every layer's read noise, so that the next forward repeats the first."""
        for layer in self.layers.values():
            layer.reset()

    @contextlib.contextmanager
    def rewound(self) -> Iterator[None]:
        """Read noise begins again inside, and goes on afterwards as if nothing had been read."""
        reads = [layer.reads for layer in self.layers.values()]
        kept = [part.rewind() for part in reads]
        try:
            yield
        finally:
            for part, state in zip(reads, kept, strict=True):
                part.rewind(state)

    def train(self, mode: bool = True) -> "AnalogNetwork":
        """Stays in eval mode: the devices are programmed. Raises NotImplementedError for mode True."""
        if mode:
            raise NotImplementedError("a mapped network is programmed; train the float network and map it again")
        return super().train(False)

    def summary(self) -> pd.DataFrame:
        """A row per layer: matrix, tiles and converters, and a last row for each digital module with parameters."""
        rows = [
            {"layer": name, **layer_footprint(layer.placement, layer.hardware), "full_scale": layer.full_scale}
            for name, layer in self.layers.items()
        ]
        inside = {part for layer in self.layers.values() for part in layer.modules()}
        for name, module in self.network.named_modules():
            if module not in inside and module._parameters:
                rows.append({"layer": name, "kind": f"digital {type(module).__name__}"})
        return pd.DataFrame(rows, dtype=object)

    def __repr__(self) -> str:
        table = self.summary().drop(columns="full_scale", errors="ignore").astype(object)
        return f"AnalogNetwork(seed={self.seed})\n" + table.where(table.notna(), "").to_string(index=False)


def check_chip(analog: Any) -> None:
    """Raise TypeError unless `analog` is a chip."""
    if not isinstance(analog, AnalogNetwork):
        raise TypeError(f"analog={type(analog).__name__}: must be a chip, as map_network returns it")


def map_network(
    model: nn.Module,
    hardware: Choices,
    calibration: Tensor | Record | None = None,
    seed: int = 0,
    digital: Any = (),
    ranges: MappingType[str, float] | None = None,
    input_shape: tuple[int, ...] | None = None,
) -> AnalogNetwork:
    """Map every Linear, convolution and recurrent layer of `model` on tiles; the model itself is left untouched.

    A recurrent one is two or three matrices a layer and direction, see `layers.recurrent`, read at every time step. It
    is no `nn.LSTM` any more, which a `forward` that asks `isinstance(self.rnn, nn.LSTM)` would have to know.

    Args:
        hardware: for all layers, or {name: Hardware} with "*" for the rest; the name of a module stands for all layers
            in it, "lstm" and "lstm.l0" for "lstm.l0.input" and "lstm.l0.hidden", and the innermost counts.
        calibration: images (n, *input shape) that set the converters' ranges, or the `record_inputs` of such images;
            None is enough if all converters are off.
        seed: device seed, one simulated chip.
        digital: names or classes of modules that stay digital with all in them. Batch norm and biases always do.
        ranges: this hardware's `design_ranges`, if they are known already.
        input_shape: of one image, which the sizes of the input maps follow from; None: that of the calibration images.
            One of the two is needed for every layout but the dense one, and for padding that reaches all over a map.

    Raises:
        ValueError: for a layer that cannot be mapped, hardware or ranges of unknown layers, images that do not fit, or
            tiles that would not fit in memory.
    """
    record = calibrated(model, hardware, calibration, digital)
    plan = plan_chip(model, hardware, input_shape, digital, seen_sizes(record))
    return program_network(model, plan, record, seed, ranges)


def calibrated(model: nn.Module, hardware: Choices, calibration: Tensor | Record | None, digital: Any = ()) -> Record:
    """The record of the layers' inputs: the one that is given, or that of the float network on images."""
    if calibration is None or isinstance(calibration, dict):
        return calibration or {}
    maps = any(choice.mapping.layout != "dense" for choice in choices(hardware))
    return record_inputs(model, calibration, digital, maps=maps)


def design_ranges(
    model: nn.Module, hardware: Choices, calibration: Tensor | Record, digital: Any = ()
) -> dict[str, float]:
    """Each layer's ADC range, A, on the ideal device: what all chips of a design share. Arguments as `map_network`."""
    record = calibrated(model, hardware, calibration, digital)
    return plan_ranges(plan_chip(model, hardware, None, digital, seen_sizes(record)), record)


def plan_ranges(plan: Plan, record: Record) -> dict[str, float]:
    """The `design_ranges` of a plan; only of layers with an ADC whose inputs are recorded."""
    check_memory(plan)
    converted = {name: layer for name, layer in plan.items() if layer.hardware.tile.adc_bits and name in record}
    return {name: adc_full_scale(layer, record[name]) for name, layer in converted.items()}


def program_network(
    model: nn.Module, plan: Plan, record: Record, seed: int, ranges: MappingType[str, float] | None = None
) -> AnalogNetwork:
    """Program one chip after its plan; arguments and errors as for `map_network`."""
    seed = whole("seed", seed, 0)
    check_memory(plan)
    tiles, seconds = wire_seconds(plan)
    if seconds > 60:
        note(f"{tiles} tiles with wires: about {seconds / 60:.0f} minutes a chip, and as long once for its ADC ranges")
    for name in ranges or {}:
        one_of("ranges", name, plan)
    network, layers = float_copy(model, plan), {}
    for name, layer in plan.items():
        module = cast(MatrixLayer, network.get_submodule(name))
        full_scale = (ranges or {}).get(name) if layer.hardware.tile.adc_calibration == "design" else None
        if full_scale is not None:
            positive(f"ranges of layer {name!r}", full_scale)
        if name not in record and (layer.hardware.tile.dac_bits, layer.hardware.tile.adc_bits) != (None, None):
            raise ValueError(
                f"calibration: nothing known of layer {name!r}, whose converters need a range; pass calibration images "
                "that reach it, or set dac_bits=None and adc_bits=None"
            )
        layers[name] = analog_layer(module, layer, seed, record.get(name), full_scale)
    return assemble(network, layers, seed)


def tile_cells(
    model: nn.Module,
    hardware: Choices,
    layer: str,
    tile: int = 0,
    seed: int = 0,
    input_shape: tuple[int, ...] | None = None,
    digital: Any = (),
    slice_number: int = 0,
) -> Tensor:
    """The cells of one tile of a chip, to look at or to solve by themselves (`memlib.wires.nodal.solve_array`).

    Args:
        hardware, seed, input_shape, digital: see `map_network`; they name the same chip.
        layer: its name.
        tile: its number, from 0 to those of the layer's `placement` less 1.
        slice_number: which slice of the weights it holds, 0 the least significant.

    Returns:
        (polarity, rows, cols) S, float64, where they stand in the tile; 0 in lines that are not selected. With the
        offset scheme the reference is one more column.

    Raises:
        ValueError: for a layer, tile or slice that does not exist, and as `map_network`.
    """
    seed = whole("seed", seed, 0)
    plan = plan_chip(model, hardware, input_shape, digital)
    one_of("layer", layer, plan)
    tile = whole("tile", tile, 0, len(plan[layer].placement) - 1)
    slice_number = whole("slice_number", slice_number, 0, plan[layer].hardware.mapping.slices - 1)
    programmer = program_slices(plan[layer], seed)[slice_number]
    return programmer.block(np.array([tile])).array(0)


def assemble(network: nn.Module, layers: dict[str, AnalogLayer], seed: int) -> AnalogNetwork:
    """Put the layers in the place of the modules they stand for, under every name these are known by."""
    analog = AnalogNetwork(put_in_place(network, layers), layers, seed)
    for parameter in analog.parameters():
        parameter.requires_grad_(False)
    return analog.eval()
