"""What the loss formula needs of a network: the error of its cells, and what wires cost it."""

import math

import pytest
import torch
from torch import nn

from memlib.cells.device import Device
from memlib.exploration import severity
from memlib.mapping.hardware import Hardware
from memlib.mapping.plan import plan_chip
from memlib.tiles.programming import program_slices


@pytest.fixture(scope="module")
def model() -> nn.Module:
    """Convolutions and a linear layer with random weights; no checkpoint of the project."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.Flatten()
        return nn.Sequential(*layers, nn.Linear(32 * 8 * 8, 10)).eval()


SHAPE = (3, 16, 16)


def test_the_error_of_cells_is_that_of_each_effect(model):
    def error(**effects):
        return severity.cell_error(model, Device(**effects))

    assert error() == 0
    assert error(program_error=0.02) == pytest.approx(0.02, rel=0.02)
    # stuck at LRS, half of all cells, at HRS, are wrong by 1, and the others, spread evenly, by 1/3 in the square
    assert error(stuck_on=0.1) == pytest.approx(math.sqrt(0.1 * (1 + 1 / 3) / 2), rel=0.1)
    # levels 1/8 of the range apart: half of the cells are wrong by up to 1/16, uniformly, and those at HRS are right
    assert error(states=9) == pytest.approx(1 / 8 / math.sqrt(12) / math.sqrt(2), rel=0.05)
    both, noise = error(program_error=0.02, read_noise=0.1), error(read_noise=0.1)
    assert both == pytest.approx(math.hypot(0.02, noise), rel=0.03)


def test_noise_of_reads_by_hand():
    device = Device(r_on=10e3, r_off=100e3, read_noise=0.1)
    g = torch.tensor([device.g_off, device.g_on], dtype=torch.float64)
    # 10 and 100 uS, read to 1 and 10 uS
    torch.testing.assert_close(device.noise_variance(g).sqrt(), torch.tensor([1e-6, 1e-5], dtype=torch.float64))


@pytest.mark.parametrize("layout", ["dense", "4x4"])
def test_share_per_ohm_is_what_wires_cost_all_tiles(model, layout, monkeypatch):
    """Of all tiles, against exact solutions of arrays with little resistance; and of a sample of them."""
    ohms, shares = 1e-3, []
    wired = Hardware.of(layout=layout, unused="unformed", rows=32, cols=32, r_row=ohms, r_col=ohms)
    sampled = severity.share_per_ohm(model, SHAPE, wired)
    monkeypatch.setattr(severity, "SAMPLED_TILES", 10**4)
    found = severity.share_per_ohm(model, SHAPE, wired)
    assert sampled == pytest.approx(found, rel=0.1)
    for layer in plan_chip(model, wired, SHAPE).values():
        (programmer,) = program_slices(layer)
        blocks = list(programmer.blocks())
        reach, bare = (sum(float(getattr(b, kind).sum()) for b in blocks) for kind in ("effective", "cells"))
        shares.append(1 - reach / bare)
    assert found * ohms == pytest.approx(sum(shares) / len(shares), rel=1e-3)
