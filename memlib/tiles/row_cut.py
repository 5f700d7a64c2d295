"""A row cut of the dense layout as a convolution with some of the input channels."""

from dataclasses import dataclass

import torch
from torch import Tensor

from memlib.layers.geometry import Geometry
from memlib.mapping.window import Window
from memlib.tiles.conductances import ProgrammedTiles


@dataclass(frozen=True)
class Cut:
    """How one row cut meets the input and the output."""

    first: int  #: its first input channel
    channels: int  #: how many input channels it reads
    per_channel: int  #: inputs of a pass for each of them
    inputs: Tensor  #: (tiles, n) of each row, counted from its first channel's; one too many for a row of padding
    width: int  #: columns of each tile, real or not
    outputs: Tensor  #: (columns,) the output channels that its columns add to, ascending
    lines: tuple[Tensor, Tensor]  #: (columns,) tile, and column there, of each
    all_outputs: bool  #: whether these are all outputs of the layer
    contiguous: bool

    @classmethod
    def of(cls, tiles: ProgrammedTiles, window: Window) -> "Cut":
        """The cut that consists of these tiles."""
        per_channel, count = window.places_count, window.inputs
        real = tiles.inputs[tiles.inputs < count]
        first, last = int(real.min()) // per_channel, int(real.max()) // per_channel
        channels = last - first + 1
        tile, column = torch.nonzero(tiles.outputs < window.outputs, as_tuple=True)
        outputs = tiles.outputs[tile, column]
        inputs = torch.where(tiles.inputs < count, tiles.inputs - first * per_channel, channels * per_channel)
        contiguous = bool((outputs.diff() == 1).all())
        everything = contiguous and len(outputs) == window.outputs
        width, lines = tiles.outputs.shape[1], (tile, column)
        return cls(first, channels, per_channel, inputs, width, outputs, lines, everything, contiguous)

    def lines_of(self, values: Tensor, offset: bool) -> Tensor:
        """Values (tiles, lines, ...) of these tiles side by side: (lines, ...).

        Its lines: all columns, and then all negative columns or all references, if any stand behind a tile's columns.
        """
        tile, column = self.lines
        lines = [values[tile, column]]
        if values.shape[1] > self.width:
            lines.append(values[:, self.width] if offset else values[tile, self.width + column])
        return torch.cat(lines)

    def matrix(self, values: Tensor, offset: bool) -> Tensor:
        """The same of values (tiles, lines, n) of rows: (lines, inputs from the first channel's on)."""
        lines = self.lines_of(values, offset)
        inputs = self.lines_of(self.inputs[:, None].expand(-1, values.shape[1], -1), offset)
        matrix = torch.zeros(len(lines), self.channels * self.per_channel + 1, dtype=torch.float64)
        return matrix.scatter_(1, inputs, lines)[:, :-1]

    def kernels(self, values: Tensor, offset: bool, geometry: Geometry, like: Tensor) -> Tensor:
        """The same as kernels of convolutions, (terms, lines, channels, *kernel), of values for each term."""
        terms = [self.matrix(term, offset) for term in values.split(self.inputs.shape[1], -1)]
        kernels = [as_kernel(term.reshape(-1, self.channels, *geometry.kernel), like) for term in terms]
        if geometry.dims < 2:
            return torch.stack(kernels)
        return torch.stack([kernel.movedim(1, -1) for kernel in kernels]).movedim(-1, 2)  # each with its channels last


def as_kernel(values: Tensor, like: Tensor) -> Tensor:
    """A kernel in the layer's dtype and on its device; channels last, in which slices of channels convolve fastest."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return values.to(like).contiguous(memory_format=formats.get(values.dim(), torch.contiguous_format))
