"""Which images a network classifies correctly."""

import torch
from torch import Tensor, nn

BATCH = 100  #: images per forward pass; read noise is drawn forward by forward, so results depend on it


@torch.inference_mode()
def correct(model: nn.Module, images: Tensor, labels: Tensor, batch: int = BATCH) -> Tensor:
    """Which images (n, *input shape) with labels (n,) are classified correctly: (n,) bool."""
    hits = [model(x).argmax(1) == y for x, y in zip(images.split(batch), labels.split(batch), strict=True)]
    return torch.cat(hits)
