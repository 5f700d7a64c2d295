"""Training: a killed run resumed, augmentation and learning rate by hand, checkpoints, the list of recipes."""

import concurrent.futures
import hashlib
import json
import re
import shutil
import sys
import time
from itertools import product

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.optim.optimizer import register_optimizer_step_pre_hook

from memlib.layers.mappable import matrix_layers
from memlib.training import recipes, trainer
from memlib.zoo import data_sets, networks
from memlib.zoo.checkpoints import CheckpointError, load_checkpoint, manifest_entry, read_manifest

TINY = trainer.Recipe("digits", "resnet20", 0.25, epochs=3, batch=16, label_smoothing=0.1)
TUNED = TINY.replace(epochs=2, start="tiny")
TINIES = {
    "tiny": TINY,
    "weights": TUNED.replace(prune="weights", sparsity=0.75),
    "channels": TUNED.replace(prune="channels", sparsity=0.5),
    "frozen": TUNED.replace(epochs=1, lr=0.01, frozen_statistics=True),
    "aware": TUNED.replace(device=(("states", 8), ("program_error", 0.1), ("stuck_off", 0.01)), dac_bits=4),
    "binary": TUNED.replace(binary=True),
    "still": TUNED.replace(epochs=1, lr=1e-12),
}


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True, scope="module")
def tiny():
    """Recipes for a few digits."""
    sets = {split: data_sets.load_images("digits", split) for split in ("train", "test")}
    few = {split: data_sets.Images(s.pixels[:72], s.labels[:72], "") for split, s in sets.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data_sets, "load_images", lambda _, split: few[split])
        patch.setattr(trainer, "RECIPES", TINIES)
        yield


@pytest.fixture(scope="module")
def seen():
    """What a whole run shows: batches before augmentation, its random states and torch's, learning rates."""
    return {"batches": [], "sources": [], "rates": []}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, seen):
    """A folder with the checkpoints of whole runs of all recipes."""
    folder, augment = tmp_path_factory.mktemp("undisturbed"), trainer._augment

    def observe(pixels, *args):
        seen["batches"].append(pixels)
        seen["sources"].append(args[-1].get_state().numpy().tobytes())
        return augment(pixels, *args)

    def note(optimizer, _args, _options):
        seen["rates"].append(optimizer.param_groups[0]["lr"])

    before = torch.manual_seed(11).get_state()
    hook = register_optimizer_step_pre_hook(note)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "_augment", observe)
        run(folder)
    hook.remove()
    seen["states"] = before, torch.get_rng_state()
    for name in list(TINIES)[1:]:
        run(folder, name)
    return folder


@pytest.fixture
def started(whole, tmp_path):
    """A folder with the checkpoint that others start from, and nothing else."""
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(whole / "checkpoints" / "tiny.safetensors", tmp_path / "checkpoints")
    entry = {"tiny": manifest_entry("tiny", whole / "checkpoints")}
    (tmp_path / "checkpoints" / "manifest.json").write_text(json.dumps(entry))
    return tmp_path


def run(folder, name: str = "tiny", device: str = "cpu", **how: str) -> dict:
    return trainer.train(name, folder / "checkpoints", folder / f"states-{device}", device, **how)


def loaded(folder, *names: str) -> list[nn.Module]:
    return [load_checkpoint(name, folder / "checkpoints") for name in names]


def weights(folder, name: str = "tiny") -> bytes:
    return (folder / "checkpoints" / f"{name}.safetensors").read_bytes()


def run_killed(folder, function: str, calls: int, write: bytes | None = None, *recipe: str) -> None:
    """Train until a function of the trainer is called once more; that call may have written part of a file."""
    original, count = getattr(trainer, function), iter(range(calls))

    def killer(*args, **kwargs):
        if next(count, None) is not None:
            return original(*args, **kwargs)
        if write is not None:
            args[1].write_bytes(write)
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, function, killer)
        with pytest.raises(Killed):
            run(folder, *recipe)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny", "weights", "channels", "aware", "binary"])
def test_killed_training_resumes(started, whole, capsys, name):
    """A run that is killed again and again goes on after the last stored epoch; its weights equal an undisturbed run's.

    Also where it starts from a checkpoint, which is left as it was, with masks or simulated hardware.
    """
    start, last = weights(started), TINIES[name].epochs
    if name == "tiny":
        shutil.rmtree(started / "checkpoints")

    def epochs() -> list[str]:
        return [line.split(",")[0] for line in capsys.readouterr().out.splitlines()]

    epochs()
    for function, calls, write, finished in (
        ("_augment", 2, None, []),  # in epoch 1
        ("_augment", 6, None, [1]),  # in epoch 2
        ("save_file", 0, b"part", [2]),  # storing epoch 2
        ("save_file", last - 1, b"part", range(2, last + 1)),  # writing the checkpoint
        ("digital_accuracy", 0, None, []),
    ):
        run_killed(started, function, calls, write, name)
        assert epochs() == [f"{name}: epoch {epoch} of {last}" for epoch in finished]
        for state in (started / "states-cpu").glob("*.safetensors"):
            load_file(state)  # whole, at any time
    entry = manifest_entry(name, whole / "checkpoints")
    assert run(started, name) | {"seconds": 0} == entry | {"seconds": 0}
    assert epochs() == []
    assert weights(started, name) == weights(whole, name)
    assert name == "tiny" or weights(started) == start != weights(started, name)


@pytest.mark.parametrize("name", ["weights", "channels"])
def test_what_was_pruned_stays_zero(whole, name):
    """As many weights as the recipe says at least; the manifest counts what is left."""
    entry, (model,) = manifest_entry(name, whole / "checkpoints"), loaded(whole, name)
    zeros = sum(int((layer.weight == 0).sum()) for layer in matrix_layers(model).values())
    pruned = sum(layer.weight.numel() for layer in list(matrix_layers(model).values())[1:-1])
    assert zeros >= TINIES[name].sparsity * pruned
    left = sum(int(p.count_nonzero()) for p in model.parameters())
    assert (entry["nonzero"], entry["macs"]) == (left, networks.mac_count(model))
    assert entry["parameters"] - left >= zeros


def test_binary_weights(whole):
    """Each layer has two weights, of one magnitude, in half precision too; signs move in training, from the start's."""
    start, end = map(matrix_layers, loaded(whole, "tiny", "binary"))
    flipped = 0
    for name, layer in end.items():
        values = layer.weight.unique()
        assert values.tolist() == [-values[1].item(), values[1].item()]
        assert values[1] == values[1].half().float()
        flipped += int((layer.weight.sign() != start[name].weight.sign()).sum())
    assert 0 < flipped < sum(layer.weight.numel() for layer in end.values()) / 2


def test_hardware_takes_part(started, monkeypatch):
    """Cells and converters each decide the weights; so do other cells in every epoch."""
    aware, once, results = TINIES["aware"], trainer.on_hardware, {weights(started)}
    for recipe, simulate in (
        (TUNED.replace(epochs=1), once),
        (aware.replace(epochs=1, dac_bits=None), once),
        (aware.replace(epochs=1, device=()), once),
        (aware, once),
        (aware, lambda *args: once(*args[:-1], 0)),
    ):
        monkeypatch.setitem(TINIES, "other", recipe)
        monkeypatch.setattr(trainer, "on_hardware", simulate)
        run(started, "other")
        results.add(weights(started, "other"))
    assert len(results) == 6


def test_frozen_statistics(whole):
    """Batch norm keeps the start's running statistics, to the bit, while everything that is trained moves."""
    start, end = (model.state_dict() for model in loaded(whole, "tiny", "frozen"))
    kept = {name for name in start if torch.equal(start[name], end[name])}
    assert kept == {name for name in start if "running_" in name or "num_batches" in name}


def test_digest_of_a_state(tmp_path):
    """Fields at their default are no part of it, those that are new too; images and the start's weights are."""
    (tmp_path / "manifest.json").write_text('{"tiny": {"sha256": "s"}, "other": {"sha256": "t"}}')

    def expected(*content) -> str:
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    fields = {"data": "digits", "network": "mlp", "width": 0.5, "epochs": 3}
    plain = trainer.Recipe("digits", "mlp", 0.5, 3, momentum=0.9, prune="", dac_bits=None)
    assert trainer._digest(plain, "images", tmp_path) == expected(fields, "images")
    assert trainer._digest(plain.replace(lr=0.1), "images", tmp_path) == expected(fields | {"lr": 0.1}, "images")
    for start, sha256 in (("tiny", "s"), ("other", "t")):
        tuned = plain.replace(start=start)
        assert trainer._digest(tuned, "images", tmp_path) == expected(fields | {"start": start}, "images", sha256)


def test_precision(tmp_path, whole, capsys):
    """Products are of the precision that is asked for, the state of a run with another one is not gone on from."""
    run_killed(tmp_path, "_augment", 6)
    capsys.readouterr()
    seen = set()

    def note(module, _inputs, output):
        if module.training and isinstance(module, nn.Conv2d):
            seen.add(output.dtype)

    hook = register_module_forward_hook(note)
    entry = run(tmp_path, precision="float32")
    assert "epoch 1 of 3" in capsys.readouterr().out
    assert seen == {torch.float32}
    run(tmp_path)
    hook.remove()
    assert seen == {torch.float32, torch.bfloat16}
    assert (entry["precision"], manifest_entry("tiny", whole / "checkpoints")["precision"]) == ("float32", "bfloat16")
    with pytest.raises(ValueError, match="precision='half': must be one of 'bfloat16', 'float32'"):
        run(tmp_path, precision="half")


def test_starts_from_a_checkpoint(whole):
    for start, end in zip(*(model.parameters() for model in loaded(whole, "tiny", "still")), strict=True):
        torch.testing.assert_close(end, start, rtol=1e-7, atol=1e-7)


def test_missing_start(tmp_path):
    """Is an error before anything is trained or written."""
    with pytest.raises(CheckpointError, match="checkpoint='tiny': unknown"):
        run(tmp_path, "aware")
    assert not (tmp_path / "checkpoints").exists()


def test_another_recipe_starts_anew(tmp_path, monkeypatch, capsys, whole):
    """The state of a run belongs to its recipe."""
    run_killed(tmp_path, "_augment", 6)
    monkeypatch.setitem(TINIES, "tiny", TINY.replace(seed=1, epochs=1))
    capsys.readouterr()
    run(tmp_path)
    assert "epoch 1 of 1" in capsys.readouterr().out
    assert weights(tmp_path) != weights(whole)


def test_training_learns(whole):
    """The loss falls and the weights move away from their initial values, in every layer."""
    (model,), start = loaded(whole, "tiny"), networks.build_network("resnet20", 0.25)
    assert all(not torch.equal(a, b) for a, b in zip(model.parameters(), start.parameters(), strict=True))
    images = data_sets.load_images("digits", "train")
    losses = [float(nn.functional.cross_entropy(m(data_sets.normalise(images.pixels)), images.labels).detach())
              for m in (start.train(), model.train())]  # fmt: skip
    assert losses[1] < losses[0] - 0.3


def test_what_a_whole_run_does(whole, seen):
    """An order and shifts of its own in every epoch, in which no image comes twice; the schedule runs over all steps.

    torch's random state is neither read nor changed.
    """
    assert len(seen["batches"]) == len(seen["rates"]) == 12
    orders = [torch.cat(seen["batches"][first : first + 4]).flatten(1) for first in (0, 4, 8)]
    assert all(len(order.unique(dim=0)) == 64 for order in orders)
    assert not torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[1], orders[2])
    assert len(set(seen["sources"])) == 12
    np.testing.assert_allclose(seen["rates"], [TINY.lr * trainer._triangle(i / 12) for i in range(12)])
    assert torch.equal(*seen["states"])


def test_checkpoint_round_trip(tmp_path, monkeypatch):
    """The checkpoint is the model, in eval mode and float32; the manifest tells what it is, and keeps others.

    Weights are kept in half precision, all else as it is, and the accuracy is that of what is kept.
    """
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "manifest.json").write_text('{"other": {"sha256": "0"}}')
    run_killed(tmp_path, "digital_accuracy", 0)
    (state,) = (tmp_path / "states-cpu").iterdir()
    trained, measured, measure = load_file(state), {}, trainer.digital_accuracy

    def accuracy(model, images):
        measured.update({key: value.clone() for key, value in model.state_dict().items()})
        return measure(model, images)

    monkeypatch.setattr(trainer, "digital_accuracy", accuracy)
    entry, (model,) = run(tmp_path), loaded(tmp_path, "tiny")
    assert not model.training
    saved = load_file(tmp_path / "checkpoints" / "tiny.safetensors")
    for name, value in model.state_dict().items():
        half, exact = value.dim() > 1, trained[f"model.{name}"]
        assert saved[name].dtype == (torch.float16 if half else value.dtype)
        assert value.dtype in (torch.float32, torch.int64)
        assert torch.equal(value, measured[name])
        assert torch.equal(value, exact.half().float() if half else exact)
        assert torch.equal(value, exact) != half
    manifest = json.loads((tmp_path / "checkpoints" / "manifest.json").read_text())
    assert manifest == {"other": {"sha256": "0"}, "tiny": entry}
    assert entry["recipe"] == vars(TINY) | {"device": []}
    assert entry["parameters"] == entry["nonzero"] == sum(p.numel() for p in model.parameters()) == 17_326
    test = data_sets.load_images("digits", "test")
    predictions = model(data_sets.normalise(test.pixels)).argmax(1)
    assert entry["accuracy"] == {"test": round(int((predictions == test.labels).sum()) / 72, 4)}
    assert trainer.digital_accuracy(model, test) == int((predictions == test.labels).sum()) / 72
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["manifest.json", "tiny.safetensors"]


def test_published_at_the_same_time(tmp_path, monkeypatch):
    """Of two processes that change the manifest at once, neither loses its entry."""
    read = read_manifest

    def slow(folder) -> dict:
        manifest = read(folder)
        time.sleep(0.1)
        return manifest

    monkeypatch.setattr(trainer, "read_manifest", slow)
    monkeypatch.setattr(trainer, "digital_accuracy", lambda *_: 0.1)
    recipe, names = trainer.Recipe("digits", "mlp", 0.01, epochs=1), ["one", "two", "three"]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for name in names:
            pool.submit(trainer._publish, name, recipe, networks.build_network("mlp", 0.01), tmp_path, {})
    assert read(tmp_path).keys() == set(names)
    assert len(list(tmp_path.iterdir())) == 4  # no lock is left


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0.5}, "'tiny': must be a checkpoint of resnet20, width 0.5, not of resnet20, width 0.25"),
        ({"network": "vgg8"}, "'tiny': must be a checkpoint of vgg8, width 0.25, not of resnet20"),
        ({"start": "weights"}, "'weights': must be a checkpoint that is not pruned"),
    ],
)
def test_wrong_starts(whole, monkeypatch, changes, message):
    """A checkpoint of another network, and a pruned one, of which training would bring the zeros back."""
    monkeypatch.setitem(TINIES, "wrong", TUNED.replace(**changes))
    with pytest.raises(ValueError, match=re.escape(f"start={message}")):
        run(whole, "wrong")


def test_command_line(monkeypatch, capsys):
    """The list tells what is trained; wrong names end it before anything is trained."""
    monkeypatch.setattr(trainer, "RECIPES", recipes.RECIPES)
    monkeypatch.setattr(trainer, "train", lambda name: pytest.fail(f"trained {name}"))

    def main(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["train", *arguments])
        return trainer.main()

    assert main("--list") == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines.keys() == recipes.RECIPES.keys()
    assert "30 epochs  trained  ResNet-20, width 0.5" in lines["resnet20-digits"]
    end = " 6 epochs  -        ResNet-20, width 1; 0.75 of its weights pruned; from resnet20-cifar10"
    assert lines["resnet20-weights0.75-cifar10"].replace("trained ", "-       ").endswith(end)
    for arguments, message in (
        (("resnet20-digits", "resnet21-digits"), "recipe='resnet21-digits': must be a name that"),
        ((), "give names"),
        (("--list", "resnet20-digits"), "give names"),
        (("resnet20-digits", "--threads", "0"), "threads=0: must be a whole number at least 1"),
    ):
        with pytest.raises(SystemExit):
            main(*arguments)
        assert message in capsys.readouterr().err


# Augmentation and schedule


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_augmented_images_are_shifted_and_mirrored(shift):
    """Each is one of the crops of its reflected padding, mirrored where told to be; all crops occur."""
    pixels = torch.randint(256, (600, 3, 5, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    mirrored = torch.arange(600) % 3 == 0
    result = trainer._augment(pixels, mirrored, shift, torch.Generator().manual_seed(1))
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
    epochs = [trainer._mirrored(TINY, 1000, epoch) for epoch in range(3)]
    assert torch.equal(epochs[1], ~epochs[0])
    assert torch.equal(epochs[2], epochs[0])
    assert 400 < int(epochs[0].sum()) < 600
    still = TINY.replace(flip=False)
    assert not trainer._mirrored(still, 1000, 0).any()
    assert not trainer._mirrored(still, 1000, 1).any()


def test_learning_rate():
    """From 0 linearly to the peak at a fifth of the training, and linearly back to 0."""
    rates = [trainer._triangle(progress) for progress in (0, 0.1, 0.2, 0.6, 1)]
    np.testing.assert_allclose(rates, [0, 0.5, 1, 0.5, 0], atol=1e-12)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["tiny", "aware"])
def test_cuda(started, monkeypatch, capsys, name):
    """On a GPU a killed training resumes, and its losses are about those on the CPU, while steps are small."""
    monkeypatch.setitem(TINIES, name, TINIES[name].replace(lr=0.001))  # larger ones soon lead elsewhere
    capsys.readouterr()
    run(started, name)
    run_killed(started, "_augment", 5, None, name, "cuda")
    assert run(started, name, "cuda")["device"] == "cuda"
    losses = [float(text) for text in re.findall(r"loss (\S+),", capsys.readouterr().out)]
    here, there = losses[: len(losses) // 2], losses[len(losses) // 2 :]
    assert there == pytest.approx(here, abs=0.05)


def test_unusable_device(tmp_path):
    """It is named before anything is read."""
    with pytest.raises(ValueError, match=r"device='abacus': must be one of 'cpu'"):
        trainer.train("tiny", tmp_path / "checkpoints", tmp_path / "states", "abacus")
