"""Right and wrong answers by hand, for all that labels and outputs may be, and errors for what they may not."""

import numpy as np
import pytest
import torch
from messages import raises
from torch import nn

from memlib.layers.classification import correct

#: The model is the identity: images are its outputs. Classes 0, 2, 1, 2.
OUTPUTS = torch.tensor([[3.0, 1.0, 2.0], [0.0, -1.0, 1.0], [-3.0, -1.0, -2.0], [1.0, 2.0, 3.0]])
LABELS = torch.tensor([0, 2, 2, 1])
RIGHT = [True, True, False, False]
#: One logit for each image: classes 1, 0, 1, 0, where 0 is no more than 0.
LOGITS = torch.tensor([[2.0], [-0.5], [1e-3], [0.0]])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32, torch.int64, torch.float16, torch.float64])
@pytest.mark.parametrize("batch", [1, 3, 4, 100])
def test_labels_of_any_type_as_a_column_or_one_hot(dtype, batch):
    for labels in (LABELS, LABELS[:, None], nn.functional.one_hot(LABELS)):
        assert correct(nn.Identity(), OUTPUTS, labels.to(dtype), batch).tolist() == RIGHT
    assert correct(nn.Identity(), OUTPUTS, nn.functional.one_hot(LABELS).bool(), batch).tolist() == RIGHT


class Squeezed(nn.Module):
    """Without all dimensions of size 1, also that of a single image."""

    def forward(self, x):
        return x.squeeze()


@pytest.mark.parametrize("model", [nn.Identity(), nn.Flatten(0), Squeezed()])
@pytest.mark.parametrize("batch", [1, 3, 4])
def test_one_logit_says_class_1_above_0(model, batch):
    labels = torch.tensor([1, 0, 0, 0])
    for given in (labels, labels[:, None], labels.bool(), labels.float(), nn.functional.one_hot(labels)):
        assert correct(model, LOGITS, given, batch).tolist() == [True, True, False, True]


def test_one_image_of_several_classes():
    assert correct(nn.Identity(), OUTPUTS[:1], torch.tensor([[0]])).tolist() == [True]
    assert correct(nn.Identity(), OUTPUTS[:1], torch.tensor([[0, 0, 1]])).tolist() == [False]


@pytest.mark.parametrize(
    ("labels", "parts"),
    [
        (torch.tensor([0, 1, 2, 3]), ["labels=3", "from 0 to 2", "the model has 3"]),
        (torch.eye(4), ["labels=3", "from 0 to 2"]),
        (torch.tensor([0, 1, 2, -1]), ["labels=-1", "whole numbers from 0"]),
        (torch.tensor([0, 1, 2, 0.5]), ["labels=0.5", "whole numbers from 0"]),
        (torch.tensor([0, 1, 2, torch.nan]), ["labels=nan", "whole numbers from 0"]),
        (torch.tensor([0, 1, 2, torch.inf]), ["labels=inf", "whole numbers from 0"]),
        (torch.zeros(4, 3), ["labels=[0, 0, 0]", "a single 1 in each row"]),
        (torch.ones(4, 3), ["labels=[1, 1, 1]", "a single 1 in each row"]),
        (torch.eye(4, 3) * 2, ["labels=[2, 0, 0]", "a single 1 in each row"]),
        (torch.full((4, 3), 0.25), ["labels=0.25", "whole numbers from 0"]),
        (LABELS.to(torch.complex64), ["labels.dtype=torch.complex64", "whole numbers"]),
        (LABELS[:3], ["labels=(3,)", "each of the 4 images"]),
        (LABELS[None], ["labels=(1, 4)", "each of the 4 images"]),
        (LABELS[:, None, None], ["labels=(4, 1, 1)", "each of the 4 images"]),
        (LABELS.numpy(), ["labels='ndarray'", "a tensor (n,)"]),
        (LABELS.tolist(), ["labels='list'", "a tensor (n,)"]),
    ],
)
def test_what_are_no_classes_is_refused(labels, parts):
    raises(ValueError, lambda: correct(nn.Identity(), OUTPUTS, labels), *parts)


def test_a_binary_classifier_has_two_classes():
    raises(ValueError, lambda: correct(nn.Identity(), LOGITS, LABELS), "labels=2", "from 0 to 1", "the model has 2")


def test_other_images_and_outputs_are_refused():
    """Images of NumPy; a class for each pixel; several outputs; fewer than images."""
    pixels = torch.zeros(4, 3, 2, 2)
    raises(ValueError, lambda: correct(nn.Identity(), np.zeros((4, 3)), LABELS), "images='ndarray'", "a tensor")
    raises(ValueError, lambda: correct(nn.Identity(), pixels, LABELS), "outputs of the model=(4, 3, 2, 2)", "classes)")
    raises(ValueError, lambda: correct(nn.LSTM(3, 2), OUTPUTS, LABELS), "outputs of the model='tuple'", "(4, classes)")
    raises(ValueError, lambda: correct(nn.Flatten(0), OUTPUTS, LABELS), "outputs of the model=(12,)", "(4, classes)")
