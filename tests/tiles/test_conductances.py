"""What cells conduct at a read: I-V laws, transistors, wires, converters' errors, serial bits, sliced weights."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from memlib import Device, Hardware, Mapping, Tile, cost, footprint, load_network, map_network, save_network, tile_cells
from memlib.costs.activity import measure
from memlib.costs.cost_table import cost_of
from memlib.wires.solver import effective_conductance

OFF = Tile(dac_bits=None, adc_bits=None)
BASE = Device()


def linear(weights: Tensor) -> nn.Linear:
    """A layer with these weights, (outputs, inputs), and no bias."""
    layer = nn.Linear(*weights.T.shape, bias=False).double()
    layer.weight.data = weights.double()
    return layer


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


# I-V laws


@pytest.mark.parametrize("layout", ["dense", (2, 2), "sparse"])
@pytest.mark.parametrize("serial", [False, True])
def test_one_law_for_all_cells_bends_the_inputs(layout, serial):
    """The layer computes W f(v)/f(v_read); bits are all driven at v_read, so serial inputs are not bent."""
    layer, x = nn.Conv2d(2, 3, 3, padding=1).double(), torch.linspace(0, 1, 50).double().reshape(1, 2, 5, 5)
    tile = Tile(dac_bits=6, adc_bits=None, bit_serial=serial)
    chip = map_network(layer, Hardware(Device(v0=0.2), tile, Mapping(layout=layout)), calibration=x)
    codes = (x * 63).round()
    bent = codes / 63 if serial else torch.sinh(0.3 / 0.2 * codes / 63) / np.sinh(0.3 / 0.2)
    torch.testing.assert_close(chip(x), layer(bent).detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("v0", [0.1, 0.25, 1.0])
def test_series_of_the_law(v0, squared):
    """As many powers as the stated error needs, and no more."""
    device, x = Device(v0=10.0, v0_off=v0), 0.3 / v0
    terms, exact = device.law.series_terms(0.3, squared), (np.sinh(x) / x) ** (1 + squared)
    coefficients = [1, 1 / 6, 1 / 120, 1 / 5040, 1 / 362880, 1 / 39916800, 1 / 6227020800]
    if squared:
        coefficients = [1, 1 / 3, 2 / 45, 1 / 315, 2 / 14175, 2 / 467775, 4 / 42567525, 1 / 638512875]
    sums = np.cumsum([c * x ** (2 * k) for k, c in enumerate(coefficients)])
    assert exact - sums[terms - 1] <= 1e-4 * exact
    assert terms == 1 or exact - sums[terms - 2] > 1e-4 * exact
    assert Device(v0=0.2, v0_off=0.2).law.series_terms(0.3) == 1


# Transistors and wires


def test_transistor():
    """A cell conducts g/(1 + g r): a weight of 1 is seen as the difference of the two states behind it."""
    tile = OFF.replace(r_transistor=5e3)
    seen = map_network(linear(torch.ones(2, 3)), Hardware(BASE, tile))(torch.eye(3).double())
    behind = [1 / (r + 5e3) for r in (10e3, 100e3)]
    np.testing.assert_allclose(seen.numpy(), (behind[0] - behind[1]) / (1 / 10e3 - 1 / 100e3), rtol=1e-12)


@pytest.mark.parametrize("reference", ["g", "range"])
def test_read_noise_behind_wires(reference):
    """Sigma scaled as the conductance is: at most too large by the share of the current that the wires take, 20 %."""
    device = BASE.replace(read_noise=0.05, read_noise_to=reference)
    weights = torch.full((16, 16), 1.0, dtype=torch.float64)
    tile = OFF.replace(rows=16, cols=16, r_row=12.0, r_col=12.0)
    n, x = 4000, torch.ones(1, 16, dtype=torch.float64)
    reads = map_network(linear(weights), Hardware(device, tile))(x.expand(n, 16)).numpy()
    generator, expected = torch.Generator().manual_seed(1), 0
    for g in (BASE.g_on, BASE.g_off):
        sigma = 0.05 * (g if reference == "g" else BASE.g_range)
        z = torch.randn(n, 16, 16, generator=generator, dtype=torch.float64)
        cells = (g + sigma * z).clamp(min=0)
        currents = effective_conductance(cells, 12.0, 12.0).sum(1)
        expected = currents - expected if g == BASE.g_off else currents
    expected = -expected.numpy() / BASE.g_range
    assert expected.mean() == pytest.approx(reads.mean(), rel=0.01)
    loss = 1 - expected.mean() / 16
    assert 0.15 < loss < 0.25
    ratio = reads.std(0) / expected.std(0)
    assert ratio.min() > 0.95
    assert ratio.max() < 1 + loss
    assert ratio.mean() < 1 + 0.7 * loss


@pytest.mark.parametrize(("resistances", "most"), [({"r_sense": 300.0}, 0.45), ({"r_driver": 300.0}, 0.45)])
def test_read_noise_behind_ends(resistances, most):
    """Where all of a column's, or a row's, current passes one resistance that takes the share s: s/(1 - s) at most."""
    device, n = BASE.replace(read_noise=0.02), 3000
    tile = OFF.replace(rows=16, cols=16, **resistances)
    reads = map_network(linear(torch.ones(16, 16)), Hardware(device, tile))(torch.ones(n, 16).double()).numpy()
    z = torch.randn(2, n, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    positive, negative = (
        effective_conductance(g * (1 + 0.02 * part), **resistances).sum(1)
        for g, part in zip((1e-4, 1e-5), z, strict=True)
    )
    brute = ((positive - negative) / BASE.g_range).numpy()
    share = 1 - brute.mean() / 16
    assert 0.2 < share < most
    ratio = reads.std(0).mean() / brute.std(0).mean()
    assert 0.97 < ratio < 1 + 1.1 * share / (1 - share)


def test_transistor_quietens_cells():
    """A fluctuation of the resistor reaches the column through the square of the divider, to first order."""
    device = Device(r_on=10e3, r_off=1e9, read_noise=0.01)
    tile = OFF.replace(r_transistor=10e3)
    reads = map_network(linear(torch.ones(1, 1)), Hardware(device, tile))(torch.ones(20000, 1).double()).numpy()
    g = device.g_on * (1 + 0.01 * np.random.default_rng(0).standard_normal(20000))
    brute = g / (1 + g * 10e3) / device.g_range
    assert reads.std() == pytest.approx(brute.std(), rel=0.03)
    assert reads.mean() == pytest.approx(brute.mean(), rel=1e-3)


@pytest.mark.parametrize("scheme", ["differential", "offset"])
def test_cells_of_a_tile_can_be_looked_at(scheme):
    """They are those that the same chip computes with, where the placement says, and nothing in other lines."""
    device, tile = BASE.replace(program_error=0.1, states=None), OFF.replace(rows=6, cols=5)
    hardware, layer = Hardware(device, tile, Mapping(scheme=scheme)), linear(torch.ones(3, 8))
    seen = map_network(nn.Sequential(layer), hardware, seed=4)(torch.eye(8).double()).numpy()
    for number, rows in ((0, slice(0, 6)), (1, slice(6, 8))):
        g = tile_cells(nn.Sequential(layer), hardware, "0", number, seed=4).numpy()
        used = rows.stop - rows.start
        assert g.shape == ((2, 6, 5) if scheme == "differential" else (1, 6, 6))
        assert not g[:, used:].any()
        assert not g[:, :, 3:5].any()
        difference = g[0, :used, :3] - (g[1, :used, :3] if scheme == "differential" else g[0, :used, 5:])
        scale = device.g_range / (1 if scheme == "differential" else 2)
        np.testing.assert_allclose(seen[rows], difference / scale, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="tile=2: must be a whole number from 0 to 1"):
        tile_cells(nn.Sequential(layer), hardware, "0", 2)


# Converters


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


# Sliced weights


@pytest.mark.parametrize(("scheme", "states", "most"), [("differential", 4, 15), ("offset", 6, 12), ("offset", 3, 4)])
@pytest.mark.parametrize("layout", ["dense", (1, 2), "sparse"])
def test_slices_hold_the_digits_of_weights(scheme, states, most, layout):
    """Two slices of L levels hold whole numbers up to L^2 - 1, or +-(L^2 - 1)/2 for the offset scheme's odd L."""
    layer, x = nn.Conv1d(3, 4, 2, bias=False).double(), random(2, 3, 6)
    hardware = Hardware(Device(states=states), OFF, Mapping(layout, scheme, slices=2))
    chip = map_network(layer, hardware, input_shape=(3, 6))
    w_max = layer.weight.abs().max()
    digital = nn.functional.conv1d(x, ((layer.weight / w_max * most).round() / most * w_max).detach())
    torch.testing.assert_close(chip(x), digital, rtol=0, atol=1e-12)


def test_errors_of_slices_add_up_by_their_weights():
    """With a programming error of sigma in each cell, a pair with 2 slices of 4 levels errs by sigma sqrt(2 17)/5."""
    device = Device(states=4, program_error=0.01)
    chip = map_network(linear(torch.ones(100, 100)), Hardware(device, OFF, Mapping(slices=2)))
    errors = chip(torch.eye(100).double()).numpy() - 1
    assert stats.kstest(errors.ravel(), stats.norm(0, 0.01 * np.sqrt(2 * 17) / 5).cdf).pvalue > 1e-3


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
    chip = map_network(layer, Hardware(BASE, OFF.replace(r_row=5.0)))
    save_network(chip, tmp_path / "chip.safetensors")
    other = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2))
    nn.init.zeros_(other[0].weight)
    assert torch.equal(load_network(other, tmp_path / "chip.safetensors")(x), chip(x))
