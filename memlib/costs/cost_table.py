"""Energy, time and area of a mapped network, from what its placement does and its devices conduct.

    energy   array: t_read times the sum of v I(v) over all passes and the cells in selected lines, measured on images,
             or with wires of what all drivers give off; every other circuit: its energy per use times its uses
    time     of a pass: DAC, read, sample and hold, and then as many conversions as the busiest converter has; all tiles
             of a layer work at once, its passes one after another, its copies (if any) side by side, if layers are
             pipelined also on passes of different inferences
    area     cells and circuits of whole tiles, selected or not

Not modelled: leakage, clocks, control, chip-to-chip links, and the capacitance of wires inside the tile.
"""

import math
from collections.abc import Iterator, Mapping as MappingType
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from torch import Tensor, nn

from memlib.base.checks import fail, one_of, whole
from memlib.chip.network import AnalogNetwork
from memlib.costs.activity import FETCHES, Activity, Measured, driven_bits, measure
from memlib.costs.technology import CONVERTERS, Technology, technology_of
from memlib.mapping.hardware import Choices, Hardware
from memlib.mapping.placement import Placement
from memlib.mapping.plan import plan_chip
from memlib.mapping.tile import Tile


@dataclass(frozen=True)
class Tiles:
    """The physical tiles of one layer, and what stands around them."""

    tile: int
    row: int
    column: int  #: with those of references
    converter: int
    pair: int  #: places where the two halves of a result meet
    conversions: int  #: of the busiest converter in a pass

    @classmethod
    def of(cls, placement: Placement, hardware: Hardware, converters: str) -> "Tiles":
        """The tiles of a layer: a converter for each of them or each pair, or for each column (pair) of them."""
        tile, mapping = hardware.tile, hardware.mapping
        apart, serial, reference = tile.converter == "column", converters == "serial", mapping.scheme == "offset"
        tiles, columns = len(placement) * mapping.cells, tile.cols + reference
        groups, channels = (tiles, columns) if apart else (len(placement) * mapping.slices, tile.cols)
        return cls(
            tile=tiles,
            row=tiles * tile.rows,
            column=tiles * columns,
            converter=groups if serial else groups * channels,
            pair=len(placement) * mapping.slices * (1 if serial else tile.cols),
            conversions=int(placement.selected_columns.max()) + (apart and reference) if serial else 1,
        )


def cost(
    analog: AnalogNetwork,
    images: Tensor,
    technology: str | Technology = "isaac",
    converters: str = "serial",
    copies: int | MappingType[str, int] = 1,
    fetch: str = "pass",
) -> pd.DataFrame:
    """What one inference of a chip takes, on average over images (n, *input shape).

    The array energy is measured on them. All other arguments, the table and the errors are those of `cost_of`.
    """
    measured = measure(analog, images)  # refuses what is no chip
    layers = {name: (layer.placement, layer.hardware) for name, layer in analog.layers.items()}
    return _table(layers, measured, technology, converters, copies, fetch)


def cost_of(
    model: nn.Module,
    input_shape: tuple[int, ...],
    hardware: Choices,
    array_power: MappingType[str, "float | Measured"],
    technology: str | Technology = "isaac",
    converters: str = "serial",
    copies: int | MappingType[str, int] = 1,
    fetch: str = "pass",
    digital: Any = (),
) -> pd.DataFrame:
    """Energy, time and area of one inference without a chip: all except the array energy follows from the placement.

    Args:
        input_shape, hardware, digital: see `memlib.footprint`.
        array_power: of each layer, W, or as `measure` gives it. Bit-serial inputs need the latter, which knows whether
            they are signed. 0 leaves the energy of the array out.
        technology: one of `technology.TECHNOLOGIES`, or one of your own.
        converters: "serial": one ADC for all columns of a tile; "parallel": one for each.
        copies: of all tiles of every layer, or of {layer name: copies}, which share its passes.
        fetch: "pass": every pass fetches the inputs of its rows from the buffer; "once": line buffers keep them, each
            is fetched once an inference.

    Returns:
        A row per layer and component: layer, component, energy (J), latency (s, that passes wait for it, over all of
        them), busy (s, the same where copies need not wait for each other), and area (m2). On the rows of "array" also
        operations, and writing_energy (J) and writing_time (s, one cell of every tile at a time) to program the cells.
        `totals` adds them up.

    Raises:
        ValueError: for converters that are off, which no circuit can be, or arguments that are not allowed.
    """
    plan = plan_chip(model, hardware, input_shape, digital)
    if set(array_power) != set(plan):
        fail("array_power", sorted(array_power), f"given for each of the layers {list(plan)}")
    measured = {}
    for name, power in array_power.items():
        if isinstance(power, Measured):
            measured[name] = replace(power, calls=plan[name].calls)
        elif plan[name].hardware.tile.bit_serial:
            fail(f"array_power of layer {name!r}", power, "what `measure` found, since its inputs are bit-serial")
        else:
            measured[name] = Measured(plan[name].calls, power)
    layers = {name: (layer.placement, layer.hardware) for name, layer in plan.items()}
    return _table(layers, measured, technology, converters, copies, fetch)


def _table(
    layers: dict[str, tuple[Placement, Hardware]],
    measured: dict[str, Measured],
    technology: str | Technology,
    converters: str,
    copies: int | MappingType[str, int],
    fetch: str,
) -> pd.DataFrame:
    technology = technology_of(technology)
    one_of("converters", converters, CONVERTERS)
    one_of("fetch", fetch, FETCHES)
    if not isinstance(copies, MappingType):
        copies = dict.fromkeys(layers, copies)
    for name in copies:
        one_of("copies: layer", name, layers)
    rows = []
    for name, (placement, hardware) in layers.items():
        times = whole(f"copies of layer {name!r}", copies.get(name, 1), 1)
        for field in ("dac_bits", "adc_bits"):
            if getattr(hardware.tile, field) is None:
                fail(f"{field} of layer {name!r}", None, "a number of bits: a converter that is off has no cost")
        activity = Activity.of(placement, hardware, measured[name], technology.result_bytes, fetch)
        tiles = Tiles.of(placement, hardware, converters)
        layer_rows = [*_layer_rows(hardware.tile, measured[name].power, activity, tiles, technology, times)]
        written, seconds = _writing(placement, hardware, technology)
        layer_rows[0] |= {"writing_energy": written * times, "writing_time": seconds}
        rows += [{"layer": name, **row} for row in layer_rows]
    return pd.DataFrame(rows).fillna({"operations": 0})


def _layer_rows(
    tile: Tile, power: float, activity: Activity, tiles: Tiles, technology: Technology, copies: int
) -> Iterator[dict[str, Any]]:
    """The rows of one layer: its array, and each kind of circuit."""
    assert tile.adc_bits is not None  # as `_table` checks
    passes = math.ceil(activity.passes / copies)
    t_read = tile.t_read or technology.t_read
    yield {
        "component": "array",
        "energy": power * t_read,
        "latency": passes * t_read,
        "busy": activity.passes / copies * t_read,
        "area": tiles.column * tile.rows * copies * technology.cell_area,
        "operations": activity.operations,
    }
    for component, circuit in technology.circuits.items():
        bits = driven_bits(tile) if circuit.use == "row" else tile.adc_bits
        in_turn = tiles.conversions if circuit.use == "conversion" and circuit.each == "converter" else 1
        wait = in_turn * circuit.latency if circuit.waits else 0.0
        yield {
            "component": component,
            "energy": getattr(activity, circuit.use) * circuit.energy(bits),
            "latency": passes * wait,
            "busy": activity.passes / copies * wait,
            "area": copies * circuit.number * getattr(tiles, circuit.each) * circuit.size(bits),
        }


def _writing(placement: Placement, hardware: Hardware, technology: Technology) -> tuple[float, float]:
    """Energy, J, and time, s, to program a layer once: all cells of its tiles, or without unused ones if unformed."""
    tile, mapping, device = hardware.tile, hardware.mapping, hardware.device
    unformed = mapping.unused == "unformed"
    allocated = tile.rows * (tile.cols + (mapping.scheme == "offset"))
    cells = placement.cells_used if unformed else len(placement) * allocated
    most = max((t.cells_used for t in placement), default=0) if unformed else allocated
    energy = technology.writing.energy((device.g_on + device.g_off) / 2)
    return cells * mapping.cells * energy, most * technology.writing.time
