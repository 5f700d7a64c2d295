"""What a layer's rows draw from their drivers, which is what its arrays dissipate."""

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

    conductance: Tensor  #: (terms, inputs + 1) S that each input of a pass drives, in all slices; the last for no input

    def __init__(self, placement: Placement, hardware: Hardware) -> None:
        super().__init__()
        self.window, self.device, self.tile = placement.window, hardware.device, hardware.tile
        self.terms, self.blocks = self.device.law.series_terms(self.tile.v_read), 0

    def watch(self, blocks: Iterable[ProgrammedTiles], like: Tensor) -> Iterator[ProgrammedTiles]:
        """The same tiles, which are added to the load on the way.

        Args:
            like: a tensor of the layer's dtype, on its device.
        """
        shape = self.terms, self.window.inputs + 1
        sums = torch.zeros(shape, dtype=torch.float64)
        for tiles in blocks:
            if self.tile.wired:
                self.register_buffer(f"inputs{self.blocks}", tiles.inputs.to(like.device, torch.int32))
                self.register_buffer(f"admittance{self.blocks}", tiles.admittance().to(like))
                self.blocks += 1
            else:
                for total, part in zip(sums, tiles.load().chunk(self.terms, -1), strict=True):
                    total.index_add_(0, tiles.inputs.flatten(), part.flatten())
            yield tiles
        if not self.tile.wired:
            before = getattr(self, "conductance", 0)
            self.register_buffer("conductance", before + sums.to(like.device))

    def power(self, v: Tensor) -> float:
        """Power summed over images and passes, W, of one read.

        Without wires sum v I(v) over the cells in selected lines, with them v^T Y f(v) over the tiles.

        Args:
            v: (n, channels, *map) volts of the layer's inputs, or (..., channels) if it is linear.
        """
        return self._of_tiles(v) if self.tile.wired else self._of_inputs(v)

    def _of_inputs(self, v: Tensor) -> float:
        """Summed over images first: what an input drives is the same for all of them."""
        total = 0.0
        for conductance, response in zip(self.conductance, self.device.law.drives(v, self.tile.v_read), strict=True):
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
            responses = self.device.law.drives(rows, self.tile.v_read)
            for inputs, admittance in self._tiles():
                driven = torch.cat([response[inputs] for response in responses])
                total += float((rows[inputs] * (admittance.to(v) @ driven)).sum())
        return total

    def _tiles(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The inputs of each tile's rows, (n,), and what these draw, (n, terms * n) S."""
        for i in range(self.blocks):
            yield from zip(getattr(self, f"inputs{i}"), getattr(self, f"admittance{i}"), strict=True)
