"""Binary weights by hand."""

import torch
from torch import nn

from memlib.training import binary


def test_straight_through_by_hand():
    """Signs times the mean magnitude; the gradient is that of the weights used."""
    layer = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.5, -1.5], [0.0, 2.0]]))
    binary.binarise(layer)
    assert layer.weight.tolist() == [[1, -1], [1, 1]]
    (layer.weight * torch.tensor([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
    assert layer.parametrizations.weight.original.grad.tolist() == [[1, 2], [3, 4]]
    binary.settle(layer)
    assert layer.weight.tolist() == [[1, -1], [1, 1]]
