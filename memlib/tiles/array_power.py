"""The power that a layer's rows draw from their drivers, which its arrays dissipate."""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from memlib.mapping.hardware import Hardware
from memlib.mapping.placement import Placement
from memlib.tiles.conductances import ProgrammedTiles
from memlib.tiles.passes import window_inputs
from memlib.tiles.reads import BLOCK_VALUES


class Load(nn.Module):
    """The load of one layer's drivers: of each input by itself, or with wires, of each tile's rows together."""

    #: (terms, inputs + 1) S that each input of a pass drives, in all slices, the last for no input; without wires
    conductance: Tensor

    def __init__(self, placement: Placement, hardware: Hardware) -> None:
        super().__init__()
        self.window, self.tile, self.law = placement.window, hardware.tile, hardware.device.law
        self.terms, self.blocks = self.law.series_terms(self.tile.v_read), nn.ModuleList()

    def watch(self, blocks: Iterable[ProgrammedTiles], like: Tensor) -> Iterator[ProgrammedTiles]:
        """The same tiles, added to the load on the way; `like` is a tensor of the layer's dtype, on its device."""
        sums = torch.zeros(self.terms, self.window.inputs + 1, dtype=torch.float64)
        for tiles in blocks:
            if self.tile.wired:
                self.blocks.append(BlockLoad(tiles, like))
            else:
                for total, part in zip(sums, tiles.load().chunk(self.terms, -1), strict=True):
                    total.index_add_(0, tiles.inputs.flatten(), part.flatten())
            yield tiles
        if not self.tile.wired:
            self.register_buffer("conductance", getattr(self, "conductance", 0) + sums.to(like.device))

    def power(self, v: Tensor) -> float:
        """Power summed over images and passes, W, of one read.

        Without wires sum v I(v) over the cells in selected lines, with them v^T Y f(v) over the tiles, for volts v
        (n, channels, *map) of the layer's inputs, or (..., channels) if it is linear.
        """
        return self._of_tiles(v) if self.tile.wired else self._of_inputs(v)

    def _of_inputs(self, v: Tensor) -> float:
        """Summed over images first: what an input drives is the same for all of them."""
        total = 0.0
        for conductance, response in zip(self.conductance, self.law.drives(v, self.tile.v_read), strict=True):
            summed = (v * response).flatten(0, -2 - self.window.geometry.dims).sum(0, keepdim=True)
            total += float(conductance.to(v) @ window_inputs(self.window, summed).flatten(1).sum(1))
        return total

    def _of_tiles(self, v: Tensor) -> float:
        """As many images at once as `BLOCK_VALUES` allows."""
        dims, total = self.window.geometry.dims, 0.0
        v = v.flatten(0, -2 - dims)
        passes = math.prod(self.window.passes(tuple(v.shape[2:]))) if dims else 1
        for part in v.split(max(1, BLOCK_VALUES // (self.window.inputs * passes * (1 + self.terms)))):
            rows = window_inputs(self.window, part).flatten(1)
            responses = self.law.drives(rows, self.tile.v_read)
            for block in self.blocks:
                for power in block(rows, responses):
                    total += power
        return total


class BlockLoad(nn.Module):
    """The load of some tiles with wires."""

    inputs: Tensor  #: (tiles, n) which input of a pass drives a row
    admittance: Tensor  #: (tiles, n, terms * n) S, what rows draw at the voltages of all rows

    def __init__(self, tiles: ProgrammedTiles, like: Tensor) -> None:
        super().__init__()
        self.register_buffer("inputs", tiles.inputs.to(like.device, torch.int32))
        self.register_buffer("admittance", tiles.admittance().to(like))

    def forward(self, rows: Tensor, responses: list[Tensor]) -> Iterator[float]:
        """Power of each tile, W, at voltages (inputs + 1, passes) and their functions (`IVLaw.drives`)."""
        for inputs, admittance in zip(self.inputs, self.admittance, strict=True):
            driven = torch.cat([response[inputs] for response in responses])
            yield float((rows[inputs] * (admittance.to(rows) @ driven)).sum())
