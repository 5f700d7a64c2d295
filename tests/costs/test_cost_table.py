"""Energy, time and area: by hand on small machines."""

import numpy as np
import pandas as pd
import pytest
import torch
from small_networks import convolution, random
from torch import nn

from memlib import (
    Device,
    Hardware,
    Mapping,
    Tile,
    cost,
    footprint,
    load_network,
    map_network,
    save_network,
)
from memlib.costs.activity import measure
from memlib.costs.cost_table import cost_of
from memlib.costs.technology import Circuit, Technology, Writing

#: Every use costs another prime, so that a count in the wrong place shows.
USES = {"row": 2, "conversion": 3, "result": 5, "input_byte": 7, "row_byte": 11, "result_byte": 13, "output": 17}


def technology(**changes) -> Technology:
    """A table of round numbers: each use costs `USES` joules; a pass waits 1, 10 and 100 s for DAC, read and ADC."""
    circuits = {use: Circuit(joule, 1.0, 0.0, 1, "tile", use) for use, joule in USES.items()}
    circuits["row"] = Circuit(2.0, 1.0, 1e-3, 1, "row", "row", waits=True)
    circuits["conversion"] = Circuit(0.03, 100.0, 1.0, 1, "converter", "conversion", waits=True)
    fields = {"t_read": 10.0, "cell_area": 1e-6, "circuits": circuits, "writing": Writing(4, 2.0, 3.0)}
    return Technology("made up", 1e-9, **fields | changes)


def table(layout="dense", scheme="differential", converter="pair", tile=(10, 4), converters="serial", **more):
    """Cost of the convolution on a 6x5 map, whose output map is 4x3, by component."""
    fields = {"rows": tile[0], "cols": tile[1], "dac_bits": 8, "adc_bits": 8, "converter": converter}
    h = Hardware(Device(), Tile(**fields), Mapping(layout=layout, scheme=scheme, order="chw"))
    x = torch.rand(3, 2, 6, 5, generator=torch.Generator().manual_seed(1))
    analog = map_network(nn.Sequential(convolution()), h, x)
    return cost(analog, x, technology(), converters, **more).set_index("component")


def test_energy_by_hand():
    """18 rows in cuts of 10 and 8, 3 columns, 12 passes, in pairs: the uses of every circuit counted by hand."""
    counts = {
        "row": 12 * 18 * 2,
        "conversion": 12 * 3 * 2,
        "result": 12 * 3 * 2,
        "input_byte": 12 * 18,
        "row_byte": 12 * 18 * 2,
        "result_byte": 12 * 3 * 2 * 2,
        "output": 12 * 3,
    }
    found = table()["energy"]
    assert {use: found[use] for use in USES} == pytest.approx({use: counts[use] * USES[use] for use in USES})
    apart = table(converter="column")["energy"]
    assert apart["conversion"] == pytest.approx(2 * found["conversion"])
    assert apart["result"] == found["result"]
    offset = table(scheme="offset", converter="column")["energy"]
    assert offset["conversion"] == pytest.approx(12 * (3 + 1) * 2 * USES["conversion"])
    assert offset["row"] == pytest.approx(found["row"] / 2)


def test_latency_and_area_by_hand():
    """A pass waits 1 + 10 + 100 s for each of 3 conversions of a converter; 4 tiles of 40 cells."""
    for converters, conversions, number in (("serial", 3, 2), ("parallel", 1, 8)):
        t = table(converters=converters)
        assert t["latency"][["row", "array", "conversion"]].tolist() == [12, 120, 12 * 100 * conversions]
        assert t["latency"].sum() == 12 * (11 + 100 * conversions)
        assert t["area"][["array", "row", "conversion"]].tolist() == pytest.approx([160e-6, 40e-3, number])
    apart = table(converter="column", scheme="offset")
    assert apart["latency"]["conversion"] == 12 * 100 * 4
    assert apart["area"][["array", "row", "conversion"]].tolist() == pytest.approx([2 * 50e-6, 20e-3, 2])
    sparse = table("sparse")
    assert sparse["latency"]["array"] == 10
    assert sparse["area"]["array"] > t["area"]["array"]


def test_copies_share_the_passes():
    """5 copies of 12 passes: 3 passes in turn, 5 times the area and cells to write, the same energy."""
    one, five = table(), table(copies=5)
    assert five["latency"].tolist() == pytest.approx((one["latency"] / 12 * 3).tolist())
    for column in ("area", "writing_energy"):
        assert five[column]["array"] == pytest.approx(5 * one[column]["array"])
    assert five["energy"].tolist() == one["energy"].tolist()


def test_writing_by_hand():
    """All cells of the tiles, 4 pulses of 3 s and 2 V each; or only those with a weight, if others are unformed."""
    mean = (1 / 10e3 + 1 / 100e3) / 2
    t = table()
    assert t["writing_energy"]["array"] == pytest.approx(160 * 4 * 2**2 * mean * 3)
    assert t["writing_time"]["array"] == 40 * 12
    h = Hardware(Device(), Tile(rows=10, cols=4), Mapping(unused="unformed"))
    x = torch.rand(3, 2, 6, 5)
    unformed = cost(map_network(convolution(), h, x), x, technology()).set_index("component")
    assert unformed["writing_energy"]["array"] == pytest.approx(2 * 54 * 4 * 2**2 * mean * 3)
    assert unformed["writing_time"]["array"] == 30 * 12


def test_array_energy_by_hand():
    """One weight at the largest input: v^2 (g_on + g_off) t_read; half the input, a quarter."""
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(1.0)
    x = torch.ones(1, 1)
    for t_read, seconds in ((None, 10.0), (0.5, 0.5)):
        analog = map_network(layer, Hardware(tile=Tile(v_read=0.2, t_read=t_read)), x)
        expected = 0.04 * (1e-4 + 1e-5) * seconds
        assert cost(analog, x, technology()).iloc[0]["energy"] == pytest.approx(expected)
        half = cost(analog, x * 128 / 255, technology()).iloc[0]["energy"]
        assert half == pytest.approx(expected * (128 / 255) ** 2)


def test_cost_leaves_the_network_as_it_was(tmp_path):
    """Read noise goes on where it was; a network that was saved and loaded costs the same."""
    x = torch.rand(4, 2, 6, 5)
    h = Hardware(Device(read_noise=0.1, d2d_on=0.1), Tile(rows=10, cols=4), Mapping(layout=(2, 2)))
    analog = map_network(nn.Sequential(convolution()), h, x)
    twin = map_network(nn.Sequential(convolution()), h, x)
    assert torch.equal(analog(x), twin(x))
    first = cost(analog, x)
    assert torch.equal(analog(x), twin(x))
    save_network(analog, tmp_path / "chip.safetensors")
    loaded = load_network(nn.Sequential(convolution()), tmp_path / "chip.safetensors")
    pd.testing.assert_frame_equal(cost(loaded, x), first)
    double = cost(loaded.double(), x.double())  # another precision of the same chip
    assert double["energy"].sum() == pytest.approx(first["energy"].sum(), rel=1e-3)


def test_pipelined_copies_do_not_wait():
    """8 copies of 12 passes take 2 turns for one inference, but are busy for one and a half."""
    one, eight = table(), table(copies=8)
    assert eight["latency"].sum() == pytest.approx(one["latency"].sum() / 12 * 2)
    assert eight["busy"].sum() == pytest.approx(one["latency"].sum() / 8)


def test_without_a_chip_the_same():
    """`cost_of`, with the array power that was measured, is `cost`; also with hardware by layer, and folded batches."""

    class Folded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.linear = convolution(), nn.Linear(3, 2)

        def forward(self, x):
            y = self.conv(x).flatten(2).mT  # (n, positions, channels)
            return self.linear(y.flatten(0, 1)).unflatten(0, y.shape[:2])

    x = torch.rand(5, 2, 6, 5)
    tile = Tile(rows=10, cols=4)
    hardware = {"linear": Hardware(tile=tile), "*": Hardware(tile=tile, mapping=Mapping(layout=(2, 2)))}
    analog = map_network(Folded(), hardware, x)
    power = {name: found.power for name, found in measure(analog, x).items()}
    for more in ({}, {"fetch": "once", "copies": {"conv": 3}, "converters": "parallel"}):
        chip = cost(analog, x, technology(), **more)
        pd.testing.assert_frame_equal(cost_of(Folded(), (2, 6, 5), hardware, power, technology(), **more), chip)
    with pytest.raises(ValueError, match=r"array_power=.*: must be given for each of the layers"):
        cost_of(Folded(), (2, 6, 5), hardware, {"conv": 1.0}, technology())
    with pytest.raises(ValueError, match="use='rows': must be one of 'row'"):
        Circuit(1.0, 1.0, 1.0, 1, "row", "rows")
    energy = chip.set_index(["layer", "component"])["energy"]
    assert energy["linear", "conversion"] == pytest.approx(12 * 2 * USES["conversion"])  # 12 positions of each image
    fetched = 2 * 6 * 5, 12 * 3
    assert energy[:, "input_byte"].tolist() == pytest.approx([n * USES["input_byte"] for n in fetched])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: table(tile=(10, 4), copies=0), "copies of layer '0'=0: must be a whole number at least 1"),
        (lambda: table(converters="both"), "converters='both': must be one of 'serial', 'parallel'"),
        (lambda: table(copies={"1": 2}), "copies: layer='1': must be one of '0'"),
        (lambda: table(fetch="never"), "fetch='never': must be one of 'pass', 'once'"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        call()


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (torch.ones(0, 2), ValueError, r"images=\(0, 2\): must be a tensor of at least one image"),
        ([[1.0, 2.0]], ValueError, "images='list': must be a tensor"),
        (torch.ones(1, 3), ValueError, r"images: of shape \(1, 3\) do not fit the model"),
    ],
)
def test_failed_measurement_leaves_the_chip_alone(images, error, message):
    """Wrong images are refused, and the same chip goes on working."""
    x = torch.rand(4, 2)
    analog = map_network(nn.Linear(2, 2), Hardware(Device(read_noise=0.1)), x)
    before = cost(analog, x)
    with pytest.raises(error, match=message):
        cost(analog, images)
    pd.testing.assert_frame_equal(cost(analog, x), before)
    with pytest.raises(TypeError, match="analog=Linear: must be a chip"):
        cost(nn.Linear(2, 2), x)


@pytest.mark.parametrize("off", ["dac_bits", "adc_bits"])
def test_converters_that_are_off_have_no_cost(off):
    """They stand for ideal converters, which nobody can build."""
    layer, x = nn.Linear(2, 2), torch.ones(1, 2)
    analog = map_network(layer, Hardware(tile=Tile(**{off: None})), x)
    with pytest.raises(ValueError, match=f"{off} of layer ''=None: must be a number of bits"):
        cost(analog, x)


def test_serial_reads_and_slices_are_counted():
    """Every bit is a pass, with its conversions; signed inputs take two phases, and every slice has its own tiles."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    plain = Hardware(Device(states=4), Tile(rows=16, cols=8, dac_bits=6))
    serial = plain.replace(tile=plain.tile.replace(bit_serial=True), mapping=Mapping(slices=2))
    before, after = (footprint(network, (3, 8, 8), h, signed=["0"]).set_index("layer") for h in (plain, serial))
    for counted, factors in (("passes", (10, 6)), ("conversions", (20, 12)), ("tiles", (2, 2)), ("cells_used", (2, 2))):
        assert (after[counted] / before[counted]).tolist() == list(factors)
    x = random(2, 3, 8, 8).float()
    chip = map_network(network, serial, calibration=x)
    measured = cost(chip, x, "isaac")
    expected = cost_of(network, (3, 8, 8), serial, measure(chip, x))
    np.testing.assert_allclose(measured["energy"], expected["energy"], rtol=1e-6)
    energy = measured.groupby("component")["energy"].sum()
    one_bit = cost_of(network, (3, 8, 8), plain.replace(tile=plain.tile.replace(dac_bits=1)), {"0": 0.0, "2": 0.0})
    rows = after["row_activations"].sum() / before["row_activations"].sum()
    dac = one_bit.groupby("component")["energy"].sum()["DAC"]
    assert energy["DAC"] == pytest.approx(dac * rows, rel=1e-9)


def test_cost_of_slices_and_serial_bits_by_hand():
    """Two slices: twice the tiles, converters, and cells to write; 6 serial bits: 6 fetches of one bit for each row."""
    layer = nn.Linear(20, 6, bias=False)
    x = torch.rand(4, 20)
    tables, areas = {}, {}
    for name, slices, serial, scheme in (
        ("plain", 1, False, "differential"), ("slices", 2, False, "differential"), ("serial", 1, True, "differential"),
        ("offset", 1, False, "offset"), ("offset slices", 2, False, "offset"),
    ):  # fmt: skip
        tile = Tile(rows=16, cols=8, dac_bits=6, bit_serial=serial)
        hardware = Hardware(Device(states=5), tile, Mapping(scheme=scheme, slices=slices))
        tables[name] = cost(map_network(layer, hardware, calibration=x), x).set_index("component")
        areas[name] = footprint(layer, (20,), hardware).iloc[0]
    plain, sliced, serial = (tables[name] for name in ("plain", "slices", "serial"))
    assert sliced["area"]["array"] == pytest.approx(2 * plain["area"]["array"], abs=0)
    assert sliced["writing_energy"]["array"] == pytest.approx(2 * plain["writing_energy"]["array"], abs=0)
    for component in ("ADC", "DAC", "sample and hold"):
        assert sliced["area"][component] == pytest.approx(2 * plain["area"][component], abs=0)
        assert sliced["energy"][component] == pytest.approx(2 * plain["energy"][component], abs=0)
    assert serial["energy"]["ADC"] == pytest.approx(6 * plain["energy"]["ADC"], abs=0)
    assert serial["latency"]["array"] == pytest.approx(6 * plain["latency"]["array"], abs=0)
    assert serial["area"]["ADC"] == pytest.approx(plain["area"]["ADC"], abs=0)
    assert serial["energy"]["eDRAM"] <= 1.5 * plain["energy"]["eDRAM"]  # the same bits, in bytes of their own
    columns = areas["offset slices"]["column_activations"], areas["offset"]["column_activations"]
    assert columns == (2 * (6 + 1) * 2, (6 + 1) * 2)
