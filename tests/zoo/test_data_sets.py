"""Digits, class folders, their cache, and the official files of CIFAR-10; each tiny, written by the test."""

import hashlib
import io
import os
import pickle
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from messages import raises
from PIL import Image
from tiny_cifar10 import shrink, write_images, write_zip

from memlib.zoo import data_sets
from memlib.zoo.torchvision_import import make_importable

LABELS = [6, 9, 9, 4, 1, 1, 2, 7, 8, 3, 4, 7]  # of 12 images, in official order


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path):
    return shrink(monkeypatch, tmp_path, 12)


def pixels(seed: int = 0) -> np.ndarray:
    """12 random images (n, 32, 32, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)


def assert_images(images: data_sets.Images, expected: np.ndarray) -> None:
    """Pixels channels first, labels, and a checksum of both."""
    np.testing.assert_array_equal(images.pixels, expected.transpose(0, 3, 1, 2))
    assert images.labels.tolist() == LABELS
    assert (images.pixels.dtype, images.labels.dtype) == (torch.uint8, torch.int64)
    content = expected.transpose(0, 3, 1, 2).tobytes() + np.array(LABELS).tobytes()
    assert images.sha256 == hashlib.sha256(content).hexdigest()


# Digits


def test_digits():
    """1,297 and 500 grey images of 32x32, each a handwritten digit of its label, every one once."""
    from sklearn.datasets import load_digits

    train, test = data_sets.load_images("digits", "train"), data_sets.load_images("digits", "test")
    assert train.pixels.shape == (1297, 3, 32, 32)
    assert test.pixels.shape == (500, 3, 32, 32)
    assert train.pixels.dtype == torch.uint8
    assert int(train.pixels.max()) == 255
    both, labels = torch.cat((train.pixels, test.pixels)), torch.cat((train.labels, test.labels))
    assert torch.equal(both[:, 0], both[:, 1])
    assert torch.equal(both[:, 0], both[:, 2])
    small = both[:, 0].double().unflatten(1, (8, 4)).unflatten(3, (8, 4)).mean((2, 4)) * 16 / 255
    originals = load_digits()
    nearest = torch.cdist(small.flatten(1), torch.from_numpy(originals.data)).argmin(1)  # enlarging blurs a little
    assert len(set(nearest.tolist())) > 0.99 * 1797
    assert (labels.numpy() == originals.target[nearest]).mean() > 0.995
    assert torch.bincount(test.labels).min() > 30


def test_digits_are_the_same_at_every_load():
    """Independent of torch's random state, which stays as it is."""
    first, state = data_sets.load_images("digits", "test"), torch.manual_seed(5).get_state()
    second = data_sets.load_images("digits", "test")
    assert first.sha256 == second.sha256
    assert torch.equal(torch.get_rng_state(), state)


def test_network_inputs():
    """0 to 255 become -2 to 2; head() gives the first images."""
    images = data_sets.load_images("digits", "test")
    x, y = images.head(7)
    assert x.dtype == torch.float32
    np.testing.assert_allclose(x, images.pixels[:7].numpy() / 63.75 - 2, atol=1e-6)
    assert torch.equal(y, images.labels[:7])


# Class folders


@pytest.mark.parametrize("form", ["folder", "zip", "zip in a cifar10 folder", "zip in a cifar10-original folder"])
def test_class_folders(tiny, form, tmp_path):
    """Folders and zip archives give the same images in the order of their index."""
    write_images(tmp_path / "plain" / "test", pixels(), LABELS)
    if form == "folder":
        shutil.copytree(tmp_path / "plain", tiny)
    else:
        write_zip(tiny / (form.split()[3] if "cifar10" in form else "") / "test.zip", tmp_path / "plain" / "test")
    assert_images(data_sets.load_images("cifar10", "test"), pixels())


def test_train_and_test_are_apart(tiny):
    """Each split is its own folder and its own cache."""
    write_images(tiny / "train", pixels(1), LABELS)
    write_images(tiny / "test", pixels(2), LABELS)
    for _ in range(2):
        assert_images(data_sets.load_images("cifar10", "train"), pixels(1))
        assert_images(data_sets.load_images("cifar10", "test"), pixels(2))


def test_second_load_reads_the_cache(tiny, monkeypatch, tmp_path):
    """Nothing is decoded twice, and no half-written file stays."""
    write_images(tiny / "test", pixels(), LABELS)
    data_sets.load_images("cifar10", "test")
    monkeypatch.setattr(data_sets, "_decode", lambda *_: pytest.fail("decoded again"))
    assert_images(data_sets.load_images("cifar10", "test"), pixels())
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".safetensors"]


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_changed_files_are_decoded_anew(tiny, form):
    """The cache belongs to the content of the files."""
    for seed in (1, 2):
        write_images(tiny / "test", pixels(seed), LABELS)
        for path in tiny.glob("test/*/*"):
            os.utime(path, (10**9 + seed,) * 2)
        if form == "zip":
            write_zip(tiny / "test.zip", tiny / "test")
            shutil.rmtree(tiny / "test")
        assert_images(data_sets.load_images("cifar10", "test"), pixels(seed))


def published(monkeypatch, images: np.ndarray) -> None:
    """Let these images, with `LABELS`, be the test set that was published."""
    records = [bytes([label]) + image.transpose(2, 0, 1).tobytes() for image, label in zip(images, LABELS, strict=True)]
    monkeypatch.setitem(data_sets.PUBLISHED, "test", (hashlib.sha1(b"".join(records)).hexdigest(),))


@pytest.mark.parametrize("kind", ["webp", "png", "bmp"])
def test_content_decides_what_is_original(tiny, monkeypatch, kind):
    """Not the form of its files, which give the same images whatever their lossless format."""
    write_images(tiny / "test", pixels(), LABELS, kind)
    published(monkeypatch, pixels())
    images = data_sets.load_images("cifar10", "test")
    assert_images(images, pixels())
    assert (images.sha256, images.origin) == data_sets.identity("cifar10", "test")
    assert images.origin == "CIFAR-10, original pixels"


@pytest.mark.parametrize("change", ["jpeg", "pixel", "label"])
def test_other_content_says_what_it_is(tiny, monkeypatch, change):
    """Lossy files, one pixel by one grey level, or two labels."""
    images, labels = pixels(), list(LABELS)
    published(monkeypatch, images)
    images = images.copy()
    images[3, 5, 7, 1] ^= change == "pixel"
    if change == "label":
        labels[0], labels[1] = labels[1], labels[0]
    write_images(tiny / "test", images, labels, "jpg" if change == "jpeg" else "png")
    kind = "jpg" if change == "jpeg" else "png"
    assert data_sets.load_images("cifar10", "test").origin == f"CIFAR-10, not the original pixels ({kind})"


def test_the_download_is_known_before_it_is_there(monkeypatch):
    """Without MEMLIB_DATA, whose images are asked for otherwise."""
    monkeypatch.delenv("MEMLIB_DATA")
    for split in ("train", "test"):
        expected = data_sets.ORIGINAL_SHA256[split], "CIFAR-10, original pixels"
        assert data_sets.identity("cifar10", split) == expected
    digits = data_sets.load_images("digits", "test")
    assert data_sets.identity("digits", "test") == (digits.sha256, "scikit-learn's digits")


# Official files


@pytest.fixture
def official(monkeypatch, tmp_path):
    """A folder with a tiny cifar-10-batches-py, whose checksums torchvision is told to expect."""
    make_importable()
    from torchvision.datasets import CIFAR10 as cifar10  # noqa: N811

    folder = tmp_path / "written" / "cifar-10-batches-py"
    folder.mkdir(parents=True)

    def write(name: str, content: dict) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    def batch(seed: int) -> dict:
        return {"data": pixels(seed).transpose(0, 3, 1, 2).reshape(12, -1), "labels": LABELS}

    monkeypatch.setattr(cifar10, "train_list", [["data_batch_1", write("data_batch_1", batch(1))]])
    monkeypatch.setattr(cifar10, "test_list", [["test_batch", write("test_batch", batch(2))]])
    meta = {"filename": "batches.meta", "key": "label_names"}
    meta["md5"] = write("batches.meta", {"label_names": list(data_sets.CLASSES)})
    monkeypatch.setattr(cifar10, "meta", meta)
    with tarfile.open(folder.parent / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(folder, folder.name)
    content = (folder.parent / "cifar-10-python.tar.gz").read_bytes()
    monkeypatch.setattr(cifar10, "tgz_md5", hashlib.md5(content).hexdigest())
    return folder


@pytest.mark.parametrize("form", ["folder", "zip", "tar.gz"])
def test_official_files(tiny, official, form):
    """As the folder, a zip archive of it, or the archive that the authors publish; they are the original pixels."""
    tiny.mkdir()
    if form == "folder":
        shutil.copytree(official, tiny / official.name)
    elif form == "zip":
        write_zip(tiny / "cifar-10-batches-py.zip", official)
    else:
        shutil.copy(official.parent / "cifar-10-python.tar.gz", tiny)
    assert_images(data_sets.load_images("cifar10", "train"), pixels(1))
    assert_images(data_sets.load_images("cifar10", "test"), pixels(2))
    assert data_sets.load_images("cifar10", "test").origin == "CIFAR-10, original pixels"


def test_archives_unpack_the_official_files_alone(tiny, official, tmp_path):
    """Not what would leave the folder, no links, and nothing of another name."""
    names = ["../up", "/tmp/root", "cifar-10-batches-py/../up", "cifar-10-batches-py/a/b", "other/test_batch"]
    archive = official.parent / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as members:
        for name in names:
            members.addfile(tarfile.TarInfo(name))
        for kind, name in ((tarfile.SYMTYPE, "link"), (tarfile.LNKTYPE, "hard"), (tarfile.FIFOTYPE, "pipe")):
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.type, member.linkname = kind, str(tmp_path / "secret")
            members.addfile(member)
        members.add(official, official.name)
    tiny.mkdir()
    shutil.copy(archive, tiny)
    assert_images(data_sets.load_images("cifar10", "test"), pixels(2))
    [unpacked] = (tmp_path / "cache").iterdir()
    found = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*")}
    assert found == {official.name, *(f"{official.name}/{path.name}" for path in official.iterdir())}


def test_a_damaged_archive_leaves_nothing_behind(tiny, official, tmp_path):
    """It is named, and the next archive starts anew."""
    tiny.mkdir()
    content = (official.parent / "cifar-10-python.tar.gz").read_bytes()
    (tiny / "cifar-10-python.tar.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(data_sets.DataError, match=r"damaged archive .*; replace the file"):
        data_sets.load_images("cifar10", "test")
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("name", ["data_batch_1", "test_batch"])
def test_official_files_are_checked(tiny, official, name):
    shutil.copytree(official, tiny / official.name)
    content = bytearray((official / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tiny / official.name / name).write_bytes(content)
    with pytest.raises(data_sets.DataError, match=r"corrupted.*delete the damaged files"):
        data_sets.load_images("cifar10", "test")


# The real one


REAL = os.environ.get("MEMLIB_DATA")


@pytest.mark.skipif(not REAL, reason="MEMLIB_DATA names no CIFAR-10")
@pytest.mark.parametrize("split", ["train", "test"])
def test_real_cifar10(monkeypatch, split):
    """The same classes in the same order in any copy; the originals, and only they, have the checksum kept for them."""
    monkeypatch.setattr(data_sets, "SIZES", {"train": 50_000, "test": 10_000})
    monkeypatch.setenv("MEMLIB_DATA", REAL)
    images = data_sets.load_images("cifar10", split)
    assert images.pixels.shape == (data_sets.SIZES[split], 3, 32, 32)
    assert images.labels[:5].tolist() == {"train": [6, 9, 9, 4, 1], "test": [3, 8, 8, 0, 6]}[split]
    assert torch.bincount(images.labels).tolist() == [data_sets.SIZES[split] // 10] * 10
    original = data_sets.is_original(images.pixels, images.labels, split)
    assert original == (images.origin == data_sets.ORIGINAL) == (images.sha256 == data_sets.ORIGINAL_SHA256[split])


@pytest.fixture
def files(monkeypatch, tmp_path) -> Path:
    """The folder of a test set of four images as class folders, airplane/0.bmp to cat/3.bmp."""
    files = shrink(monkeypatch, tmp_path, 4)
    write_images(files / "test", np.full((4, 32, 32, 3), 90, np.uint8), range(4), "bmp")
    return files


def refused(*parts: str, split: str = "test") -> None:
    """Loading says what to do."""
    raises(data_sets.DataError, lambda: data_sets.load_images("cifar10", split), *parts)


def test_unknown_data():
    """Names of data sets and splits."""
    raises(ValueError, lambda: data_sets.load_images("mnist", "test"), "data='mnist'", "'digits', 'cifar10'")
    raises(ValueError, lambda: data_sets.load_images("digits", "valid"), "split='valid'", "'train', 'test'")
    raises(data_sets.DataError, lambda: data_sets.load_images("digits", "test").head(501), "images=501", "500")


def test_missing_folder(files, monkeypatch):
    """MEMLIB_DATA names nothing, or a folder without the split."""
    refused(f"MEMLIB_DATA={files}", "no CIFAR-10 train images", "cifar-10-batches-py", "train.zip", split="train")
    monkeypatch.setenv("MEMLIB_DATA", str(files / "absent"))
    refused(f"MEMLIB_DATA={files / 'absent'}", "no CIFAR-10 test images", "unset it to download")


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("cat/3.bmp", None, ["images 0 to 3", "found 3"]),
        ("cat/3.bmp", "cat/4.bmp", ["images 0 to 3 once each"]),
        ("cat/3.bmp", "cat/2.bmp", ["images 0 to 3 once each"]),
        ("cat/3.bmp", "cat/kitty.bmp", ["cat/kitty.bmp", "index in the official order"]),
        ("cat/3.bmp", "tiger/3.bmp", ["['tiger']", "airplane, automobile"]),
    ],
    ids=["missing", "gap", "twice", "no index", "wrong class"],
)
def test_wrong_class_folders(files, old, new, parts):
    """Missing, doubled or misnamed files and folders."""
    image = (files / "test" / old).read_bytes()
    (files / "test" / old).unlink()
    if new:
        (files / "test" / new).parent.mkdir(exist_ok=True)
        (files / "test" / new).write_bytes(image)
    refused(*parts)


def test_empty_folder(files):
    """Class folders without images."""
    shutil.rmtree(files / "test")
    (files / "test").mkdir()
    refused("images 0 to 3", "found 0")


def png_with_a_broken_chunk() -> bytes:
    """Good header, then a chunk whose name is no name."""
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)).save(content, "png")
    return content.getvalue().replace(b"IDAT", b"\x00DAT")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"BM" + bytes(60), png_with_a_broken_chunk()[:200], png_with_a_broken_chunk()],
    ids=["empty", "text", "zeros", "truncated", "broken"],
)  # fmt: skip
def test_corrupt_image(files, content):
    """An image that cannot be decoded is named."""
    (files / "test" / "bird" / "2.bmp").write_bytes(content)
    refused("bird/2.bmp", "not a readable 32x32 image", "replace the file")


@pytest.mark.parametrize("size", [(16, 16), (33, 32), (1, 1), (32, 1)])
def test_image_of_another_size(files, size):
    """Only 32x32 images are taken, not even those that numpy would stretch to it."""
    Image.new("RGB", size).save(files / "test" / "bird" / "2.bmp")
    refused("bird/2.bmp", "not a readable 32x32 image")


@pytest.mark.parametrize("damage", ["text", "truncated", "stored member", "deflated member", "method"])
def test_corrupt_zip(files, damage):
    """A zip archive that cannot be read, as a whole or in one member."""
    path = files / "test.zip"
    compression = zipfile.ZIP_STORED if damage == "stored member" else zipfile.ZIP_DEFLATED
    write_zip(path, files / "test", files / "test", compression)
    shutil.rmtree(files / "test")
    content = bytearray(path.read_bytes())
    if damage == "text":
        content = bytearray(b"hello")
    elif damage == "truncated":
        del content[len(content) // 2 :]
    elif damage == "method":
        content[content.rindex(b"PK\x01\x02") + 10] = 77  # of the last member in the central directory
    else:
        start = content.index(b"bird/2.bmp") + 10
        content[start + 4 : start + 12] = b"\xff" * 8
    path.write_bytes(content)
    refused(str(path), "replace the file")


@pytest.mark.parametrize("damage", ["truncated", "flipped", "foreign"])
def test_corrupt_cache(files, tmp_path, damage):
    """A damaged cache is not used; deleting it, as the message says, helps."""
    data_sets.load_images("cifar10", "test")
    (cache,) = (tmp_path / "cache").iterdir()
    content = bytearray(cache.read_bytes())
    if damage == "truncated":
        del content[-10:]
    elif damage == "flipped":
        content[-10] ^= 1
    else:
        content = b"hello"
    cache.write_bytes(content)
    refused(str(cache), "the cache", "delete it")
    cache.unlink()
    data_sets.load_images("cifar10", "test")
