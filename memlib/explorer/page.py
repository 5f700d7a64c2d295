"""The page of explore.ipynb: controls on the left, what they mean on the right.

One thread for all pages computes, so that controls answer at once; of several changes only the last is computed.
"""

import html
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import ipywidgets as widgets
import torch

from memlib.base.checks import one_of
from memlib.cells.device import Device
from memlib.cells.device_presets import PRESETS
from memlib.explorer.design import (
    Design,
    TileMap,
    View,
    ages,
    default_layer,
    layer_names,
    placement_of,
    severities_of,
    slow,
    stages,
)
from memlib.explorer.pictures import (
    Number,
    accuracy_picture,
    cells_picture,
    energy_picture,
    numbers,
    png,
    quantity,
    roles_picture,
)
from memlib.mapping.scheme import SCHEMES
from memlib.studies.s06_power.machines import NAMES
from memlib.studies.trained_networks import label

#: Of one torch thread, as everywhere here: two wait for each other when cores are busy, ten times as long.
WORKER = ThreadPoolExecutor(1, "explore", torch.set_num_threads, (1,))
#: Seconds after which what is known so far is drawn, and drawn again.
PATIENCE = 0.6
#: What sliders offer; a preset's own value is added to its slider.
SHARES = {
    "program_error": (0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2),
    "d2d": (0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4),
    "stuck_on": (0, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03),
    "stuck_off": (0, 0.001, 0.003, 0.01, 0.03, 0.1),
    "read_noise": (0, 0.003, 0.01, 0.03, 0.1, 0.3),
}
#: 0: any conductance, as a slider has no None.
STATES = (0, 64, 32, 16, 8, 4, 2)
#: No longer than what was measured: see `memlib.cells.device_presets.PRESETS`.
TIMES = {0: "0", 60: "1 min", 3600: "1 h", 86400: "1 day"}
CYCLES = {0: "0", 20_000: "20 k", 50_000: "50 k", 100_000: "100 k"}
SIZES = (16, 32, 64, 128, 256, 512)
BITS = tuple(range(1, 13))
WIRES = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
LAYOUTS = ("dense", "2x2", "4x4", "8x8", "sparse")

STYLE = """<style>
.memlib-explore { font-size: 12px; }
.memlib-explore .widget-label, .memlib-explore .widget-readout { font-size: 12px; }
.memlib-explore .widget-html-content { line-height: 1.35; }
.memlib-explore img { transition: opacity 0.2s; height: auto; }
.memlib-busy img { opacity: 0.45; transition-delay: 0.5s; }
.memlib-head { font-weight: 600; margin-top: 4px; border-bottom: 1px solid #bbb; line-height: 18px; }
.memlib-numbers { display: grid; grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)); gap: 6px; }
.memlib-numbers > div { border: 1px solid #ccc; border-radius: 4px; padding: 3px 8px; font-size: 12px; }
.memlib-numbers b { font-size: 17px; }
.memlib-numbers span { opacity: 0.75; }
.memlib-error { border: 1px solid #b35900; border-left-width: 6px; padding: 10px 14px; font-size: 14px; }
</style>"""


class Page(widgets.Box):
    """The whole page, a widget.

    Args:
        design: what it begins with.
        checkpoints: the networks to choose from.

    Raises:
        ValueError: if the design's is none of them.
    """

    def __init__(self, design: Design, checkpoints: Sequence[str]) -> None:
        #: Of what says whether the page computes: the number of the newest choice, and all that shows it.
        self._lock, self._newest = threading.Lock(), 0
        one_of("checkpoint", design.checkpoint, checkpoints)
        self.controls = _controls(design, checkpoints)
        #: PNG, by what they show.
        self.pictures = {name: widgets.Image(format="png") for name in ("accuracy", "energy", "roles", "cells")}
        self.numbers, self.status, self.error = (widgets.HTML() for _ in range(3))
        #: The last finished view, and that of the machine before it.
        self.view: View | None = None
        self.before: View | None = None
        self._images, self._setting = design.images, False
        self._drawn_tile: TileMap | None = None
        self._last: Future | None = None
        super().__init__(self._columns(), layout={"flex_flow": "row wrap", "grid_gap": "18px", "overflow": "hidden"})
        self.add_class("memlib-explore")
        for name, control in self.controls.items():
            control.observe(self._changed(name), "value")
        self._prepare("")
        self._submit()

    def _columns(self) -> tuple[widgets.Widget, widgets.Widget]:
        """Controls, and results."""
        p, c = self.pictures, self.controls
        rows = (p["accuracy"], p["energy"]), (c["layer"], c["tile"]), (p["roles"], p["cells"])
        self._results = (self.numbers, *(_row(*parts) for parts in rows))
        left = {"flex": "0 0 322px", "padding": "0 0 6px 0"}
        right = {"flex": "1 1 520px", "max_width": "860px", "min_width": "0"}
        return (
            widgets.VBox([widgets.HTML(STYLE), *_grouped(self.controls)], layout=left),
            widgets.VBox([self.status, self.error, *self._results], layout=right),
        )

    @property
    def design(self) -> Design:
        """What the controls say.

        Raises:
            ValueError: for what cannot be.
        """
        return Design(**self._choices())

    def _choices(self) -> dict[str, Any]:
        chosen = {name: control.value for name, control in self.controls.items()}
        return {"images": self._images} | chosen | {"states": chosen["states"] or None}

    def wait(self, timeout: float | None = None) -> View | None:
        """Until all is drawn; the last finished view."""
        last = None
        while last is not self._last:
            last = self._last
            if last:
                last.result(timeout)
        return self.view

    def close(self) -> None:
        """As all widgets; what is being computed ends after the chip at hand."""
        with self._lock:
            self._newest += 1
        super().close()

    # Controls

    def _changed(self, name: str) -> Callable[[Any], None]:
        def changed(_change: Any) -> None:
            """Follow the user, not what the page sets itself."""
            if not self._setting:
                self._prepare(name)
                self._submit()

        return changed

    def _prepare(self, name: str) -> None:
        """Set what other controls offer, as follows from a choice."""
        self._setting = True
        try:
            if name == "device":
                self._offer_preset()
            if name == "checkpoint":
                checkpoint = self.controls["checkpoint"].value
                _offer(self.controls["layer"], layer_names(checkpoint), default_layer(checkpoint))
            for field, known in ages(self.controls["device"].value).items():
                self.controls[field].disabled = not known
            self._offer_tiles()
        finally:
            self._setting = False

    def _offer_preset(self) -> None:
        """The preset's severities; no other effects."""
        for name, value in (severities_of(self.controls["device"].value) | {"d2d": 0.0}).items():
            _offer(self.controls[name], _options(name, value), value or 0)

    def _offer_tiles(self) -> None:
        try:
            count = len(placement_of(self.design))
        except ValueError:
            return  # the error is shown by what follows
        tile = self.controls["tile"]
        tile.value, tile.disabled = min(tile.value, count - 1), count == 1
        tile.max = max(1, count - 1)  # a slider needs a length

    # What is shown

    def _submit(self) -> None:
        choices = self._choices()
        with self._lock:
            self._newest += 1
            self.status.value = _busy("the chip at hand is finished first" if self._running() else "tiles")
            self.add_class("memlib-busy")
            self._last = WORKER.submit(self._show, self._newest, choices, time.perf_counter())

    def _running(self) -> bool:
        return self._last is not None and not self._last.done()

    def _show(self, number: int, choices: dict[str, Any], start: float) -> None:
        """Draw a design as soon as all is known, or part of it after some time, unless there is a newer one."""
        try:
            drawn = start
            for view in self._stages(number, choices):
                if view.complete:
                    self._finish(view)
                    break
                self._say(number, _busy(f"{len(view.hits)} of {len(view.design.seeds)} chips"))
                if time.perf_counter() - drawn > (0 if slow(view.design) and not len(view.hits) else PATIENCE):
                    self._draw(view, self._compared(view))
                    drawn = time.perf_counter()
        except Exception as error:  # whatever it is, a thread that dies would leave the page waiting
            if self._say(number, "nothing drawn", done=True):
                self._fail(error)
        else:
            self._say(number, f"drawn in {time.perf_counter() - start:.1f} s", done=True)

    def _say(self, number: int, status: str, done: bool = False) -> bool:
        """Show how far a choice is, unless there is a newer one, which cannot come in between; whether it was shown."""
        with self._lock:
            if number != self._newest:
                return False
            if done:
                self.remove_class("memlib-busy")
            self.status.value = status
            return True

    def _stages(self, number: int, choices: dict[str, Any]) -> Iterator[View]:
        """Those of the choices, until there are newer ones."""
        if number == self._newest:
            for view in stages(Design(**choices)):
                if number != self._newest:
                    return
                yield view

    def _compared(self, view: View) -> View | None:
        """What a view is compared with: the machine before."""
        if self.view is None or self.view.design.machine == view.design.machine:
            return self.before
        return self.view

    def _finish(self, view: View) -> None:
        before = self._compared(view)
        self._draw(view, before)
        self.view, self.before = view, before

    def _draw(self, view: View, before: View | None) -> None:
        self.error.value = ""
        self.numbers.value = _cards(numbers(view, before))
        self.pictures["accuracy"].value = png(accuracy_picture(view, before))
        self.pictures["energy"].value = png(energy_picture(view, before))
        if view.tile is not self._drawn_tile:  # one that was drawn before is the same object
            self.pictures["roles"].value, self.pictures["cells"].value = (
                png(picture(view)) for picture in (roles_picture, cells_picture)
            )
            self._drawn_tile = view.tile
        self._show_results(True)

    def _fail(self, error: Exception) -> None:
        """The error's text in place of the results."""
        what = "This cannot be built." if isinstance(error, ValueError) else f"This failed: {type(error).__name__}."
        self.error.value = f'<div class="memlib-error"><b>{what}</b><br>{html.escape(str(error))}</div>'
        self._show_results(False)

    def _show_results(self, visible: bool) -> None:
        for part in self._results:
            part.layout.display = None if visible else "none"


def _busy(what: str) -> str:
    return f'<b style="color: #b35900">computing: {what} …</b>'


def _cards(found: list[Number]) -> str:
    """Each number in a box of its own."""
    cards = []
    for n in found:
        lines = [n.name, f"<b>{n.now}</b>"]
        lines += [f"<span>{text}</span>" for text in (n.note, n.before and f"before {n.before}") if text]
        cards.append(f"<div>{'<br>'.join([*lines, *filter(None, [n.change])])}</div>")
    return f'<div class="memlib-numbers">{"".join(cards)}</div>'


# Controls

#: Groups of controls; those of the tile that is drawn stand above it.
GROUPS: dict[str, dict[str, str]] = {
    "network": {"checkpoint": "network", "chips": "chips", "first_seed": "first chip (seed)"},
    "device": {
        "device": "cell",
        "states": "states",
        "program_error": "programming error",
        "d2d": "device to device",
        "stuck_on": "stuck at LRS",
        "stuck_off": "stuck at HRS",
        "read_noise": "read noise",
        "retention_time": "retention time",
        "endurance_cycles": "switching cycles",
    },
    "tile": {
        "rows": "rows",
        "cols": "columns",
        "dac_bits": "DAC, bits",
        "adc_bits": "ADC, bits",
        "r_wire": "wire, Ω/segment",
    },
    "mapping and circuits": {
        "layout": "layout",
        "scheme": "scheme",
        "unused": "unused cells",
        "technology": "circuits",
    },
}
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


def _controls(design: Design, checkpoints: Sequence[str]) -> dict[str, widgets.Widget]:
    """The widget of every field of a design but the number of images."""
    dropdowns = {
        "checkpoint": [(label(name), name) for name in checkpoints],
        "device": [(f"{name} ({_resistances(name)})", name) for name in PRESETS],
        "scheme": list(SCHEMES),
        "unused": [("at HRS", "hrs"), ("unformed", "unformed")],
        "technology": [(NAMES[name], name) for name in NAMES],
    }
    found = {}
    for name, text in (item for group in GROUPS.values() for item in group.items()):
        value = getattr(design, name) or 0
        if name in dropdowns:
            found[name] = widgets.Dropdown(options=dropdowns[name], value=value, **_look(name, text))
        else:
            options = _options(name, value)
            found[name] = widgets.SelectionSlider(
                options=options, value=value, continuous_update=False, **_look(name, text)
            )
    look = _look("layer", "layer")
    layers, first = layer_names(design.checkpoint), design.layer or default_layer(design.checkpoint)
    found["layer"] = widgets.SelectionSlider(options=layers, value=first, continuous_update=False, **look)
    look = _look("tile", "tile")
    found["tile"] = widgets.IntSlider(design.tile, 0, max(1, design.tile), continuous_update=False, **look)
    return found


def _look(name: str, text: str) -> dict[str, Any]:
    style = {"description_width": "122px" if name not in ("layer", "tile") else "40px"}
    layout = {"width": "100%", "height": "25px", "margin": "0"}
    return {"description": text, "tooltip": HINTS.get(name, text), "style": style, "layout": layout}


def _resistances(device: str) -> str:
    preset = Device.preset(device)
    return f"{quantity(preset.r_on, 'Ω')}, {quantity(preset.r_off, 'Ω')}"


def _options(name: str, value: Any) -> list[tuple[str, Any]]:
    """What a slider offers, with its text; `value` among it."""
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


def _offer(slider: widgets.SelectionSlider, options: Sequence[Any], value: Any) -> None:
    slider.options = options
    slider.value = value


def _grouped(controls: dict[str, widgets.Widget]) -> list[widgets.Widget]:
    found = []
    for title, group in GROUPS.items():
        head = widgets.HTML(f'<div class="memlib-head">{title}</div>', layout={"margin": "0"})
        found += [head, *(controls[name] for name in group)]
    return found


def _row(*parts: widgets.Widget) -> widgets.Box:
    """Side by side, or below each other where the window is narrow."""
    for part in parts:
        part.layout.width, part.layout.flex, part.layout.min_width = "auto", "1 1 290px", "0"
        part.layout.max_width = "100%"
    return widgets.Box(parts, layout={"flex_flow": "row wrap", "overflow": "hidden"})
