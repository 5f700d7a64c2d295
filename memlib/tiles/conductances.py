"""The conductances of programmed tiles at a read: cells behind their transistors, I-V laws, and the tile's wires."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from memlib.cells.device import Device
from memlib.cells.iv_law import series_coefficient
from memlib.mapping.tile import Tile
from memlib.wires.resistances import Wires
from memlib.wires.solver import Multiport, solve


@dataclass(frozen=True)
class ProgrammedTiles:
    """The cells of some tiles, in selected lines only; tiles with fewer end in zeros and lines that are none.

    A current is a sum over rows and over terms k of conductance_k times the k-th function of the row's voltage. There
    is one term, v itself or `IVLaw.response`, unless cells of different states have different I-V laws: then the terms
    are v (v/v_read)^(2k), and stand side by side in the last dimension of what the methods return.
    """

    device: Device
    tile: Tile
    offset: bool  #: whether the last column of each tile is its reference
    numbers: np.ndarray  #: (tiles, 2) column group and row cut, which name their streams
    inputs: Tensor  #: (tiles, n) which input of a pass drives a row; the number of inputs for a row of padding
    outputs: Tensor  #: (tiles, m) which output a column adds to; the number of outputs for one of padding
    rows: Tensor  #: (tiles, n) positions in the tile; `Tile.rows` for a row of padding
    columns: Tensor  #: (tiles, m or m + 1) the same of columns and the reference; that of the last for padding
    cells: Tensor  #: (polarity, tiles, m or m + 1, n) S, float64, bare

    def array(self, i: int) -> Tensor:
        """The cells of tile `i` where they stand in it: (polarity, rows, cols), and one more column for a reference."""
        whole = self.cells.new_zeros(len(self.cells), self.tile.cols + self.offset, self.tile.rows)
        rows = torch.nonzero(self.rows[i] < self.tile.rows)[:, 0]
        columns = [j for j, at in enumerate(self.columns[i]) if j == 0 or at > self.columns[i, j - 1]]
        whole[:, self.columns[i, columns][:, None], self.rows[i, rows]] = self.cells[:, i][:, columns][:, :, rows]
        return whole.mT

    @cached_property
    def behind_transistors(self) -> Tensor:
        """The conductance of each cell by itself, S: g/(1 + g r_transistor), like `cells`."""
        return self.cells / (1 + self.cells * self.tile.r_transistor)

    @cached_property
    def _wires(self) -> Multiport:
        """The exact solution of each array; lines that are not selected conduct nothing, but their wire remains."""
        t = self.tile
        along_row = t.r_row * self.columns.diff(prepend=-torch.ones_like(self.columns[:, :1]))
        along_column = t.r_col * self.rows.diff(append=torch.full_like(self.rows[:, :1], t.rows))
        segments = along_row.double(), along_column.double()
        return solve(self.behind_transistors.mT, Wires(*segments, t.r_driver, t.r_sense))

    @cached_property
    def effective(self) -> Tensor:
        """Column current per volt at a row's driver, S, like `cells`."""
        return self._wires.g_eff.mT if self.tile.wired else self.behind_transistors

    def currents(self, converter: str) -> Tensor:
        """Conductances (tiles, conversions, terms * n), S, whose products are what the converters see.

        One conversion per pair; or, for the converter "column", all columns, and then their negative ones or the
        reference.
        """
        parts = []
        for factor in self._factors(squared=False):
            first, second = self._subtracted(self.effective * factor)
            parts.append(torch.cat((first, second), 1) if converter == "column" else first - second)
        return torch.cat(parts, -1)

    def noise_variances(self, converter: str) -> Tensor:
        """Variances (tiles, normals, terms * n), S^2, at a read; a pair has one normal, a reference its own.

        They belong to squares of voltages. A cell's noise reaches its column as its conductance does: exact without
        resistances, to first order in the noise behind a transistor, and with wires an approximation: where these take
        a share s of the current, sigma is up to s/(1 - s) too large (checked against redrawn arrays).
        """
        reach = self.effective / torch.where(self.cells > 0, self.cells, 1.0)
        if self.tile.r_transistor:
            reach = reach / (1 + self.cells * self.tile.r_transistor)
        variance = self.device.noise_variance(self.cells) * reach**2
        parts = []
        for factor in self._factors(squared=True):
            first, second = self._subtracted(variance * factor)
            shared = converter == "pair" and not self.offset
            parts.append(first + second if shared else torch.cat((first, second), 1))
        return torch.cat(parts, -1)

    def load(self) -> Tensor:
        """The load of rows without wires: (tiles, terms * n), S, over all cells and both polarities."""
        return torch.cat([(self.behind_transistors * factor).sum((0, 2)) for factor in self._factors(False)], -1)

    def admittance(self) -> Tensor:
        """The load of rows with wires, at the voltages of all rows: (tiles, n, terms * n), S, over both polarities."""
        alone = self.behind_transistors.sum(2)
        parts = []
        for k, factor in enumerate(self._factors(False)):
            share = (self.behind_transistors * factor).sum(2) / torch.where(alone > 0, alone, 1.0)
            share = torch.where(alone > 0, share, float(k == 0))
            parts.append((self._wires.admittance * share[:, :, None]).sum(0))
        return torch.cat(parts, -1)

    def _factors(self, squared: bool) -> Iterator[Tensor | float]:
        """By how much each cell's conductance counts in each term: for sinh(x)/x, or (sinh(x)/x)^2, x = v_read/v0."""
        if not self.device.law.depends_on_state:
            yield 1.0
            return
        x = (self.tile.v_read / self.device.law.own_v0(self.cells)).square()
        for k in range(self.device.law.series_terms(self.tile.v_read, squared)):
            yield x**k * series_coefficient(k, squared)

    def _subtracted(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Columns, and what is subtracted from them: the negative columns, or the tiles' references."""
        return (values[0, :, :-1], values[0, :, -1:]) if self.offset else (values[0], values[1])
