"""A whole network on one simulated chip: `map_network`."""

import contextlib
from collections.abc import Iterator, Mapping as MappingType
from typing import Any, cast

import numpy as np
import pandas as pd
from torch import Tensor, nn

from memlib.base.checks import fail, one_of, whole
from memlib.base.progress_bar import note
from memlib.chip.layer import AnalogLayer
from memlib.chip.memory_check import check_memory
from memlib.layers.geometry import Geometry, MatrixLayer, Size
from memlib.layers.mappable import float_copy, matrix_layers, put_in_place
from memlib.layers.tracing import call_sizes, map_sizes
from memlib.mapping.footprints import layer_footprint
from memlib.mapping.hardware import Hardware, per_layer
from memlib.tiles.adc_range import adc_range
from memlib.tiles.input_record import Record, record_inputs
from memlib.tiles.programming import program_slices
from memlib.wires.solver import estimated_seconds


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
        """Read noise begins anew inside, and goes on afterwards as if nothing had been read."""
        reads = [layer.reads for layer in self.layers.values() if layer.reads is not None]
        kept = [part.rewind() for part in reads]
        try:
            yield
        finally:
            for part, state in zip(reads, kept, strict=True):
                part.rewind(state)

    def train(self, mode: bool = True) -> "AnalogNetwork":
        """Stays in eval mode: the devices are programmed.

        Raises:
            NotImplementedError: for mode True.
        """
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


def map_network(
    model: nn.Module,
    hardware: Hardware | MappingType[str, Hardware],
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
        ValueError: for a layer that cannot be mapped, hardware of unknown layers, images that do not fit, or tiles that
            would not fit in memory.
    """
    whole("seed", seed, 0)
    seed = int(seed)
    modules = matrix_layers(model, digital)
    by_layer = per_layer(hardware, modules)
    if calibration is not None and not isinstance(calibration, dict):
        calibration = record_inputs(model, calibration, digital, maps=needs_maps(by_layer))
    network = float_copy(model, modules)
    sizes = _map_sizes(model, modules, by_layer, calibration, input_shape)
    check_memory(modules, by_layer, sizes)
    tiles, seconds = wire_seconds(modules, by_layer, sizes)
    if seconds > 60:
        note(f"{tiles} tiles with wires: about {seconds / 60:.0f} minutes a chip, and as long once for its ADC ranges")
    layers = {}
    for name, module in modules.items():
        inputs = (calibration or {}).get(name)
        tile = by_layer[name].tile
        if inputs is None and (tile.dac_bits is not None or tile.adc_bits is not None):
            raise ValueError(
                f"calibration: nothing known of layer {name!r}, whose converters need a range; pass calibration images "
                "that reach it, or set dac_bits=None and adc_bits=None"
            )
        full_scale = (ranges or {}).get(name) if tile.adc_calibration == "design" else None
        layers[name] = AnalogLayer(module, name, by_layer[name], seed, inputs, sizes[name], full_scale)
    return assemble(network, layers, seed)


def wire_seconds(
    modules: dict[str, MatrixLayer], hardware: dict[str, Hardware], sizes: dict[str, tuple[Size, ...]]
) -> tuple[int, float]:
    """How many tiles of a chip have wires, and about how long their exact solutions take, s."""
    tiles, seconds = 0, 0.0
    for name, h in hardware.items():
        if h.tile.wired:
            p = h.place(Geometry.of(modules[name]), sizes[name])
            tiles += len(p) * h.mapping.cells
            largest = int(p.selected_rows.max()), int(p.selected_columns.max())
            seconds += len(p) * h.mapping.cells * estimated_seconds(*largest)
    return tiles, seconds


def needs_maps(hardware: MappingType[str, Hardware]) -> bool:
    """Whether some layer's converters are calibrated on whole input maps."""
    return any(h.mapping.layout != "dense" for h in hardware.values())


def _map_sizes(
    model: nn.Module,
    modules: dict[str, MatrixLayer],
    hardware: MappingType[str, Hardware],
    record: Record | None,
    input_shape: tuple[int, ...] | None,
) -> dict[str, tuple[Size, ...]]:
    """The distinct sizes of every layer's input maps; empty where neither images nor their shape are known."""
    recorded = {name: record[name].sizes if record and name in record else () for name in modules}
    if input_shape is None:
        return recorded
    calls = call_sizes(model, modules, input_shape)
    sizes = {name: map_sizes(module, calls[name]) for name, module in modules.items()}
    for name in modules:
        if recorded[name] and recorded[name] != sizes[name] and hardware[name].mapping.layout != "dense":
            fail(
                "input_shape", input_shape, f"that of the calibration images: layer {name!r} had maps {recorded[name]}"
            )
    return sizes


def design_ranges(
    model: nn.Module,
    hardware: Hardware | MappingType[str, Hardware],
    calibration: Tensor | Record,
    digital: Any = (),
) -> dict[str, float]:
    """Each layer's ADC range, A, on the ideal device: what all chips of a design share, whatever its effects.

    Args:
        hardware: see `map_network`, as for the other arguments.
    """
    modules = matrix_layers(model, digital)
    by_layer = per_layer(hardware, modules)
    if not isinstance(calibration, dict):
        calibration = record_inputs(model, calibration, digital, maps=needs_maps(by_layer))
    sizes = _map_sizes(model, modules, by_layer, calibration, None)
    check_memory(modules, by_layer, sizes)
    ranges = {}
    for name, module in modules.items():
        h = by_layer[name]
        if h.tile.adc_bits and name in calibration:
            placement = h.place(Geometry.of(module), sizes[name])
            ranges[name] = adc_range(module.weight.detach(), placement, h, calibration[name], name)
    return ranges


def tile_cells(
    model: nn.Module,
    hardware: Hardware | MappingType[str, Hardware],
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
        layer: by name.
        tile: its number, from 0 to those of the layer's `placement` less 1.
        slice_number: of the weights' slices.

    Returns:
        (polarity, rows, cols) S, float64, where they stand in the tile; 0 in lines that are not selected. With the
        offset scheme the reference is one more column.

    Raises:
        ValueError: for a layer, tile or slice that does not exist, and as `map_network`.
    """
    modules = matrix_layers(model, digital)
    one_of("layer", layer, modules)
    whole("seed", seed, 0)
    module, h = modules[layer], per_layer(hardware, modules)[layer]
    sizes = _map_sizes(model, modules, {layer: h}, None, input_shape)[layer] if input_shape else ()
    placement = h.place(Geometry.of(module), sizes)
    whole("tile", tile, 0, len(placement) - 1)
    whole("slice_number", slice_number, 0, h.mapping.slices - 1)
    programmer = program_slices(module.weight.detach(), placement, h, seed, layer)[slice_number]
    return programmer.block(np.array([tile])).array(0)


def assemble(network: nn.Module, layers: dict[str, AnalogLayer], seed: int) -> AnalogNetwork:
    """Put the layers in the place of the modules they stand for, under every name these are known by."""
    analog = AnalogNetwork(put_in_place(network, layers), layers, seed)
    for parameter in analog.parameters():
        parameter.requires_grad_(False)
    return analog.eval()
