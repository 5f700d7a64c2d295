"""Accuracy of a network on simulated chips."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor, nn

from memlib.base.checks import fail, images_of
from memlib.base.progress_bar import progress
from memlib.chip.network import calibrated, plan_ranges, program_network
from memlib.chip.recalibration import check_method, recalibrate
from memlib.layers.classification import class_numbers, correct
from memlib.mapping.hardware import Choices
from memlib.mapping.plan import plan_chip
from memlib.tiles.input_record import Record, seen_sizes


def accuracy(
    model: nn.Module,
    hardware: Choices,
    images: Tensor,
    labels: Tensor,
    calibration: Tensor | Record | None = None,
    seeds: Iterable[int] = range(10),
    digital: Any = (),
    recalibration: str = "none",
) -> np.ndarray:
    """Top-1 accuracy of `model` on one simulated chip per device seed.

    Args:
        hardware, digital: see `map_network`.
        images: (n, *input shape) as the model takes them.
        labels: of their classes, (n,), (n, 1) or one-hot, see `class_numbers`. Where the model has a single output, a
            logit, it says class 1 above 0; see `correct`.
        calibration: see `map_network`; images are run through the float network once for all seeds.
        recalibration: how every chip is recalibrated on the calibration images, see `recalibrate`; the digital cost of
            that is not modelled.

    Returns:
        (seeds,) fractions.

    Raises:
        ValueError: as `map_network` and `recalibrate`, and for labels that are no classes of the model, one per image.
    """
    images_of("images", images)
    labels = class_numbers(labels, len(images))
    if not isinstance(seeds, Iterable):
        fail("seeds", seeds, "device seeds, such as range(10)")
    check_method("recalibration", recalibration, model)
    if recalibration != "none" and not isinstance(calibration, Tensor):
        what = "a record" if isinstance(calibration, dict) else calibration
        fail("calibration", what, f"images, (n, *input shape), where recalibration={recalibration!r}")
    to_recalibrate_on = calibration if isinstance(calibration, Tensor) else None
    record = calibrated(model, hardware, calibration, digital)
    plan = plan_chip(model, hardware, tuple(images.shape[1:]), digital, seen_sizes(record))
    ranges, accuracies, seeds = plan_ranges(plan, record), [], list(seeds)
    for seed in progress(seeds, unit="chips") if len(seeds) > 1 else seeds:
        chip = program_network(model, plan, record, seed, ranges)
        if to_recalibrate_on is not None:
            recalibrate(chip, model, to_recalibrate_on, recalibration)
        accuracies.append(correct(chip, images, labels).double().mean().item())
    return np.array(accuracies)
