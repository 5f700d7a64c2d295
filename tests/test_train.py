"""Training: a killed run resumed, augmentation and learning rate by hand, checkpoints."""

import json
from itertools import product

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from memlib import data, networks, train

TINY = train.Recipe("digits", "resnet20", 0.25, epochs=3, batch=16, label_smoothing=0.1)


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """One recipe for a few digits."""
    sets = {split: data.load("digits", split) for split in ("train", "test")}
    few = {split: data.Images(s.pixels[:72], s.labels[:72], "") for split, s in sets.items()}
    monkeypatch.setattr(data, "load", lambda _, split: few[split])
    monkeypatch.setattr(train, "RECIPES", {"tiny": TINY})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Weights after a whole run."""
    return tmp_path_factory.mktemp("undisturbed")


def run(folder) -> dict:
    """Train, and return the manifest's entry."""
    return train.train("tiny", folder / "checkpoints", folder / "states")


def weights(folder) -> bytes:
    """The checkpoint's bytes."""
    return (folder / "checkpoints" / "tiny.safetensors").read_bytes()


def kill_after(monkeypatch, name: str, calls: int, write: bytes | None = None) -> None:
    """End the process in the n-th call of a function of memlib.train, which may have written part of a file."""
    original, count = getattr(train, name), iter(range(calls))

    def killer(*args, **kwargs):
        if next(count, None) is not None:
            return original(*args, **kwargs)
        if write is not None:
            args[1].write_bytes(write)
        raise Killed

    monkeypatch.setattr(train, name, killer)


@pytest.mark.parametrize(
    ("name", "calls", "write", "resumed"),
    [
        ("_augment", 2, None, [1, 2, 3]),
        ("_augment", 6, None, [2, 3]),
        ("save_file", 1, b"part", [2, 3]),
        ("save_file", 3, b"part", []),
        ("_accuracies", 0, None, []),
    ],
    ids=["in epoch 1", "in epoch 2", "storing epoch 2", "writing the checkpoint", "measuring"],
)
def test_killed_training_resumes(tmp_path, monkeypatch, capsys, undisturbed, name, calls, write, resumed):
    """A resumed run goes on after the last finished epoch, and its weights equal an undisturbed run's bit by bit."""
    if not (undisturbed / "checkpoints").exists():
        run(undisturbed)
    with monkeypatch.context() as patch:
        kill_after(patch, name, calls, write)
        with pytest.raises(Killed):
            run(tmp_path)
    for state in (tmp_path / "states").glob("*.safetensors"):
        load_file(state)  # whole, at any time
    capsys.readouterr()
    run(tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"tiny: epoch {epoch} of 3" for epoch in resumed]
    assert weights(tmp_path) == weights(undisturbed)
    assert train.load_checkpoint("tiny", tmp_path / "checkpoints")


def test_another_recipe_starts_anew(tmp_path, monkeypatch, capsys):
    """The state of a run belongs to its recipe."""
    run(tmp_path)
    first = weights(tmp_path)
    monkeypatch.setattr(train, "RECIPES", {"tiny": train.Recipe(**(vars(TINY) | {"seed": 1, "epochs": 1}))})
    capsys.readouterr()
    run(tmp_path)
    assert "epoch 1 of 1" in capsys.readouterr().out
    assert weights(tmp_path) != first


def test_training_learns(tmp_path):
    """The loss falls and the weights move away from their initial values, in every layer."""
    entry = run(tmp_path)
    model, start = train.load_checkpoint("tiny", tmp_path / "checkpoints"), networks.build("resnet20", 0.25)
    assert all(not torch.equal(a, b) for a, b in zip(model.parameters(), start.parameters(), strict=True))
    images = data.load("digits", "train")
    losses = [float(nn.functional.cross_entropy(m(data.normalise(images.pixels)), images.labels).detach())
              for m in (start.train(), model.train())]  # fmt: skip
    assert losses[1] < losses[0] - 0.3
    assert entry["parameters"] == sum(p.numel() for p in model.parameters())


def test_global_random_state_is_untouched(tmp_path):
    """Training neither reads nor changes it."""
    state = torch.manual_seed(11).get_state()
    run(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)


def test_checkpoint_round_trip(tmp_path):
    """The checkpoint is the model, in eval mode; the manifest tells recipe, checksum and accuracy, and keeps others."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "manifest.json").write_text('{"other": {"sha256": "0"}}')
    entry = run(tmp_path)
    model = train.load_checkpoint("tiny", tmp_path / "checkpoints")
    assert not model.training
    saved = load_file(tmp_path / "checkpoints" / "tiny.safetensors")
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())
    manifest = json.loads((tmp_path / "checkpoints" / "manifest.json").read_text())
    assert manifest == {"other": {"sha256": "0"}, "tiny": entry}
    assert entry["recipe"] == vars(TINY)
    test = data.load("digits", "test")
    predictions = model(data.normalise(test.pixels)).argmax(1)
    assert entry["accuracy"] == {"test": round(int((predictions == test.labels).sum()) / 72, 4)}
    assert train.digital_accuracy(model, test, batch=7) == int((predictions == test.labels).sum()) / 72
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["manifest.json", "tiny.safetensors"]


def test_accuracies_of_cifar10(monkeypatch):
    """On the test set and, of its first images, in both forms; without lossless originals on the test set alone."""
    images = data.load("digits", "test")
    sets = {"test": images, "lossless": data.Images(images.pixels[:20], images.labels[:20], "")}
    monkeypatch.setattr(data, "load", lambda _, split: sets[split])
    model = networks.build("resnet20", 0.25).eval()
    first = round(train.digital_accuracy(model, sets["lossless"]), 4)
    whole = round(train.digital_accuracy(model, images), 4)
    assert train._accuracies(model, "cifar10") == {"test": whole, "test_20": first, "lossless_20": first}

    def load(_name: str, split: str) -> data.Images:
        if split == "lossless":
            raise data.MissingDataError("no lossless images")
        return images

    monkeypatch.setattr(data, "load", load)
    assert train._accuracies(model, "cifar10") == {"test": whole}


def test_every_epoch_has_an_order_of_its_own(tmp_path, monkeypatch):
    """And shifts of its own; within an epoch no image comes twice."""
    batches, original = [], train._augment

    def spy(pixels, *args):
        batches.append((pixels, args[-1].get_state()))
        return original(pixels, *args)

    monkeypatch.setattr(train, "_augment", spy)
    run(tmp_path)
    assert len(batches) == 12
    orders = [torch.cat([pixels for pixels, _ in batches[first : first + 4]]).flatten(1) for first in (0, 4, 8)]
    assert all(len(order.unique(dim=0)) == 64 for order in orders)
    assert not torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[1], orders[2])
    assert len({state.numpy().tobytes() for _, state in batches}) == 12


# Augmentation and schedule


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_augmented_images_are_shifted_and_mirrored(shift):
    """Each is one of the crops of its reflected padding, mirrored where told to be; all crops occur."""
    pixels = torch.randint(256, (600, 3, 5, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    mirrored = torch.arange(600) % 3 == 0
    result = train._augment(pixels, mirrored, shift, torch.Generator().manual_seed(1))
    assert result.shape == pixels.shape
    assert result.dtype == torch.float32
    padded = np.pad(pixels.numpy() / 63.75 - 2, ((0, 0), (0, 0), (shift, shift), (shift, shift)), mode="reflect")
    found = []
    for image, source, mirror in zip(result.numpy(), padded, mirrored, strict=True):
        crops = {at: source[:, at[0] : at[0] + 5, at[1] : at[1] + 4] for at in product(range(2 * shift + 1), repeat=2)}
        image = image[..., ::-1] if mirror else image
        (match,) = [at for at, crop in crops.items() if np.allclose(image, crop, atol=1e-6)]
        found.append(match)
    assert len(set(found)) == (2 * shift + 1) ** 2
    assert len(set(found[::3])) == (2 * shift + 1) ** 2  # mirrored ones too


def test_mirroring_alternates():
    """Every image is mirrored in every second epoch, half of them in each; never without `flip`."""
    epochs = [train._mirrored(TINY, 1000, epoch) for epoch in range(3)]
    assert torch.equal(epochs[1], ~epochs[0])
    assert torch.equal(epochs[2], epochs[0])
    assert 400 < int(epochs[0].sum()) < 600
    still = train.Recipe(**(vars(TINY) | {"flip": False}))
    assert not train._mirrored(still, 1000, 0).any()
    assert not train._mirrored(still, 1000, 1).any()


def test_learning_rate():
    """From 0 linearly to the peak at a fifth of the training, and linearly back to 0."""
    rates = [train._triangle(progress) for progress in (0, 0.1, 0.2, 0.6, 1)]
    np.testing.assert_allclose(rates, [0, 0.5, 1, 0.5, 0], atol=1e-12)


def test_learning_rate_of_every_step(tmp_path, monkeypatch):
    """The schedule runs over all steps of all epochs: 3 epochs of 4 steps, of which the first has rate 0."""
    rates, original = [], torch.optim.SGD.step

    def step(optimizer, *args):
        rates.append(optimizer.param_groups[0]["lr"])
        return original(optimizer, *args)

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    run(tmp_path)
    np.testing.assert_allclose(rates, [TINY.lr * train._triangle(i / 12) for i in range(12)])
