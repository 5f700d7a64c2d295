"""Bad input: one line that names the field, the value and what is allowed."""

import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_cifar10 import shrink, write_images, write_zip
from torch import nn
from torch.nn.utils import prune

from memlib import Device, Hardware, Mapping, Tile, accuracy, footprint, map_network, record_inputs, save_network
from memlib.costs.cost_table import cost_of
from memlib.training import trainer
from memlib.zoo import data_sets, networks

NAN, INF = float("nan"), float("inf")


def raises(error: type[Exception], call, *parts: str) -> None:
    """`call` raises exactly this kind of error, in one line, with all the parts in its message."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    for part in parts:
        assert part in message, message


# Configurations


@pytest.mark.parametrize("kind", [Device, Tile, Mapping, Hardware])
def test_unknown_field(kind):
    """The message lists the fields that exist, for new configurations and for changed ones."""
    allowed = [kind.__name__, "sigma=0.1", "unknown field; allowed: ", next(iter(kind.__annotations__))]
    raises(TypeError, lambda: kind(sigma=0.1), *allowed)
    raises(TypeError, lambda: kind().replace(sigma=0.1), *allowed)


@pytest.mark.parametrize(
    ("kind", "fields", "allowed"),
    [
        (Device, {"r_on": 0}, "above 0"),
        (Device, {"r_on": "10k"}, "number above 0"),
        (Device, {"r_off": INF}, "finite"),
        (Device, {"r_off": 5e3}, "above r_on=10000.0"),
        (Device, {"r_off": 10e3}, "above r_on=10000.0"),
        (Device, {"states": 1}, "at least 2, or None"),
        (Device, {"states": 4.0}, "whole number"),
        (Device, {"states": True}, "whole number"),
        (Device, {"program_error": -0.1}, "a relative sigma from 0 to 1000"),
        (Device, {"d2d_on": NAN}, "from 0 to 1000"),
        (Device, {"d2d_off": INF}, "from 0 to 1000"),
        (Device, {"read_noise": True}, "a relative sigma"),
        (Device, {"read_noise": None}, "a relative sigma"),
        (Device, {"stuck_on": 1.5}, "a probability from 0 to 1"),
        (Device, {"stuck_off": -0.5}, "a probability from 0 to 1"),
        (Device, {"unformed": NAN}, "a probability from 0 to 1"),
        (Device, {"program_error_to": "G"}, "'range', 'g'"),
        (Device, {"read_noise_to": None}, "'g', 'range'"),
        (Device, {"d2d_distribution": "uniform"}, "'lognormal', 'normal'"),
        (Device, {"v0": 0}, "above 0"),
        (Device, {"v0_off": 0.2}, "None where v0 is None"),
        (Device, {"retention_time": -1}, "at least 0"),
        (Device, {"retention_nu": 5}, "an exponent from -3 to 3"),
        (Device, {"retention_spread": -0.1}, "a sigma"),
        (Device, {"retention_t0": 0}, "above 0"),
        (Device, {"retention_energy": "1 eV"}, "eV from 0 to 5"),
        (Device, {"retention_temperature": 25}, "kelvin from 100 to 2000"),
        (Device, {"retention_time": 1e61}, "at most 1e60 t0"),
        (Device, {"retention_time": 3600}, "recombination_energy are 0: nothing would change"),
        (Device, {"recombination_energy": -1}, "eV from 0 to 5"),
        (Device, {"recombination_within": 0.1}, "0 where recombination_energy is 0"),
        (Device, {"recombination_tail": 1.5}, "a probability from 0 to 1"),
        (Device, {"recombination_rate": 0}, "above 0"),
        (Device, {"endurance_cycles": INF}, "at least 0"),
        (Device, {"endurance_cycles": 1e6}, "endurance_off are 0: nothing would change"),
        (Device, {"retention_temperature": 358}, "where retention_energy is 0"),
        (Device, {"endurance_onset": 0}, "above 0"),
        (Device, {"endurance_on": -0.1}, "an exponent from 0 to 3"),
        (Tile, {"adc_bits": 0}, "from 1 to 24, or None"),
        (Tile, {"r_row": -1}, "a resistance in ohm, at least 0"),
        (Tile, {"r_sense": None}, "a resistance in ohm, at least 0"),
        (Tile, {"adc_gain_error": -0.1}, "a relative sigma"),
        (Tile, {"bit_serial": 1}, "True or False"),
        (Mapping, {"slices": 0}, "at least 1"),
        (Tile, {"adc_bits": 1}, "at least 2"),
        (Tile, {"adc_bits": 25}, "from 1 to 24, or None"),
        (Tile, {"dac_bits": 8.0}, "whole number"),
        (Tile, {"dac_bits": -1}, "from 1 to 24, or None"),
        (Tile, {"rows": 0}, "at least 1"),
        (Tile, {"rows": None}, "at least 1"),
        (Tile, {"cols": True}, "at least 1"),
        (Tile, {"adc_range": "max"}, "'calibrated', 'full'"),
        (Tile, {"adc_calibration": "seed"}, "'design', 'chip'"),
        (Tile, {"converter": "row"}, "'pair', 'column'"),
        (Tile, {"adc_quantile": 99.9}, "a quantile from 0 to 1"),
        (Tile, {"v_read": 0}, "above 0"),
        (Mapping, {"scheme": "dual"}, "'differential', 'offset'"),
        (Mapping, {"order": "random"}, "'packed', 'chw'"),
        (Mapping, {"unused": "lrs"}, "'hrs', 'unformed'"),
        (Mapping, {"w_max": 1.0}, "'layer', 'column'"),
    ],
    ids=str,
)
def test_wrong_value(kind, fields, allowed):
    """The message names field, value and what is allowed, for new configurations and for changed ones."""
    (name, value), = fields.items()  # fmt: skip
    raises(ValueError, lambda: kind(**fields), f"{name}={value!r}", allowed)
    raises(ValueError, lambda: kind().replace(**fields), f"{name}={value!r}", allowed)


def test_wrong_combinations():
    """Fields that do not go together."""
    raises(ValueError, lambda: Mapping(scheme="offset", unused="unformed"), "unused='unformed'", "'hrs'", "offset")
    lossy = Device(recombination_energy=1.2)
    raises(ValueError, lambda: lossy.replace(recombination_tail=0.1), "recombination_tail_energy=0.0", "above 0")
    raises(ValueError, lambda: lossy.replace(recombination_tail_energy=1.0), "tail_energy=1.0", "must be 0")
    late = {"recombination_tail": 0.1, "recombination_tail_energy": 1.3}
    raises(ValueError, lambda: lossy.replace(**late), "tail_energy=1.3", "at most recombination_energy=1.2")
    assert lossy.replace(retention_time=1.0, retention_temperature=358.0)
    drifting = {"retention_time": 1.0, "retention_nu": 0.1, "retention_temperature": 358.0}
    raises(ValueError, lambda: lossy.replace(**drifting), "retention_temperature=358.0", "retention_energy is 0")
    worn = {"endurance_cycles": 1e30, "endurance_on": 3.0}
    raises(ValueError, lambda: Device(**worn), "endurance_cycles=1e+30", "at most 1e20 times endurance_onset")
    offset = Mapping(scheme="offset")
    raises(ValueError, lambda: Hardware(Device(states=2), mapping=offset), "states=2", "at least 3", "offset")
    raises(TypeError, lambda: Hardware(device="10k_100k"), "device='10k_100k'", "memlib.Device")
    raises(ValueError, lambda: Tile(adc_bits=None, adc_offset_error=0.1), "adc_offset_error=0.1", "without an ADC")
    raises(ValueError, lambda: Tile(dac_bits=None, bit_serial=True), "bit_serial=True", "without a DAC")
    raises(ValueError, lambda: Hardware(mapping=Mapping(slices=2)), "states=None", "slices=2")
    raises(ValueError, lambda: Hardware(Device(states=32), mapping=Mapping(slices=11)), "slices=11", "states=32")
    raises(ValueError, lambda: Hardware(Device(v0=0.01)), "v0=0.01", "a twentieth of v_read=0.3")
    raises(ValueError, lambda: Hardware(Device(v0=5.0, v0_off=0.07)), "v0_off=0.07", "half as much")
    serial = Hardware(tile=Tile(bit_serial=True))
    raises(ValueError, lambda: cost_of(nn.Linear(2, 1), (2,), serial, {"": 1.0}), "array_power", "bit-serial")
    raises(ValueError, lambda: footprint(nn.Linear(2, 1), (2,), Hardware(), signed=["a"]), "'a'", "one of ''")
    raises(ValueError, lambda: Device.preset("10k"), "preset='10k'", "'10k_100k', '14k_300k', '14k_50M'")


@pytest.mark.parametrize("layout", ["toeplitz", (2,), (2, 0), (1.5, 2), 4, (True, 2)])
def test_wrong_layouts(layout):
    """A layout is a name or two whole numbers."""
    raises(ValueError, lambda: Mapping(layout=layout), "layout", "must be")


def test_layouts_need_the_size_of_the_map():
    """Without images or their shape, no window can be placed; another size at run time is refused."""
    layer, off = nn.Conv2d(1, 1, 3, padding=1), Tile(dac_bits=None, adc_bits=None)
    sparse = Hardware(tile=off, mapping=Mapping(layout="sparse"))
    raises(ValueError, lambda: map_network(layer, sparse), "layout='sparse'", "'dense'", "input_shape")
    analog = map_network(layer, sparse, input_shape=(1, 4, 4))
    raises(ValueError, lambda: analog(torch.ones(1, 1, 5, 4)), "(5, 4)", "(4, 4)")
    call = lambda: map_network(layer, sparse, torch.ones(2, 1, 4, 4), input_shape=(1, 5, 5))  # noqa: E731
    raises(ValueError, call, "input_shape=(1, 5, 5)", "that of the calibration images", "(4, 4)")
    dense = map_network(layer, Hardware(tile=off), input_shape=(1, 1, 1))  # all but the middle is padding
    raises(ValueError, lambda: dense(torch.ones(1, 1, 2, 1)), "(2, 1)", "(1, 1)")


# Networks


class OwnLSTM(nn.LSTM):
    """One that may compute something else."""


class WithParameter(nn.Module):
    """A linear layer, and a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.gain = nn.Linear(4, 4), nn.Parameter(torch.ones(4))


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.ConvTranspose2d(3, 4, 3), "ConvTranspose2d"),
        (OwnLSTM(4, 4), "OwnLSTM"),
        (nn.Embedding(4, 4), "Embedding"),
        (nn.LayerNorm(4), "LayerNorm"),
        (nn.MultiheadAttention(4, 2), "MultiheadAttention"),
        (WithParameter(), "WithParameter"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_layer_that_cannot_be_mapped(layer, kind):
    """Names the layer and its type, and says how to keep it digital, which then works."""
    network = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), layer))
    hardware = Hardware(tile=Tile(dac_bits=None, adc_bits=None))
    for call in (lambda: map_network(network, hardware), lambda: footprint(network, (4,), hardware)):
        raises(ValueError, call, "layer '1.1'", kind, "digital=['1.1']")
    assert list(map_network(network, hardware, digital=["1.1"]).layers) == ["0"]


def test_digital():
    """Entries that match nothing, and a bare name, or nothing, instead of a list."""
    network = nn.Sequential(nn.Linear(4, 4))
    raises(TypeError, lambda: map_network(network, Hardware(), digital=None), "digital=None", "a list")
    raises(ValueError, lambda: map_network(network, Hardware(), digital=["fc"]), "digital='fc'", "no module")
    raises(ValueError, lambda: map_network(network, Hardware(), digital=[nn.Conv2d]), "Conv2d", "no module")
    raises(TypeError, lambda: map_network(network, Hardware(), digital="0"), "digital='0'", "a list")


def test_hardware_by_layer():
    """Unknown and missing layers, and things that are no hardware."""
    network, h = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), Hardware()
    for call in (lambda hardware: map_network(network, hardware), lambda hardware: footprint(network, (4,), hardware)):
        raises(ValueError, lambda call=call: call({"2": h, "*": h}), "unknown layers ['2']", "['0', '1']")
        raises(ValueError, lambda call=call: call({"1": h}), "layers ['0'] missing", "'*'")
        raises(TypeError, lambda call=call: call({"*": h.device}), "memlib.Hardware")
        raises(TypeError, lambda call=call: call(h.tile), "memlib.Hardware")


@pytest.mark.parametrize("seed", [-1, 0.5, True, None])
def test_seed(seed):
    """A device seed is a whole number."""
    network, hardware = nn.Linear(4, 4), Hardware(tile=Tile(dac_bits=None, adc_bits=None))
    raises(ValueError, lambda: map_network(network, hardware, seed=seed), f"seed={seed!r}", "whole number")


@pytest.mark.parametrize("tile", [Tile(dac_bits=1), Tile(adc_bits=1, converter="column")])
def test_one_bit_for_a_signed_input(tile):
    """A signed converter of one bit has no code but 0: found when calibration shows negative inputs."""
    field = "dac_bits=1" if tile.dac_bits == 1 else "adc_bits=1"
    network, hardware = nn.Linear(4, 4), Hardware(tile=tile)
    raises(ValueError, lambda: map_network(network, hardware, -torch.ones(2, 4)), field, "at least 2", "signed")
    map_network(network, hardware, torch.ones(2, 4))


# Images


def small_network() -> nn.Module:
    """For images of 3x8x8."""
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 5))


@pytest.mark.parametrize(
    ("calibration", "parts"),
    [
        (None, ["layer '0'", "pass calibration images", "dac_bits=None"]),
        ({}, ["layer '0'", "pass calibration images"]),
        (torch.zeros(0, 3, 8, 8), ["(0, 3, 8, 8)", "at least one image"]),
        (torch.zeros(3), ["(3,)", "at least one image"]),
        (torch.zeros(2, 3, 9, 8), ["(2, 3, 9, 8)", "do not fit the model"]),
        (torch.zeros(2, 1, 8, 8), ["(2, 1, 8, 8)", "do not fit the model"]),
        (torch.zeros(3, 8, 8), ["(3, 8, 8)", "do not fit the model"]),
        (torch.zeros(2, 192), ["(2, 192)", "do not fit the model"]),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), ["(2, 3, 8, 8)", "do not fit the model"]),
        (torch.full((2, 3, 8, 8), NAN), ["finite"]),
        (np.zeros((2, 3, 8, 8)), ["ndarray", "tensor"]),
        ([torch.zeros(3, 8, 8)], ["list", "tensor"]),
    ],
    ids=str.split("none record empty vector size channels one flat bytes nan numpy list"),
)
def test_calibration(calibration, parts):
    """Missing, empty, of the wrong shape or kind: the message names calibration and says what is wrong."""
    raises(ValueError, lambda: map_network(small_network(), Hardware(), calibration), "calibration", *parts)


def test_record_of_another_network():
    """A record that does not fit the layer, whatever the ADC's range is."""
    record = record_inputs(nn.Sequential(nn.Linear(7, 5)), torch.ones(2, 7))
    for adc_range in ("full", "calibrated"):
        hardware = Hardware(tile=Tile(adc_range=adc_range))
        raises(
            ValueError, lambda h=hardware: map_network(nn.Sequential(nn.Linear(6, 5)), h, record), "calibration", "'0'"
        )


def test_what_is_no_network():
    """A class of networks, say, or no chip."""
    raises(ValueError, lambda: map_network(nn.ReLU, Hardware()), "model=<class", "must be a torch.nn.Module")
    raises(TypeError, lambda: save_network(nn.ReLU(), "chip.safetensors"), "analog=ReLU", "must be a chip")


@pytest.mark.parametrize("full_scale", [NAN, -1.0])
def test_ranges(full_scale):
    call = lambda: map_network(nn.Linear(4, 4), Hardware(), torch.ones(2, 4), ranges={"": full_scale})  # noqa: E731
    raises(ValueError, call, f"ranges of layer ''={full_scale}", "at least 0")


def test_half_precision_is_refused():
    """A converter's codes do not fit bfloat16."""
    model = nn.Sequential(nn.Linear(6, 5)).bfloat16()
    raises(ValueError, lambda: map_network(model, Hardware(tile=Tile(dac_bits=None, adc_bits=None))), "'0'", "float32")


def test_pruned_network():
    """torch cannot copy it; the message says what to do."""
    model = nn.Sequential(nn.Linear(6, 5))
    prune.random_unstructured(model[0], "weight", 0.5)
    raises(ValueError, lambda: map_network(model, Hardware(), torch.ones(2, 6)), "model", "prune.remove")


def test_record_inputs_of_no_tensor():
    """Something else than a tensor of images."""
    raises(ValueError, lambda: record_inputs(small_network(), [1, 2]), "calibration='list'", "tensor")


def test_input_shape():
    """A footprint of an input that does not fit."""
    call = lambda: footprint(small_network(), (3, 9, 9), Hardware())  # noqa: E731
    raises(ValueError, call, "input_shape=(3, 9, 9)", "does not fit")
    raises(ValueError, lambda: footprint(nn.Linear(4, 4), 4, Hardware()), "input_shape=4", "such as (3, 32, 32)")


@pytest.mark.parametrize("shape", [(0,), (3,), (5,), (4, 1)])
def test_labels(shape):
    """One label for each image."""
    images, labels = torch.zeros(4, 3, 8, 8), torch.zeros(shape, dtype=torch.long)
    call = lambda: accuracy(small_network(), Hardware(), images, labels, calibration=images)  # noqa: E731
    raises(ValueError, call, f"labels={shape}", "4 images")


# Data


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
    raises(ValueError, lambda: data_sets.load_images("digits", "lossless"), "split='lossless'", "'train', 'test'")
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
def test_class_folders(files, old, new, parts):
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


# Names


def test_unknown_recipe_and_network(tmp_path):
    """Names of recipes and networks, before anything is written."""
    folders = tmp_path / "checkpoints", tmp_path / "states"
    raises(ValueError, lambda: trainer.train("resnet50", *folders), "recipe='resnet50'", "'resnet20-cifar10'")
    assert not any(folder.exists() for folder in folders)
    raises(ValueError, lambda: networks.build_network("resnet50"), "network='resnet50'", "'resnet20'", "'vgg8'")
    raises(ValueError, lambda: networks.build_network("vgg8", width=0), "width=0", "above 0")
    raises(ValueError, lambda: networks.build_network("vgg8", classes=0), "classes=0", "at least 1")
