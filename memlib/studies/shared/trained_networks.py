"""Trained networks in studies: a checkpoint with its images, the fields that identify them, and their chips."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from memlib.base.random_streams import generator
from memlib.chip.network import AnalogNetwork, design_ranges, map_network
from memlib.chip.recalibration import recalibrate
from memlib.evidence.answers import pack, unpack
from memlib.evidence.comparisons import Comparison, Loss
from memlib.layers.classification import correct
from memlib.layers.mappable import matrix_layers
from memlib.mapping.hardware import Hardware
from memlib.mapping.point_fields import hardware_of
from memlib.mapping.scheme import Mapping
from memlib.sweeps.points import Point
from memlib.tiles.input_record import Record, record_inputs
from memlib.training.recipes import RECIPES, again, trainings
from memlib.zoo import data_sets
from memlib.zoo.checkpoints import load_checkpoint, manifest_entry, read_manifest
from memlib.zoo.networks import LABELS

CALIBRATION_IMAGES = 256
#: Shape of every image.
INPUT_SHAPE = (3, 32, 32)
#: The fields of a point that say which network runs on which images.
SHARED = ("checkpoint", "weights", "pixels", "images", "calibration_images")
Shared = tuple[str, str, str, int, int]
C = TypeVar("C", bound=Comparison)


@lru_cache(maxsize=64)
def model_of(checkpoint: str) -> nn.Module:
    """The float network, shared by all who ask: to look at, not to change."""
    return load_checkpoint(checkpoint)


def float_accuracy(checkpoint: str) -> float:
    """Accuracy of the float network on the whole test set."""
    return manifest_entry(checkpoint)["accuracy"]["test"]


def mean_accuracy(checkpoint: str, seeds: Sequence[int]) -> float:
    """Mean accuracy of the float network's trainings on the whole test set."""
    return float(np.mean([float_accuracy(again(checkpoint, seed)) for seed in seeds]))


def shared_fields(checkpoint: str, images: int) -> Point:
    """The fields of a point that runs a checkpoint on so many test images."""
    entry = manifest_entry(checkpoint)
    pixels = _pixels(entry["recipe"]["data"])
    values = (checkpoint, entry["sha256"], pixels, images, CALIBRATION_IMAGES)
    return dict(zip(SHARED, values, strict=True))


def over_trainings(comparison: C, seeds: Sequence[int]) -> C:
    """The same claim over trainings with each of these seeds; as it is if it is about one trained network alone.

    Args:
        comparison: of points of seed 0.

    Raises:
        ValueError: for fewer than two seeds, or for one twice.
    """
    of_terms = [loss.point["checkpoint"] for _, loss in comparison.terms]
    if len({*of_terms, *(loss.baseline["checkpoint"] for _, loss in comparison.terms)}) == 1:
        return comparison
    trainings(of_terms[0], seeds)
    terms = [
        (weight / len(seeds), Loss(trained_again(loss.point, seed), trained_again(loss.baseline, seed)))
        for seed in seeds
        for weight, loss in comparison.terms
    ]
    about = replace(comparison.statement, text=f"{comparison.statement.text} ({len(seeds)} trainings each)")
    networks = tuple(_recipe_of(checkpoint).get("start") or checkpoint for checkpoint in of_terms)
    return replace(comparison, statement=about, terms=tuple(terms), networks=networks)


def every_training(checkpoints: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """The checkpoints of seed 0, and those of the other seeds."""
    return list(dict.fromkeys([*checkpoints, *(again(name, seed) for name in checkpoints for seed in seeds)]))


def trained_again(point: Point, seed: int) -> Point:
    """A point of a training with seed 0, for that with another seed."""
    return point | shared_fields(again(point["checkpoint"], seed), point["images"])


def split(point: Point) -> tuple[Shared, dict[str, Any]]:
    """A point's shared fields, and the others."""
    others = dict(point)
    return tuple(others.pop(name) for name in SHARED), others


def by_layer(checkpoint: str, fields: Point) -> dict[str, Hardware]:
    """The hardware of every layer, "*" for the rest.

    Args:
        fields: those of `point_fields` for all layers. `layer` names the one layer whose device is not ideal;
            `windows`, such as "conv1=2x2 conv2=4x4", gives layers a layout of their own; `sparse_layers` says how many
            convolutions, the last ones, are in the sparse layout.

    Raises:
        ValueError: for any other field, or a value that is not allowed.
    """
    fields = dict(fields)
    layer, windows, sparse_layers = (fields.pop(name, None) for name in ("layer", "windows", "sparse_layers"))
    hardware = hardware_of(fields)
    by_name = {"*": hardware}
    if layer:
        by_name = {"*": hardware.replace(device=hardware.device.ideal()), layer: hardware}
    if windows:
        layouts = {name: Mapping.parse(text) for name, text in (part.split("=") for part in windows.split())}
        for name, m in layouts.items():
            by_name[name] = hardware.replace(mapping=hardware.mapping.replace(layout=m.layout, order=m.order))
    if sparse_layers:
        sparse = hardware.replace(mapping=hardware.mapping.replace(layout="sparse"))
        by_name |= dict.fromkeys(convolutions(checkpoint)[-sparse_layers:], sparse)
    return by_name


@lru_cache
def convolutions(checkpoint: str) -> tuple[str, ...]:
    """Names of a network's convolutions, from its input on."""
    layers = matrix_layers(load_checkpoint(checkpoint))
    return tuple(name for name, layer in layers.items() if not isinstance(layer, nn.Linear))


@dataclass(frozen=True)
class Prepared:
    """All that the chips of a network share."""

    model: nn.Module
    training: Tensor  #: all training images, as pixels
    calibration: Tensor  #: the first of them
    record: Record  #: of the float network on them
    images: Tensor  #: of the test set
    labels: Tensor


def mapped(
    shared: Shared, hardware: dict[str, Hardware], seed: int, recalibration: str = "none", own_images: bool = False
) -> tuple[AnalogNetwork, Tensor, Tensor]:
    """One chip of the network, and the test images and labels.

    Args:
        hardware: by layer name, "*" for the rest.
        recalibration: see `memlib.recalibrate`.
        own_images: whether it uses images that the seed draws from the training set, so chips differ in them too,
            rather than those that the converters' ranges are from.

    Raises:
        ValueError: if checkpoint or images are not those of the point.
    """
    p = prepared(*shared)
    ranges = None
    if any(choice.tile.adc_calibration == "design" for choice in hardware.values()):
        ranges = _ranges(shared, tuple((name, _design(choice)) for name, choice in hardware.items()))
    chip = map_network(p.model, hardware, p.record, seed, ranges=ranges)
    recalibrate(chip, p.model, _drawn(p, seed) if own_images else p.calibration, recalibration)
    return chip, p.images, p.labels


def _drawn(p: Prepared, seed: int) -> Tensor:
    """As many training images as calibrate the converters, drawn without replacement."""
    order = torch.randperm(len(p.training), generator=generator(seed, "recalibration images"))
    return data_sets.normalise(p.training[order[: len(p.calibration)]])


def answers(shared: Shared, hardware: dict[str, Hardware], seed: int, *recalibration: Any) -> dict[str, Any]:
    """The results of one chip for a store: accuracy, and which images it gets right; see `mapped`."""
    hits = correct(*mapped(shared, hardware, seed, *recalibration))
    return {"accuracy": hits.double().mean().item(), "correct": pack(hits.numpy())}


def hits_of(rows: pd.DataFrame) -> np.ndarray:
    """(seeds, images) right and wrong, of one point's rows of a sweep."""
    rows = rows.sort_values("seed")
    return np.stack([unpack(text, images) for text, images in zip(rows["correct"], rows["images"], strict=True)])


@lru_cache(maxsize=4)
def prepared(checkpoint: str, weights: str, pixels: str, images: int, calibration_images: int) -> Prepared:
    """All that the chips of a network share, made once per process."""
    name = data_of(checkpoint)
    train_set, test_set = _training_set(name, os.environ.get("MEMLIB_DATA")), data_sets.load_images(name, "test")
    current = manifest_entry(checkpoint)["sha256"], f"{train_set.sha256}-{test_set.sha256}"
    if current != (weights, pixels):
        raise ValueError(f"checkpoint={checkpoint!r}: it, or its images, changed since the sweep began; start it again")
    model = load_checkpoint(checkpoint)
    calibration = train_set.head(calibration_images)[0]
    return Prepared(model, train_set.pixels, calibration, record_inputs(model, calibration), *test_set.head(images))


@lru_cache(maxsize=1)
def _training_set(name: str, _folder: str | None) -> data_sets.Images:
    """Once for all networks, as it takes much memory."""
    return data_sets.load_images(name, "train")


def _design(hardware: Hardware) -> Hardware:
    """The fields that decide ADC ranges: no effect of the device, no bits, and no errors of converters."""
    design = hardware.design()
    return design.replace(tile=design.tile.replace(adc_bits=8, adc_gain_error=0.0, adc_offset_error=0.0))


@lru_cache(maxsize=16)
def _ranges(shared: Shared, design: tuple[tuple[str, Hardware], ...]) -> dict[str, float]:
    """The ADC ranges of all chips of a design."""
    p = prepared(*shared)
    return design_ranges(p.model, dict(design), p.record)


def network_of(checkpoint: str) -> str:
    """A checkpoint's name without its data set, such as "resnet20-0.5", by which claims are identified."""
    return checkpoint.rpartition("-")[0]


def data_of(checkpoint: str) -> str:
    """The data set a checkpoint was trained on."""
    return manifest_entry(checkpoint)["recipe"]["data"]


def _identity(name: str, split: str) -> tuple[str, str]:
    """Checksum and origin of a set of images."""
    return _identity_at(name, split, os.environ.get("MEMLIB_DATA"))


@lru_cache
def _identity_at(name: str, split: str, _folder: str | None) -> tuple[str, str]:
    return data_sets.identity(name, split)


def _pixels(name: str) -> str:
    """Checksums of the images that calibrate and test."""
    return "-".join(_identity(name, split)[0] for split in ("train", "test"))


def _recipe_of(checkpoint: str) -> dict[str, Any]:
    """The fields of a checkpoint's recipe, for one that is not trained yet, too: its name is in frozen tables.

    Those call ResNet-20 of full width, trained as long as its narrower versions, "resnet20-1".
    """
    known = read_manifest()
    planned = RECIPES.get(checkpoint.replace("resnet20-1-", "resnet20-"))
    return asdict(planned) if planned and checkpoint not in known else manifest_entry(checkpoint)["recipe"]


def label(checkpoint: str) -> str:
    """The name of a checkpoint's network in figures and claims, such as "ResNet-20 (width 0.5), noise-aware"."""
    recipe = _recipe_of(checkpoint)
    width = "" if recipe["width"] == 1 else f" (width {recipe['width']:g})"
    how = treatment(recipe)
    if recipe.get("prune"):
        how = f"{100 * recipe['sparsity']:.4g} % of its {how}"
    return LABELS[recipe["network"]] + width + ("" if how == "plain" else f", {how}")


def treatment(recipe: dict[str, Any]) -> str:
    """The treatment that a recipe adds to plain training."""
    if recipe.get("prune"):
        return f"{recipe['prune']} pruned"
    if recipe.get("binary"):
        return "binary"
    if recipe.get("dac_bits"):
        return "quantisation-aware"
    if recipe.get("device"):
        return "noise-aware"
    if recipe.get("start"):
        return "trained longer" if recipe.get("frozen_statistics") else "fine-tuned"
    return "plain"


def inputs(checkpoints: Sequence[str]) -> dict[str, Any]:
    """Checksums of the checkpoints and images, and where these are from, for the provenance file."""
    sets = {data_of(checkpoint) for checkpoint in checkpoints}
    return {
        "weights": {checkpoint: manifest_entry(checkpoint)["sha256"] for checkpoint in checkpoints},
        "pixels": {
            f"{name} {split}": _identity(name, split)[0] for name in sorted(sets) for split in ("train", "test")
        },
        "origin": origin(checkpoints),
        "calibration_images": CALIBRATION_IMAGES,
    }


def origin(checkpoints: Sequence[str]) -> str:
    """What the images are that calibrate and test, and whether networks were trained on others."""
    found = {_identity(data_of(checkpoint), split)[1] for checkpoint in checkpoints for split in ("train", "test")}
    for entry in map(manifest_entry, checkpoints):
        at_hand = _identity(entry["recipe"]["data"], "train")[0]
        if entry.get("images", at_hand) != at_hand:  # older entries lack it
            found.add("networks trained on other images")
    return "; ".join(sorted(found))
