"""The outputs that one pass computes: of one position (dense), of some (a window), or of the whole map (sparse)."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from memlib.base.checks import fail
from memlib.layers.geometry import Geometry, Size


@dataclass(frozen=True)
class Window:
    """The outputs that one pass computes, and the inputs that they read.

    Windows start at multiples of their shape. An input of a pass is numbered (channel, *place), with the place counted
    along `offsets`; an output (channel, *position in the window).
    """

    geometry: Geometry
    shape: Size  #: outputs of a pass, per dimension

    @cached_property
    def offsets(self) -> tuple[np.ndarray, ...]:
        """Per dimension, the distances from the window's origin, in the padded map, at which some output reads."""
        return tuple(np.unique(reads) for reads in self._reads())

    def _reads(self) -> list[np.ndarray]:
        """Per dimension, (outputs, kernel): the distance from the origin that an output reads."""
        g = self.geometry
        sizes = zip(self.shape, g.kernel, g.stride, g.dilation, strict=True)
        return [np.arange(h)[:, None] * step + np.arange(k) * gap for h, k, step, gap in sizes]

    def taps(self, d: int, offset: np.ndarray, output: np.ndarray) -> np.ndarray:
        """Which kernel position outputs use at numbered offsets of dimension `d`, -1 for none; both broadcast."""
        g = self.geometry
        distance = self.offsets[d].astype(np.int32)[offset] - (output * g.stride[d]).astype(np.int32)
        tap = distance // g.dilation[d]
        return np.where((distance >= 0) & (tap < g.kernel[d]) & (tap * g.dilation[d] == distance), tap, -1)

    @cached_property
    def places(self) -> np.ndarray:
        """(copies, kernel positions): the place that each output of the window reads with each kernel position."""
        grids = [np.searchsorted(o, reads) for o, reads in zip(self.offsets, self._reads(), strict=True)]
        result = np.zeros((1, 1), np.int64)
        for offsets, grid in zip(self.offsets, grids, strict=True):
            result = result[:, None, :, None] * len(offsets) + grid[None, :, None, :]
            result = result.reshape(result.shape[0] * result.shape[1], -1)
        return result

    @property
    def copies(self) -> int:
        """Outputs of a pass for each output channel: copies of each kernel."""
        return math.prod(self.shape)

    @property
    def places_count(self) -> int:
        """Inputs of a pass for each input channel."""
        return math.prod(map(len, self.offsets))

    @property
    def inputs(self) -> int:
        """Inputs of a pass."""
        return self.geometry.inputs * self.places_count

    @property
    def outputs(self) -> int:
        """Outputs of a pass."""
        return self.geometry.outputs * self.copies

    def passes(self, size: Size) -> Size:
        """Passes per dimension over an input map of this size."""
        return tuple(-(-n // h) for n, h in zip(self.geometry.output_size(size), self.shape, strict=True))

    def alive(self, size: Size) -> np.ndarray:
        """(places,) whether a place is anything but zero padding, or beyond the padded map, in some pass."""
        alive = np.ones(1, bool)
        for d, (n, count) in enumerate(zip(size, self.passes(size), strict=True)):
            first = self.geometry.padding[d][0] if self.geometry.padding_mode == "zeros" else 0
            last = first + n if self.geometry.padding_mode == "zeros" else n + sum(self.geometry.padding[d])
            where = self.offsets[d][:, None] + np.arange(count) * (self.shape[d] * self.geometry.stride[d])
            alive = np.logical_and.outer(alive, ((where >= first) & (where < last)).any(1)).ravel()
        return alive

    def converted(self, size: Size) -> np.ndarray:
        """(copies, passes) whether an output lies on the map; the surplus outputs of the last windows do not."""
        result = np.ones((1, 1), bool)
        for h, n, count in zip(self.shape, self.geometry.output_size(size), self.passes(size), strict=True):
            here = np.arange(h)[:, None] + np.arange(count) * h < n
            result = (result[:, None, :, None] & here[None, :, None, :]).reshape(len(result) * h, -1)
        return result


def alive_places(window: Window, sizes: tuple[Size, ...]) -> np.ndarray:
    """(places,) the inputs that are not zero in every pass over every map; all if the maps are not known."""
    if not sizes:
        return np.ones(window.places_count, bool)
    return np.logical_or.reduce([window.alive(size) for size in sizes])


def window_of(geometry: Geometry, layout: str | tuple[int, int], sizes: tuple[Size, ...]) -> Window:
    """The window of a layout: of one output (dense), of the whole map (sparse), or (h, w), clipped to the map.

    One-dimensional layers use w, three-dimensional ones a depth of 1. Raises ValueError if it depends on the input map,
    whose size is not known or changes from call to call.
    """
    if layout == "dense" or not geometry.dims:
        return Window(geometry, (1,) * geometry.dims)
    if not sizes:
        fail("layout", layout, "'dense' where the size of the input map is not known; pass calibration or input_shape")
    shapes = set()
    for size in sizes:
        whole = geometry.output_size(size)
        wanted = whole if layout == "sparse" else ((1, *layout) if geometry.dims == 3 else layout)[-geometry.dims :]
        shapes.add(tuple(map(min, wanted, whole)))
    if len(shapes) > 1 or (layout == "sparse" and len(sizes) > 1):
        fail("layout", layout, f"'dense' for a layer that is called with maps of different sizes {sorted(sizes)}")
    return Window(geometry, shapes.pop())
