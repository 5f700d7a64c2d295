"""What a layer's rows draw from their drivers, which is what its arrays dissipate."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from memlib.conduction import ProgrammedTiles
from memlib.hardware import Hardware
from memlib.placement import Placement
from memlib.reads import window_inputs


class Load(nn.Module):
    """The load of one layer's drivers: of each input by itself, or with wires, of each tile's rows together.

    Args:
        like: a tensor of the layer's dtype, on its device.
    """

    def __init__(self, placement: Placement, hardware: Hardware, like: Tensor) -> None:
        super().__init__()
        self.window, self.device, self.tile = placement.window, hardware.device, hardware.tile
        self.terms = self.device.series_terms(self.tile.v_read)
        self.like, self.blocks = like.new_zeros(0), 0
        if not self.tile.wired:
            #: (terms, inputs + 1) S that each input of a pass drives; the last stands for no input
            shape = self.terms, self.window.inputs + 1
            self.register_buffer("conductance", torch.zeros(shape, dtype=torch.float64, device=like.device))

    def watch(self, blocks: Iterable[ProgrammedTiles]) -> Iterator[ProgrammedTiles]:
        """The same tiles, which are added to the load on the way."""
        sums = torch.zeros(self.terms, self.window.inputs + 1, dtype=torch.float64)
        for tiles in blocks:
            if self.tile.wired:
                self.register_buffer(f"inputs{self.blocks}", tiles.inputs.to(self.like.device, torch.int32))
                self.register_buffer(f"admittance{self.blocks}", tiles.admittance().to(self.like))
                self.blocks += 1
            else:
                for total, part in zip(sums, tiles.load().chunk(self.terms, -1), strict=True):
                    total.index_add_(0, tiles.inputs.flatten(), part.flatten())
            yield tiles
        if not self.tile.wired:
            self.conductance += sums.to(self.like.device)

    def power(self, v: Tensor) -> float:
        """Power summed over images and passes, W, of one read.

        Without wires sum v I(v) over the cells in selected lines, with them v^T Y f(v) over the tiles.

        Args:
            v: (n, channels, *map) volts of the layer's inputs, or (..., channels) if it is linear.
        """
        return self._of_tiles(v) if self.tile.wired else self._of_inputs(v)

    def _responses(self, v: Tensor) -> list[Tensor]:
        """The terms of the current per siemens, V."""
        if self.terms == 1:
            return [self.device.response(v)]
        even = (v / self.tile.v_read).square()
        return [v * even**k for k in range(self.terms)]

    def _of_inputs(self, v: Tensor) -> float:
        """Summed over images first: what an input drives is the same for all of them."""
        total = 0.0
        for conductance, response in zip(self.conductance, self._responses(v), strict=True):
            summed = (v * response).flatten(0, -2 - self.window.geometry.dims).sum(0, keepdim=True)
            total += float(conductance.to(v) @ window_inputs(self.window, summed).flatten(1).sum(1))
        return total

    def _of_tiles(self, v: Tensor) -> float:
        v = window_inputs(self.window, v).flatten(1)
        responses, total = self._responses(v), 0.0
        for i in range(self.blocks):
            for inputs, admittance in zip(getattr(self, f"inputs{i}"), getattr(self, f"admittance{i}"), strict=True):
                driven = torch.cat([response[inputs] for response in responses])
                total += float((v[inputs] * (admittance.to(v) @ driven)).sum())
        return total
