"""What cells conduct at a read: I-V laws, transistors, wires, converters' errors, serial bits, sliced weights."""

import numpy as np
import pytest
import torch
from nodal_oracle import solve as nodal_solution
from scipy import stats
from torch import Tensor, nn

from memlib import Device, Hardware, Mapping, Tile, cost, footprint, load_network, map_network, save_network, tile_cells
from memlib.chip.accuracies import accuracy
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


@pytest.mark.parametrize("layout", ["dense", (1, 2), "sparse"])
@pytest.mark.parametrize("scheme", ["differential", "offset"])
def test_a_law_that_depends_on_the_state(layout, scheme):
    """Sums of v0(g) sinh(v/v0(g)), to the stated error of the powers of v, and their power."""
    device = Device(v0=0.5, v0_off=0.15)
    layer, x = nn.Conv1d(2, 3, 1, bias=False).double(), random(4, 2, 5)
    chip = map_network(layer, Hardware(device, OFF, Mapping(layout, scheme)), calibration=x)
    scaled = layer.weight.detach().numpy()[:, :, 0] / layer.weight.abs().max().item()
    if scheme == "differential":
        parts, weight = [np.maximum(scaled, 0), np.maximum(-scaled, 0)], 1.0
    else:
        parts, weight = [0.5 + scaled / 2, np.full_like(scaled, 0.5)], 2.0
    v = 0.3 * x.numpy()[:, None] / x.abs().max().item()

    def current(position: np.ndarray) -> np.ndarray:
        v0 = (0.15 + 0.35 * position)[:, :, None]
        return (device.g_off + position * device.g_range)[:, :, None] * v0 * np.sinh(v / v0)

    at_v_read = (device.g_on * 0.5 * np.sinh(0.3 / 0.5) - device.g_off * 0.15 * np.sinh(0.3 / 0.15)) / device.g_range
    scale = layer.weight.abs().max().item() * x.abs().max().item() * weight / device.g_range / at_v_read
    expected = scale * (current(parts[0]) - current(parts[1])).sum(2)
    np.testing.assert_allclose(chip(x).numpy(), expected, atol=2e-4 * np.abs(expected).max())
    if layout == "dense":
        cells = parts if scheme == "differential" else [parts[0], parts[1][:1]]
        power = sum((v * current(part)).sum() for part in cells)
        assert measure(chip, x)["0" if "0" in chip.layers else ""].power * len(x) == pytest.approx(power, rel=2e-4)


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


@pytest.mark.parametrize("scheme", ["differential", "offset"])
def test_wires_of_a_layer(scheme):
    """A layer that fills parts of its tiles sees their wires as a sparse nodal solution of the whole tiles does."""
    tile = OFF.replace(rows=6, cols=5, r_driver=20.0, r_row=30.0, r_col=40.0, r_sense=10.0, r_transistor=100.0)
    weights = random(3, 8)
    seen = map_network(linear(weights), Hardware(BASE, tile, Mapping(scheme=scheme)))(torch.eye(8).double()).numpy()
    scaled, expected = weights.numpy().T / weights.abs().max().item(), np.zeros((8, 3))

    def effective(position: np.ndarray, columns: np.ndarray) -> np.ndarray:
        g = np.zeros((6, 6 if scheme == "offset" else 5))
        g[: len(position), columns] = BASE.g_off + position * BASE.g_range
        return nodal_solution(g, (30.0, 40.0, 20.0, 10.0, 100.0)).g_eff[: len(position)][:, columns]

    for first, last in ((0, 6), (6, 8)):
        part = scaled[first:last]
        if scheme == "differential":
            g = [effective(np.maximum(sign * part, 0), np.arange(3)) for sign in (1, -1)]
            expected[first:last] = (g[0] - g[1]) / BASE.g_range
        else:
            position = np.hstack([0.5 + part / 2, np.full((len(part), 1), 0.5)])
            g = effective(position, np.array([0, 1, 2, 5]))
            expected[first:last] = 2 * (g[:, :3] - g[:, 3:]) / BASE.g_range
    np.testing.assert_allclose(seen, expected * weights.abs().max().item(), rtol=1e-10, atol=1e-12)


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


def transfer(chip: nn.Module, inputs: int, points: int = 41) -> tuple[np.ndarray, np.ndarray]:
    """Gain and offset of every output of a chip whose rows are all driven alike, by least squares."""
    u = torch.linspace(-1, 1, points, dtype=torch.float64)
    y = chip(u[:, None].expand(-1, inputs)).numpy()
    return np.polyfit(u.numpy(), y, 1)


@pytest.mark.parametrize("converter", ["pair", "column"])
@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_errors_of_converters(converter, layout):
    """Each converter has a gain and an offset of its own, normal, the same at every read and other on other chips."""
    tile = Tile(rows=8, cols=32, dac_bits=None, adc_bits=16, adc_range="full", converter=converter)
    tile = tile.replace(adc_gain_error=0.02, adc_offset_error=0.01)
    layer, x = nn.Conv1d(8, 400, 1, bias=False).double(), torch.linspace(-1, 1, 41).double()
    nn.init.ones_(layer.weight)
    x = x[:, None, None].expand(-1, 8, 1)
    samples = []
    for seed in (0, 1):
        chip = map_network(layer, Hardware(BASE, tile, Mapping(layout)), calibration=x, seed=seed)
        y = chip(x)[:, :, 0].numpy()
        assert np.array_equal(chip(x)[:, :, 0].numpy(), y)
        samples.append(np.polyfit(x[:, 0, 0].numpy(), y, 1))
    gains, offsets = (np.array([sample[i] for sample in samples]) for i in (0, 1))
    high, low = BASE.g_on, BASE.g_off
    spread = 0.02 if converter == "pair" else 0.02 * np.hypot(high, low) / (high - low)
    assert stats.kstest((gains / 8 - 1).ravel() / spread, stats.norm.cdf).pvalue > 1e-3
    full = 8 if converter == "pair" else 8 * np.sqrt(2) * high / (high - low)
    assert stats.kstest(offsets.ravel() / (0.01 * full), stats.norm.cdf).pvalue > 1e-3
    for values in (gains, offsets):
        assert abs(np.corrcoef(values)[0, 1]) < 0.2
    assert abs(np.corrcoef(gains[0], offsets[0])[0, 1]) < 0.2


@pytest.mark.parametrize("layout", ["dense", (2, 1), "sparse"])
@pytest.mark.parametrize("signed", [False, True])
def test_serial_bits_add_up(layout, signed):
    """Without ADC, reading bit by bit is reading the code; energy is v_read^2 g for every bit that is set."""
    layer = nn.Conv2d(2, 3, 3, padding=1).double()
    x = random(3, 2, 4, 4) if signed else random(3, 2, 4, 4).abs()
    chips = []
    for serial in (False, True):
        tile = Tile(dac_bits=5, adc_bits=None, bit_serial=serial)
        chips.append(map_network(layer, Hardware(BASE.replace(d2d_on=0.1), tile, Mapping(layout)), calibration=x))
    torch.testing.assert_close(chips[1](x), chips[0](x), rtol=0, atol=1e-12)
    if layout == "dense":
        most = 15 if signed else 31
        codes = (x / x.abs().max() * most).round().abs().long()
        bits = sum((codes >> b & 1) for b in range(5)).double()
        driven = nn.functional.unfold(bits, 3, padding=1).sum(2).sum(0)  # of every row, over images and passes
        cells = chips[1].layers[""].load.conductance[0, :-1]
        assert measure(chips[1], x)[""].power * 3 == pytest.approx(float(0.3**2 * driven @ cells), rel=1e-9)


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


def test_everything_at_once_runs_and_is_repeatable():
    """All effects of device, tile and mapping together: the same chip twice, another with another seed."""
    device = Device.preset("cmo_hfox").replace(
        v0=0.4, v0_off=0.25, stuck_off=0.01, retention_time=3600.0, retention_nu_sigma=0.01, endurance_cycles=10.0,
        endurance_on=0.01,
    )  # fmt: skip
    tile = Tile(
        rows=16, cols=8, dac_bits=4, adc_bits=6, adc_gain_error=0.01, adc_offset_error=0.01, bit_serial=True, r_row=2.0,
        r_col=2.0, r_driver=10.0, r_sense=10.0, r_transistor=500.0,
    )  # fmt: skip
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    x, labels = random(20, 2, 6, 6).float(), torch.zeros(20).long()
    for layout in ("dense", "sparse"):
        hardware = Hardware(device, tile, Mapping(layout, slices=2))
        chips = [map_network(network, hardware, calibration=x, seed=seed)(x) for seed in (0, 0, 1)]
        assert torch.equal(chips[0], chips[1])
        assert not torch.equal(chips[0], chips[2])
        assert (chips[0] - network(x)).abs().mean() < 0.5 * network(x).std()
        assert accuracy(network, hardware, x, labels, calibration=x, seeds=[0]).shape == (1,)
