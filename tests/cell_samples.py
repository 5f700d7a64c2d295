"""Samples of programmed cells, whether they follow a distribution, and models of how they switch."""

from collections import OrderedDict

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from memlib import Device, Hardware, Mapping, Tile, map_network
from memlib.base.random_streams import normals, uniforms
from memlib.cells.static_effects import program_cells
from memlib.cells.switching import VTEAM

CELLS = 20_000
BASE = Device()  # 10 kohm and 100 kohm
OFF = Tile(rows=100, cols=30, dac_bits=None, adc_bits=None)
FAULTS = ("stuck_on", "stuck_off", "unformed")
STATIC = {
    "program_error": 0.1, "d2d_on": 0.1, "d2d_off": 0.1, "stuck_on": 0.1, "stuck_off": 0.1, "unformed": 0.1,
}  # fmt: skip
#: Peaks (V) and period (s) at which each preset switches.
SWEEPS = {
    "strukov_2b": ((1, -1), 3.0),
    "strukov_2c": ((1, -1), 5.0),
    "biolek_5c": ((2, -2), 1.0),
    "vteam_memtorch": ((1, -0.25), 20e-9),
    "vteam_tiox_1": ((2, -1.5), 0.1),
    "stanford_pku": ((1.5, -1.5), 8e-3),
    "tiox_1": ((2, -1.5), 0.2),
    "tiox_2": ((0.8, -0.8), 0.1),
    "taox": ((1, -1.75), 1e-6),
}
LINEAR = VTEAM(
    r_on=1e3, r_off=1e5, w_on=0.0, w_off=3e-9, v_on=-0.5, v_off=0.5, k_on=-2.0, k_off=1.0, alpha_on=1.0, alpha_off=1.0
)
UNIFORM = (*FAULTS, "recombination_tail")


def draw(effect: str, n: int = CELLS) -> Tensor:
    return (uniforms if effect in UNIFORM else normals)((n,), 0, "layer", effect)


def programmed(device: Device, position: float = 1.0, n: int = CELLS) -> np.ndarray:
    """Conductances of n cells whose target is at a relative position in [g_off, g_on]."""
    target = torch.full((n,), device.g_off + position * device.g_range, dtype=torch.float64)
    return program_cells(device, target, lambda effect: draw(effect, n), device.states).numpy()


def matches(sample: np.ndarray, distribution) -> bool:
    """Kolmogorov-Smirnov at a level of 0.1 %: wrong once in a thousand seeds, and these seeds are fixed."""
    return stats.kstest(np.asarray(sample).ravel(), distribution.cdf).pvalue > 1e-3


def ones(inputs: int, outputs: int, names: tuple[str, ...] = ("a",)) -> nn.Module:
    """Linear layers whose weights are all 1: target g_on in the positive cells and g_off in the negative ones."""
    layers = OrderedDict((name, nn.Linear(inputs, outputs, bias=False).double()) for name in names)
    for layer in layers.values():
        nn.init.ones_(layer.weight)
    return nn.Sequential(layers)


def seen_weights(device: Device, scheme: str = "differential", seed: int = 0, names=("a",), shape=(200, 100)) -> dict:
    """The weights that a chip's layers compute with, by layer."""
    network = map_network(ones(*shape, names), Hardware(device, OFF, Mapping(scheme=scheme)), seed=seed)
    unit = torch.eye(shape[0], dtype=torch.float64)
    return {name: layer(unit).numpy() for name, layer in network.layers.items()}
