"""The packed order of the sparse layout: rectangles of outputs that need the fewest tiles."""

import itertools
import math
from collections.abc import Iterator

import numpy as np

from memlib.layers.geometry import Geometry, Size
from memlib.mapping.window import Window


def rectangles(window: Window, alive: np.ndarray, rows: int, cols: int) -> Iterator[np.ndarray]:
    """The outputs of each column group of the packed order, by channel block and then by place."""
    *lengths, channels = rectangle(window, alive, rows, cols)
    numbers = np.arange(window.outputs).reshape(-1, *window.shape)
    steps = (channels, *lengths)
    for starts in itertools.product(*(range(0, n, step) for n, step in zip(numbers.shape, steps, strict=True))):
        part = tuple(slice(start, start + step) for start, step in zip(starts, steps, strict=True))
        yield numbers[part].ravel()


def rectangle(window: Window, alive: np.ndarray, rows: int, cols: int) -> Size:
    """The rectangle of outputs, (..., h, w, channels), that needs the fewest tiles in the packed order.

    Ties: the fewest rows summed over all column groups, then the smallest h, w and channels.
    """
    g, dims = window.geometry, window.geometry.dims
    lines = _lines_read(window, alive)
    best: tuple = ()
    limits = (*[1] * (dims - 2), *window.shape[-2:], g.outputs)
    tables = [_line_counts(lines[d], limits[d], cols) for d in range(dims)]
    blocks = {c: _channel_counts(g, c) for c in range(1, min(cols, g.outputs) + 1)}
    for lengths in itertools.product(*(range(1, min(limit, cols) + 1) for limit in limits[:-1])):
        if math.prod(lengths) > cols:
            continue
        need, times = np.ones(1, np.int64), np.ones(1, np.int64)
        for table, length in zip(tables, lengths, strict=True):
            need, times = (np.multiply.outer(a, b).ravel() for a, b in zip((need, times), table[length], strict=True))
        for channels in range(1, min(g.outputs, cols // math.prod(lengths)) + 1):
            width, count = blocks[channels]
            total = np.multiply.outer(need, width)
            weight = np.multiply.outer(times, count)
            tiles, summed = int((-(-total // rows) * weight).sum()), int((total * weight).sum())
            best = min(best or (math.inf,), (tiles, summed, *lengths, channels))
    return best[2:]


def _lines_read(window: Window, alive: np.ndarray) -> list[np.ndarray]:
    """Per dimension, (outputs, offsets) whether an output reads there anything but padding."""
    grid = alive.reshape([len(o) for o in window.offsets])
    axes = range(grid.ndim)
    kept = [np.any(grid, tuple(a for a in axes if a != d)) for d in axes]  # padding is a product of the dimensions'
    numbers = [(np.arange(len(line)), np.arange(h)[:, None]) for line, h in zip(kept, window.shape, strict=True)]
    return [(window.taps(d, *here) >= 0) & line for d, (here, line) in enumerate(zip(numbers, kept, strict=True))]


def _line_counts(reads: np.ndarray, limit: int, cols: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each length, the distinct numbers of inputs that rectangles of it read along one dimension, and how often."""
    tables = [(np.zeros(0), np.zeros(0))]
    for length in range(1, min(limit, cols) + 1):
        starts = np.arange(0, len(reads), length)
        tables.append(np.unique(np.logical_or.reduceat(reads, starts).sum(1), return_counts=True))
    return tables


def _channel_counts(g: Geometry, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct numbers of input channels that blocks of this many output channels read, and how often."""
    per_group = g.outputs // g.groups
    starts = np.arange(0, g.outputs, channels)
    last = np.minimum(starts + channels, g.outputs) - 1
    return np.unique((last // per_group - starts // per_group + 1) * (g.inputs // g.groups), return_counts=True)
