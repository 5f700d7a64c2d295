"""Maps cut into passes: the inputs of every window, and its outputs put back in their places."""

import torch
from torch import Tensor
from torch.nn import functional as F

from memlib.mapping.window import Window


def window_inputs(window: Window, x: Tensor) -> Tensor:
    """The inputs of every pass: (n, channels, *map) -> (inputs + 1, n, *passes), the last of them 0."""
    g, size = window.geometry, tuple(x.shape[2:])
    if not g.dims:
        x = x.movedim(-1, 0)
        return torch.cat((x, x.new_zeros(1, *x.shape[1:])))
    passes = window.passes(size)
    x = g.pad_all(x)
    sizes = zip(passes, window.shape, g.stride, window.offsets, x.shape[2:], strict=True)
    beyond = [max(0, (n - 1) * h * step + int(o[-1]) + 1 - have) for n, h, step, o, have in sizes]
    x = F.pad(x, [amount for b in reversed(beyond) for amount in (0, b)])
    for d, (offsets, count) in enumerate(zip(window.offsets, passes, strict=True)):
        starts = torch.arange(count) * (window.shape[d] * g.stride[d])
        where = (torch.from_numpy(offsets)[:, None] + starts).flatten().to(x.device)
        x = x.index_select(2 + 2 * d, where).unflatten(2 + 2 * d, (len(offsets), count))
    x = x.permute(1, *range(2, x.dim(), 2), 0, *range(3, x.dim(), 2))
    result = x.new_zeros(window.inputs + 1, x.shape[1 + g.dims], *passes)
    result[:-1].view(x.shape).copy_(x)
    return result


def window_outputs(window: Window, y: Tensor, size: tuple[int, ...]) -> Tensor:
    """The outputs of every pass in their places, surplus ones dropped: (outputs, n, *passes) -> (n, channels, *map)."""
    g, dims = window.geometry, window.geometry.dims
    y = y.unflatten(0, (g.outputs, *window.shape)).movedim(1 + dims, 0)  # (n, channels, *window, *passes)
    order = [axis for d in range(dims) for axis in (2 + dims + d, 2 + d)]
    y = y.permute(0, 1, *order)
    y = y.reshape(*y.shape[:2], *(y.shape[2 + 2 * d] * y.shape[3 + 2 * d] for d in range(dims)))
    for d, n in enumerate(size, start=2):
        y = y.narrow(d, 0, n)
    return y


def over_map(window: Window, values: Tensor, y: Tensor) -> Tensor:
    """Values (outputs, *window) of the columns of a pass, for every output of a map (..., outputs, *map) like `y`."""
    for d, h in enumerate(window.shape, start=1):
        if h > 1:
            n = y.shape[d - 1 - len(window.shape)]
            values = values.index_select(d, torch.arange(n, device=values.device) % h)
    return values
