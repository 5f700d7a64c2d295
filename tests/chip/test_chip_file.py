"""Chips in files: what is read back is the same chip, and other files are refused."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_networks import HARDWARE, OFF, images, random, seeded, small_network
from torch import nn

from memlib import Device, Hardware, Mapping, Tile, load_network, map_network, save_network
from memlib.costs.activity import measure


@pytest.mark.parametrize("layout", ["dense", (2, 2), "sparse"])
def test_saved_chips_keep_every_effect(layout, tmp_path):
    """A chip with all effects, NumPy's numbers among its fields, is read back with its outputs and its energy."""
    device = Device(states=4, v0=np.float32(0.4), v0_off=0.25, retention_time=1e3, retention_spread=np.float64(0.01))
    tile = Tile(
        rows=8, cols=np.int64(6), dac_bits=3, adc_bits=6, adc_gain_error=np.float32(0.25), adc_offset_error=0.01,
        bit_serial=True, r_row=np.float32(1.5), r_col=2.0, r_transistor=100.0,
    )  # fmt: skip
    network = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(96, 3))
    x = random(3, 4, 6, 6).float()
    chip = map_network(network, Hardware(device, tile, Mapping(layout, slices=2)), calibration=x, seed=2)
    save_network(chip, tmp_path / "chip.safetensors")
    other = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(96, 3))
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    loaded = load_network(other, tmp_path / "chip.safetensors")
    assert torch.equal(loaded(x), chip(x))
    assert {name: m.power for name, m in measure(loaded, x).items()} == {
        name: m.power for name, m in measure(chip, x).items()
    }


def test_grouped_layers_behind_wires_are_saved_whatever_the_weights(tmp_path):
    """Without converters too, where other layers are folded."""
    layer, x = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2)), random(1, 4, 5, 5).float()
    chip = map_network(layer, Hardware(Device(), OFF.replace(r_row=5.0)))
    save_network(chip, tmp_path / "chip.safetensors")
    other = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2))
    nn.init.zeros_(other[0].weight)
    assert torch.equal(load_network(other, tmp_path / "chip.safetensors")(x), chip(x))


pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch's own


@pytest.mark.parametrize("hardware", HARDWARE)
def test_save_and_load(tmp_path, hardware):
    """A loaded network repeats the saved one bit by bit, noise included, whatever the weights of the given model."""
    x = images(8, 3, 6, 6)
    analog = map_network(seeded(small_network), HARDWARE[hardware], calibration=x, seed=3, digital=["5"])
    save_network(analog, tmp_path / "network.safetensors")
    loaded = load_network(seeded(small_network, seed=9), tmp_path / "network.safetensors")
    for _ in range(2):
        assert torch.equal(loaded(x), analog(x))
    assert str(loaded) == str(analog)
    save_network(loaded, tmp_path / "again.safetensors")
    again = load_network(seeded(small_network), tmp_path / "again.safetensors")
    analog.reset()
    assert torch.equal(again(x), analog(x))


OTHER_NETWORKS = {
    "fewer layers": lambda: small_network()[:5],
    "more layers": lambda: small_network().append(nn.Linear(5, 5)),
    "other shape": lambda: small_network()[:5].append(nn.Linear(16, 7)),
    "other kernel": lambda: nn.Sequential(nn.Conv2d(3, 6, 5), *small_network()[1:]),
    "other stride": lambda: nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), *small_network()[1:]),
    "other type": lambda: nn.Sequential(nn.ReLU(), *small_network()[1:]),
}


@pytest.mark.parametrize("other", OTHER_NETWORKS)
def test_file_of_another_network_is_refused(tmp_path, other):
    """Loading into another architecture is a ValueError that names the file."""
    path = tmp_path / "network.safetensors"
    save_network(map_network(seeded(small_network), Hardware(tile=OFF)), path)
    with pytest.raises(ValueError, match=r"network\.safetensors"):
        load_network(seeded(OTHER_NETWORKS[other]), path)


def test_file_that_holds_no_network(tmp_path):
    save_file({"0.weight": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ValueError, match=r"foreign\.safetensors"):
        load_network(seeded(small_network), tmp_path / "foreign.safetensors")
    with pytest.raises(FileNotFoundError, match="absent"):
        load_network(seeded(small_network), tmp_path / "absent")


def test_files_of_other_versions_are_refused(tmp_path):
    """The settings of the first one name no format."""
    model, path = nn.Sequential(nn.Linear(4, 2)), tmp_path / "chip.safetensors"
    save_network(map_network(model, Hardware(tile=OFF)), path)
    with safe_open(path, "pt") as file:
        content = json.loads(file.metadata()["memlib"])
    del content["format"]
    for changed, by in ((content, r"memlib 0\.1"), (content | {"format": 9}, r"another version .*\(format 9\)")):
        save_file(load_file(path), path, {"memlib": json.dumps(changed)})
        with pytest.raises(ValueError, match=f"saved by {by}.*map the network again"):
            load_network(model, path)
