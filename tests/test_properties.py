"""What holds for every layer, mapping, device, converter and point: checked on generated ones."""

import pytest
import torch
from cell_samples import draw
from hypothesis import assume, given, settings, strategies as st
from torch import Tensor, nn

from memlib import Device, Hardware, Mapping, Tile, footprint, load_network, map_network, save_network, tile_cells
from memlib.cells.static_effects import program_cells
from memlib.layers.geometry import Geometry
from memlib.layers.tracing import call_sizes, map_sizes
from memlib.tiles.converters import code_limits, quantise_input
from memlib.tiles.input_record import LayerInputs
from memlib.tiles.readout import Readout

MODES = ("zeros", "reflect", "replicate", "circular")
counts, shares = st.integers(1, 3), st.floats(0, 1)


@st.composite
def layers(draw) -> tuple[nn.Module, tuple[int, ...]]:
    """A Linear or convolution layer with random weights, and the shape of an input."""
    bias, dims, seed = draw(st.booleans()), draw(st.integers(0, 3)), draw(st.integers(0, 99))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if not dims:
            inputs, leading = draw(st.integers(1, 12)), draw(st.lists(counts, max_size=2))
            return nn.Linear(inputs, draw(st.integers(1, 9)), bias), (*leading, inputs)
        groups, mode = draw(counts), draw(st.sampled_from(MODES))
        kernel, stride, dilation = ([draw(counts) for _ in range(dims)] for _ in range(3))
        padding = [draw(st.integers(0, 2)) for _ in range(dims)]
        # torch reflects less than a map, and wraps at most one; and a kernel must fit
        least = [max(p + 1, (k - 1) * d + 1 - 2 * p) for p, k, d in zip(padding, kernel, dilation, strict=True)]
        size = [n + draw(st.integers(0, 3)) for n in least]
        if stride == [1] * dims and draw(st.booleans()):
            padding = "same"
            size = [n + (k - 1) * d for n, k, d in zip(size, kernel, dilation, strict=True)]
        channels = [draw(st.integers(1, 2)) * groups for _ in range(2)]
        create = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
        layer = create(*channels, tuple(kernel), stride, padding, dilation, groups, bias, mode)
    return layer, (channels[0], *size)


@st.composite
def mappings(draw) -> Mapping:
    """Any way to lay weights out; slices ask for a device with states."""
    scheme = draw(st.sampled_from(["differential", "offset"]))
    unused = ["hrs", "unformed"] if scheme == "differential" else ["hrs"]
    return Mapping(
        layout=draw(st.sampled_from(["dense", "sparse"]) | st.tuples(counts, counts)),
        scheme=scheme,
        order=draw(st.sampled_from(["packed", "chw", "hwc"])),
        unused=draw(st.sampled_from(unused)),
        w_max=draw(st.sampled_from(["layer", "column"])),
        slices=draw(st.sampled_from([1, 1, 1, 2, 3])),
    )


@st.composite
def tiles(draw, converters: bool = False) -> Tile:
    """A tile of any small shape; its converters off, or of any kind."""
    shape = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    converter = draw(st.sampled_from(["pair", "column"]))
    if not converters:
        return Tile(*shape, dac_bits=None, adc_bits=None, converter=converter)
    bits, serial = draw(st.integers(2, 9)), draw(st.booleans())
    ranges = {"adc_range": draw(st.sampled_from(["full", "calibrated"])), "adc_gain_error": draw(st.just(0) | shares)}
    return Tile(*shape, bits, draw(st.integers(2, 9)), converter=converter, bit_serial=serial, **ranges)


@st.composite
def devices(draw) -> Device:
    """Any valid device: each effect off or on, of any strength that is not absurd."""
    r_on = 10 ** draw(st.floats(2, 7))
    fields = {"r_on": r_on, "r_off": r_on * (1 + 10 ** draw(st.floats(-3, 5)))}
    strengths = {
        "states": st.integers(3, 40),
        "program_error": st.floats(0, 1),
        "program_error_to": st.sampled_from(["range", "g"]),
        "d2d_on": st.floats(0, 3),
        "d2d_off": st.floats(0, 3),
        "d2d_distribution": st.sampled_from(["lognormal", "normal"]),
        **dict.fromkeys(("stuck_on", "stuck_off", "unformed"), shares),
        "retention_time": st.floats(0, 1e9),
        "retention_nu": st.floats(-0.5, 0.5),
        "retention_nu_sigma": st.floats(0, 0.5),
        "retention_spread": st.floats(0, 0.5),
        "retention_energy": st.floats(0, 2),
        "recombination_energy": st.floats(0.1, 3),
        "recombination_within": st.floats(0, 1),
        "recombination_between": st.floats(0, 1),
        "endurance_cycles": st.floats(0, 1e12),
        "endurance_on": st.floats(0, 1),
        "endurance_off": st.floats(0, 1),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(strengths)), max_size=9))
    fields |= {name: draw(strengths[name]) for name in sorted(chosen)}
    try:
        return Device(**fields)
    except ValueError:  # an effect without what it needs
        return assume(False)


def hardware_of(device: Device, tile: Tile, mapping: Mapping) -> Hardware:
    """The three together; sliced weights need levels."""
    return Hardware(device if mapping.slices == 1 else device.replace(states=device.states or 7), tile, mapping)


def inputs_of(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    """Two normally distributed inputs."""
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def on_grid(layer: nn.Module, hardware: Hardware) -> None:
    """Make the weights ones that sliced cells hold exactly."""
    base = hardware.device.states - (hardware.mapping.scheme == "offset") * (1 - hardware.device.states % 2)
    most = base**hardware.mapping.slices - 1
    most = most if hardware.mapping.scheme == "differential" else most // 2
    with torch.no_grad():
        largest = layer.weight.abs().flatten(1).amax(1)
        largest = largest if hardware.mapping.w_max == "column" else largest.amax().expand_as(largest)
        scale = (largest / most).view(-1, *[1] * (layer.weight.dim() - 1))
        layer.weight.copy_((layer.weight / scale).round() * scale)


def placed(layer: nn.Module, shape: tuple[int, ...], hardware: Hardware):
    """The layer's placement; a layer that reads nothing but padding has none."""
    sizes = map_sizes(layer, call_sizes(layer, {"": layer}, shape)[""])
    try:
        return hardware.place(Geometry.of(layer), sizes)
    except ValueError as error:
        if "reads more than padding" not in str(error):
            raise
        return assume(False)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@settings(max_examples=120)
@given(layers(), tiles(), mappings(), st.booleans())
def test_an_ideal_chip_equals_torch(drawn, tile, mapping, read):
    """Every layer in every mapping, folded or read tile by tile, in both precisions."""
    layer, shape = drawn
    hardware = hardware_of(Device(read_noise=1e-30 * read), tile, mapping)
    placed(layer, shape, hardware)
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        layer, x = layer.to(dtype), inputs_of(shape, dtype)
        if mapping.slices > 1:
            on_grid(layer, hardware)
        expected, found = layer(x).detach(), map_network(layer, hardware, input_shape=shape)(x)
        assert found.dtype == dtype
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * float(expected.abs().max()))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@settings(max_examples=80)
@given(layers(), tiles(), mappings())
def test_footprint_counts_the_cells_of_the_chip(drawn, tile, mapping):
    """Used, allocated, tiles and utilisation agree with each other and with the cells that the chip programs."""
    layer, shape = drawn
    hardware = hardware_of(Device(), tile, mapping)
    placement, row = placed(layer, shape, hardware), footprint(layer, shape, hardware).iloc[0]
    columns = tile.cols + (mapping.scheme == "offset")
    assert row["cells_allocated"] == row["tiles"] * tile.rows * columns
    assert row["tiles"] == len(placement) * mapping.cells
    assert row["cells_used"] == sum(part.cells_used for part in placement) * mapping.cells
    assert 0 < row["cells_used"] <= row["tiles"] * tile.rows * tile.cols
    assert row["utilisation"] == row["cells_used"] / row["cells_allocated"] <= 1
    # with weights that are nowhere 0 and unused cells that do not conduct, every used pair differs
    if mapping.scheme == "differential" and mapping.slices == 1:
        nn.init.ones_(layer.weight)
        unformed = hardware.replace(mapping=mapping.replace(unused="unformed"))
        differ = 0
        for number in range(len(placement)):
            positive, negative = tile_cells(layer, unformed, "", number, input_shape=shape)
            assert positive.shape == (tile.rows, tile.cols)
            differ += int((positive != negative).sum())
        assert differ * 2 == row["cells_used"]


@settings(max_examples=40)
@given(layers(), tiles(converters=True), mappings(), devices(), st.booleans())
def test_a_saved_chip_is_the_same_chip(tmp_path, drawn, tile, mapping, device, noisy):
    """Its outputs, noise and converters included, are the same bytes; and so is the file that it is saved to again."""
    layer, shape = drawn
    hardware = hardware_of(device.replace(read_noise=0.1 * noisy), tile, mapping)
    placed(layer, shape, hardware)
    x = inputs_of(shape, torch.float32)
    chip = map_network(nn.Sequential(layer), hardware, x, seed=3)
    files = tmp_path / "first", tmp_path / "second"
    save_network(chip, files[0])
    loaded = load_network(nn.Sequential(layer), files[0])
    save_network(loaded, files[1])
    assert files[0].read_bytes() == files[1].read_bytes()
    assert loaded(x).numpy().tobytes() == chip(x).numpy().tobytes()
    assert loaded.layers["0"].hardware == hardware


# Devices


def programmed(device: Device, positions: Tensor) -> Tensor:
    """Conductances of cells whose targets are at these places of the window."""
    target = device.g_off + device.g_range * positions.double()
    return program_cells(device, target, lambda effect: draw(effect, len(target)), device.states)


@settings(max_examples=200)
@given(devices())
def test_conductances_are_finite_and_not_negative(device):
    """Whatever happens to a cell; and twice the same bytes."""
    positions = torch.linspace(0, 1, 64)
    g = programmed(device, positions)
    assert bool((g >= 0).all() & g.isfinite().all())
    assert bool(device.noise_variance(g).isfinite().all())
    assert programmed(device, positions).numpy().tobytes() == g.numpy().tobytes()


@given(devices(), st.integers(2, 64))
def test_without_variation_cells_hold_exactly_the_levels(device, states):
    """The nearest one, in the same order as the targets."""
    device = device.ideal().replace(states=states)
    g, targets = programmed(device, torch.linspace(0, 1, 257)), torch.linspace(0, 1, 257).double()
    levels = device.g_off + device.g_range / (states - 1) * torch.arange(states).double()
    assert set(g.tolist()) <= set(levels.tolist())
    assert bool((g.diff() >= 0).all())
    assert float(((g - device.g_off) / device.g_range - targets).abs().max()) <= (0.5 + 1e-6) / (states - 1)


@settings(max_examples=30)
@given(layers(), devices(), tiles(), tiles())
def test_a_used_cell_does_not_depend_on_the_cut(drawn, device, first, second):
    """However the layer is cut into tiles: the cells of its weights are the same ones."""
    layer, shape = drawn
    hardware = [Hardware(device, t, Mapping(unused="unformed")) for t in (first, second)]
    placements = [placed(layer, shape, h) for h in hardware]
    cells = []
    for h, placement in zip(hardware, placements, strict=True):
        found = {}
        for number, tile in enumerate(placement):
            array = tile_cells(layer, h, "", number, input_shape=shape)[:, tile.rows][:, :, tile.columns]
            used = tile.weights >= 0
            found |= dict(zip(tile.weights[used].tolist(), array[:, used].T.tolist(), strict=True))
        cells.append(found)
    assert cells[0] == cells[1]


@given(st.floats(0.05, 10), st.floats(0.05, 10) | st.none(), st.floats(0.01, 0.5))
def test_current_rises_with_voltage(v0, v0_off, v_read):
    """I(v) is odd and rises; between equal voltages no cell that conducts better carries less."""
    device = Device(v0=v0, v0_off=v0_off)
    volts = torch.linspace(-v_read, v_read, 101).double()
    for place in (0.0, 0.5, 1.0):
        g = torch.tensor(device.g_off + place * device.g_range).double()
        own = device.law.own_v0(g) if device.law.depends_on_state else v0
        current = g * own * torch.sinh(volts / own)
        assert bool((current.diff() > 0).all())
        torch.testing.assert_close(current, -current.flip(0))
    if not device.law.depends_on_state:
        torch.testing.assert_close(current, device.g_on * device.law.response(volts))


@given(devices(), st.floats(1, 6), st.floats(1, 6))
def test_cycles_never_widen_the_window(device, first, second):
    """LRS falls and HRS rises with the number of cycles, until they meet."""
    worn = {"endurance_on": device.endurance_on or 0.2, "endurance_off": device.endurance_off}
    device = device.ideal().replace(**worn)
    few, many = sorted((10**first, 10**second))
    window = [programmed(device.replace(endurance_cycles=n), torch.tensor([0.0, 1.0])).tolist() for n in (few, many)]
    tolerance = 1e-12 * device.g_on
    for off, on in window:
        assert off <= on + tolerance
    assert window[1][1] <= window[0][1] + tolerance
    assert window[1][1] - window[1][0] <= window[0][1] - window[0][0] + tolerance


# Converters


@given(st.integers(2, 16), st.booleans(), st.floats(1e-3, 1e3), st.integers(0, 99))
def test_a_dac_rounds_and_clips(bits, signed, x_max, seed):
    """Within half a step inside the range, clipped outside, monotone, and unchanged when done twice."""
    tile, inputs = Tile(dac_bits=bits), LayerInputs(x_max, signed, torch.empty(0))
    x = torch.randn(200, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).sort().values * x_max
    codes = quantise_input(x.clone(), tile, inputs)
    low, high = code_limits(bits, signed, "dac_bits")
    step = x_max / high
    inside = (x >= low * step) & (x <= high * step)
    assert set(codes.tolist()) <= {float(code) for code in range(low, high + 1)}
    assert float((codes[inside] * step - x[inside]).abs().max()) <= 0.5 * step * (1 + 1e-9)
    assert torch.equal(codes[~inside], torch.where(x[~inside] > 0, float(high), float(low)))
    assert bool((codes.diff() >= 0).all())
    assert torch.equal(quantise_input(codes * step, tile, inputs), codes)


@given(st.integers(2, 16), st.booleans(), st.integers(0, 99))
def test_an_adc_rounds_and_clips(bits, signed, seed):
    """The same of currents in units of a code."""
    limits = code_limits(bits, signed, "adc_bits")
    readout = Readout(Hardware(), (0, "layer"), limits, 1.0, 1.0)
    currents = torch.randn(200, generator=torch.Generator().manual_seed(seed)).double().sort().values * limits[1]
    codes = readout.convert(currents.clone())
    inside = (currents >= limits[0]) & (currents <= limits[1])
    assert float((codes - currents)[inside].abs().max()) <= 0.5
    assert torch.equal(codes[~inside], torch.where(currents[~inside] > 0, *map(float, reversed(limits))))
    assert bool((codes.diff() >= 0).all())
    assert torch.equal(readout.convert(codes.clone()), codes)
