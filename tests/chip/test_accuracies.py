"""Accuracies need one label for each image."""

import pytest
import torch
from messages import raises
from small_networks import small_network
from torch import nn

from memlib import Hardware, accuracy


@pytest.mark.parametrize("shape", [(), (0,), (3,), (5,), (4, 0), (3, 1), (4, 1, 1)])
def test_labels(shape):
    """One label for each image."""
    images, labels = torch.zeros(4, 3, 6, 6), torch.zeros(shape, dtype=torch.long)
    call = lambda: accuracy(small_network(), Hardware(), images, labels, calibration=images)  # noqa: E731
    raises(ValueError, call, f"labels={shape}", "4 images")


def test_labels_of_other_shapes_and_one_logit_are_the_same_classes():
    """On chips: of four images, one label is wrong. The logit is the difference of the two classes' outputs."""
    images = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.0], [0.0, 0.5]])
    two, one = nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        two.weight.copy_(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
        one.weight.copy_(torch.tensor([[-1.0, 1.0]]))
    labels = torch.tensor([0, 1, 0, 0])
    for model in (two, one):
        for given in (labels, labels[:, None], nn.functional.one_hot(labels), labels.bool()):
            assert accuracy(model, Hardware(), images, given, calibration=images, seeds=[0, 1]).tolist() == [0.75] * 2
