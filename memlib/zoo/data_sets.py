"""Image data sets as one uint8 tensor each: scikit-learn's digits, and CIFAR-10 from torchvision or from files at hand.

CIFAR-10 (Krizhevsky, 2009) is read from the folder named by the environment variable `MEMLIB_DATA`, else downloaded and
checked by torchvision into `data/`. `MEMLIB_DATA`, or a folder `cifar10-original` or `cifar10` in it, may hold

* the official `cifar-10-batches-py` folder, or `cifar-10-batches-py.zip`, or `cifar-10-python.tar.gz`; or
* class folders `train/<class>/<index>.<ext>` and `test/...`, or `train.zip` and `test.zip` of class folders, where the
  index is the position in the official order, and the images are WebP, PNG, BMP or JPEG.

Whatever the files, images whose pixels and labels have the published checksum are the original CIFAR-10; all others
say what they are in `Images.origin`, for captions. Decoded images are cached under `data/`, with a checksum.
"""

import hashlib
import io
import os
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from memlib.base.checks import one_of, whole
from memlib.base.files import project_root, replacing
from memlib.base.progress_bar import progress
from memlib.zoo.torchvision_import import make_importable

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIZES = {"train": 50_000, "test": 10_000}
DIGITS_TEST = 500
IMAGE_KINDS = {"webp", "png", "bmp", "jpg", "jpeg"}
OFFICIAL = ("cifar-10-batches-py", "cifar-10-batches-py.zip", "cifar-10-python.tar.gz")
#: SHA-1 of the files of the official binary version: for each image its label and its red, green and blue plane.
PUBLISHED = {
    "test": ("67eb016db431130d61cd03c7ad570b013799c88c",),
    "train": (
        "aadd24acce27caa71bf4b10992e9e7b2d74c2540", "c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
        "1dd00a74ab1d17a6e7d73e185b69dbf31242f295", "aab85764eb3584312d3c7f65fd2fd016e36a258e",
        "26e2849e66a845b7f1e4614ae70f4889ae604628",
    ),
}  # fmt: skip
#: `Images.sha256` of these originals.
ORIGINAL_SHA256 = {
    "test": "2c33b053d1cd726af8d86e174a96dd89d7000ba1412add026d68142375b89d51",
    "train": "973ef2abb5897efc795681a4d79a6f5f642fa2bcb1a828f7476017c89db53a57",
}
ORIGINAL = "CIFAR-10, original pixels"

#: The only files that are taken out of an archive.
OFFICIAL_FILE = re.compile(rf"{OFFICIAL[0]}/\w[\w.]*", re.ASCII)


class DataError(RuntimeError):
    """A data set is missing or damaged; the message says what to do."""


@dataclass(frozen=True)
class Images:
    """A labelled image set."""

    pixels: Tensor  #: (n, 3, 32, 32) uint8
    labels: Tensor  #: (n,) int64
    sha256: str  #: of both
    #: What the pixels are, for captions: a lossy re-encoding must not pass for the original.
    origin: str = ""

    def head(self, n: int) -> tuple[Tensor, Tensor]:
        """The first n images as network input (n, 3, 32, 32) float32, and labels. Raises DataError if too few."""
        n = whole("images", n, 1)
        if n > len(self.labels):
            raise DataError(f"images={n}: the data set holds only {len(self.labels)}; ask for fewer")
        return normalise(self.pixels[:n]), self.labels[:n]


def normalise(pixels: Tensor) -> Tensor:
    """Map uint8 pixels 0..255, any shape, to float32 -2..2, the input range of every network here."""
    return pixels.float().div_(63.75).sub_(2.0)


def load_images(name: str, split: str) -> Images:
    """Return data set `name` ("digits" or "cifar10"), `split` "train" or "test".

    Raises ValueError for an unknown name or split, and DataError if the files are missing or damaged.
    """
    one_of("data", name, ("digits", "cifar10"))
    one_of("split", split, ("train", "test"))
    if name == "cifar10":
        return _cifar10(split)
    small, labels = native_digits(split)
    large = torch.nn.functional.interpolate(small[:, None] * (255 / 16), size=(32, 32), mode="bilinear")
    return _images(large.round().to(torch.uint8).repeat(1, 3, 1, 1), labels, "scikit-learn's digits")


def identity(name: str, split: str) -> tuple[str, str]:
    """`sha256` and `origin` of the images that `load_images` returns.

    Without `MEMLIB_DATA`, CIFAR-10 is what torchvision would download, so it is known before it is there.

    Raises ValueError for an unknown name or split, and DataError if the files are missing or damaged.
    """
    one_of("split", split, PUBLISHED)
    if name == "cifar10" and not os.environ.get("MEMLIB_DATA"):
        return ORIGINAL_SHA256[split], ORIGINAL
    images = load_images(name, split)
    return images.sha256, images.origin


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _images(pixels: Tensor, labels: Tensor, origin: str = "") -> Images:
    digest = hashlib.sha256(pixels.numpy().tobytes())
    digest.update(labels.numpy().tobytes())
    return Images(pixels, labels, digest.hexdigest(), origin)


def is_original(pixels: Tensor, labels: Tensor, split: str) -> bool:
    """Whether these are the images and labels of CIFAR-10 as published, by the checksums of the official files.

    Args:
        pixels: (n, 3, 32, 32) uint8.
        labels: (n,), from 0 to 9.
    """
    published = PUBLISHED[split]
    if len(labels) != SIZES[split] or len(labels) % len(published):
        return False
    records = np.hstack([labels.numpy().astype(np.uint8)[:, None], pixels.numpy().reshape(len(labels), -1)])
    files = np.split(records, len(published))
    return all(hashlib.sha1(file.data).hexdigest() == sha1 for file, sha1 in zip(files, published, strict=True))


def native_digits(split: str) -> tuple[Tensor, Tensor]:
    """Handwritten digits (UCI, in scikit-learn): (n, 8, 8) float64, from 0 to 16, and labels (n,) int64.

    500 of the 1,797 are the test set.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = torch.randperm(len(digits.target), generator=torch.Generator().manual_seed(0))
    chosen = order[-DIGITS_TEST:] if split == "test" else order[:-DIGITS_TEST]
    return torch.from_numpy(digits.images)[chosen], torch.from_numpy(digits.target)[chosen].long()


def _cifar10(split: str) -> Images:
    root = os.environ.get("MEMLIB_DATA")
    if not root:
        return _official(_cache_folder(), split)
    for folder in (Path(root), Path(root) / "cifar10-original", Path(root) / "cifar10"):
        if any((folder / name).exists() for name in (*OFFICIAL, *SIZES, *(f"{s}.zip" for s in SIZES))):
            break  # both splits are read from one folder: another may hold other images
    names = (*OFFICIAL, split, f"{split}.zip")
    source = next((folder / name for name in names if (folder / name).exists()), None)
    if source is None:
        raise DataError(
            f"MEMLIB_DATA={root}: no CIFAR-10 {split} images found there; it must hold the official "
            f"cifar-10-batches-py folder, or class folders in {split}/ or {split}.zip (unset it to download CIFAR-10)"
        )
    if source.name in OFFICIAL:
        return _official(source.parent if source.is_dir() else _unpacked(source), split, source)
    return _class_folders(source, split)


def _unpacked(archive: Path) -> Path:
    """Where the official files lie, after unpacking them once; `_official` checks each of them."""
    target = _cache_folder() / f"official-{checksum(archive)[:16]}"
    if not target.exists():
        with tempfile.TemporaryDirectory(suffix=".part", dir=_cache_folder()) as folder:
            part = Path(folder) / "official"
            (part / OFFICIAL[0]).mkdir(parents=True)
            try:
                for name, content in _official_files(archive):
                    (part / name).write_bytes(content)
            except Exception as error:  # zipfile, tarfile and zlib raise a dozen types for damaged files
                raise DataError(f"{archive}: damaged archive ({error}); replace the file") from error
            try:
                part.rename(target)
            except OSError:
                if not target.exists():  # else another process was first
                    raise
    return target


def _official_files(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of an archive's official files: plain ones, each where it belongs, and none else."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as members:
            for name in filter(OFFICIAL_FILE.fullmatch, members.namelist()):
                yield name, members.read(name)
    else:
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                if OFFICIAL_FILE.fullmatch(member.name) and member.isreg() and (file := members.extractfile(member)):
                    yield member.name, file.read()


def _official(root: Path, split: str, source: Path | None = None) -> Images:
    """The original files, whose checksums torchvision verifies before it reads them; downloaded without a source."""
    make_importable()
    from torchvision.datasets import CIFAR10  # takes a second or two

    try:
        dataset = CIFAR10(root, train=split == "train", download=source is None)
    except (RuntimeError, OSError, EOFError) as error:
        what = f"missing, damaged, or the download failed ({error}); delete the damaged files"
        raise DataError(f"CIFAR-10 in {source or root}: {what}, or set MEMLIB_DATA to its folder") from error
    pixels = torch.from_numpy(dataset.data).permute(0, 3, 1, 2).contiguous()
    return _images(pixels, torch.tensor(dataset.targets), ORIGINAL)


def _class_folders(source: Path, split: str) -> Images:
    """Decode `<class>/<index>.<ext>` files once; later calls read the cache."""
    content = checksum(source) if source.suffix == ".zip" else str(sorted(_members(source).items()))
    cache = _cache_folder() / f"cifar10-{split}-{hashlib.sha256(content.encode()).hexdigest()[:16]}.images.safetensors"
    if not cache.exists():
        names = sorted(_members(source), key=_index)
        labels = _labels(source, names, split)
        pixels = _decode(source, names, split)
        kinds = " and ".join(sorted({_kind(name) for name in names}))
        origin = ORIGINAL if is_original(pixels, labels, split) else f"CIFAR-10, not the original pixels ({kinds})"
        metadata = {"sha256": _images(pixels, labels).sha256, "origin": origin}
        with replacing(cache) as part:
            save_file({"pixels": pixels, "labels": labels}, part, metadata=metadata)
    return _read_cache(cache)


def _kind(name: str) -> str:
    """The lower-case ending of a file's name, without its dot; none if there is no dot."""
    _, dot, ending = name.rpartition("/")[2].rpartition(".")
    return ending.lower() if dot else ""


def _members(source: Path) -> dict[str, str]:
    """The image files of a zip archive, or of a folder with the size and time of each."""
    if source.suffix == ".zip":
        with _open_zip(source) as archive:
            files = dict.fromkeys(archive.namelist(), "")
    else:
        stats = {path.relative_to(source).as_posix(): path.stat() for path in source.rglob("*")}
        files = {name: f"{stat.st_size} {stat.st_mtime_ns}" for name, stat in stats.items()}
    return {name: stamp for name, stamp in files.items() if _kind(name) in IMAGE_KINDS}


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except Exception as error:  # as above
        raise DataError(f"{path}: damaged or not a zip archive ({error}); replace the file") from error


def _index(name: str) -> int:
    stem = Path(name).stem
    if not stem.isdecimal():
        raise DataError(f"{name}: an image's name must be its index in the official order, such as 00042.jpg")
    return int(stem)


def _labels(source: Path, names: list[str], split: str) -> Tensor:
    if [_index(name) for name in names] != list(range(SIZES[split])):
        raise DataError(f"{source}: must hold images 0 to {SIZES[split] - 1} once each, found {len(names)} files")
    folders = [Path(name).parent.name for name in names]
    if unknown := sorted(set(folders) - set(CLASSES)):
        raise DataError(f"{source}: class folders {unknown}: must be named {', '.join(CLASSES)}")
    return torch.tensor([CLASSES.index(folder) for folder in folders])


def _decode(source: Path, names: list[str], split: str) -> Tensor:
    from PIL import Image

    pixels = np.empty((len(names), 32, 32, 3), np.uint8)
    archive = _open_zip(source) if source.suffix == ".zip" else None
    for i, name in enumerate(progress(names, label=f"decoding CIFAR-10 {split}")):
        try:
            content = archive.read(name) if archive else (source / name).read_bytes()
            image = Image.open(io.BytesIO(content)).convert("RGB")
            if image.size != (32, 32):
                raise ValueError(f"{image.width}x{image.height} pixels")
            pixels[i] = np.asarray(image)
        except Exception as error:  # zipfile, zlib and PIL raise a dozen types for damaged files
            raise DataError(f"{source}/{name}: not a readable 32x32 image ({error}); replace the file") from error
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def _cache_folder() -> Path:
    folder = Path(os.environ.get("MEMLIB_CACHE", project_root() / "data"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _read_cache(path: Path) -> Images:
    try:
        with safe_open(path, "pt") as file:
            kept = file.metadata()
            images = _images(file.get_tensor("pixels"), file.get_tensor("labels"), kept["origin"])
    except Exception as error:  # safetensors raises its own error type for any damage
        raise DataError(f"{path}: the cache is damaged ({error}); delete it, it will be decoded again") from error
    if images.sha256 != kept["sha256"]:
        raise DataError(f"{path}: the cache does not match its checksum; delete it, it will be decoded again")
    return images
