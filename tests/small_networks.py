"""What tests of mapped networks share: small tiles, seeded layers and inputs, a relative tolerance."""

import torch
from torch import Tensor

from memlib import Tile

OFF = Tile(rows=10, cols=4, dac_bits=None, adc_bits=None)


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
