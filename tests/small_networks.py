"""What tests of mapped networks share: small tiles, seeded layers and inputs, a relative tolerance."""

import numpy as np
import torch
from torch import Tensor, nn

from memlib import Device, Hardware, Mapping, Tile, map_network

OFF = Tile(rows=10, cols=4, dac_bits=None, adc_bits=None)
NOISY = Device(d2d_on=0.1, d2d_off=0.2, program_error=0.05, read_noise=0.1)
HARDWARE = {
    "folded": Hardware(NOISY.replace(read_noise=0), OFF),
    "pair": Hardware(NOISY, Tile(rows=10, cols=4)),
    "column, offset": Hardware(NOISY, Tile(rows=10, cols=4, converter="column"), Mapping(scheme="offset")),
    "window": Hardware(NOISY, Tile(rows=10, cols=4), Mapping(layout=(2, 3), order="hwc")),
    "sparse, offset": Hardware(NOISY, Tile(rows=10, cols=4), Mapping(layout="sparse", scheme="offset")),
}


def seeded(create, seed: int = 0):
    """What `create` returns, with torch's random numbers from a fixed seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return create()


def images(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def assert_close(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    """Equal shape and dtype, and values to a tolerance relative to the largest."""
    assert actual.dtype == expected.dtype
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance * float(expected.abs().max()))


def small_network() -> nn.Module:
    """Two convolutions and a linear layer, with batch norm whose statistics are not the initial ones."""
    convolutions = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3)
    network = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(16, 5))
    network[1].running_mean.uniform_(-1, 1)
    network[1].running_var.uniform_(0.5, 2)
    return network


def linear(weights: Tensor) -> nn.Linear:
    """A layer with these weights, (outputs, inputs), and no bias."""
    layer = nn.Linear(*weights.T.shape, bias=False).double()
    layer.weight.data = weights.double().contiguous()
    return layer


def random(*shape: int, seed: int = 0) -> Tensor:
    """Uniform from -1 to 1, float64."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def convolution() -> nn.Conv2d:
    """2 to 3 channels, 3x3, no padding: 18 x 3 weights."""
    return seeded(lambda: nn.Conv2d(2, 3, 3))


def three_layers() -> nn.Module:
    """For images of 3x16x16: signed input, then unsigned, then signed again; float64."""

    def create() -> nn.Module:
        layers = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 8, 3, stride=2), nn.Flatten(), nn.Linear(392, 5)
        return nn.Sequential(*layers)

    return seeded(create).double().requires_grad_(False)


def uneven_images(n: int = 40) -> Tensor:
    """Signed images (n, 3, 16, 16); the last one is the largest."""
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((n, 3, 16, 16)))
    x[-1] *= 3
    return x


def mapped(weights, tile: Tile, calibration, device: Device | None = None, scheme: str = "differential"):
    """The one analog layer of x @ weights, NumPy arrays (inputs, outputs), without a bias."""
    hardware = Hardware(device or Device(), tile, Mapping(scheme=scheme))
    return map_network(linear(torch.from_numpy(weights).T), hardware, torch.as_tensor(calibration).double()).layers[""]
