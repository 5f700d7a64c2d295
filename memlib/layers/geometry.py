"""The shape of a matrix layer, and its product with any weight of that shape."""

import math
from dataclasses import dataclass
from typing import get_args

from torch import Tensor, nn
from torch.nn import functional as F

Size = tuple[int, ...]  #: of a map, per dimension
MatrixLayer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d  #: what tiles compute, by exact type
MATRIX_LAYERS = get_args(MatrixLayer)


def along_first(values: Tensor, like: Tensor) -> Tensor:
    """Values (n,) in the shape that broadcasts against `like`, (n, ...): one for each output of a weight."""
    return values.view(-1, *[1] * (like.dim() - 1))


@dataclass(frozen=True)
class Geometry:
    """Shape of a Linear (no kernel) or Conv1d/2d/3d layer, and its product with any weight of that shape."""

    outputs: int
    inputs: int  #: input channels
    groups: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  #: before and after, per dimension
    padding_mode: str

    @classmethod
    def of(cls, module: MatrixLayer) -> "Geometry":
        """The geometry of a torch layer."""
        if isinstance(module, nn.Linear):
            return cls(module.out_features, module.in_features, 1, (), (), (), (), "zeros")
        flat = module._reversed_padding_repeated_twice  # torch resolves 'same' and ints to this, last dimension first
        padding = tuple(zip(flat[::2], flat[1::2], strict=True))[::-1]
        sizes = (module.kernel_size, module.stride, module.dilation)
        return cls(module.out_channels, module.in_channels, module.groups, *sizes, padding, module.padding_mode)

    @property
    def dims(self) -> int:
        """Number of spatial dimensions."""
        return len(self.kernel)

    @property
    def channel(self) -> int:
        """The dimension of channels, or of a linear layer's features, of inputs and outputs, from the end."""
        return -1 - self.dims

    @property
    def positions(self) -> int:
        """Kernel positions per input channel."""
        return math.prod(self.kernel)

    def output_size(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """Size of the output map for an input map of this size."""
        dimensions = zip(size, self.padding, self.kernel, self.stride, self.dilation, strict=True)
        return tuple((n + sum(pad) - gap * (k - 1) - 1) // step + 1 for n, pad, k, step, gap in dimensions)

    def by_output(self, values: Tensor) -> Tensor:
        """Values (outputs,) in the shape that broadcasts against outputs (..., outputs, *map)."""
        return values.view(-1, *[1] * self.dims)

    def channels(self, x: Tensor, first: int, count: int) -> Tensor:
        """Some of the channels of an input (..., channels, *spatial), or features of (..., features)."""
        return x.narrow(self.channel, first, count)

    def pad(self, x: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """Pad what a convolution cannot pad itself; returns the input and the padding left to the convolution."""
        symmetric = all(before == after for before, after in self.padding)
        if self.padding_mode == "zeros" and symmetric:
            return x, tuple(before for before, _ in self.padding)
        return self.pad_all(x), (0,) * self.dims

    def pad_all(self, x: Tensor) -> Tensor:
        """Pad with this layer's mode."""
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        return F.pad(x, [amount for pair in reversed(self.padding) for amount in pair], mode=mode)

    def product(
        self, x: Tensor, weight: Tensor, padding: tuple[int, ...], groups: int = 1, bias: Tensor | None = None
    ) -> Tensor:
        """The layer's matrix product of an already padded `x` with any weight of this kernel size."""
        if not self.dims:
            return F.linear(x, weight, bias)
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self.dims - 1]
        return convolve(x, weight, bias, self.stride, padding, self.dilation, groups)

    def patches(self, x: Tensor) -> Tensor:
        """The inputs of every pass: (..., channels, *spatial) -> (..., *passes, channels, *kernel), a view."""
        if not self.dims:
            return x
        x = self.pad_all(x)
        for size, step, gap in zip(self.kernel, self.stride, self.dilation, strict=True):
            x = x.unfold(-self.dims, (size - 1) * gap + 1, step)[..., ::gap]  # moves its kernel positions to the end
        return x.movedim(-1 - 2 * self.dims, -1 - self.dims)
