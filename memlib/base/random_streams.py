"""Named random streams: every draw belongs to a name, never to an order of calls.

A stream is named by the device seed, the layer, the effect and, for cells outside the weights, the tile. Names are
hashed to the seed of a generator of their own, so changing one layer or effect changes no other. Static draws are made
on the CPU in float32, whatever device the model is on, so that a chip is the same everywhere.
"""

import hashlib
import json

import torch
from torch import Tensor

SEED_LIMIT = 2**63


def stream_seed(*name: str | int) -> int:
    """The seed in [0, 2**63) of the stream with this name (SHA-256 of the name).

    torch's CPU generator keeps 32 bits of a seed: of n streams, about n^2/2^33 pairs coincide by chance. The sparse
    ResNet-20, with a stream for each of 4,700 pairs of tiles and each effect, has 0.1 such pairs of tiles in a chip.
    """
    digest = hashlib.sha256(json.dumps(name, default=int).encode()).digest()
    return int.from_bytes(digest[:8], "big") % SEED_LIMIT


def generator(*name: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator at the start of the named stream."""
    return torch.Generator(device).manual_seed(stream_seed(*name))


def normals(shape: tuple[int, ...], *name: str | int) -> Tensor:
    """Standard normals of the named stream: float32, `shape`, on the CPU."""
    return torch.randn(shape, generator=generator(*name))


def uniforms(shape: tuple[int, ...], *name: str | int) -> Tensor:
    """Uniforms in [0, 1) of the named stream: float32, `shape`, on the CPU."""
    return torch.rand(shape, generator=generator(*name))
