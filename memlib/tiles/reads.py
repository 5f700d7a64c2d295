"""How the tiles of a layer are read: input codes go in, sums of output codes come out.

Two ways, equal in what they compute. In the dense layout a row cut is a convolution with fewer input channels. In all
others, blocks of tiles are batched products. `tests/reference.py` is the definition that both are tested against.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from memlib.base.random_streams import generator
from memlib.mapping.placement import Placement
from memlib.tiles.conductances import ProgrammedTiles
from memlib.tiles.passes import window_inputs, window_outputs
from memlib.tiles.readout import Readout
from memlib.tiles.row_cut import Cut

#: Values that a batched product takes in and gives out at most, which bounds the memory of large batches.
BLOCK_VALUES = 2**24


class Reads(nn.Module):
    """The programmed tiles of one layer, ready to be read."""

    def __init__(self, placement: Placement, readout: Readout) -> None:
        super().__init__()
        self.readout, self.geometry = readout, placement.window.geometry
        self._generator: torch.Generator | None = None

    def rewind(self, state: Any = None) -> Any:
        """Put the read noise back to its state at mapping, or to one that this returned; returns the one it had."""
        found, self._generator = self._generator, state
        return found

    def normals(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """The next normals of this layer's read noise."""
        if self._generator is None or self._generator.device != device:
            self._generator = generator(*self.readout.name, "read_noise", device=device)
        return torch.randn(shape, generator=self._generator, device=device)


class ConvolutionReads(Reads):
    """The dense layout, or a linear layer: one convolution, or product, per row cut."""

    def __init__(self, placement: Placement, readout: Readout, cuts: list[ProgrammedTiles], like: Tensor) -> None:
        super().__init__(placement, readout)
        self.cuts: list[Cut] = []
        for i, tiles in enumerate(cuts):
            cut = Cut.of(tiles, placement.window)
            self.cuts.append(cut)
            self._keep(f"signal{i}", cut, readout.signal(tiles), like)
            if readout.noisy:
                self._keep(f"variance{i}", cut, readout.variance(tiles), like)
            if readout.erring:
                for kind, values in zip(("gain", "offset"), readout.errors(tiles), strict=True):
                    values = cut.lines_of(values, readout.offset).view(-1, *[1] * self.geometry.dims)
                    self.register_buffer(f"{kind}{i}", values.to(like))
            if readout.offset:
                self.register_buffer(f"tile_of_column{i}", cut.lines[0].clone().to(like.device))
            self.register_buffer(f"outputs{i}", cut.outputs.clone().to(like.device))

    def _keep(self, name: str, cut: "Cut", values: Tensor, like: Tensor) -> None:
        """Register a kernel for each term."""
        for k, term in enumerate(values.split(cut.inputs.shape[1], -1)):
            self.register_buffer(f"{name}_{k}", cut.kernel(term, self.readout.offset, self.geometry, like))

    def forward(self, u: Tensor) -> Tensor:
        """Input codes (..., channels, *map) to sums of output codes (..., outputs, *map)."""
        u, padding = self.geometry.pad(u)
        terms = self.readout.terms(u)
        squares = self.readout.terms(u, squared=True) if self.readout.noisy else []
        total: Tensor | None = None
        for i, cut in enumerate(self.cuts):
            part = self._partial_sum(i, cut, terms, squares, padding)
            if total is None and cut.all_outputs:
                total = part
                continue
            if total is None:
                total = self._zeros(part)
            if cut.contiguous:
                self._narrow(total, int(cut.outputs[0]), len(cut.outputs)).add_(part)
            else:
                total.index_add_(-1 - self.geometry.dims, getattr(self, f"outputs{i}"), part)
        assert total is not None  # there is at least one cut
        return total

    def _partial_sum(
        self, i: int, cut: "Cut", terms: list[Tensor], squares: list[Tensor], padding: tuple[int, ...]
    ) -> Tensor:
        """The digital result of one row cut, in ADC codes: read, convert, and subtract what was converted apart."""
        codes = self._product(f"signal{i}", cut, terms, padding)
        if squares:
            codes += self._noise(i, cut, self._product(f"variance{i}", cut, squares, padding))
        errors = (getattr(self, f"gain{i}"), getattr(self, f"offset{i}")) if self.readout.erring else None
        codes = self.readout.convert(codes, errors)
        return codes if self.readout.converter == "pair" else self._subtract(i, cut, codes)

    def _product(self, name: str, cut: "Cut", terms: list[Tensor], padding: tuple[int, ...]) -> Tensor:
        """The sum over terms of their convolutions with the kernels of this name."""
        inputs = (self.geometry.channels(u, cut.first, cut.channels) for u in terms)
        parts = (self.geometry.product(u, getattr(self, f"{name}_{k}"), padding) for k, u in enumerate(inputs))
        return functools.reduce(Tensor.add_, parts)

    def _noise(self, i: int, cut: "Cut", variance: Tensor) -> Tensor:
        """Exactly normal noise of column sums; one normal per read and conversion, and one per reference after them."""
        channel = -1 - self.geometry.dims
        shape = variance.movedim(channel, -1).shape  # the reads' conversions side by side, as they lie in memory
        normals = self.normals(shape, variance.device).movedim(-1, channel)
        # an unlucky rounding of a sum of squares may be a little below 0
        noise = variance.clamp_(min=0).sqrt_().mul_(normals)
        return self._subtract(i, cut, noise) if self.readout.shared_noise else noise

    def _subtract(self, i: int, cut: "Cut", values: Tensor) -> Tensor:
        """Columns minus their negative column, or their tile's reference, which stand behind them."""
        columns = len(cut.outputs)
        second = self._narrow(values, columns, values.shape[-1 - self.geometry.dims] - columns)
        if self.readout.offset:
            second = second.index_select(-1 - self.geometry.dims, getattr(self, f"tile_of_column{i}"))
        return self._narrow(values, 0, columns) - second

    def _narrow(self, y: Tensor, first: int, count: int) -> Tensor:
        return self.geometry.channels(y, first, count)

    def _zeros(self, part: Tensor) -> Tensor:
        """Room for all outputs, where the first cut of a grouped layer adds to some of them only."""
        shape = list(part.shape)
        shape[-1 - self.geometry.dims] = self.geometry.outputs
        return part.new_zeros(shape)


class BlockReads(Reads):
    """Any layout: the tiles in blocks, each a batched product with the inputs of its rows."""

    def __init__(self, placement: Placement, readout: Readout, blocks: Iterable[ProgrammedTiles], like: Tensor) -> None:
        super().__init__(placement, readout)
        self.window, self.columns = placement.window, placement.selected_columns.tolist()
        self.blocks = 0
        for i, tiles in enumerate(blocks):
            self.register_buffer(f"inputs{i}", tiles.inputs.to(like.device, torch.int32))
            self.register_buffer(f"outputs{i}", tiles.outputs.to(like.device, torch.int32))
            self.register_buffer(f"signal{i}", readout.signal(tiles).to(like))
            if readout.noisy:
                self.register_buffer(f"variance{i}", readout.variance(tiles).to(like))
            if readout.erring:
                for kind, values in zip(("gain", "offset"), readout.errors(tiles), strict=True):
                    self.register_buffer(f"{kind}{i}", values[:, :, None].to(like))
            self.blocks = i + 1

    def forward(self, u: Tensor) -> Tensor:
        """Input codes (..., channels, *map) to sums of output codes (..., outputs, *map)."""
        dims = self.geometry.dims
        single = u.dim() == dims + 1
        u = u[None] if single else u
        size = tuple(u.shape[2:])
        patches = window_inputs(self.window, u)
        total = patches.new_zeros(self.window.outputs + 1, *patches.shape[1:])
        tile = 0
        for i in range(self.blocks):
            inputs, outputs = getattr(self, f"inputs{i}"), getattr(self, f"outputs{i}")
            values = (inputs.shape[1] + 2 * outputs.shape[1]) * patches[0].numel()
            at_once = max(1, BLOCK_VALUES // max(1, values))
            for first in range(0, len(inputs), at_once):
                part = slice(first, first + at_once)
                codes = self._read(i, part, patches[inputs[part]].flatten(2), tile + first, patches.shape[1:])
                total.index_add_(0, outputs[part].flatten(), codes.view(-1, *patches.shape[1:]))
            tile += len(inputs)
        y = window_outputs(self.window, total[:-1], self.geometry.output_size(size))
        return y[0] if single else y

    def _read(self, i: int, part: slice, x: Tensor, tile: int, reads: tuple[int, ...]) -> Tensor:
        """The digital results of some tiles of a block, (tiles, columns, reads), in ADC codes; x: (tiles, n, reads)."""
        codes = torch.bmm(getattr(self, f"signal{i}")[part], _side_by_side(self.readout.terms(x)))
        columns = getattr(self, f"outputs{i}").shape[1]
        if self.readout.noisy:
            squares = _side_by_side(self.readout.terms(x, squared=True))
            noise = torch.bmm(getattr(self, f"variance{i}")[part], squares)
            noise.clamp_(min=0).sqrt_().mul_(self._normals(noise, tile, columns, reads))
            codes += self._subtract(noise, columns) if self.readout.shared_noise else noise
        errors = None
        if self.readout.erring:
            errors = getattr(self, f"gain{i}")[part], getattr(self, f"offset{i}")[part]
        codes = self.readout.convert(codes, errors)
        return codes if self.readout.converter == "pair" else self._subtract(codes, columns)

    def _normals(self, like: Tensor, tile: int, columns: int, reads: tuple[int, ...]) -> Tensor:
        """One call for each tile: a normal for each of its selected columns, then for what stands behind them."""
        normals = like.new_zeros(like.shape)
        for here, selected in zip(normals, self.columns[tile:], strict=False):
            behind = len(here) - columns if self.readout.offset else (selected if len(here) > columns else 0)
            drawn = self.normals((selected + behind, *reads), like.device).to(like.dtype).flatten(1)
            here[:selected] = drawn[:selected]
            here[columns : columns + behind] = drawn[selected:]
        return normals

    def _subtract(self, values: Tensor, columns: int) -> Tensor:
        """Columns minus their negative column, or their tile's reference, which stand behind them."""
        return values[:, :columns] - values[:, columns:]


def _side_by_side(terms: list[Tensor]) -> Tensor:
    """Terms (tiles, n, reads) of a sum, (tiles, terms * n, reads)."""
    return terms[0] if len(terms) == 1 else torch.cat(terms, 1)


class SlicedReads(nn.Module):
    """The tiles of every slice of the weights, read apart and added up as the digits that they hold."""

    def __init__(self, slices: Sequence[Reads], base: int) -> None:
        super().__init__()
        self.slices, self.base = nn.ModuleList(slices), base

    def forward(self, u: Tensor) -> Tensor:
        """Input codes (..., channels, *map) to sums of output codes (..., outputs, *map)."""
        total = self.slices[0](u)
        for s, reads in enumerate(self.slices[1:], start=1):
            total.add_(reads(u), alpha=self.base**s)
        return total

    def rewind(self, states: Any = None) -> Any:
        """As `Reads.rewind`, of all slices."""
        slices = [cast(Reads, part) for part in self.slices]
        return [part.rewind(state) for part, state in zip(slices, states or [None] * len(slices), strict=True)]
