"""Which cells are which: copies, unused and reference cells, and draws that are taken in parts."""

import numpy as np
import pytest
import torch
from torch import nn

import memlib.tiles.programming
from memlib import Device, Hardware, Mapping, Tile, map_network
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


def test_every_copy_has_devices_of_its_own():
    """On a constant image, the dense layout errs alike everywhere, a window alike from pass to pass, sparse never."""
    layer, device = nn.Conv2d(1, 1, 2, bias=False).double(), Device(d2d_on=0.2, d2d_off=0.2)
    x = torch.ones(1, 1, 7, 7, dtype=torch.float64)
    for layout, kinds in (("dense", 1), ((2, 3), 6), ("sparse", 36)):
        y = map_network(layer, Hardware(device, OFF, Mapping(layout=layout)), input_shape=(1, 7, 7))(x)[0, 0]
        assert len(np.unique(y.numpy().round(9))) == kinds
        if layout == (2, 3):
            assert torch.allclose(y[:2, :3], y[4:, 3:])


def test_reordering_keeps_the_devices():
    """The cells that hold weights are the same in every order; without unused cells, so is the result."""
    layer, device = nn.Conv2d(2, 3, 3, padding=1).double(), Device(d2d_on=0.2, program_error=0.1)
    x = torch.randn(2, 2, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    results = [
        map_network(layer, Hardware(device, OFF, Mapping("sparse", order=o, unused="unformed")), input_shape=(2, 5, 5))(
            x
        )
        for o in ("chw", "hwc", "packed")
    ]
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("scheme", ["differential", "offset"])
def test_unused_and_reference_cells_are_distributed_as_the_device_says(scheme):
    """Their conductances are those of cells programmed to the zero state: lognormal at g_off, normal around g_mid."""
    device = Device(d2d_off=0.3) if scheme == "differential" else Device(program_error=0.02)
    layer = nn.Conv2d(8, 8, 3, padding=1, groups=8)
    cells = programmer(layer, device, Mapping(layout="sparse", order="chw", scheme=scheme), (16, 16))
    found = []
    for tiles in cells.blocks():
        weights = torch.from_numpy(cells.placement.weights(tiles.inputs.numpy(), tiles.outputs.numpy())).mT
        real = (tiles.inputs < cells.placement.window.inputs)[:, None, :] & (
            tiles.outputs < cells.placement.window.outputs
        )[:, :, None]
        found.append(tiles.cells[:, :, : real.shape[1]][:, real & (weights < 0)].flatten())
        if scheme == "offset":
            found.append(tiles.cells[0, :, -1][tiles.inputs < cells.placement.window.inputs])
    g = torch.cat(found)
    assert len(g) > 10_000
    if scheme == "differential":
        z = -(g / device.g_off).log() / np.sqrt(np.log1p(0.3**2))
    else:
        z = (g - (device.g_on + device.g_off) / 2) / (0.02 * device.g_range)
    for q in (0.05, 0.25, 0.5, 0.75, 0.95):
        level = float(torch.special.ndtri(torch.tensor(q)))
        assert float((z < level).double().mean()) == pytest.approx(q, abs=0.02)
