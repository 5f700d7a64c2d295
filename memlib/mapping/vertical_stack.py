"""A 3-D vertical stack: word planes, one above the other, pierced by pillars, with a cell where each meets each.

All cells of a pillar share it, and one transistor at its foot. The stack computes like a tile whose rows are the planes
and whose columns are the pillars, and differs from the planar 1T1R tile in its wires and in what selects a cell:

- A plane is one electrode for all its pillars: a row without wire segments, behind a driver (`Tile.r_driver`).
- A pillar is a column wire, with a segment between two planes (`Tile.r_col`).
- The transistor stands at the pillar's foot (`Tile.r_sense`) and carries the sum of its cells' currents, where that of
  a planar cell (`Tile.r_transistor`) carries one: its resistance counts as often as cells conduct.
- So there is a transistor per pillar in place of one per cell, and none that disconnects a cell from its pillar: while
  one cell is written, all others of its pillar and plane are half selected, and conduct.

`memlib.wires.solver` solves such a tile exactly.
"""

import math
from typing import Any

from memlib.base.checks import in_range, positive, whole
from memlib.base.configuration import Config, config
from memlib.cells.device import Device
from memlib.mapping.tile import Tile


@config
class Stack(Config):
    """Geometry and resistances of one vertical stack."""

    planes: int = 32  #: cells of a pillar
    pillars: int = 128
    r_plane: float = 0.0  #: of a plane and its driver, ohm
    r_pillar: float = 10.0  #: of a pillar between two planes, ohm
    r_select: float = 5e3  #: of the transistor at a pillar's foot, ohm

    def __post_init__(self) -> None:
        self.check(whole, "planes", "pillars", low=1)
        self.check(in_range, "r_plane", "r_pillar", "r_select", low=0, high=math.inf, what="a resistance in ohm")

    def tile(self, **converters: Any) -> Tile:
        """The tile that computes like this stack, with further fields of `Tile`."""
        wires: dict[str, Any] = {"r_driver": self.r_plane, "r_col": self.r_pillar, "r_sense": self.r_select}
        return Tile(rows=self.planes, cols=self.pillars, **wires, **converters)

    @property
    def half_selected(self) -> int:
        """Cells that see half the voltage while one is written: the others of its plane and of its pillar."""
        return self.planes + self.pillars - 2


def write_leakage(stack: Stack, device: Device, volts: float) -> float:
    """Current of all half-selected cells, relative to that of the cell that is written at `volts`, all of them at LRS.

    The selected plane is at V, the selected pillar at 0 V, all others at V/2. In a planar 1T1R tile it is 0: the gates
    of the other cells' transistors are off. Here only a steep I-V law (`Device.v0`), as of self-selecting cells, keeps
    it small: sinh(V/2v0)/sinh(V/v0) = 1/(2 cosh(V/2v0)), which falls as exp(-V/2v0).
    """
    positive("volts", volts)
    a = 0.0 if device.v0 is None else volts / (2 * device.v0)
    return stack.half_selected * math.exp(-a) / (1 + math.exp(-2 * a))
