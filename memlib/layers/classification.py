"""Which images a network classifies correctly."""

from typing import Any

import torch
from torch import Tensor, nn

from memlib.base.checks import fail, images_of

BATCH = 100  #: images per forward pass; read noise is drawn forward by forward, so results depend on it


@torch.inference_mode()
def correct(model: nn.Module, images: Tensor, labels: Tensor, batch: int = BATCH) -> Tensor:
    """Which images (n, *input shape) are classified correctly: (n,) bool.

    Args:
        model: its outputs are (n, classes), of which the largest counts, or one logit for each image, (n,) or (n, 1),
            which says class 1 above 0 and else class 0; a probability is no logit.
        labels: see `class_numbers`.
        batch: images per forward pass.

    Raises:
        ValueError: for other images, labels or outputs, and for labels of classes that the model does not have.
    """
    images_of("images", images)
    labels, hits = class_numbers(labels, len(images)), []
    largest = int(labels.max())
    for x, y in zip(images.split(batch), labels.split(batch), strict=True):
        answers, classes = _answers(model(x), len(x))
        if largest >= classes:
            fail("labels", largest, f"classes from 0 to {classes - 1}, as the model has {classes}")
        hits.append(answers == y.to(answers.device))
    return torch.cat(hits)


def class_numbers(labels: Any, images: int) -> Tensor:
    """The class (n,) of each of so many images, int64.

    Args:
        labels: a tensor of any type, of whole numbers from 0, (n,) or (n, 1); or one-hot, (n, classes), of zeros with a
            single one in each row.

    Raises:
        ValueError: for anything else.
    """
    if not isinstance(labels, Tensor) or labels.dim() not in (1, 2) or len(labels) != images or not labels.numel():
        found = tuple(labels.shape) if isinstance(labels, Tensor) else type(labels).__name__
        fail("labels", found, f"a tensor (n,), one label for each of the {images} images, or one-hot, (n, classes)")
    if labels.is_complex():
        fail("labels.dtype", labels.dtype, "one of whole numbers")
    wrong = labels[(labels < 0) | (labels != labels.long())]
    if wrong.numel():
        fail("labels", wrong[0].item(), "whole numbers from 0, the numbers of classes")
    labels = labels.long()
    if labels.dim() == 1 or labels.shape[1] == 1:
        return labels.reshape(-1)
    wrong = labels[((labels == 1).sum(1) != 1) | (labels.sum(1) != 1)]
    if wrong.numel():
        fail("labels", wrong[0, :10].tolist(), "one-hot where they are (n, classes): zeros, and a single 1 in each row")
    return labels.argmax(1)


def _answers(output: Any, images: int) -> tuple[Tensor, int]:
    """The class (images,) that a model's output says, and how many classes there are."""
    one_each = [(images,), (images, 1), *([()] if images == 1 else [])]  # squeeze() leaves () of one image
    if isinstance(output, Tensor) and output.shape in one_each:
        return (output.reshape(-1) > 0).long(), 2
    if not isinstance(output, Tensor) or output.dim() != 2 or len(output) != images or not output.numel():
        found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        fail("outputs of the model", found, f"a tensor ({images}, classes), or one logit for each image")
    return output.argmax(1), output.shape[1]
