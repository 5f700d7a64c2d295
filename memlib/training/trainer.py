"""Training of the networks of `memlib.training.recipes`; checkpoints with their recipe and checksum.

python -m memlib.training resnet20-cifar10     # train, or resume a killed training, and write the checkpoint
python -m memlib.training --list               # all recipes
python -m memlib.training NAME --device cuda   # on a GPU: another order of sums, so another network of that recipe
python -m memlib.training NAME --precision float32  # faster on CPUs that are slow with bfloat16; another rounding
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from memlib.base.checks import fail, one_of, whole
from memlib.base.files import project_root, replacing, write_whole
from memlib.base.progress_bar import progress
from memlib.layers.classification import correct
from memlib.layers.mappable import NORMALISATIONS
from memlib.training.binary import binarise, settle
from memlib.training.hardware_aware import on_hardware
from memlib.training.pruning import make_permanent, nonzero_count, prune_model
from memlib.training.recipes import RECIPES, Recipe
from memlib.zoo import data_sets, networks
from memlib.zoo.checkpoints import CHECKPOINTS, CheckpointError, load_checkpoint, manifest_entry, read_manifest

PRECISIONS = ("bfloat16", "float32")  #: of products in training
RANGE_IMAGES = 256  #: training images that set the ranges of inputs in quantisation-aware training


def digital_accuracy(model: nn.Module, images: data_sets.Images) -> float:
    """Top-1 accuracy of `model` in float32, as a fraction."""
    return correct(model, *images.head(len(images.labels)), batch=500).double().mean().item()


def train(
    name: str,
    checkpoints: Path = CHECKPOINTS,
    states: Path | None = None,
    device: str = "cpu",
    precision: str = "bfloat16",
) -> dict:
    """Train recipe `name`, resuming a killed run after its last finished epoch; return its manifest entry.

    A resumed run computes what an undisturbed one does, on the CPU the same weights: an epoch's randomness depends on
    seed and epoch only.

    Args:
        device: where it trains, "cpu" or "cuda"; what is published is measured on the CPU.
        precision: of the layers' products in training, one of `PRECISIONS`; weights are always trained in float32.

    Raises:
        CheckpointError: if the checkpoint that it starts from is missing or damaged.
        ValueError: if that is of another network or width, or pruned; if torch has no such `device`.
        DataError: if the images are missing or damaged.
    """
    recipe = _recipe(name)
    _check_device(device)
    one_of("precision", precision, PRECISIONS)
    model = _initial(recipe, checkpoints).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    decay = recipe.weight_decay
    optimizer = torch.optim.SGD(model.parameters(), recipe.lr, recipe.momentum, weight_decay=decay, nesterov=True)
    states = states or project_root() / "results" / ".training"
    states.mkdir(parents=True, exist_ok=True)
    train_set = data_sets.load_images(recipe.data, "train")
    images = data_sets.normalise(train_set.pixels[:RANGE_IMAGES]).to(device)
    state_file = states / f"{name}-{_digest(recipe, train_set.sha256, checkpoints, device, precision)}.safetensors"
    first, seconds = _restore(state_file, model, optimizer)
    for epoch in range(first, recipe.epochs):
        start = time.perf_counter()
        with on_hardware(model, recipe.cells(), recipe.dac_bits, images, "training", recipe.seed, epoch):
            loss = _train_epoch(model, optimizer, recipe, train_set, epoch, torch.device(device), precision)
        seconds += time.perf_counter() - start
        print(f"{name}: epoch {epoch + 1} of {recipe.epochs}, loss {loss:.4f}, {seconds:.0f} s", flush=True)
        _store(state_file, model, optimizer, epoch + 1, seconds)
    made = {"images": train_set.sha256, "seconds": round(seconds), "device": device, "precision": precision}
    entry = _publish(name, recipe, model.eval(), checkpoints, made)
    state_file.unlink(missing_ok=True)
    return entry


def _recipe(name: str) -> Recipe:
    if name not in RECIPES:
        fail("recipe", name, f"a name that `python -m memlib.training --list` shows, such as {next(iter(RECIPES))!r}")
    return RECIPES[name]


def _check_device(device: str) -> None:
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    one_of("device", device, ["cpu", *(["cuda"] if gpus else []), *gpus])


def _initial(recipe: Recipe, checkpoints: Path) -> nn.Module:
    model = networks.build_network(recipe.network, recipe.width, seed=recipe.seed)
    if recipe.start:
        start = manifest_entry(recipe.start, checkpoints)["recipe"]
        if (start["network"], start["width"]) != (recipe.network, recipe.width):
            what = f"a checkpoint of {recipe.network}, width {recipe.width:g}"
            fail("start", recipe.start, f"{what}, not of {start['network']}, width {start['width']:g}")
        if start.get("prune"):
            fail("start", recipe.start, "a checkpoint that is not pruned: training would bring the zeros back")
        model.load_state_dict(load_checkpoint(recipe.start, checkpoints).state_dict())
    if recipe.prune:
        prune_model(model, recipe.prune, recipe.sparsity)
    if recipe.binary:
        binarise(model)
    return model


def _digest(recipe: Recipe, images: str, checkpoints: Path, device: str = "cpu", precision: str = "bfloat16") -> str:
    """Hash of all that decides a state: recipe, checksum of the images, first weights, device and precision."""
    more = [manifest_entry(recipe.start, checkpoints)["sha256"]] if recipe.start else []
    more += [device] if device != "cpu" else []
    more += [precision] if precision != "bfloat16" else []
    content = json.dumps([recipe.settings(), images, *more], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    train_set: data_sets.Images,
    epoch: int,
    device: torch.device,
    precision: str,
) -> float:
    """One pass over the training images; returns the mean loss."""
    for module in model.train().modules():
        if recipe.frozen_statistics and isinstance(module, NORMALISATIONS):
            module.eval()
    n = len(train_set.labels)
    steps = n // recipe.batch
    generator = torch.Generator().manual_seed(recipe.seed * 10_000 + epoch)
    order = torch.randperm(n, generator=generator)[: steps * recipe.batch].view(steps, recipe.batch)
    tensors = train_set.pixels, train_set.labels, _mirrored(recipe, n, epoch)
    pixels, labels, mirrored = (x.to(device) for x in tensors)
    total = torch.zeros((), dtype=torch.float64, device=device)
    for step, chosen in enumerate(progress(order.to(device), label=f"epoch {epoch + 1} of {recipe.epochs}")):
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * _triangle((epoch * steps + step) / (recipe.epochs * steps))
        x = _augment(pixels[chosen], mirrored[chosen], recipe.shift, generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            logits = model(x)
        loss = nn.functional.cross_entropy(logits.float(), labels[chosen], label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach()
    return float(total) / steps


def _triangle(progress: float) -> float:
    """Learning rate as a fraction of its peak, at a fraction of the training."""
    return min(progress / 0.2, (1 - progress) / 0.8)


def _mirrored(recipe: Recipe, n: int, epoch: int) -> Tensor:
    """Which images are mirrored in this epoch: (n,) bool."""
    start = torch.randint(2, (n,), generator=torch.Generator().manual_seed(recipe.seed))  # the same in every epoch
    return ((start + epoch) % 2 == 0) & recipe.flip


def _augment(pixels: Tensor, mirrored: Tensor, shift: int, generator: torch.Generator) -> Tensor:
    """Mirror and shift (n, 3, h, w) uint8 images each by its own offset; normalised float32, channels last."""
    n, _, h, w = pixels.shape
    x = nn.functional.pad(data_sets.normalise(pixels), (shift,) * 4, mode="reflect")
    dy, dx = torch.randint(2 * shift + 1, (2, n, 1), generator=generator).to(pixels.device)
    first, y_range, x_range = (torch.arange(size, device=pixels.device) for size in (n, h, w))
    rows, columns = y_range + dy, x_range + dx
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    return x.permute(0, 2, 3, 1)[first[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _store(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, epoch: int, seconds: float) -> None:
    tensors = {f"model.{k}": v.contiguous() for k, v in model.state_dict().items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors[f"momentum.{i}"] = state["momentum_buffer"].contiguous()
    tensors["progress"] = torch.tensor([epoch, seconds], dtype=torch.float64)
    with replacing(path) as part:
        save_file(tensors, part)


def _restore(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
    """Load the state of a killed run, if there is one; returns finished epochs and seconds."""
    if not path.exists():
        return 0, 0.0
    tensors = load_file(path)
    epoch, seconds = tensors.pop("progress").tolist()
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    for i, parameter in enumerate(model.parameters()):
        optimizer.state[parameter]["momentum_buffer"] = tensors[f"momentum.{i}"].to(parameter.device)
    return int(epoch), seconds


def _publish(name: str, recipe: Recipe, model: nn.Module, folder: Path, made: dict[str, Any]) -> dict:
    """Write the checkpoint and its manifest entry; `made` holds what it was made on and in: images, seconds, device
    and precision.

    Weights are kept in half precision. Biases and what batch norm keeps, few and sensitive, stay as they are.
    """
    model.cpu()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    make_permanent(model)
    settle(model)
    tensors = {k: (v.half() if v.dim() > 1 else v).contiguous() for k, v in model.state_dict().items()}
    with replacing(path) as part:
        save_file(tensors, part)
    model.load_state_dict(load_file(path))  # what is kept is what is measured
    contiguous = model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    entry = {
        "sha256": data_sets.checksum(path),
        "parameters": networks.parameter_count(model),
        "nonzero": nonzero_count(model),
        "macs": networks.mac_count(model),
        "recipe": asdict(recipe),
        **made,
        "threads": torch.get_num_threads(),
        "accuracy": {"test": round(digital_accuracy(contiguous, data_sets.load_images(recipe.data, "test")), 4)},
    }
    with _locked(folder):
        manifest = read_manifest(folder) | {name: entry}
        write_whole(folder / "manifest.json", json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    return manifest_entry(name, folder)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time, by a lock on the folder itself, which ends with the process and leaves no file behind."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def main() -> int:
    """Command line: train the named recipes, or list all; returns the exit code."""
    parser = argparse.ArgumentParser("python -m memlib.training", description="Train networks and write checkpoints.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="recipes, as --list shows them")
    parser.add_argument("--list", action="store_true", help="show all recipes: name, epochs, whether trained, what")
    parser.add_argument("--device", default="cpu", help="where to train, as torch names it: cpu, cuda (default: cpu)")
    parser.add_argument("--precision", choices=PRECISIONS, default="bfloat16", help="of products (default: bfloat16)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads (default: all cores)")
    arguments = parser.parse_args()
    if bool(arguments.names) == arguments.list:
        parser.error("give names of recipes to train, or --list")
    try:
        for name in arguments.names:
            _recipe(name)
        _check_device(arguments.device)
        whole("threads", arguments.threads, 1)
    except ValueError as error:
        parser.error(str(error))
    torch.set_num_threads(arguments.threads)
    try:
        for name in arguments.names:
            print(json.dumps({name: train(name, device=arguments.device, precision=arguments.precision)}, indent=1))
        trained = read_manifest() if arguments.list else {}
        for name, recipe in RECIPES.items() if arguments.list else ():
            state = "trained" if name in trained else "-"
            print(f"{name:36} {recipe.epochs:3} epochs  {state:8} {recipe.describe()}")
    except (data_sets.DataError, CheckpointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
