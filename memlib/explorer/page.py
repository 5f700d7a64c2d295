"""The page of explore.ipynb: controls on the left, what they mean on the right.

One thread computes for all pages, so controls answer at once. Of several changes only the last is computed.
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
from memlib.explorer.controls import controls_of, grouped, offer, options
from memlib.explorer.pictures import (
    Number,
    accuracy_picture,
    cells_picture,
    energy_picture,
    numbers,
    png,
    roles_picture,
)
from memlib.explorer.views import (
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

#: With one torch thread: two threads wait for each other on busy cores, and take ten times as long.
WORKER = ThreadPoolExecutor(1, "explore", torch.set_num_threads, (1,))
#: Seconds after which the page draws what is known so far, and then draws it again.
PATIENCE = 0.6
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
    """The whole page as a widget.

    Args:
        design: the first one.
        checkpoints: the networks to choose from.

    Raises:
        ValueError: if the design's network is none of them.
    """

    def __init__(self, design: Design, checkpoints: Sequence[str]) -> None:
        #: Guards the number of the newest choice, and all that shows whether the page computes.
        self._lock, self._newest = threading.Lock(), 0
        one_of("checkpoint", design.checkpoint, checkpoints)
        self.controls = controls_of(design, checkpoints)
        #: PNG, by their contents.
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
        self._results = (self.numbers, *(_row(*row) for row in rows))
        left = {"flex": "0 0 322px", "padding": "0 0 6px 0"}
        right = {"flex": "1 1 520px", "max_width": "860px", "min_width": "0"}
        return (
            widgets.VBox([widgets.HTML(STYLE), *grouped(self.controls)], layout=left),
            widgets.VBox([self.status, self.error, *self._results], layout=right),
        )

    @property
    def design(self) -> Design:
        """The design that the controls choose.

        Raises:
            ValueError: for one that cannot exist.
        """
        return Design(**self._choices())

    def _choices(self) -> dict[str, Any]:
        values = {name: control.value for name, control in self.controls.items()}
        return {"images": self._images} | values | {"states": values["states"] or None}

    def wait(self, timeout: float | None = None) -> View | None:
        """Wait until all is drawn; return the last finished view."""
        last = None
        while last is not self._last:
            last = self._last
            if last:
                last.result(timeout)
        return self.view

    def close(self) -> None:
        """Close the widget; computing ends after the chip at hand."""
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
        """Set what other controls offer, as one choice asks for."""
        self._setting = True
        try:
            if name == "device":
                self._offer_preset()
            if name == "checkpoint":
                checkpoint = self.controls["checkpoint"].value
                offer(self.controls["layer"], layer_names(checkpoint), default_layer(checkpoint))
            for field, known in ages(self.controls["device"].value).items():
                self.controls[field].disabled = not known
            self._offer_tiles()
        finally:
            self._setting = False

    def _offer_preset(self) -> None:
        """Set the preset's severities, and no other effects."""
        for name, value in (severities_of(self.controls["device"].value) | {"d2d": 0.0}).items():
            offer(self.controls[name], options(name, value), value or 0)

    def _offer_tiles(self) -> None:
        try:
            count = len(placement_of(self.design))
        except ValueError:
            return  # the error is shown by what follows
        tile = self.controls["tile"]
        tile.value, tile.disabled = min(tile.value, count - 1), count == 1
        tile.max = max(1, count - 1)  # a slider needs a length

    # Results

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
        """Draw a design once all is known, or a part of it after some time, unless there is a newer one."""
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
        except Exception as error:  # a thread that dies would leave the page waiting
            if self._say(number, "nothing drawn", done=True):
                self._fail(error)
        else:
            self._say(number, f"drawn in {time.perf_counter() - start:.1f} s", done=True)

    def _say(self, number: int, status: str, done: bool = False) -> bool:
        """Show how far a choice is, unless there is a newer one; return whether it was shown. None comes in between."""
        with self._lock:
            if number != self._newest:
                return False
            if done:
                self.remove_class("memlib-busy")
            self.status.value = status
            return True

    def _stages(self, number: int, choices: dict[str, Any]) -> Iterator[View]:
        """Yield the views of the choices, until there are newer ones."""
        if number == self._newest:
            for view in stages(Design(**choices)):
                if number != self._newest:
                    return
                yield view

    def _compared(self, view: View) -> View | None:
        """The view that this one is compared with: that of the machine before."""
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
        """Show the error's text in place of the results."""
        title = "This cannot be built." if isinstance(error, ValueError) else f"This failed: {type(error).__name__}."
        self.error.value = f'<div class="memlib-error"><b>{title}</b><br>{html.escape(str(error))}</div>'
        self._show_results(False)

    def _show_results(self, visible: bool) -> None:
        for widget in self._results:
            widget.layout.display = None if visible else "none"


def _busy(step: str) -> str:
    return f'<b style="color: #b35900">computing: {step} …</b>'


def _cards(judged: list[Number]) -> str:
    """Each number in a box of its own."""
    cards = []
    for n in judged:
        lines = [n.name, f"<b>{n.now}</b>"]
        lines += [f"<span>{text}</span>" for text in (n.note, n.before and f"before {n.before}") if text]
        cards.append(f"<div>{'<br>'.join([*lines, *filter(None, [n.change])])}</div>")
    return f'<div class="memlib-numbers">{"".join(cards)}</div>'


def _row(*row: widgets.Widget) -> widgets.Box:
    """Widgets side by side, or below each other where the window is narrow."""
    for widget in row:
        widget.layout.width, widget.layout.flex, widget.layout.min_width = "auto", "1 1 290px", "0"
        widget.layout.max_width = "100%"
    return widgets.Box(row, layout={"flex_flow": "row wrap", "overflow": "hidden"})
