"""Published checkpoints: each is of its recipe, and is there."""

import json
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file

from memlib.training import recipes
from memlib.zoo import networks
from memlib.zoo.checkpoints import CHECKPOINTS, load_checkpoint, manifest_entry, read_manifest


@pytest.mark.parametrize("name", sorted(read_manifest()))
def test_published_checkpoints(name):
    """Each is of its recipe in the list, as far as its entry tells, and loads in float32, whatever it is kept in."""
    entry, model = manifest_entry(name), load_checkpoint(name)
    listed = json.loads(json.dumps(asdict(recipes.RECIPES[name])))
    assert entry["recipe"].items() <= listed.items()
    assert entry["parameters"] == networks.parameter_count(model)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    kept = load_file(CHECKPOINTS / f"{name}.safetensors")
    assert all(torch.equal(value, kept[key].to(value.dtype)) for key, value in model.state_dict().items())
