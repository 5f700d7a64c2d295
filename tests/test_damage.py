"""Any value in a configuration, and any damage of a file: the documented error, which names it, or what was there.

Files are damaged by cutting, flipped bits, missing or more bytes, or are of another kind. A store's rows have no
checksum, nor have JPEG images: there, damage may show as other values, but never as another error.
"""

import dataclasses
import json
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from small_networks import seeded
from tiny_cifar10 import shrink, write_images, write_zip
from torch import nn

from memlib import Device, Hardware, Mapping, Tile, load_network, map_network, save_network
from memlib.artifact.notebooks import RunError, declared_parameters
from memlib.exploration.space import Axis
from memlib.sweeps.adaptive_seeds import AdaptiveSeeds
from memlib.sweeps.archive import pack, unpack
from memlib.sweeps.plan_file import file_plan
from memlib.sweeps.points import Task, dumps
from memlib.sweeps.store import Outcome, Store, StoreError
from memlib.training import trainer
from memlib.zoo import data_sets, networks
from memlib.zoo.checkpoints import CheckpointError, load_checkpoint

# Values

EXTREMES = [0, -1, 2**31, 2**63, 10**400, -(10**400), 5e-324, 1e-200, 1e200, 1.7e308, float("inf"), float("nan"), -0.0]
WORDS = ["", "dense", "sparse", "offset", "range", "g", "pair", "column", "full", "\ud800", "10k"]
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([*EXTREMES, *WORDS])
values = st.recursive(leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=2), v, max_size=2))


@settings(max_examples=60)
@given(values)
@pytest.mark.parametrize("kind", [Device, Tile, Mapping, AdaptiveSeeds, Axis])
def test_any_value_of_a_field(kind, value):
    """It is taken, or refused by an error that names it, or the other field that it does not suit."""
    for field in dataclasses.fields(kind):
        needed = {"width": 1.0} if kind is AdaptiveSeeds else {"low": 1, "high": 2} if kind is Axis else {}
        made, message = None, ""
        try:
            made = kind(**(needed | {field.name: value}))
            for part in ("device", "tile", "mapping"):
                if isinstance(made, type(getattr(Hardware(), part))):
                    Hardware(**{part: made})
        except ValueError as error:
            message = str(error)
        if message:
            assert any(other.name in message for other in dataclasses.fields(kind)) or "axis" in message
            assert not message.startswith(f"{field.name}=") or repr(value) in message
        else:
            assert repr(made)


# Files


@st.composite
def damages(draw) -> Callable[[bytes], bytes]:
    """A way to damage a file."""
    kind, place = draw(st.sampled_from(["cut", "flip", "flip", "lose", "gain", "whole"])), draw(st.floats(0, 1))
    bit, some = draw(st.integers(0, 7)), draw(st.binary(min_size=1, max_size=6))
    whole = draw(st.sampled_from([b"", b"hello", b"PK\x03\x04", b"\x1f\x8b\x08", b"SQLite format 3\0", bytes(64)]))

    def damaged(content: bytes) -> bytes:
        at = min(int(place * len(content)), len(content) - 1)
        changed = {
            "cut": lambda: content[:at],
            "flip": lambda: content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :],
            "lose": lambda: content[:at] + content[at + len(some) :],
            "gain": lambda: content[:at] + some + content[at:],
            "whole": lambda: whole,
        }
        return changed[kind]()

    return damaged


def refused_or_same(
    path: Path, damage: Callable[[bytes], bytes], read: Callable[[], Any], error: type[Exception], says: str = ""
) -> None:
    """Read a damaged file, and put the whole one back: exactly this error, or what the whole one holds.

    The message names the file, or `says` something else, in one line.
    """
    whole, expected = path.read_bytes(), read()
    path.write_bytes(damage(whole))
    found, message = None, ""
    try:
        found = read()
    except error as caught:
        message = str(caught)
    finally:
        path.write_bytes(whole)
    if message:
        assert (says or path.name) in message
        assert "\n" not in message
    else:
        assert found == expected


def network() -> nn.Module:
    """A convolution and a linear layer."""
    return seeded(lambda: nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(8, 3)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder for the whole module: each example puts back what it damaged."""
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def chip(folder) -> Path:
    """A saved chip."""
    x = torch.linspace(-1, 1, 18).view(2, 1, 3, 3)
    hardware = Hardware(Device(d2d_on=0.1, read_noise=0.01), Tile(rows=3, cols=2))
    save_network(map_network(network(), hardware, x), folder / "chip.safetensors")
    return folder / "chip.safetensors"


def read_chip(path: Path) -> Any:
    """Everything of a saved chip."""
    loaded = load_network(network(), path)
    state = {name: tensor.numpy().tobytes() for name, tensor in loaded.state_dict().items()}
    return (
        state,
        loaded.seed,
        [(layer.hardware, layer.full_scale, layer.inputs.x_max) for layer in loaded.layers.values()],
    )


@pytest.mark.slow
@settings(max_examples=250)
@given(damages())
def test_damaged_chip(chip, damage):
    """Devices, converters and weights of a saved network."""
    refused_or_same(chip, damage, lambda: read_chip(chip), ValueError)


@pytest.fixture(scope="module")
def checkpoints(folder) -> Path:
    """A published checkpoint, and its manifest."""
    recipe = trainer.Recipe("digits", "vgg8", 0.0625, epochs=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "digital_accuracy", lambda *_: 0.1)
        trainer._publish(
            "tiny", recipe, networks.build_network(recipe.network, recipe.width), folder / "checkpoints", {}
        )
    return folder / "checkpoints"


@settings(max_examples=60)
@given(damages())
@pytest.mark.parametrize("name", ["tiny.safetensors", "manifest.json"])
def test_damaged_checkpoint(checkpoints, name, damage):
    """The weights, or what the manifest says of them."""

    def read() -> dict[str, bytes]:
        state = load_checkpoint("tiny", checkpoints).state_dict()
        return {key: tensor.numpy().tobytes() for key, tensor in state.items()}

    # where the damage is in the name of the entry, there is no such checkpoint
    says = "t" if name == "manifest.json" else "tiny.safetensors: missing, or does not match its SHA-256"
    refused_or_same(checkpoints / name, damage, read, CheckpointError, says)


def test_missing_checkpoint(checkpoints, tmp_path):
    """Unknown names, missing files and folders; the message says what there is, or how to make it."""
    shutil.copy(checkpoints / "manifest.json", tmp_path)
    for folder, name, message in (
        (checkpoints, "huge", r"checkpoint='huge'.*\['tiny'\].*python -m memlib\.training"),
        (tmp_path, "tiny", r"tiny\.safetensors.*missing.*python -m memlib\.training"),
        (tmp_path / "absent", "tiny", r"checkpoint='tiny'.*there are \[\]"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load_checkpoint(name, folder)


@pytest.fixture(scope="module")
def store(folder) -> Path:
    """A store with some points, and their archive."""
    tasks = [Task("a.b", dumps({"rows": rows, "name": "x"}), seed) for rows in (64, 128) for seed in range(8)]
    with Store(folder / "points.sqlite") as kept, kept.writing():
        kept.put(Outcome(task, dumps({"accuracy": task.seed / 7}), None, 1.0) for task in tasks)
    pack(folder / "points.sqlite", folder / "points.jsonl.gz")
    return folder / "points.sqlite"


@settings(max_examples=150)
@given(damages())
def test_damaged_store(store, damage):
    """Whatever is asked of it; rows hold what SQLite reads, so values are not compared."""

    def read() -> None:
        with Store(store) as kept:
            kept.status(), kept.table(), kept.table(failed=True), kept.finished()

    refused_or_same(store, damage, read, StoreError)


@pytest.mark.slow
@settings(max_examples=150)
@given(damages())
def test_damaged_archive(store, damage):
    """Nothing is added from a damaged archive."""
    archive, target = store.with_name("points.jsonl.gz"), store.with_name("unpacked.sqlite")

    def read() -> str:
        target.unlink(missing_ok=True)
        unpack(archive, target)
        with Store(target) as kept:
            return kept.table().to_csv()

    refused_or_same(archive, damage, read, ValueError, "points.jsonl.gz: ")
    with Store(target) as kept:
        assert kept.status()["finished"] in (0, 16)


SWEEPS = [
    'evaluate = "math:sqrt"\nseeds = 10\nstore = "x.sqlite"\n[axes]\nrows = [64, 128]\nadc = [4.5, "a"]\n',
    'evaluate = "math:sqrt"\nseeds = {width = 0.01, of = "accuracy", first = 5, most = 50}\n[[points]]\nrows = 64\n',
]


@settings(max_examples=150)
@given(damages())
@pytest.mark.parametrize("text", SWEEPS)
def test_damaged_sweep_file(folder, text, damage):
    """What still is a sweep is a sweep."""
    path = folder / "mine.toml"
    path.write_text(text)
    refused_or_same(path, damage, lambda: file_plan(path) and None, ValueError)


@settings(max_examples=100)
@given(damages())
def test_damaged_notebook(folder, damage):
    """The parameters of a notebook."""
    path = folder / "05_mine.ipynb"
    cell = {"metadata": {"tags": ["parameters"]}, "source": ["images: int = 100\n", "bits: list = [4, 8]"]}
    path.write_text(json.dumps({"cells": [cell], "metadata": {}}))
    refused_or_same(path, damage, lambda: declared_parameters(path) and None, RunError)


# Images

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)


class Trap:
    """What must never be unpickled."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


@pytest.fixture(autouse=True)
def four_images(monkeypatch, tmp_path):
    """CIFAR-10 shrunk to four images, in a folder of its own, without a cache of another example."""
    shrink(monkeypatch, tmp_path, 4).mkdir()


def loaded(tmp_path: Path) -> str:
    """Checksum of the images, read anew."""
    for file in sorted((tmp_path / "cache").glob("*.safetensors")):
        file.unlink()
    return data_sets.load_images("cifar10", "test").sha256


@settings(max_examples=80)
@given(damages())
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_damaged_images(tmp_path, form, damage):
    """A PNG among class folders, and a zip archive of them."""
    files = tmp_path / "files"
    if form == "zip":
        path = files / "test.zip"
        if not path.exists():
            write_images(tmp_path / "test", PIXELS, range(4))
            write_zip(path, tmp_path / "test")
    else:
        path = files / "test" / "bird" / "2.png"
        if not path.exists():
            write_images(files / "test", PIXELS, range(4))
    refused_or_same(path, damage, lambda: loaded(tmp_path), data_sets.DataError)


@settings(max_examples=30)
@given(damages())
@pytest.mark.parametrize("form", ["batch", "meta", "tar", "zip"])
def test_damaged_official_files(tmp_path, form, damage):
    """No pickle is read that does not have the published checksum, from a folder or an archive."""
    folder = tmp_path / "files" / "cifar-10-batches-py"
    if not any((tmp_path / "files").iterdir()):
        folder.mkdir()
        for name in ("test_batch", "data_batch_1", "batches.meta"):
            (folder / name).write_bytes(pickle.dumps(Trap()))
    path = folder / ("batches.meta" if form == "meta" else "test_batch")
    if form in ("tar", "zip"):
        path = tmp_path / "files" / {"tar": "cifar-10-python.tar.gz", "zip": "cifar-10-batches-py.zip"}[form]
    if form == "tar" and not path.exists():
        with tarfile.open(path, "w:gz") as archive:
            archive.add(folder, folder.name)
    if form == "zip" and not path.exists():
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(folder / "test_batch", f"{folder.name}/test_batch")
    if form in ("tar", "zip") and folder.exists():
        folder.rename(tmp_path / "elsewhere")
    whole = path.read_bytes()
    for content in (whole, damage(whole)):
        path.write_bytes(content)
        with pytest.raises(data_sets.DataError, match=path.name if form in ("tar", "zip") else folder.name):
            loaded(tmp_path)
    path.write_bytes(whole)


def test_index_that_is_no_number(tmp_path):
    """A digit that int() does not know."""
    write_images(tmp_path / "files" / "test", PIXELS, range(4))
    (tmp_path / "files" / "test" / "bird" / "2.png").rename(tmp_path / "files" / "test" / "bird" / "².png")
    with pytest.raises(data_sets.DataError, match="its index in the official order"):
        loaded(tmp_path)
