"""Designs: network, layout, tile, device and converters as one point; what a chip gets right, and what it costs."""

import math
import re
from dataclasses import fields
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from memlib.base.checks import fail, one_of
from memlib.cells.device import Device
from memlib.cells.device_presets import PRESETS
from memlib.cells.static_effects import named_draws, program_cells
from memlib.costs.activity import measure
from memlib.costs.cost_table import cost_of
from memlib.costs.machine import totals
from memlib.costs.technology import TECHNOLOGIES
from memlib.evidence.answers import pack
from memlib.layers.classification import correct
from memlib.layers.geometry import Geometry
from memlib.layers.mappable import matrix_layers
from memlib.layers.tracing import call_sizes
from memlib.mapping.hardware import Hardware
from memlib.mapping.plan import plan_chip
from memlib.mapping.scheme import Mapping, target_conductances, usable_states
from memlib.mapping.tile import Tile
from memlib.studies.trained_networks import INPUT_SHAPE, mapped, model_of, shared_fields, split
from memlib.sweeps.points import Point
from memlib.tiles.programming import program_slices
from memlib.wires.first_order import lost_share
from memlib.zoo.checkpoints import load_checkpoint

#: Tiles of a layer that say what wires cost.
SAMPLED_TILES = 8
#: Test images that the arrays' power is measured on: some percent of the energy at most, but most of an MLP's.
POWER_IMAGES = 32
#: The layout in which convolutions have the window that `WINDOW` says for the size of their output map.
PER_LAYER = "windows"
WINDOW = "window {}x{}"
QUANTITIES = ("energy", "latency", "area")
#: Devices that are not just a preset: its name, and what is changed.
DEVICES: dict[str, dict[str, Any]] = {
    "3 % error": {"device": "10k_100k", "program_error": 0.03},
    "ihp_hfo2": {"device": "ihp_hfo2"},
    "cmo_hfox, 1 day": {"device": "cmo_hfox", "retention_time": 86400.0},
    "neurram": {"device": "neurram"},
    "neurram, 1 day": {"device": "neurram", "retention_time": 86400.0},
}
#: What every design says.
NEEDED = ("checkpoint", "device", "rows", "adc_bits")
#: What a design leaves open.
DEFAULTS = {"layout": "dense", "dac_bits": 8, "unused": "unformed", "recalibration": "none"}


def make_point(design: dict[str, Any], images: int) -> Point:
    """The point of a sweep that a design is, on so many test images.

    Args:
        design: `checkpoint`, `device` (one of `DEVICES`, or a preset of `Device`), `rows` of the square tiles and
            `adc_bits`; and what is not as in `DEFAULTS`: `layout` ("dense", "4x4", "sparse", or `PER_LAYER` with the
            windows for each size of map), `dac_bits`, `unused`, `recalibration`, `r_wire`, ohm, of every segment of
            rows and columns (left out for none), and fields of `Device`.

    Raises:
        ValueError: if no such hardware can be.
    """
    for name in NEEDED:
        if name not in design:
            fail("design", design, f"with {name!r}")
    one_of("device", design["device"], dict.fromkeys([*DEVICES, *PRESETS]))
    changed = DEVICES.get(design["device"], {})  # but what the design itself says goes first
    choices: dict[str, Any] = DEFAULTS | changed | design | {"device": changed.get("device", design["device"])}
    point = {**shared_fields(choices.pop("checkpoint"), images), **choices}
    hardware_of(point)
    return point


def hardware_of(point: Point) -> dict[str, Hardware]:
    """The hardware of every layer."""
    shared, choices = split(point)
    choices.pop("recalibration")
    layout, unused = choices.pop("layout"), choices.pop("unused")
    windows = {name: choices.pop(name) for name in list(choices) if name.startswith("window ")}
    names = window_names(shared[0]) if layout == PER_LAYER else []
    if sorted(windows) != sorted(names):
        fail("windows of a design", sorted(windows), f"{names or 'none'} in the layout {layout!r}")
    rows, r = choices.pop("rows"), choices.pop("r_wire", 0.0)
    tile = Tile(rows, rows, choices.pop("dac_bits"), choices.pop("adc_bits"), r_row=r, r_col=r)
    device = Device.preset(choices.pop("device"))
    for name in choices:
        if name not in {f.name for f in fields(Device)}:
            known = (*NEEDED, *DEFAULTS, "r_wire", *(f.name for f in fields(Device)))
            fail("field of a design", name, f"one of {', '.join(known)}")
    device = device.replace(**choices)
    if layout != PER_LAYER:
        return {"*": Hardware(device, tile, mapping_of(layout, unused))}
    layouts = {"*": "dense"}
    for name, size in output_sizes(shared[0]).items():
        layouts[name] = windows[WINDOW.format(*size)]
    return {name: Hardware(device, tile, mapping_of(text, unused)) for name, text in layouts.items()}


def mapping_of(layout: str, unused: str) -> Mapping:
    """The mapping that a layout names: "dense", "2x4" (a window, in the order hwc), or "sparse" (packed)."""
    if layout in ("dense", "1x1", "sparse"):
        return Mapping(layout="sparse" if layout == "sparse" else "dense", unused=unused)
    if not re.fullmatch(r"\d+x\d+", layout):
        fail("layout", layout, f"'dense', 'sparse', {PER_LAYER!r}, or a window such as '4x4'")
    height, width = layout.split("x")
    return Mapping(layout=(int(height), int(width)), order="hwc", unused=unused)


@lru_cache(maxsize=16)
def output_sizes(checkpoint: str) -> dict[str, tuple[int, int]]:
    """The output map (h, w) of every convolution."""
    model = load_checkpoint(checkpoint)
    layers = matrix_layers(model, ())
    calls = call_sizes(model, layers, INPUT_SHAPE)
    geometries = {name: Geometry.of(layer) for name, layer in layers.items()}
    sizes = {name: g.output_size(calls[name][0]) for name, g in geometries.items() if g.dims}
    return {name: (size[-2], size[-1]) for name, size in sizes.items()}


def window_names(checkpoint: str) -> list[str]:
    """The design's fields for the windows of a network, from the largest map to the smallest."""
    return [WINDOW.format(*size) for size in sorted(set(output_sizes(checkpoint).values()), reverse=True)]


def evaluate(point: Point, seed: int) -> dict[str, Any]:
    """One chip: `accuracy`, `correct` images, and for each technology `isaac_energy` (J), `_latency` (s), `_area` (m2).

    Converters are serial, layers are not pipelined; what recalibration takes is not modelled.

    Args:
        point: as `make_point` makes it.
        seed: device seed.

    Raises:
        ValueError: if checkpoint or images are not those of the point.
    """
    shared, choices = split(point)
    chip, images, labels = mapped(shared, hardware_of(point), seed, choices["recalibration"])
    hits = correct(chip, images, labels)
    found = {"accuracy": hits.double().mean().item(), "correct": pack(hits.numpy())}
    power = measure(chip, images[:POWER_IMAGES])
    for technology in TECHNOLOGIES:
        found |= {f"{technology}_{name}": value for name, value in costs(point, technology, power).items()}
    return found


def costs(point: Point, technology: str, array_power: dict[str, Any] | None = None) -> dict[str, float]:
    """Energy (J), latency (s) and area (m2); without the arrays' power, see `cost_of`, all but what they draw."""
    shared, _ = split(point)
    model = model_of(shared[0])
    array_power = array_power or dict.fromkeys(matrix_layers(model, ()), 0.0)
    whole = totals(cost_of(model, INPUT_SHAPE, hardware_of(point), array_power, technology))
    return {quantity: getattr(whole, quantity) for quantity in QUANTITIES}


def device_of(name: str) -> Device:
    """The device of `DEVICES`, or the preset, of this name."""
    fields = dict(DEVICES.get(name, {"device": name}))
    return Device.preset(fields.pop("device")).replace(**fields)


@lru_cache(maxsize=256)
def cell_error(checkpoint: str, device: Device) -> float:
    """The root mean square error of a network's cells, relative to g_on - g_off: the severity of all effects together.

    Of all cells that hold a weight, each layer with equal weight; static errors and read noise are added in quadrature.
    What all cells have in common, such as drift, counts like what each has of its own.
    """
    squares = []
    for name, layer in matrix_layers(model_of(checkpoint), ()).items():
        (target,), _ = target_conductances(layer.weight.detach().double(), device, Mapping())
        states = usable_states(device.states, "differential")
        g = program_cells(device, target, named_draws(target.shape, 0, name), states)
        squares.append(float(((g - target) ** 2 + device.noise_variance(g)).mean()) / device.g_range**2)
    return math.sqrt(sum(squares) / len(squares))


@lru_cache(maxsize=1024)
def share_per_ohm(checkpoint: str, layout: str, device: Device, rows: int) -> float:
    """The share of the current that wires of 1 ohm a segment would cost, to first order: see `wire_loss.lost_share`.

    Of ideal cells, unused ones unformed; the mean over layers, of each over at most `SAMPLED_TILES` of its tiles.
    """
    model, mapping, tile = model_of(checkpoint), mapping_of(layout, "unformed"), Tile(rows, rows)
    shares = []
    for layer in plan_chip(model, Hardware(device.ideal(), tile, mapping), INPUT_SHAPE).values():
        chosen = np.unique(np.linspace(0, len(layer.placement) - 1, SAMPLED_TILES).astype(int))
        (programmer,) = program_slices(layer)
        cells = torch.cat([programmer.block(np.array([i])).array(0) for i in chosen])
        current = cells.sum((-2, -1))
        shares.append(float((lost_share(cells) * current).sum() / current.sum()))
    return sum(shares) / len(shares)
