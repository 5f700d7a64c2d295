"""Trained networks and what is known of them: `memlib/zoo/weights/<name>.safetensors`, and `manifest.json` beside it.

Weights are in half precision; the manifest holds each checkpoint's SHA-256, recipe (`training.recipes`) and accuracy.
"""

import difflib
import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from memlib.zoo import data_sets, networks

CHECKPOINTS = Path(__file__).parent / "weights"


class CheckpointError(RuntimeError):
    """A checkpoint is missing or damaged; the message says what to do."""


def load_checkpoint(name: str, folder: Path = CHECKPOINTS) -> nn.Module:
    """Return the trained network `name`, in float32 and eval mode, after checking its SHA-256.

    Raises CheckpointError if the checkpoint is unknown, missing, or does not match the manifest.
    """
    entry = manifest_entry(name, folder)
    path = folder / f"{name}.safetensors"
    try:
        expected, model = entry["sha256"], networks.build_network(entry["recipe"]["network"], entry["recipe"]["width"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / 'manifest.json'}: damaged at {name!r} ({error}); restore it") from error
    if not path.exists() or data_sets.checksum(path) != expected:
        what = "missing, or does not match its SHA-256 in manifest.json"
        raise CheckpointError(f"{path}: {what}; restore it, or train it again: python -m memlib.training {name}")
    try:
        model.load_state_dict(load_file(path))
    except RuntimeError as error:
        message = f"{path}: of another network than manifest.json says ({str(error).splitlines()[0]}); restore both"
        raise CheckpointError(message) from error
    return model.eval()


def manifest_entry(name: str, folder: Path = CHECKPOINTS) -> dict:
    """The manifest's entry of checkpoint `name`; older ones lack some fields. Raises CheckpointError if unknown."""
    manifest = read_manifest(folder)
    if name not in manifest:
        alike = [known for known in manifest if known.rpartition("-")[2] == str(name).rpartition("-")[2]]
        close = sorted(difflib.get_close_matches(name, alike or manifest, n=6, cutoff=0))
        more = f" and {len(manifest) - len(close)} more" if len(manifest) > len(close) else ""
        how = f"`python -m memlib.training {name}` trains it, if `python -m memlib.training --list` shows that name"
        raise CheckpointError(f"checkpoint={name!r}: unknown; there are {close}{more}, and {how}")
    return manifest[name]


def read_manifest(folder: Path = CHECKPOINTS, file: str = "manifest.json") -> dict[str, dict[str, Any]]:
    """The entries of all checkpoints in `folder`, by name. Raises CheckpointError if the file is damaged."""
    path = folder / file
    try:
        entries = json.loads(path.read_text()) if path.exists() else {}
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise ValueError("no entries by name")
    except ValueError as error:
        raise CheckpointError(f"{path}: damaged ({error}); restore it") from error
    return entries
