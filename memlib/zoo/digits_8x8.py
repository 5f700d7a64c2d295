"""The handwritten digits at their native 8x8 pixels, and small perceptrons trained on them, for whole circuits.

    python -m memlib.zoo.digits_8x8     # train all networks of `HIDDEN` again (seconds) and write their checkpoints

Checkpoints are in float32. `native_digits.json` beside them holds the SHA-256, recipe and accuracy of each.
"""

import argparse
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from memlib.base.checks import one_of
from memlib.base.files import replacing, write_whole
from memlib.zoo import data_sets
from memlib.zoo.checkpoints import CHECKPOINTS, CheckpointError, read_manifest

HIDDEN = (8, 16, 32, 64)  #: neurons of the hidden layer
PIXELS, CLASSES = 64, 10
MANIFEST = "native_digits.json"
#: Adam on all training images at once; the weight decay keeps the weights, and so the range of the cells, even.
RECIPE: dict[str, Any] = {"steps": 600, "lr": 0.01, "weight_decay": 0.3, "seed": 0}


@lru_cache
def images(split: str) -> tuple[Tensor, Tensor]:
    """Pixels (n, 64), 0 to 1 in steps of 1/16, float64, and labels (n,) of "train" or "test"; ValueError for others."""
    one_of("split", split, ("train", "test"))
    pixels, labels = data_sets.native_digits(split)
    return pixels.flatten(1) / 16, labels


@lru_cache
def identity() -> str:
    """Checksum of the images and labels of both splits, as `data_sets` has them: the same digits, resized there."""
    return "-".join(data_sets.load_images("digits", split).sha256 for split in ("train", "test"))


def network(hidden: int) -> nn.Sequential:
    """64 pixels, `hidden` neurons with ReLU, 10 classes; both layers have biases."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RECIPE["seed"])
        return nn.Sequential(nn.Linear(PIXELS, hidden), nn.ReLU(), nn.Linear(hidden, CLASSES))


def train(hidden: int, folder: Path = CHECKPOINTS) -> dict[str, Any]:
    """Train the network with so many hidden neurons, write its checkpoint, and return its manifest entry.

    Deterministic: only the initial weights are drawn, from the recipe's seed.
    """
    model, (x, labels) = network(hidden), images("train")
    optimizer = torch.optim.AdamW(model.parameters(), RECIPE["lr"], weight_decay=RECIPE["weight_decay"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RECIPE["lr"], total_steps=RECIPE["steps"])
    for _ in range(RECIPE["steps"]):
        loss = nn.functional.cross_entropy(model(x.float()), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name_of(hidden)}.safetensors"
    with replacing(path) as part:
        save_file(model.state_dict(), part)
    test, wanted = images("test")
    accuracy = (model(test.float()).argmax(1) == wanted).double().mean().item()
    measured = {"test": round(accuracy, 4)}
    entry = {"sha256": data_sets.checksum(path), "hidden": hidden, "recipe": RECIPE, "accuracy": measured}
    write_whole(folder / MANIFEST, json.dumps(manifest(folder) | {path.stem: entry}, indent=1, sort_keys=True) + "\n")
    return entry


def name_of(hidden: int) -> str:
    """The checkpoint's name, such as "perceptron-32-native-digits"."""
    return f"perceptron-{hidden}-native-digits"


def manifest(folder: Path = CHECKPOINTS) -> dict[str, dict[str, Any]]:
    """The entries of all checkpoints, by name."""
    return read_manifest(folder, MANIFEST)


def load(hidden: int, folder: Path = CHECKPOINTS) -> nn.Sequential:
    """The trained network with so many hidden neurons, in float64, after checking its SHA-256.

    Raises ValueError for a number of neurons that was not trained, and CheckpointError if the checkpoint is missing, or
    does not match the manifest.
    """
    one_of("hidden", hidden, HIDDEN)
    path = folder / f"{name_of(hidden)}.safetensors"
    entry = manifest(folder).get(path.stem)
    if entry is None or not path.exists() or data_sets.checksum(path) != entry.get("sha256"):
        what = f"missing, or does not match its SHA-256 in {MANIFEST}"
        raise CheckpointError(f"{path}: {what}; restore it, or train it again: python -m memlib.zoo.digits_8x8")
    model = network(hidden)
    model.load_state_dict(load_file(path))
    return model.double().eval().requires_grad_(False)


def main() -> None:
    """Train all networks again."""
    argparse.ArgumentParser("python -m memlib.zoo.digits_8x8", description=main.__doc__).parse_args()
    torch.set_num_threads(1)
    for hidden in HIDDEN:
        print(json.dumps({name_of(hidden): train(hidden)}))


if __name__ == "__main__":
    main()
