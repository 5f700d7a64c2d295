"""The controls of the page: for each field of a design a widget, its text, and the values that it offers."""

from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets

from memlib.cells.device import Device
from memlib.cells.device_presets import PRESETS
from memlib.explorer.pictures import quantity
from memlib.explorer.views import Design, default_layer, layer_names
from memlib.mapping.scheme import CHOICES
from memlib.studies.s06_power.machines import NAMES
from memlib.studies.shared.trained_networks import label

#: Values that sliders offer. A preset's own value is added to its slider.
SHARES = {
    "program_error": (0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2),
    "d2d": (0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4),
    "stuck_on": (0, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03),
    "stuck_off": (0, 0.001, 0.003, 0.01, 0.03, 0.1),
    "read_noise": (0, 0.003, 0.01, 0.03, 0.1, 0.3),
}
#: 0 stands for any conductance, as a slider has no None.
STATES = (0, 64, 32, 16, 8, 4, 2)
#: No longer than devices were measured, see `memlib.cells.device_presets.PRESETS`.
TIMES = {0: "0", 60: "1 min", 3600: "1 h", 86400: "1 day"}
CYCLES = {0: "0", 20_000: "20 k", 50_000: "50 k", 100_000: "100 k"}
SIZES = (16, 32, 64, 128, 256, 512)
BITS = tuple(range(1, 13))
WIRES = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
LAYOUTS = ("dense", "2x2", "4x4", "8x8", "sparse")

#: Groups of controls. Those of the tile that is drawn stand above its picture.
GROUPS: dict[str, dict[str, str]] = {
    "network": {"checkpoint": "network", "chips": "chips", "first_seed": "first chip (seed)"},
    "device": {
        "device": "cell", "states": "states", "program_error": "programming error", "d2d": "device to device",
        "stuck_on": "stuck at LRS", "stuck_off": "stuck at HRS", "read_noise": "read noise",
        "retention_time": "retention time", "endurance_cycles": "switching cycles",
    },
    "tile": {
        "rows": "rows", "cols": "columns", "dac_bits": "DAC, bits", "adc_bits": "ADC, bits",
        "r_wire": "wire, Ω/segment",
    },
    "mapping and circuits": {
        "layout": "layout", "scheme": "scheme", "unused": "unused cells", "technology": "circuits",
    },
}  # fmt: skip
HINTS = {
    "chips": "simulated chips, one device seed each; one where nothing is random",
    "program_error": "sigma of every cell's conductance, relative to the range between HRS and LRS",
    "d2d": "relative sigma of every cell's own resistances at LRS and HRS",
    "stuck_on": "share of cells", "stuck_off": "share of cells",
    "read_noise": "relative sigma at every read",
    "retention_time": "since programming, for cells that were measured over time",
    "endurance_cycles": "switching cycles, for cells that were measured over them",
    "layout": "outputs of a pass: one (dense), a window, or the whole map (sparse)",
    "unused": "cells without a weight, at HRS or never formed",
}  # fmt: skip


def controls_of(design: Design, checkpoints: Sequence[str]) -> dict[str, widgets.Widget]:
    """The widget of every field of a design except the number of images, by name."""
    dropdowns = {
        "checkpoint": [(label(name), name) for name in checkpoints],
        "device": [(f"{name} ({_resistances(name)})", name) for name in PRESETS],
        "scheme": list(CHOICES["scheme"]),
        "unused": [("at HRS", "hrs"), ("unformed", "unformed")],
        "technology": [(NAMES[name], name) for name in NAMES],
    }
    controls: dict[str, widgets.Widget] = {}
    for name, text in (item for group in GROUPS.values() for item in group.items()):
        value = getattr(design, name) or 0
        if name in dropdowns:
            controls[name] = widgets.Dropdown(options=dropdowns[name], value=value, **_look(name, text))
        else:
            controls[name] = _slider(options(name, value), value, name, text)
    layers, first = layer_names(design.checkpoint), design.layer or default_layer(design.checkpoint)
    controls["layer"] = _slider(layers, first, "layer", "layer")
    look = _look("tile", "tile") | {"continuous_update": False}
    controls["tile"] = widgets.IntSlider(design.tile, 0, max(1, design.tile), **look)
    return controls


def _slider(values: Sequence[Any], value: Any, name: str, text: str) -> widgets.SelectionSlider:
    return widgets.SelectionSlider(options=values, value=value, continuous_update=False, **_look(name, text))


def _look(name: str, text: str) -> dict[str, Any]:
    style = {"description_width": "122px" if name not in ("layer", "tile") else "40px"}
    layout = {"width": "100%", "height": "25px", "margin": "0"}
    return {"description": text, "tooltip": HINTS.get(name, text), "style": style, "layout": layout}


def _resistances(device: str) -> str:
    preset = Device.preset(device)
    return f"{quantity(preset.r_on, 'Ω')}, {quantity(preset.r_off, 'Ω')}"


def options(name: str, value: Any) -> list[tuple[str, Any]]:
    """The values that a slider offers, with their texts, and `value` among them."""
    if name in SHARES:
        return [(f"{100 * v:.4g} %", v) for v in sorted({*SHARES[name], value})]
    if name == "states":
        return [(str(v or "any"), v) for v in sorted({*STATES, value or 0}, key=lambda v: -(v or 1e9))]
    texts = {"retention_time": TIMES, "endurance_cycles": CYCLES}.get(name)
    if texts:
        return [(text, v) for v, text in (texts | {v: f"{v:g}" for v in {value} - set(texts)}).items()]
    known = {
        "chips": range(2, 11), "first_seed": range(20), "rows": SIZES, "cols": SIZES,
        "dac_bits": BITS, "adc_bits": BITS, "r_wire": WIRES, "layout": LAYOUTS,
    }[name]  # fmt: skip
    values = [*known, *({value} - set(known))]
    return [(str(v) if isinstance(v, str) else f"{v:g}", v) for v in values]


def offer(slider: widgets.SelectionSlider, values: Sequence[Any], value: Any) -> None:
    """Let a slider offer other values, and set it."""
    slider.options = values
    slider.value = value


def grouped(controls: dict[str, widgets.Widget]) -> list[widgets.Widget]:
    """The controls of `GROUPS`, each group below its title."""
    column: list[widgets.Widget] = []
    for title, group in GROUPS.items():
        head = widgets.HTML(f'<div class="memlib-head">{title}</div>', layout={"margin": "0"})
        column += [head, *(controls[name] for name in group)]
    return column
