"""One hardware choice: device, tile and mapping together, for a whole network or layer by layer."""

import math
from collections.abc import Iterable, Mapping as MappingType
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from memlib.base.checks import fail, one_of
from memlib.base.configuration import Config, config
from memlib.cells.device import Device
from memlib.cells.device_presets import PRESETS
from memlib.layers.geometry import Geometry, Size
from memlib.mapping.placement import Placement, place
from memlib.mapping.scheme import Mapping, usable_states
from memlib.mapping.tile import Tile

#: Which of the three parts each flat field belongs to.
PARTS: dict[str, type[Config]] = {field.name: kind for kind in (Device, Tile, Mapping) for field in fields(kind)}


@config
class Hardware(Config):
    """Everything that decides how one layer runs, apart from its weights and inputs."""

    device: Device = Device()
    tile: Tile = Tile()
    mapping: Mapping = Mapping()

    def __post_init__(self) -> None:
        for name, kind in (("device", Device), ("tile", Tile), ("mapping", Mapping)):
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name}={getattr(self, name)!r}: must be a memlib.{kind.__name__}")
        states, slices = self.device.states, self.mapping.slices
        usable_states(states, self.mapping.scheme)
        if slices > 1:
            if states is None:
                fail("states", None, f"a number of levels, for the digits of slices={slices}")
            if slices * math.log2(states) > 50:
                fail("slices", slices, f"few enough that states={states} to that power is below 2^50")
        if self.device.v0 is not None:
            self._check_iv()

    def _check_iv(self) -> None:
        """A law so steep that nothing is left of small inputs, or that HRS conducts like LRS, is a mistake."""
        d, v_read = self.device, self.tile.v_read
        for name in ("v0", "v0_off"):
            value = getattr(d, name)
            if value is not None and v_read > 20 * value:
                fail(name, value, f"at least a twentieth of v_read={v_read!r} (V)")
        if d.law.full_response(v_read) * d.g_range < 0.5 * d.g_on * d.law.response(v_read):
            fail("v0_off", d.v0_off, f"larger: at v_read={v_read!r} V the HRS conducts over half as much as the LRS")

    @classmethod
    def of(cls, device: str | None = None, layout: str = "dense", **values: Any) -> "Hardware":
        """From flat fields: `Hardware.of(device="ihp_hfo2", program_error=0.02, rows=64, layout="4x4")`.

        Args:
            device: a preset's name; None: the default device.
            layout: a text of `Mapping.parse`.
            values: fields of Device, Tile and Mapping, which go before those of the preset and the layout's text.

        Raises:
            ValueError: for an unknown preset, layout or field, or a value that is not allowed.
        """
        if device is not None:
            one_of("device", device, PRESETS)
        chosen: dict[type[Config], dict[str, Any]] = {Device: {}, Tile: {}, Mapping: {}}
        for name, value in values.items():
            check_field(name, value)
            chosen[PARTS[name]][name] = value
        base = Device() if device is None else Device.preset(device)
        tile, mapping = Tile(**chosen[Tile]), Mapping.parse(layout).replace(**chosen[Mapping])
        return cls(base.replace(**chosen[Device]), tile, mapping)

    @property
    def varies(self) -> bool:
        """Whether chips of it differ, by their cells or their converters."""
        return self.device.varies or bool(self.tile.adc_gain_error or self.tile.adc_offset_error)

    @property
    def base(self) -> int:
        """The base of the digits that slices hold; 1 for devices without states, which have no slices."""
        return usable_states(self.device.states, self.mapping.scheme) or 1

    def design(self) -> "Hardware":
        """The same machine with ideal devices; sliced weights keep the levels that they are digits of."""
        states = self.device.states if self.mapping.slices > 1 else None
        return self.replace(device=self.device.ideal().replace(states=states))

    def place(self, geometry: Geometry, sizes: tuple[Size, ...]) -> Placement:
        """The placement of a layer whose calls have input maps of these sizes; empty if they are not known.

        Raises ValueError if a layout needs to know them, or that they are the same.
        """
        tile, mapping = self.tile, self.mapping
        return place(geometry, tile.rows, tile.cols, mapping.layout, mapping.order, sizes)


Choices = Hardware | MappingType[str, Hardware]  #: one for all layers, or by name, see `per_layer`


def choices(hardware: Choices) -> list[Hardware]:
    """All hardware that is named. Raises TypeError if `hardware` is neither a Hardware nor a dict of them."""
    named = list(hardware.values()) if isinstance(hardware, MappingType) else [hardware]
    if not all(isinstance(choice, Hardware) for choice in named):
        raise TypeError(f"hardware={hardware!r}: must be a memlib.Hardware, or a dict of them by layer name")
    return named


def check_field(name: str, value: Any) -> None:
    """Raise unless `name` is a field of Device, Tile or Mapping; the message has what is most like it, or all."""
    if name not in PARTS:
        near = get_close_matches(name, PARTS)
        allowed = f"{', such as' if near else ':'} {', '.join(near or PARTS)}"
        fail(name, value, f"a field of Device, Tile or Mapping{allowed}")


def per_layer(hardware: Choices, names: Iterable[str]) -> dict[str, Hardware]:
    """The hardware of every layer in `names`; a dict may give one for each name and "*" for the rest.

    A name is that of a layer or of a module around some: "lstm" and "lstm.l0" stand for "lstm.l0.input" and its like.
    Of several, that of the innermost counts. Raises TypeError as `choices`, and ValueError if the dict names an unknown
    layer, or leaves one out.
    """
    names, named = list(names), choices(hardware)
    if not isinstance(hardware, MappingType):
        return dict.fromkeys(names, named[0])
    around = {name: _innermost(name, hardware) for name in names}
    unknown = sorted(k for k in hardware if k != "*" and not any(f"{n}.".startswith(f"{k}.") for n in names))
    missing = [name for name, known in around.items() if known not in hardware]
    if unknown or missing:
        problem = f"unknown layers {unknown}" if unknown else f"layers {missing} missing, and no '*' for the rest"
        raise ValueError(f"hardware: {problem}; the layers are {names}")
    return {name: hardware[known] for name, known in around.items()}


def _innermost(name: str, known: MappingType[str, Hardware]) -> str:
    """The name, or that of the innermost module around it, that is known; else "*"."""
    while name not in known and "." in name:
        name = name.rpartition(".")[0]
    return name if name in known else "*"
