"""A design as the page's controls choose it, and what the page shows of it, stage by stage.

Nothing here depends on widgets. The same seed is the same chip as everywhere. Slow results are kept under the frozen
configuration that decides them, so the page shows an earlier design again at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from memlib.base.checks import fail, one_of, whole
from memlib.base.configuration import Config, config
from memlib.cells.device import Device
from memlib.cells.device_presets import PRESETS
from memlib.chip.network import tile_cells, wire_seconds
from memlib.costs.activity import Measured, measure
from memlib.costs.cost_table import cost_of
from memlib.costs.machine import Totals, totals
from memlib.costs.technology import TECHNOLOGIES
from memlib.evidence.intervals import Interval, crossed_interval, difference_interval
from memlib.layers.classification import correct
from memlib.layers.mappable import matrix_layers
from memlib.mapping.footprints import footprint
from memlib.mapping.hardware import Hardware
from memlib.mapping.placement import Placement
from memlib.mapping.plan import Plan, plan_chip
from memlib.mapping.tile import Tile
from memlib.studies.s06_power.components import COMPONENTS, GROUPS
from memlib.studies.shared.designs import INPUT_SHAPE, POWER_IMAGES
from memlib.studies.shared.trained_networks import Shared, data_of, mapped, model_of, prepared, shared_fields, split

#: Fields of a design for which device presets have values.
SEVERITIES = ("states", "program_error", "stuck_on", "stuck_off", "read_noise", "retention_time", "endurance_cycles")
#: Longest time for the wires of a chip, s, as nothing can stop a chip once it is begun.
LONGEST_WIRES = 20
#: With more allocated cells a chip takes a good part of a second.
SLOW_CELLS = 4e6


@config
class Design(Config):
    """All that the controls choose: network, device, tile and mapping, technology, and the tile that is drawn."""

    checkpoint: str = "resnet20-0.5-digits"
    images: int = 100  #: test images
    chips: int = 5  #: device seeds, from `first_seed` on; one where nothing is random
    first_seed: int = 0
    device: str = "ihp_hfo2"  #: a preset; the fields below replace its own
    states: int | None = None
    program_error: float = 0.0203
    d2d: float = 0.0  #: of both r_on and r_off
    stuck_on: float = 0.0
    stuck_off: float = 0.0
    read_noise: float = 0.0
    retention_time: float = 0.0
    endurance_cycles: float = 0.0
    rows: int = 128
    cols: int = 128
    dac_bits: int = 8
    adc_bits: int = 8
    r_wire: float = 0.0  #: of every segment of rows and columns, ohm
    layout: str = "dense"  #: "dense", a window such as "4x4", or "sparse"
    scheme: str = "differential"
    unused: str = "hrs"
    technology: str = "isaac"
    layer: str = ""  #: of the tile that is drawn; "": `default_layer`
    tile: int = 0

    def __post_init__(self) -> None:
        whole("chips", self.chips, 2)
        whole("first_seed", self.first_seed, 0)
        one_of("technology", self.technology, TECHNOLOGIES)
        for name in ("dac_bits", "adc_bits"):
            whole(name, getattr(self, name), 1, 24)
        _ = self.hardware
        if self.layer:
            one_of("layer", self.layer, layer_names(self.checkpoint))

    @property
    def hardware(self) -> Hardware:
        """The hardware of every layer."""
        names = (*SEVERITIES, "rows", "cols", "dac_bits", "adc_bits", "scheme", "unused")
        doubled = {"d2d_on": self.d2d, "d2d_off": self.d2d, "r_row": self.r_wire, "r_col": self.r_wire}
        return Hardware.of(self.device, self.layout, **{name: getattr(self, name) for name in names}, **doubled)

    @property
    def seeds(self) -> range:
        """Device seeds; only one where all chips are the same."""
        return range(self.first_seed, self.first_seed + (self.chips if self.hardware.varies else 1))

    @property
    def machine(self) -> "Design":
        """The design without the choice of the tile that is drawn."""
        return self.replace(layer="", tile=0)


def severities_of(device: str) -> dict[str, Any]:
    """The values of a device preset for the fields `SEVERITIES`.

    Raises:
        ValueError: for an unknown preset.
    """
    preset = Device.preset(device)
    return {name: getattr(preset, name) for name in SEVERITIES}


def ages(device: str) -> dict[str, bool]:
    """Whether a device preset has a law for the time since programming, and one for switching cycles."""
    known = PRESETS[device]
    return {
        "retention_time": any(name in known for name in ("retention_nu", "retention_nu_sigma", "retention_spread")),
        "endurance_cycles": any(name in known for name in ("endurance_on", "endurance_off")),
    }


# What the page shows


@dataclass(frozen=True)
class TileMap:
    """The cells of one tile, or of the two of a pair, of the first chip."""

    layer: str
    number: int
    count: int  #: tiles, or pairs, of the layer
    group: int  #: number of its column group
    cut: int  #: number of its row cut
    roles: np.ndarray  #: (rows, cols) int8, in the order of `ROLES`
    cells: np.ndarray  #: (polarity, rows, cols) S, one column more with an offset reference; nan where not selected


#: What a cell may be.
ROLES = ("not selected", "unused", "weight = 0", "weight > 0", "weight < 0")
NOT_SELECTED, UNUSED, ZERO, POSITIVE, NEGATIVE = range(len(ROLES))


@dataclass(frozen=True)
class View:
    """The results of a design so far."""

    design: Design
    reference: np.ndarray  #: (images,) bool, whether the float network is right
    footprint: pd.DataFrame  #: as `memlib.footprint`
    tile: TileMap
    hits: np.ndarray  #: (chips, images) bool, whether each chip tried so far is right
    cost: pd.DataFrame | None  #: as `memlib.costs.cost_table.cost_of`; None before the first chip

    @property
    def complete(self) -> bool:
        """Whether all chips were tried."""
        return len(self.hits) == len(self.design.seeds)

    @property
    def accuracy(self) -> Interval | None:
        """Mean over chips with its 95 % interval over chips and images; None before the second of several chips."""
        alone = len(self.hits) < 2 and len(self.design.seeds) > 1
        return None if alone or not len(self.hits) else crossed_interval(self.hits)

    @property
    def totals(self) -> Totals | None:
        """Energy, latency and area of the whole machine, with serial converters and layers one after another."""
        return None if self.cost is None else totals(self.cost)

    @property
    def energy(self) -> pd.Series:
        """Energy of an inference, J, by the components of 06_power."""
        energy = pd.Series(0.0, index=list(COMPONENTS))
        if self.cost is None:
            return energy
        names = [GROUPS.get(name, name if name in COMPONENTS else "other") for name in self.cost["component"]]
        return energy.add(self.cost["energy"].groupby(names).sum(), fill_value=0).loc[list(COMPONENTS)]

    def gain(self, before: "View") -> Interval | None:
        """Accuracy minus that of another design, chip by chip on the same images; None where they share none."""
        same = data_of(self.design.checkpoint) == data_of(before.design.checkpoint)
        paired = len({1, len(self.hits), len(before.hits)}) < 3
        shared = self.design.first_seed == before.design.first_seed and self.design.images == before.design.images
        if not (same and paired and shared) or self.accuracy is None or before.accuracy is None:
            return None
        return difference_interval(self.hits, before.hits)


def stages(design: Design) -> Iterator[View]:
    """Yield what is known of a design: first without any chip, then again after each chip.

    Raises:
        ValueError: for a machine that cannot exist, or whose wires would take too long.
    """
    shared, hardware = _shared(design.checkpoint, design.images), design.hardware
    table = _footprint(design.checkpoint, _without_device(hardware)).copy()  # callers must not change what is kept
    _check_wires(design)
    no_hits = np.zeros((0, design.images), bool)
    view = View(design, _reference(shared), table, tile_map(design), no_hits, None)
    yield view
    for seed in design.seeds:
        hits, _ = _chip(shared, hardware, seed, seed == design.first_seed)
        view = replace(view, hits=np.vstack((view.hits, hits)))
        if view.cost is None:
            view = replace(view, cost=_cost(shared, hardware, seed, design.technology).copy())
        yield view


def slow(design: Design) -> bool:
    """Whether a chip takes seconds, as it has wires or millions of cells."""
    hardware = design.hardware
    cells = _footprint(design.checkpoint, _without_device(hardware))["cells_allocated"].sum()
    return hardware.tile.wired or bool(cells > SLOW_CELLS)


def shown(design: Design) -> View:
    """The last of `stages`, where all is known."""
    *_, last = stages(design)
    return last


# Slow steps, each once


@lru_cache(maxsize=64)
def _shared(checkpoint: str, images: int) -> Shared:
    return split(shared_fields(checkpoint, images))[0]


def _without_device(hardware: Hardware) -> Hardware:
    """The fields that decide the footprint."""
    return hardware.replace(device=Device())


@lru_cache(maxsize=64)
def _reference(shared: Shared) -> np.ndarray:
    p = prepared(*shared)
    return _constant(correct(p.model, p.images, p.labels).numpy())


@lru_cache(maxsize=512)
def _footprint(checkpoint: str, hardware: Hardware) -> pd.DataFrame:
    return footprint(model_of(checkpoint), INPUT_SHAPE, hardware)


@lru_cache(maxsize=4096)
def _chip(shared: Shared, hardware: Hardware, seed: int, powered: bool) -> tuple[np.ndarray, dict[str, Measured]]:
    """(images,) bool, whether a chip is right; and, if `powered`, what its arrays draw. The chip itself is not kept."""
    chip, images, labels = mapped(shared, {"*": hardware}, seed)
    hits = _constant(correct(chip, images, labels).numpy())
    return hits, measure(chip, images[:POWER_IMAGES]) if powered else {}


@lru_cache(maxsize=512)
def _cost(shared: Shared, hardware: Hardware, seed: int, technology: str) -> pd.DataFrame:
    power = _chip(shared, hardware, seed, True)[1]
    return cost_of(model_of(shared[0]), INPUT_SHAPE, hardware, power, technology)


def _constant(values: np.ndarray) -> np.ndarray:
    values.setflags(write=False)  # they are kept for later
    return values


# The tile that is drawn


@lru_cache(maxsize=16)
def _plan(checkpoint: str, hardware: Hardware) -> Plan:
    return plan_chip(model_of(checkpoint), hardware, INPUT_SHAPE)


def layer_names(checkpoint: str) -> list[str]:
    """The layers on tiles, in order."""
    return list(matrix_layers(model_of(checkpoint)))


def default_layer(checkpoint: str) -> str:
    """The layer with the most weights, the first one of several."""
    layers = matrix_layers(model_of(checkpoint))
    return max(layers, key=lambda name: layers[name].weight.numel())


def placement_of(design: Design) -> Placement:
    """The placement of the layer whose tile is drawn."""
    name = design.layer or default_layer(design.checkpoint)
    return _plan(design.checkpoint, _without_device(design.hardware))[name].placement


def tile_map(design: Design) -> TileMap:
    """The cells of the design's tile on its first chip, or of the layer's last tile if it has fewer tiles."""
    name, placement = design.layer or default_layer(design.checkpoint), placement_of(design)
    number, hardware = min(design.tile, len(placement) - 1), design.hardware
    hardware = hardware.replace(tile=Tile(design.rows, design.cols))  # neither converters nor wires change a cell
    return _tile_map(design.checkpoint, hardware, name, number, design.first_seed)


@lru_cache(maxsize=64)
def _tile_map(checkpoint: str, hardware: Hardware, layer: str, number: int, seed: int) -> TileMap:
    plan, tile = _plan(checkpoint, _without_device(hardware))[layer], hardware.tile
    placed, weights = plan.placement[number], plan.module.weight.detach().flatten().numpy()
    signs = np.sign(weights[placed.weights % len(weights)])
    kinds = np.where(signs > 0, POSITIVE, np.where(signs < 0, NEGATIVE, ZERO))
    roles = np.full((tile.rows, tile.cols), NOT_SELECTED, np.int8)
    roles[np.ix_(placed.rows, placed.columns)] = np.where(placed.weights < 0, UNUSED, kinds)
    cells = tile_cells(model_of(checkpoint), hardware, layer, number, seed, INPUT_SHAPE).numpy().copy()
    off = roles == NOT_SELECTED
    cells[:, :, : tile.cols][:, off] = np.nan
    cells[:, off.all(1), tile.cols :] = np.nan  # only selected rows of a reference conduct
    return TileMap(layer, number, len(plan.placement), placed.group, placed.cut, _constant(roles), _constant(cells))


def _check_wires(design: Design) -> None:
    """Raise where exact wires would take too long."""
    _, seconds = wire_seconds(_plan(design.checkpoint, _without_device(design.hardware)))
    if seconds > LONGEST_WIRES:
        expected = f"0 here: exact wires of this machine take about {seconds:.0f} s a chip"
        fail("r_wire", design.r_wire, f"{expected}; choose a smaller window, tile or network, or use memlib.accuracy")
