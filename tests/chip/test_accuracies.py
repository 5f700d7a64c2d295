"""Accuracies need one label for each image."""

import pytest
import torch
from messages import raises
from small_networks import small_network

from memlib import Hardware, accuracy


@pytest.mark.parametrize("shape", [(0,), (3,), (5,), (4, 1)])
def test_labels(shape):
    """One label for each image."""
    images, labels = torch.zeros(4, 3, 6, 6), torch.zeros(shape, dtype=torch.long)
    call = lambda: accuracy(small_network(), Hardware(), images, labels, calibration=images)  # noqa: E731
    raises(ValueError, call, f"labels={shape}", "4 images")
