"""How the tiles of a layer are read: what drives their rows goes in, the layer's output comes out.

Three engines, equal in what they compute. Blocks of tiles are batched products, in any layout. In the dense layout a
row cut is a convolution with fewer input channels; and where nothing happens to partial sums, all tiles fold into one
ordinary layer. `tests/reference.py` is the definition that they are tested against.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from memlib.base.random_streams import generator
from memlib.layers.geometry import Geometry, along_first
from memlib.mapping.placement import Placement
from memlib.mapping.window import Window
from memlib.tiles.conductances import ProgrammedTiles
from memlib.tiles.passes import over_map, window_inputs, window_outputs
from memlib.tiles.readout import Readout
from memlib.tiles.row_cut import Cut

#: Values that a batched product takes in and gives out at most, which bounds the memory of large batches.
BLOCK_VALUES = 2**24
#: What drives the rows in each read of a pass, and the factor of its result (`converters.row_inputs`).
Drives = Iterable[tuple[int, Tensor]]
#: The next normals of read noise, of a shape, on a device.
Normals = Callable[[tuple[int, ...], torch.device], Tensor]
Rearrange = Callable[[Tensor], Tensor]


class FoldedReads(nn.Module):
    """The dense layout where nothing happens to partial sums: one ordinary layer."""

    kernel: Tensor  #: of all tiles, in the layer's output per input code

    def __init__(self, geometry: Geometry, kernel: Tensor) -> None:
        super().__init__()
        self.geometry = geometry
        self.register_buffer("kernel", kernel)

    def forward(self, drives: Drives, gain: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """As `SummedReads`; a column is an output, whose gain scales its kernel."""
        ((_, u),) = drives
        kernel = self.kernel if gain is None else self.kernel * along_first(gain.flatten(), self.kernel)
        u, padding = self.geometry.pad(u)
        return self.geometry.product(u, kernel, padding, self.geometry.groups, bias)

    def rewind(self, state: Any = None) -> Any:
        """Nothing is random here."""


def folded_kernel(
    placement: Placement, readouts: Sequence[Readout], cuts: Sequence[list[ProgrammedTiles]]
) -> Tensor | None:
    """All row cuts of all slices as one kernel of the layer's own shape, float64; None if there is no such kernel."""
    window, g, hardware = placement.window, placement.window.geometry, readouts[0].hardware
    if not readouts[0].linear or (hardware.tile.wired and g.groups > 1):
        return None  # behind wires, what unused cells conduct depends on all others
    matrix = torch.zeros(g.outputs, window.inputs, dtype=torch.float64)
    for s, readout in enumerate(readouts):
        for tiles in cuts[s]:
            cut = Cut.of(tiles, window)
            signal = cut.matrix(readout.signal(tiles), readout.offset)
            first = cut.first * window.places_count
            matrix[cut.outputs, first : first + signal.shape[1]] += signal * hardware.base**s if s else signal
    blocks = matrix.view(g.groups, g.outputs // g.groups, g.groups, -1)
    diagonal = blocks.diagonal(dim1=0, dim2=2)  # (columns, rows, groups)
    if g.groups > 1 and diagonal.count_nonzero() < matrix.count_nonzero():
        return None  # unused cells conduct unequally: the groups are no longer independent
    return diagonal.permute(2, 0, 1).reshape(g.outputs, g.inputs // g.groups, *g.kernel)


class SummedReads(nn.Module):
    """The tiles of all slices, read apart; their codes are added up digitally, scaled, and the bias added."""

    scale: Tensor  #: output per code, which broadcasts against the output map

    def __init__(self, slices: Sequence["Reads"], base: int, scale: Tensor, window: Window) -> None:
        super().__init__()
        self.slices, self.base, self.window = nn.ModuleList(slices), base, window
        self.register_buffer("scale", window.geometry.by_output(scale))

    def forward(self, drives: Drives, gain: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """The layer's output (..., outputs, *map), for drives of inputs (..., channels, *map).

        The gain (outputs, *window) is a factor of each column's sum.
        """
        total: Tensor | None = None
        for factor, u in drives:
            codes = self._codes(u)
            total = codes if total is None else total.add_(codes, alpha=factor)
        assert total is not None  # a pass has at least one read
        total.mul_(self.scale)
        if gain is not None:
            total.mul_(over_map(self.window, gain, total))
        return total if bias is None else total.add_(self.window.geometry.by_output(bias))

    def _codes(self, u: Tensor) -> Tensor:
        """The sums of output codes of one read, of all slices as the digits that they hold."""
        total: Tensor | None = None
        for s, reads in enumerate(self.slices):
            codes = reads(u)
            total = codes if total is None else total.add_(codes, alpha=self.base**s)
        assert total is not None  # a weight has at least one slice
        return total

    def rewind(self, states: Any = None) -> Any:
        """Put the read noise back to its state at mapping, or to one that this returned; returns the one it had."""
        slices = [cast(Reads, part) for part in self.slices]
        return [part.rewind(state) for part, state in zip(slices, states or [None] * len(slices), strict=True)]


class Reads(nn.Module):
    """The programmed tiles of one slice of a layer, ready to be read."""

    def __init__(self, placement: Placement, readout: Readout) -> None:
        super().__init__()
        self.readout, self.geometry = readout, placement.window.geometry
        self._generator: torch.Generator | None = None

    def rewind(self, state: Any = None) -> Any:
        """Put the read noise back to its state at mapping, or to one that this returned; returns the one it had."""
        before, self._generator = self._generator, state
        return before

    def normals(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """The next normals of this slice's read noise."""
        if self._generator is None or self._generator.device != device:
            self._generator = generator(*self.readout.name, "read_noise", device=device)
        return torch.randn(shape, generator=self._generator, device=device)


class Columns(nn.Module):
    """The columns of some tiles of a slice: what makes currents, noise and codes of their inputs.

    Args:
        operand: makes of values (tiles, lines, terms * n) what multiplies the inputs.
        by_line: makes of values (tiles, lines) what broadcasts against the product.
    """

    signal: Tensor
    variance: Tensor | None  #: None without read noise
    gain: Tensor | None  #: of each ADC; None if these have no errors
    offset: Tensor | None  #: of each ADC, in codes

    def __init__(self, readout: Readout, tiles: ProgrammedTiles, operand: Rearrange, by_line: Rearrange) -> None:
        super().__init__()
        self.readout = readout
        erring = readout.hardware.tile.adc_gain_error or readout.hardware.tile.adc_offset_error
        gain, offset = map(by_line, readout.errors(tiles)) if erring else (None, None)
        self.register_buffer("signal", operand(readout.signal(tiles)))
        self.register_buffer("variance", operand(readout.variance(tiles)) if readout.noisy else None)
        self.register_buffer("gain", gain)
        self.register_buffer("offset", offset)

    def convert(self, codes: Tensor, part: slice = slice(None)) -> Tensor:
        """The ADCs' codes of the currents of these columns, or of a part of them, in place."""
        if self.gain is None or self.offset is None:
            return self.readout.convert(codes)
        return self.readout.convert(codes, (self.gain[part], self.offset[part]))


class ConvolutionReads(Reads):
    """The dense layout, or a linear layer: one convolution, or product, per row cut."""

    def __init__(self, placement: Placement, readout: Readout, cuts: list[ProgrammedTiles], like: Tensor) -> None:
        super().__init__(placement, readout)
        self.cuts = nn.ModuleList(CutReads(placement.window, readout, tiles, like) for tiles in cuts)

    def forward(self, u: Tensor) -> Tensor:
        """Input codes (..., channels, *map) to sums of output codes (..., outputs, *map)."""
        u, padding = self.geometry.pad(u)
        terms = self.readout.terms(u)
        squares = self.readout.terms(u, squared=True) if self.readout.noisy else []
        total: Tensor | None = None
        for cut in cast(Iterable[CutReads], self.cuts):
            codes = cut(terms, squares, padding, self.normals)
            total = codes if total is None and cut.all_outputs else cut.add(codes, total)
        assert total is not None  # there is at least one cut
        return total


class CutReads(Columns):
    """One row cut: a convolution of some input channels, whose sums are converted by themselves."""

    tile_of_column: Tensor | None  #: (columns,) whose reference is subtracted
    outputs: Tensor  #: (columns,) the output channels that the columns add to, ascending

    def __init__(self, window: Window, readout: Readout, tiles: ProgrammedTiles, like: Tensor) -> None:
        g, cut, offset = window.geometry, Cut.of(tiles, window), readout.offset
        super().__init__(
            readout,
            tiles,
            operand=lambda values: cut.kernels(values, offset, g, like),
            by_line=lambda values: g.by_output(cut.lines_of(values, offset)).to(like),
        )
        self.geometry, self.first, self.channels, self.columns = g, cut.first, cut.channels, len(cut.outputs)
        self.first_output, self.contiguous, self.all_outputs = int(cut.outputs[0]), cut.contiguous, cut.all_outputs
        self.register_buffer("tile_of_column", cut.lines[0].clone().to(like.device) if offset else None)
        self.register_buffer("outputs", cut.outputs.clone().to(like.device))

    def forward(self, terms: list[Tensor], squares: list[Tensor], padding: tuple[int, ...], normals: Normals) -> Tensor:
        """The digital result (..., columns, *map), in ADC codes: read, convert, subtract what was converted apart."""
        codes = self._product(self.signal, terms, padding)
        if self.variance is not None:
            codes += self._noise(self._product(self.variance, squares, padding), normals)
        codes = self.convert(codes)
        return codes if self.readout.converter == "pair" else self._subtract(codes)

    def _product(self, kernels: Tensor, terms: list[Tensor], padding: tuple[int, ...]) -> Tensor:
        """The sum over terms of their convolutions with their kernels."""
        g = self.geometry
        inputs = (g.channels(u, self.first, self.channels) for u in terms)
        return functools.reduce(Tensor.add_, (g.product(u, kernels[k], padding) for k, u in enumerate(inputs)))

    def _noise(self, variance: Tensor, normals: Normals) -> Tensor:
        """Exactly normal noise of column sums; one normal per read and conversion, and one per reference after them."""
        channel = self.geometry.channel
        shape = variance.movedim(channel, -1).shape  # the reads' conversions side by side, as they lie in memory
        drawn = normals(shape, variance.device).movedim(-1, channel)
        # an unlucky rounding of a sum of squares may be a little below 0
        noise = variance.clamp_(min=0).sqrt_().mul_(drawn)
        return self._subtract(noise) if self.readout.shared_noise else noise

    def _subtract(self, values: Tensor) -> Tensor:
        """Columns minus their negative column, or their tile's reference, which stand behind them."""
        channel = self.geometry.channel
        second = self.geometry.channels(values, self.columns, values.shape[channel] - self.columns)
        if self.tile_of_column is not None:
            second = second.index_select(channel, self.tile_of_column)
        return self.geometry.channels(values, 0, self.columns) - second

    def add(self, codes: Tensor, total: Tensor | None) -> Tensor:
        """Add codes of this cut's columns to the sums of all outputs (..., outputs, *map); None: these are still 0."""
        channel = self.geometry.channel
        if total is None:  # as where the first cut of a grouped layer adds to some outputs only
            shape = list(codes.shape)
            shape[channel] = self.geometry.outputs
            total = codes.new_zeros(shape)
        if self.contiguous:
            self.geometry.channels(total, self.first_output, self.columns).add_(codes)
            return total
        return total.index_add_(channel, self.outputs, codes)


class BlockReads(Reads):
    """Any layout: the tiles in blocks, each a batched product with the inputs of its rows."""

    def __init__(self, placement: Placement, readout: Readout, blocks: Iterable[ProgrammedTiles], like: Tensor) -> None:
        super().__init__(placement, readout)
        self.window, selected = placement.window, iter(placement.selected_columns.tolist())
        self.blocks = nn.ModuleList(
            Block(readout, tiles, list(itertools.islice(selected, len(tiles.inputs))), like) for tiles in blocks
        )

    def forward(self, u: Tensor) -> Tensor:
        """Input codes (..., channels, *map) to sums of output codes (..., outputs, *map)."""
        single = u.dim() == self.geometry.dims + 1
        u = u[None] if single else u
        patches = window_inputs(self.window, u)
        total = patches.new_zeros(self.window.outputs + 1, *patches.shape[1:])
        for block in cast(Iterable[Block], self.blocks):
            for part in block.parts(patches[0].numel()):
                codes = block(part, patches, self.normals)
                total.index_add_(0, block.outputs[part].flatten(), codes.view(-1, *patches.shape[1:]))
        y = window_outputs(self.window, total[:-1], self.geometry.output_size(tuple(u.shape[2:])))
        return y[0] if single else y


class Block(Columns):
    """Some tiles that are read at once."""

    inputs: Tensor  #: (tiles, n) which input of a pass drives a row
    outputs: Tensor  #: (tiles, m) which output a column adds to

    def __init__(self, readout: Readout, tiles: ProgrammedTiles, selected: list[int], like: Tensor) -> None:
        super().__init__(
            readout, tiles, operand=lambda values: values.to(like), by_line=lambda values: values[:, :, None].to(like)
        )
        self.selected = selected  #: columns of each tile
        self.register_buffer("inputs", tiles.inputs.to(like.device, torch.int32))
        self.register_buffer("outputs", tiles.outputs.to(like.device, torch.int32))

    def parts(self, reads: int) -> Iterator[slice]:
        """Parts of the tiles that can be read at once so many times, as far as `BLOCK_VALUES` allows."""
        tiles, rows = self.inputs.shape
        at_once = max(1, BLOCK_VALUES // max(1, (rows + 2 * self.outputs.shape[1]) * reads))
        return (slice(first, first + at_once) for first in range(0, tiles, at_once))

    def forward(self, part: slice, patches: Tensor, normals: Normals) -> Tensor:
        """The digital results (tiles, columns, reads), in ADC codes, of some tiles; see `window_inputs` for patches."""
        x = patches[self.inputs[part]].flatten(2)
        codes = torch.bmm(self.signal[part], _side_by_side(self.readout.terms(x)))
        if self.variance is not None:
            noise = torch.bmm(self.variance[part], _side_by_side(self.readout.terms(x, squared=True)))
            noise.clamp_(min=0).sqrt_().mul_(self._drawn(noise, self.selected[part], patches.shape[1:], normals))
            codes += self._subtract(noise) if self.readout.shared_noise else noise
        codes = self.convert(codes, part)
        return codes if self.readout.converter == "pair" else self._subtract(codes)

    def _drawn(self, like: Tensor, selected: list[int], reads: tuple[int, ...], normals: Normals) -> Tensor:
        """One call for each tile: a normal for each of its selected columns, then for what stands behind them."""
        drawn, columns = like.new_zeros(like.shape), self.outputs.shape[1]
        for here, count in zip(drawn, selected, strict=True):
            behind = len(here) - columns if self.readout.offset else (count if len(here) > columns else 0)
            z = normals((count + behind, *reads), like.device).to(like.dtype).flatten(1)
            here[:count] = z[:count]
            here[columns : columns + behind] = z[count:]
        return drawn

    def _subtract(self, values: Tensor) -> Tensor:
        """Columns minus their negative column, or their tile's reference, which stand behind them."""
        columns = self.outputs.shape[1]
        return values[:, :columns] - values[:, columns:]


def _side_by_side(terms: list[Tensor]) -> Tensor:
    """Terms (tiles, n, reads) of a sum, (tiles, terms * n, reads)."""
    return terms[0] if len(terms) == 1 else torch.cat(terms, 1)
