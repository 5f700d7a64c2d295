"""The plan of a chip: which tiles hold every layer of a network, made once and taken by all that follows.

Memory and time are estimated from it, converters get their ranges for it, footprint and cost are read off it, and
cells are programmed after it.
"""

from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import nn

from memlib.base.checks import fail
from memlib.layers.geometry import Geometry, MatrixLayer, Size
from memlib.layers.mappable import matrix_layers
from memlib.layers.tracing import call_sizes, map_sizes
from memlib.mapping.hardware import Choices, Hardware, per_layer
from memlib.mapping.placement import Placement
from memlib.mapping.window import Window, window_of


@dataclass(frozen=True)
class LayerPlan:
    """One layer of a network on its tiles."""

    name: str
    module: MatrixLayer  #: the float layer
    hardware: Hardware
    sizes: tuple[Size, ...] = ()  #: distinct sizes of its input maps; empty if not known, and if it is linear
    calls: tuple[Size, ...] = ()  #: sizes of its input at each call of an inference, see `call_sizes`; empty: not known

    @cached_property
    def geometry(self) -> Geometry:
        """Its shape."""
        return Geometry.of(self.module)

    @cached_property
    def window(self) -> Window:
        """The outputs of a pass, known at once; errors as `window_of`."""
        return window_of(self.geometry, self.hardware.mapping.layout, self.sizes)

    @cached_property
    def placement(self) -> Placement:
        """Where every weight sits, which takes seconds for large windows; errors as `place`."""
        return self.hardware.place(self.geometry, self.sizes)

    @property
    def tiles(self) -> int:
        """Physical tiles: those of both polarities and of all slices."""
        return len(self.placement) * self.hardware.mapping.cells


Plan = dict[str, LayerPlan]  #: by the layers' names, in the order of the network


def plan_chip(
    model: nn.Module,
    hardware: Choices,
    input_shape: tuple[int, ...] | None = None,
    digital: Any = (),
    seen: MappingType[str, tuple[Size, ...]] | None = None,
) -> Plan:
    """Plan every layer of a network that is to be mapped.

    Args:
        hardware: of all layers, or by name, see `per_layer`.
        input_shape: of one input, without the batch dimension; None: the sizes of maps are those that were seen.
        digital: see `matrix_layers`.
        seen: distinct sizes of the input maps that layers had on calibration images.

    Raises:
        ValueError: as `matrix_layers`, `per_layer` and `call_sizes`, and for an input shape under which layers that
            depend on it have other maps than those seen.
    """
    modules = matrix_layers(model, digital)
    plan, seen = {}, seen or {}
    choices = per_layer(hardware, modules)
    calls = call_sizes(model, modules, input_shape) if input_shape is not None else {}
    for name, module in modules.items():
        sizes = recorded = seen.get(name, ())
        if calls:
            sizes = map_sizes(module, calls[name])
            if recorded and recorded != sizes and choices[name].mapping.layout != "dense":
                allowed = f"that of the calibration images: layer {name!r} had maps {recorded}"
                fail("input_shape", input_shape, allowed)
        plan[name] = LayerPlan(name, module, choices[name], sizes, tuple(calls.get(name, ())))
    return plan
