"""Energy, time and area of a mapped network, from what its placement does and its devices conduct.

    energy   array: t_read times the sum of v I(v) over all passes and the cells in selected lines, measured on images,
             or with wires of what all drivers give off; every other circuit: its energy per use times its uses
    time     of a pass: DAC, read, sample and hold, and then as many conversions as the busiest converter has; all tiles
             of a layer work at once, its passes one after another, its copies (if any) side by side, if layers are
             pipelined also on passes of different inferences
    area     cells and circuits of whole tiles, selected or not

Not modelled: leakage, clocks, control, chip-to-chip links, and the capacitance of wires inside the tile.
"""

import bisect
import functools
import math
from collections.abc import Iterator, Mapping as MappingType
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from memlib.base.checks import fail, images_of, one_of, whole
from memlib.chip.layer import AnalogLayer
from memlib.chip.network import AnalogNetwork
from memlib.costs.technology import Technology, technology_of
from memlib.layers.matrix_layers import Geometry, call_sizes, calls_of, map_sizes, matrix_layers
from memlib.mapping.footprints import layer_activity
from memlib.mapping.hardware import Hardware, per_layer
from memlib.mapping.placement import Placement, Size
from memlib.mapping.tile import Tile
from memlib.tiles.input_record import input_volts, row_inputs

CONVERTERS = ("serial", "parallel")
#: Every pass fetches the inputs of its rows from the buffer; or line buffers keep them, each fetched once an inference.
FETCHES = ("pass", "once")
#: Images that are run at once to measure the array energy.
BATCH = 100


@dataclass(frozen=True)
class Activity:
    """What one layer does in one inference: how often what circuits are used for happens."""

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
    def of(
        cls, placement: Placement, hardware: Hardware, measured: "Measured", result_bytes: int, fetch: str
    ) -> "Activity":
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


@dataclass(frozen=True)
class Measured:
    """What one layer was seen to do."""

    calls: list[Size]  #: see `layers.call_sizes`
    power: float  #: of its arrays, summed over all passes, mean over images, W (see `Load.power`)
    signed: bool = False  #: whether its input is, which bit-serial reads take twice as long for


@torch.inference_mode()
def measure(analog: AnalogNetwork, images: Tensor) -> dict[str, Measured]:
    """Run images through a mapped network and add up what its cells conduct; its read noise is left as it was.

    Args:
        images: (n, *input shape).
    """
    if not isinstance(analog, AnalogNetwork):
        raise TypeError(f"analog={type(analog).__name__}: must be a chip, as map_network returns it")
    images_of("images", images)
    calls: dict[str, list[Size]] = {name: [] for name in analog.layers}
    power, hooks, size = dict.fromkeys(analog.layers, 0.0), [], len(images)

    def watch(layer: AnalogLayer, arguments: tuple, named: dict, name: str) -> None:
        """Add a call of a layer with `size` images."""
        x = arguments[0] if arguments else named["input"]
        calls[name].extend(calls_of(layer.geometry, x, size))
        power[name] += _power(layer, x) / len(images)

    batches = images.split(BATCH)
    try:
        for name, layer in analog.layers.items():
            hooks.append(layer.register_forward_pre_hook(functools.partial(watch, name=name), with_kwargs=True))
        with analog.rewound():
            for batch in batches:
                size = len(batch)
                analog(batch)
    finally:
        for hook in hooks:
            hook.remove()
    signed = {name: bool(layer.inputs and layer.inputs.signed) for name, layer in analog.layers.items()}
    return {
        name: Measured(seen[: len(seen) // len(batches)], power[name], signed[name]) for name, seen in calls.items()
    }


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


def cost(
    analog: AnalogNetwork,
    images: Tensor,
    technology: str | Technology = "isaac",
    converters: str = "serial",
    copies: int | MappingType[str, int] = 1,
    fetch: str = "pass",
) -> pd.DataFrame:
    """What one inference of a chip takes, on average over `images`.

    Args:
        images: (n, *input shape); the array energy is measured on them.
        technology, converters, copies, fetch: see `cost_of`.

    Returns:
        As `cost_of`.

    Raises:
        ValueError: as `cost_of`.
    """
    measured = measure(analog, images)
    layers = {name: (layer.placement, layer.hardware) for name, layer in analog.layers.items()}
    return _table(layers, measured, technology, converters, copies, fetch)


def cost_of(
    model: nn.Module,
    input_shape: tuple[int, ...],
    hardware: Hardware | MappingType[str, Hardware],
    array_power: MappingType[str, "float | Measured"],
    technology: str | Technology = "isaac",
    converters: str = "serial",
    copies: int | MappingType[str, int] = 1,
    fetch: str = "pass",
    digital: Any = (),
) -> pd.DataFrame:
    """What one inference takes, without a chip: all but the array energy follows from the placement.

    Args:
        array_power: of each layer, W, or what `measure` found, which bit-serial inputs need: it knows which are signed.
            0 leaves its array's energy out.
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
    modules = matrix_layers(model, digital)
    calls = call_sizes(model, modules, input_shape)
    if set(array_power) != set(modules):
        fail("array_power", sorted(array_power), f"given for each of the layers {list(modules)}")
    hardware = per_layer(hardware, modules)
    for name, power in array_power.items():
        if hardware[name].tile.bit_serial and not isinstance(power, Measured):
            fail(f"array_power of layer {name!r}", power, "what `measure` found, since its inputs are bit-serial")
    measured = {
        name: replace(power, calls=calls[name]) if isinstance(power, Measured) else Measured(calls[name], power)
        for name, power in array_power.items()
    }
    layers = {
        name: (h.place(Geometry.of(modules[name]), map_sizes(modules[name], calls[name])), h)
        for name, h in hardware.items()
    }
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
        times = copies.get(name, 1)
        whole(f"copies of layer {name!r}", times, 1)
        for field in ("dac_bits", "adc_bits"):
            if getattr(hardware.tile, field) is None:
                fail(f"{field} of layer {name!r}", None, "a number of bits: a converter that is off has no cost")
        activity = Activity.of(placement, hardware, measured[name], technology.result_bytes, fetch)
        tiles = Tiles.of(placement, hardware, converters)
        power = measured[name].power
        for row in _layer_rows(placement, hardware, power, activity, tiles, technology, times):
            rows.append({"layer": name, **row})
    return pd.DataFrame(rows).fillna({"operations": 0})


def _layer_rows(
    placement: Placement,
    hardware: Hardware,
    power: float,
    activity: Activity,
    tiles: Tiles,
    technology: Technology,
    copies: int,
) -> Iterator[dict[str, Any]]:
    """The rows of one layer: its array, and each kind of circuit."""
    tile = hardware.tile
    assert tile.adc_bits is not None  # as `_table` checks
    passes = math.ceil(activity.passes / copies)
    t_read = tile.t_read or technology.t_read
    written, seconds = _writing(placement, hardware, technology)
    yield {
        "component": "array",
        "energy": power * t_read,
        "latency": passes * t_read,
        "busy": activity.passes / copies * t_read,
        "area": tiles.column * tile.rows * copies * technology.cell_area,
        "operations": activity.operations,
        "writing_energy": written * copies,
        "writing_time": seconds,
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


@dataclass(frozen=True)
class Totals:
    """A whole machine."""

    energy: float  #: of an inference, J
    latency: float  #: of an inference, s
    interval: float  #: between inferences, s: the latency, or with pipelined layers how long the slowest is busy
    area: float  #: m2
    operations: float  #: of an inference

    @property
    def power(self) -> float:
        """At full speed, W."""
        return self.energy / self.interval

    @property
    def tops_per_watt(self) -> float:
        """10^12 operations per second and watt."""
        return self.operations / self.energy / 1e12

    @property
    def tops_per_mm2(self) -> float:
        """10^12 operations per second and mm2."""
        return self.operations / self.interval / (self.area * 1e6) / 1e12


def totals(table: pd.DataFrame, pipelined: bool = False) -> Totals:
    """Add up a table of `cost`.

    Args:
        pipelined: every layer works on another inference, and its copies on passes of any, so that the busiest layer
            decides how fast inferences follow; else one begins when the one before has ended.
    """
    latency = float(table["latency"].sum())
    interval = float(table.groupby("layer", sort=False)["busy"].sum().max()) if pipelined else latency
    sums = table[["energy", "area", "operations"]].sum()
    return Totals(float(sums["energy"]), latency, interval, float(sums["area"]), float(sums["operations"]))


def balanced_copies(table: pd.DataFrame, area: float | None = None, interval: float | None = None) -> dict[str, int]:
    """Copies of each layer that make a pipelined machine as fast as an area allows, or as small as an interval allows.

    Args:
        table: of `cost`, with one copy of each layer.
        area: to stay within, m2; or interval: to reach, s.

    Raises:
        ValueError: unless one of both is given; if not even single copies fit in the area.
    """
    layers = table.groupby("layer", sort=False)[["busy", "area"]].sum()

    def copies(goal: float) -> pd.Series:
        """Of each layer, to be busy for so long, s."""
        return (layers["busy"] / goal * (1 - 1e-9)).apply(math.ceil).clip(lower=1)

    if (area is None) == (interval is None):
        fail("area, interval", (area, interval), "given one of them: (area, None) or (None, interval)")
    if interval is None:
        if layers["area"].sum() > area:
            fail("area", area, f"at least that of single copies, {layers['area'].sum():.3g} m2")
        most = (area / layers["area"]).astype(int)
        goals = sorted({t / k for t, n in zip(layers["busy"], most, strict=True) for k in range(1, n + 1)})
        interval = goals[
            bisect.bisect_left(goals, True, key=lambda goal: (copies(goal) * layers["area"]).sum() <= area)
        ]
    return {name: int(n) for name, n in copies(interval).items()}


def inventory(
    technology: str | Technology, tiles: int, rows: int, cols: int, converters: str = "serial"
) -> pd.DataFrame:
    """What a machine of so many tiles consists of, at the bits that the technology is listed for, as papers list it.

    Returns:
        A row per component: number, area (m2), power (W, all in use), latency (s, of one use).
    """
    technology = technology_of(technology)
    one_of("converters", converters, CONVERTERS)
    count = {"tile": tiles, "row": tiles * rows, "column": tiles * cols}
    count["converter"], count["pair"] = (
        (tiles * cols, tiles * cols // 2) if converters == "parallel" else (tiles, tiles)
    )
    rows_of_table = []
    for component, circuit in technology.circuits.items():
        number = circuit.number * count[circuit.each]
        sums = {"area": number * circuit.area, "power": number * circuit.power}
        rows_of_table.append({"component": component, "number": number, **sums, "latency": circuit.latency})
    area = tiles * rows * cols * technology.cell_area
    rows_of_table.append({"component": "array", "number": tiles, "area": area, "latency": technology.t_read})
    return pd.DataFrame(rows_of_table)
