"""What the loss formula needs to know of a network on a device: the error of its cells, and what wires cost it."""

import math

import numpy as np
import torch
from torch import nn

from memlib.cells.device import Device
from memlib.cells.static_effects import named_draws, program_cells
from memlib.layers.mappable import matrix_layers
from memlib.mapping.hardware import Hardware
from memlib.mapping.plan import plan_chip
from memlib.mapping.scheme import Mapping, target_conductances, usable_states
from memlib.tiles.programming import program_slices
from memlib.wires.first_order import lost_share

SAMPLED_TILES = 8  #: tiles of a layer that say what wires cost


def cell_error(model: nn.Module, device: Device) -> float:
    """The root mean square error of a network's cells, relative to g_on - g_off: the `severity` of the loss formula.

    Of all cells that hold a weight, in differential pairs, each layer with equal weight. Static errors and read noise
    are added in quadrature. What all cells have in common, such as drift, counts like what each has of its own.
    """
    squares = []
    for name, layer in matrix_layers(model).items():
        (target,), _ = target_conductances(layer.weight.detach().double(), device, Mapping())
        states = usable_states(device.states, "differential")
        g = program_cells(device, target, named_draws(target.shape, 0, name), states)
        squares.append(float(((g - target) ** 2 + device.noise_variance(g)).mean()) / device.g_range**2)
    return math.sqrt(sum(squares) / len(squares))


def share_per_ohm(model: nn.Module, input_shape: tuple[int, ...], hardware: Hardware) -> float:
    """The share of the current that wires of 1 ohm a segment would cost, to first order: see `first_order.lost_share`.

    Times the wires' resistance it is the `wire_share` of the loss formula. The mean over layers, of each over at most
    `SAMPLED_TILES` of its tiles, with ideal cells; resistances of the tile are passed over.

    Args:
        input_shape: of one image, such as (3, 32, 32).
    """
    shares = []
    for layer in plan_chip(model, hardware.design(), input_shape).values():
        chosen = np.unique(np.linspace(0, len(layer.placement) - 1, SAMPLED_TILES).astype(int))
        slices = program_slices(layer)
        cells = torch.cat([programmer.block(np.array([i])).array(0) for programmer in slices for i in chosen])
        current = cells.sum((-2, -1))
        shares.append(float((lost_share(cells) * current).sum() / current.sum()))
    return sum(shares) / len(shares)
