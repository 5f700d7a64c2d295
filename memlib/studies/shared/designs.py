"""Designs: network, layout, tile, device and converters as one point; what a chip gets right, and what it costs."""

from functools import lru_cache
from typing import Any

from memlib.base.checks import fail, one_of
from memlib.cells.device import Device
from memlib.cells.device_presets import PRESETS
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
from memlib.mapping.point_fields import point_fields
from memlib.studies.shared.trained_networks import INPUT_SHAPE, by_layer, mapped, model_of, shared_fields, split
from memlib.sweeps.points import Point, named
from memlib.zoo.checkpoints import load_checkpoint

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
#: Fields that every design has.
NEEDED = ("checkpoint", "device", "rows", "adc_bits")
#: Fields that a design may leave out.
DEFAULTS = {"layout": "dense", "dac_bits": 8, "unused": "unformed", "recalibration": "none"}


def make_point(design: dict[str, Any], images: int) -> Point:
    """The point of a sweep that a design is, on so many test images.

    Args:
        design: `checkpoint`, `device` (one of `DEVICES`, or a preset of `Device`), `rows` of the square tiles and
            `adc_bits`; and what is not as in `DEFAULTS`: `layout` (a text of `Mapping.parse`, or `PER_LAYER` with the
            windows for each size of map), `recalibration`, `r_wire`, ohm, of every segment of rows and columns (left
            out for none), and fields of `Hardware.of`.

    Raises:
        ValueError: if no such hardware can be.
    """
    for name in NEEDED:
        if name not in design:
            fail("design", design, f"with {name!r}")
    one_of("device", design["device"], dict.fromkeys([*DEVICES, *PRESETS]))
    changed = DEVICES.get(design["device"], {})  # but what the design itself says goes first
    choices: dict[str, Any] = DEFAULTS | changed | design | {"device": changed.get("device", design["device"])}
    checkpoint, recalibration = choices.pop("checkpoint"), choices.pop("recalibration")
    windows = {name: choices.pop(name) for name in list(choices) if name.startswith("window ")}
    switches = {"recalibration": recalibration} if recalibration != "none" else {}
    names = window_names(checkpoint) if choices["layout"] == PER_LAYER else []
    if sorted(windows) != sorted(names):
        fail("windows of a design", sorted(windows), f"{names or 'none'} in the layout {choices['layout']!r}")
    if windows:
        layers = output_sizes(checkpoint).items()
        switches["windows"] = " ".join(f"{layer}={windows[WINDOW.format(*size)]}" for layer, size in layers)
        choices["layout"] = "dense"
    r_wire = choices.pop("r_wire", 0.0)
    hardware = Hardware.of(cols=choices["rows"], r_row=r_wire, r_col=r_wire, **choices)
    fields = point_fields(hardware) | {"device_label": choices["device"]}
    point = {**shared_fields(checkpoint, images), **fields, **switches}
    hardware_of(point)
    return point


def hardware_of(point: Point) -> dict[str, Hardware]:
    """The hardware of every layer."""
    shared, fields = split(point)
    fields.pop("recalibration", None)
    return by_layer(shared[0], fields)


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


@named("design")
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
    chip, images, labels = mapped(shared, hardware_of(point), seed, choices.get("recalibration", "none"))
    hits = correct(chip, images, labels)
    result = {"accuracy": hits.double().mean().item(), "correct": pack(hits.numpy())}
    power = measure(chip, images[:POWER_IMAGES])
    for technology in TECHNOLOGIES:
        result |= {f"{technology}_{name}": value for name, value in costs(point, technology, power).items()}
    return result


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
