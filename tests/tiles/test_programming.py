"""Which cells are which: copies, unused and reference cells, and draws that are taken in parts."""

import pytest
import torch
from torch import nn

import memlib.tiles.programming
from memlib import Device, Hardware, Mapping, Tile
from memlib.base.random_streams import normals, uniforms
from memlib.layers.geometry import Geometry
from memlib.mapping.scheme import target_conductances
from memlib.tiles.programming import Programmer

OFF = Tile(rows=16, cols=8, dac_bits=None, adc_bits=None)


def programmer(layer: nn.Module, device: Device, mapping: Mapping, size: tuple[int, ...]) -> Programmer:
    """The cells of one layer."""
    hardware = Hardware(device, OFF, mapping)
    (targets,), _ = target_conductances(layer.weight.detach().double(), device, mapping)
    return Programmer(targets, hardware.place(Geometry.of(layer), (size,)), hardware, 7, "layer")


@pytest.mark.parametrize("chunk", [16, 32, 48])
@pytest.mark.parametrize("width", range(1, 8))
def test_draws_in_parts(monkeypatch, chunk, width):
    """Cells programmed in parts have the draws of one array, whatever is left for the last part."""
    layer, mapping = nn.Conv1d(1, 3, width), Mapping(layout="sparse")
    device = Device(program_error=0.1, unformed=0.2)
    monkeypatch.setattr(memlib.tiles.programming, "CHUNK", chunk)
    cells = programmer(layer, device, mapping, (12,))
    targets = programmer(layer, Device(), mapping, (12,)).used.repeat(1, 13 - width)
    shape = 2, 13 - width, *layer.weight.shape
    z = normals(shape, 7, "layer", "program_error").double().flatten(1)
    failed = uniforms(shape, 7, "layer", "unformed").flatten(1) < 0.2
    expected = torch.where(failed, 0.0, (targets + 0.1 * device.g_range * z).clamp(min=0))
    torch.testing.assert_close(cells.used, expected, rtol=1e-14, atol=0)
