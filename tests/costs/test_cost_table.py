"""Energy, time and area: by hand on small machines, by brute force, and against a published inventory."""

import itertools

import pandas as pd
import pytest
import torch
from torch import nn

from memlib import Device, Hardware, Mapping, Tile, cost, load_network, map_network, save_network, totals
from memlib.costs.activity import measure
from memlib.costs.cost_table import cost_of
from memlib.costs.machine import balanced_copies, inventory
from memlib.costs.technology import TECHNOLOGIES, Circuit, Technology, Writing
from memlib.zoo.networks import build_network

#: Every use costs another prime, so that a count in the wrong place shows.
USES = {"row": 2, "conversion": 3, "result": 5, "input_byte": 7, "row_byte": 11, "result_byte": 13, "output": 17}


def technology(**changes) -> Technology:
    """A table of round numbers: each use costs `USES` joules; a pass waits 1, 10 and 100 s for DAC, read and ADC."""
    circuits = {use: Circuit(joule, 1.0, 0.0, 1, "tile", use) for use, joule in USES.items()}
    circuits["row"] = Circuit(2.0, 1.0, 1e-3, 1, "row", "row", waits=True)
    circuits["conversion"] = Circuit(0.03, 100.0, 1.0, 1, "converter", "conversion", waits=True)
    fields = {"t_read": 10.0, "cell_area": 1e-6, "circuits": circuits, "writing": Writing(4, 2.0, 3.0)}
    return Technology("made up", 1e-9, **fields | changes)


def convolution() -> nn.Module:
    """2 to 3 channels, 3x3, no padding: 18 x 3 weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Conv2d(2, 3, 3)


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


def test_unformed_cells_save_array_energy():
    """Unused cells conduct, unless they are unformed: the difference is theirs, by brute force over all cells."""
    layer, x = convolution(), torch.rand(2, 2, 6, 5, generator=torch.Generator().manual_seed(1))
    powers = {}
    for unused in ("hrs", "unformed"):
        h = Hardware(Device(), Tile(rows=10, cols=4), Mapping(layout="sparse", order="chw", unused=unused))
        analog = map_network(nn.Sequential(layer), h, x)
        powers[unused] = measure(analog, x)["0"].power
    codes = (x * (255 / x.max())).round()
    squares = (0.3 * codes / 255).double().square().flatten(1)
    tiles = analog.layers["0"].placement
    brute = sum(
        float(squares[:, i].mean()) * 2 * 1e-5
        for tile in tiles
        for i, row in zip(tile.inputs.tolist(), tile.weights.tolist(), strict=True)
        for weight in row
        if weight < 0
    )
    assert powers["hrs"] - powers["unformed"] == pytest.approx(brute, rel=1e-6)


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


def layers(**latencies: float) -> pd.DataFrame:
    """A cost table of layers with these latencies, s, and areas of 1 m2 each."""
    rows = [
        {"layer": n, "component": part, "energy": 3.0, "latency": t / 2, "busy": t / 4, "area": 0.5, "operations": ops}
        for n, t in latencies.items()
        for part, ops in (("a", 1e12), ("b", 0.0))
    ]
    return pd.DataFrame(rows)


def test_totals():
    """Latency adds up; with pipelined layers, the one that is busy longest sets the pace."""
    for pipelined, interval in ((False, 12.0), (True, 4.0)):
        t = totals(layers(first=8.0, second=4.0), pipelined)
        assert (t.energy, t.latency, t.interval, t.area, t.operations) == (12.0, 12.0, interval, 2.0, 2e12)
        assert t.power == 12.0 / interval
        assert t.tops_per_watt == pytest.approx(2 / 12)
        assert t.tops_per_mm2 == pytest.approx(2 / interval / 2e6)


def test_pipelined_copies_do_not_wait():
    """8 copies of 12 passes take 2 turns for one inference, but are busy for one and a half."""
    one, eight = table(), table(copies=8)
    assert eight["latency"].sum() == pytest.approx(one["latency"].sum() / 12 * 2)
    assert eight["busy"].sum() == pytest.approx(one["latency"].sum() / 8)


def test_balanced_copies_are_the_best():
    """No other copies are faster in the same area, nor smaller at the same speed: by trying all."""
    busy = {"a": 24.0, "b": 9.0, "c": 0.5}
    t = layers(**{name: 2 * seconds for name, seconds in busy.items()})

    def interval(copies: dict[str, int]) -> float:
        return max(busy[name] / copies[name] for name in busy)

    choices = [dict(zip("abc", c, strict=True)) for c in itertools.product(range(1, 17), range(1, 9), range(1, 3))]
    for area in (3, 4, 7.5, 12, 19):
        found = balanced_copies(t, area=area)
        assert sum(found.values()) <= area
        assert interval(found) == min(interval(c) for c in choices if sum(c.values()) <= area)
    for goal in (24, 10, 4, 2):
        found = balanced_copies(t, interval=goal)
        assert interval(found) <= goal
        assert sum(found.values()) == min(sum(c.values()) for c in choices if interval(c) <= goal)


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


def test_layouts_of_an_ideal_device_draw_the_same():
    """Without unused cells, each weight meets the same voltages in every layout: the arrays' energy is equal."""
    network = build_network("resnet20", 0.25).eval()
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    powers = []
    for layout in ("dense", (4, 4), "sparse"):
        h = Hardware(Device(), Tile(adc_bits=None), Mapping(layout, unused="unformed"))
        powers.append(sum(found.power for found in measure(map_network(network, h, x), x).values()))
    assert powers == pytest.approx([powers[0]] * 3, rel=1e-4)  # codes at half-way may fall either way


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: table(tile=(10, 4), copies=0), "copies of layer '0'=0: must be a whole number at least 1"),
        (lambda: table(converters="both"), "converters='both': must be one of 'serial', 'parallel'"),
        (lambda: table(copies={"1": 2}), "copies: layer='1': must be one of '0'"),
        (lambda: table(fetch="never"), "fetch='never': must be one of 'pass', 'once'"),
        (lambda: balanced_copies(layers(a=1.0), area=0.5), "area=0.5: must be at least"),
        (lambda: balanced_copies(layers(a=1.0), interval=0), "interval=0: must be a finite number above 0"),
        (lambda: balanced_copies(layers(a=1.0)), "one of them"),
        (lambda: inventory("isaac", 0, 64, 64), "tiles=0: must be a whole number at least 1"),
        (lambda: inventory("tsmc", 7, 64, 64), "technology='tsmc': must be one of 'isaac', 'li2022', or a memlib"),
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
        (torch.ones(1, 3), RuntimeError, "size|shape"),
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


# Published tables

#: Li et al. 2022, table VI: number, area (mm2), power (mW), latency of one (us), of 7 tiles of 64 x 64 cells.
TABLE_VI = {
    "DAC": (448, 25.8, 2690, 8.0e-4),
    "ADC": (7, 4.62, 70, 0.1),
    "activation": (2, 9.6e-3, 3.28e-2, 9.8e-2),
    "average pool": (1, 3.83e-4, 1.59, 8.49e-5),
    "adder": (10, 5.34e-3, 1.74e-2, 3.06e-4),
    "subtractor": (7, 2.46e-4, 0.287, 3.34e-4),
    "sample and hold": (448, 8.98e-6, 3.81e-3, 8.33e-4),
    "eDRAM": (1, 4.72e-3, 18.1, 1.15e-4),
    "bus": (192, 4.5e-3, 3.5, 9.02e-5),
    "input register": (1, 0.81, 0.674, 8.21e-5),
    "output register": (1, 8.7e-4, 0.418, 8.21e-5),
}
#: The same with an ADC for each column: what changes.
PARALLEL = {"ADC": (448, 296, 4480, 0.1), "subtractor": (224, 7.88e-3, 9.2, 3.34e-4)}
CROSSBAR_POWER = 4.35  # mW; memlib measures what its cells conduct instead


@pytest.mark.parametrize(
    ("converters", "rows", "area", "power"),
    [("serial", TABLE_VI, 31.3, 2790), ("parallel", TABLE_VI | PARALLEL, 322, 7210)],
)
def test_inventory_of_li_2022(converters, rows, area, power):
    """Component rows and totals as published, to the three digits that are printed."""
    found = inventory("li2022", tiles=7, rows=64, cols=64, converters=converters).set_index("component")
    assert set(found.index) == {*rows, "array"}
    for component, (number, mm2, milliwatt, microseconds) in rows.items():
        row = found.loc[component]
        expected = (number, mm2 * 1e-6, milliwatt * 1e-3, microseconds * 1e-6)
        assert (row["number"], row["area"], row["power"], row["latency"]) == pytest.approx(expected, rel=2e-3)
    assert found.loc["array", "area"] == pytest.approx(2.87e-10)
    assert found["area"].sum() * 1e6 == pytest.approx(area, rel=5e-3)
    assert found["power"].sum() * 1e3 + CROSSBAR_POWER == pytest.approx(power, rel=5e-3)


def test_schedule_and_convention_of_li_2022():
    """Their serial schedule from our numbers, and how far their energy is from the sum over components.

    They multiply the power of all components by the latency of all; memlib counts each only while it is used.
    """
    t = TECHNOLOGIES["li2022"]
    conversions = 2688
    parts = {
        "array": 28_672 * t.t_read,
        "ADC": conversions * t.circuits["ADC"].latency,
        "DAC": conversions * t.circuits["DAC"].latency,
    }
    latency = sum(parts.values())
    assert latency * 1e6 == pytest.approx(445, rel=2e-3)
    power = inventory(t, 7, 64, 64).set_index("component")["power"] * 1e3
    energy = (power.sum() + CROSSBAR_POWER) * 1e-3 * latency
    assert energy * 1e6 == pytest.approx(1240, rel=5e-3)
    power["array"] = CROSSBAR_POWER
    components = sum(power[name] * 1e-3 * seconds for name, seconds in parts.items())
    assert components * 1e6 == pytest.approx(5.78 + 18.8 + 0.758, rel=5e-3)
    assert energy / components == pytest.approx(49, rel=0.02)
    names = {"array": 64, "ADC": 6, "DAC": 42, "sample and hold": 6, "subtractor": 6, "activation": 1}  # uses in turn
    each = {name: t.t_read if name == "array" else t.circuits[name].latency for name in names}
    parallel = sum(names[name] * each[name] for name in names)
    assert parallel * 1e6 == pytest.approx(1.13, rel=5e-3)
    power = inventory(t, 7, 64, 64, "parallel")["power"].sum() + CROSSBAR_POWER * 1e-3
    assert power * parallel * 1e6 == pytest.approx(8.12, rel=5e-3)


def test_isaac():
    """An IMA of 8 crossbars has the power and area that ISAAC lists; at 4 to 10 bits, its ADC those of its scaling."""
    found = inventory("isaac", tiles=8, rows=128, cols=128).set_index("component")
    ima = ["ADC", "DAC", "sample and hold", "shift and add", "input register", "output register"]
    assert found.loc[ima, "power"].sum() * 1e3 == pytest.approx(24.1 - 2.4, rel=2e-3)
    assert found.loc[[*ima, "array"], "area"].sum() * 1e6 == pytest.approx(0.0131, rel=5e-3)
    adc = TECHNOLOGIES["isaac"].circuits["ADC"]
    published = {4: 361.04, 5: 476.91, 6: 626.91, 7: 845.18, 8: 1200, 9: 1827.91, 10: 3002.01}  # um2, Accelergy
    assert {b: adc.size(b) * 1e12 for b in published} == pytest.approx(published, rel=1e-3)
    energies = {4: 0.79, 5: 0.99, 6: 1.20, 7: 1.42, 8: 1.67, 9: 1.969, 10: 2.379}  # pJ at 1.2 GS/s
    assert {b: adc.energy(b) * 1e12 * 1.28 / 1.2 for b in energies} == pytest.approx(energies, rel=5e-3)
    dac = TECHNOLOGIES["isaac"].circuits["DAC"]
    assert dac.energy(8) == pytest.approx(128 * dac.energy(1))
