"""CIFAR-10 of a few images: class folders and archives of them."""

import zipfile
from pathlib import Path

from PIL import Image

from memlib.zoo import data_sets


def shrink(monkeypatch, folder, count):
    """Let both splits have so many images, in `folder`/files, with a cache of their own; returns that folder."""
    monkeypatch.setattr(data_sets, "SIZES", {"train": count, "test": count})
    monkeypatch.setenv("MEMLIB_DATA", str(folder / "files"))
    monkeypatch.setenv("MEMLIB_CACHE", str(folder / "cache"))
    return folder / "files"


def write_images(root, images, labels, kind="png"):
    """<class>/<index>.<kind> of images (n, h, w, 3)."""
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = root / data_sets.CLASSES[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i}.{kind}", **{"lossless": True} if kind == "webp" else {})


def write_zip(path, folder, top=None, compression=zipfile.ZIP_DEFLATED):
    """All files of a folder, last ones first, with names from `top` on; None: from the folder itself on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(filter(Path.is_file, folder.rglob("*")), reverse=True):
            archive.write(file, file.relative_to(top or folder.parent))
