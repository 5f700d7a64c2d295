"""Samples of programmed cells, and whether they follow a distribution."""

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from memlib import Device
from memlib.base.random_streams import normals, uniforms
from memlib.cells.static_effects import program_cells

CELLS = 20_000
BASE = Device()  # 10 kohm and 100 kohm
UNIFORM = ("stuck_on", "stuck_off", "unformed", "recombination_tail")


def draw(effect: str, n: int = CELLS) -> Tensor:
    return (uniforms if effect in UNIFORM else normals)((n,), 0, "layer", effect)


def programmed(device: Device, position: float = 1.0, n: int = CELLS) -> np.ndarray:
    """Conductances of n cells whose target is at a relative position in [g_off, g_on]."""
    target = torch.full((n,), device.g_off + position * device.g_range, dtype=torch.float64)
    return program_cells(device, target, lambda effect: draw(effect, n), device.states).numpy()


def matches(sample: np.ndarray, distribution) -> bool:
    """Kolmogorov-Smirnov at a level of 0.1 %: wrong once in a thousand seeds, and these seeds are fixed."""
    return stats.kstest(np.asarray(sample).ravel(), distribution.cdf).pvalue > 1e-3
