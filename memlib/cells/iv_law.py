"""The I-V law of a cell, I = g v0 sinh(v/v0), and its power series where v0 depends on the cell's state.

The form is that of Simmons' tunnelling, as in Guan et al., IEEE EDL 33, 1405 (2012). Without v0 a cell is linear.
"""

import math
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

Volts = TypeVar("Volts", Tensor, float)

#: Relative error, at v_read, of the powers of v that stand for an I-V law which depends on the state.
SERIES_ERROR = 1e-4


@dataclass(frozen=True)
class IVLaw:
    """The I-V law of all cells of a device, from their high-resistance (HRS) to their low-resistance state (LRS)."""

    v0: float | None  #: of the LRS, V; None: linear
    v0_off: float | None  #: of the HRS, V; None: as v0
    g_on: float  #: conductance of the LRS, S
    g_off: float  #: of the HRS, S

    def response(self, v: Volts) -> Volts:
        """Current per siemens, V, at voltages v, V, if the law does not depend on a cell's state: v0 sinh(v/v0)."""
        if self.v0 is None:
            return v
        x = v / self.v0
        return self.v0 * (torch.sinh(x) if isinstance(x, Tensor) else math.sinh(x))

    def drives(self, v: Tensor, v_read: float) -> list[Tensor]:
        """Current per siemens, V, at voltages `v`, V, by the terms whose sum it is; see `ProgrammedTiles.currents`.

        Each term has the shape of `v`, of which `v_read` is the largest.
        """
        if not self.depends_on_state:
            return [self.response(v)]
        return even_powers(v, v, v_read, self.series_terms(v_read))

    @property
    def depends_on_state(self) -> bool:
        """Whether cells of different states have different I-V laws."""
        return self.v0_off is not None and self.v0_off != self.v0

    @property
    def _laws(self) -> tuple[float, float]:
        assert self.v0 is not None  # as Device checks, where the law depends on the state
        assert self.v0_off is not None
        return self.v0, self.v0_off

    def series_terms(self, v_read: float, squared: bool = False) -> int:
        """Odd powers of v that stand for an I-V law which depends on the state, g sum_k (v/v0)^(2k) v/(2k+1)!.

        Or even ones, for the `squared` current, 2 g^2 sum_k (2v/v0)^(2k) v^2/(2k+2)!. As many as leave a relative error
        of at most `SERIES_ERROR` at v_read, V; 1 if the law does not depend on the state.
        """
        if not self.depends_on_state:
            return 1
        x = v_read / min(self._laws)
        wanted, terms, total = (math.sinh(x) / x) ** (1 + squared), 0, 0.0
        while wanted - total > SERIES_ERROR * wanted:
            total += x ** (2 * terms) * series_coefficient(terms, squared)
            terms += 1
        return terms

    def own_v0(self, g: Tensor) -> Tensor:
        """v0, V, of cells of conductance `g`, S, any shape: linear from v0_off at g_off to v0 at g_on, then level."""
        position = ((g - self.g_off) / (self.g_on - self.g_off)).clamp_(0, 1)
        v0, v0_off = self._laws
        return v0_off + (v0 - v0_off) * position

    def full_response(self, v_read: float) -> float:
        """Current at v_read per siemens between LRS and HRS, V, which the digital scale divides by."""
        if not self.depends_on_state:
            return self.response(v_read)
        _, v0_off = self._laws
        hrs = v0_off * math.sinh(v_read / v0_off)
        return (self.g_on * self.response(v_read) - self.g_off * hrs) / (self.g_on - self.g_off)


def even_powers(x: Tensor, v: Tensor, top: float, terms: int) -> list[Tensor]:
    """x (v/top)^(2k), k = 0 ... terms - 1, each of the shape of `v`: a power series' functions of a voltage."""
    powers = [x]
    if terms > 1:
        even = (v / top).square_()
        for _ in range(1, terms):
            powers.append(powers[-1] * even)
    return powers


def series_coefficient(k: int, squared: bool) -> float:
    """The coefficient of x^(2k) in the power series of sinh(x)/x, or of its square."""
    return 2.0 ** (2 * k + 1) / math.factorial(2 * k + 2) if squared else 1 / math.factorial(2 * k + 1)
