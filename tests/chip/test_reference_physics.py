"""The reference simulator's I-V laws, wires, converters and draws against results by hand.

What else it does is shown by hand of the fast path, which it equals.
"""

import math

import numpy as np
import pytest
import torch
from reference import ReferenceLayer

from memlib import Device, Mapping, Tile
from memlib.base.random_streams import generator, normals

PLAIN = Tile(rows=2, cols=3, dac_bits=None, adc_bits=None, v_read=0.3)
OFFSET = Mapping(scheme="offset")
T_READ = 1.0  # so that an energy is a power, well above the absolute tolerance of comparisons


def layer(
    weight: list, device: Device | None = None, tile: Tile = PLAIN, mapping: Mapping | None = None, signed=True
) -> ReferenceLayer:
    """A linear layer with x_max = 1."""
    return ReferenceLayer(
        np.array(weight), None, device or Device(), tile, mapping or Mapping(), name="a", seed=1, signed=signed
    )


def test_iv_law():
    """One v0: the response over that at v_read. With v0_off: full scale is exact, and each cell has its own v0."""
    sinh = math.sinh
    y = layer([[1.0, -0.5]], Device(v0=0.2)).forward(np.array([[0.5, 1.0]]))
    assert y == pytest.approx(sinh(0.75) / sinh(1.5) - 0.5)
    two = layer([[1.0], [0.5]], Device(v0=0.2, v0_off=0.1))
    currents = 100e-6 * 0.2 * sinh(1.5) - 10e-6 * 0.1 * sinh(3), 55e-6 * 0.15 * sinh(2) - 10e-6 * 0.1 * sinh(3)
    assert two.forward(np.ones((1, 1)))[0] == pytest.approx([1.0, currents[1] / currents[0]])
    drawn = 100e-6 * 0.2 * sinh(1.5) + 55e-6 * 0.15 * sinh(2) + 2 * 10e-6 * 0.1 * sinh(3)
    assert two.array_energy(np.ones((1, 1)), T_READ) == pytest.approx(0.3 * drawn * T_READ)
    full = layer([[1.0]], Device(v0=0.2), PLAIN.replace(adc_bits=4, adc_range="full", converter="column"))
    full.set_range(np.ones((1, 1)))
    assert full.adc_range == pytest.approx(0.2 * sinh(1.5) * 100e-6)


def test_wires_in_series():
    """One row: its driver feeds a cell at column 0 and, after three more segments, the reference beyond column 2."""
    wires = PLAIN.replace(r_driver=100.0, r_row=300.0, r_col=500.0, r_sense=200.0, r_transistor=1000.0)
    below = 1000 + 2 * 500 + 200  # the tile has two rows
    g_cell, g_reference = 1 / (10e3 + below), 1 / (1 / 55e-6 + below + 3 * 300)
    into_row = 1 / (1 + 400 * (g_cell + g_reference))
    sinh = math.sinh
    off, on = 0.1 * sinh(3), 0.2 * sinh(1.5)
    g_driven = 1 / (10e3 + 1000), 1 / (1 / 55e-6 + 1000)
    for device, f_cell, f_reference, scale in (
        (Device(), 0.3, 0.3, 0.3),
        (Device(v0=0.2, v0_off=0.1), on, 0.15 * sinh(2), (10 * on - off) / 9),
    ):
        found = layer([[1.0]], device, wires, OFFSET)
        y = into_row * (g_cell * f_cell - g_reference * f_reference) / (scale * 45e-6)
        assert found.forward(np.ones((1, 1))) == pytest.approx(y)
        driven = np.average([f_cell, f_reference], weights=g_driven)
        energy = 0.3 * into_row * (g_cell + g_reference) * driven * T_READ
        assert found.array_energy(np.ones((1, 1)), T_READ) == pytest.approx(energy)
    pair = layer([[1.0]], tile=wires)  # two tiles, each with its driver
    g_pair = [1 / (r + below + 400) for r in (10e3, 100e3)]
    assert pair.forward(np.ones((1, 1))) == pytest.approx((g_pair[0] - g_pair[1]) / 90e-6)


def test_wires_shared():
    """Two rows that share a column's sense resistance, other segments 0; responses, power and noise by hand."""
    device = Device(v0=0.2, read_noise=0.1)
    found = layer([[1.0, 0.5]], device, PLAIN.replace(r_driver=100.0, r_sense=400.0, r_transistor=50.0))
    volts = np.array([0.3, -0.15])
    f = 0.2 * np.sinh(volts / 0.2)
    current, power, variance = [], 0.0, 0.0
    for r in ([10e3, 1 / 55e-6], [100e3, 100e3]):
        g = 1 / np.array(r)
        to_column = 1 / (1 / g + 150)
        effective = to_column / (1 + 400 * to_column.sum())
        current.append(f @ effective)
        power += volts @ (to_column * (f - 400 * current[-1]))
        in_series = 1 / (1 / g + 50)
        variance += np.sum((0.1 * g / (1 + 50 * g) ** 2 * effective / in_series * f) ** 2)
    scale = 1 / (0.2 * math.sinh(1.5) * 90e-6)
    x = np.array([[1.0, -0.5]])
    assert found.forward(x) == pytest.approx((current[0] - current[1]) * scale, rel=1e-9)
    z = float(torch.randn((1, 1), generator=generator(7)))
    noisy = (current[0] - current[1] + z * math.sqrt(variance)) * scale
    assert found.forward(x, generator(7)) == pytest.approx(noisy, rel=1e-9)
    assert found.array_energy(x, T_READ) == pytest.approx(power * T_READ, rel=1e-9)


def test_adc_errors():
    """Each converter's own gain and offset, the reference's too; 255 codes of the full range 0.3 V g_on."""
    tile = PLAIN.replace(adc_bits=8, adc_range="full", converter="column", adc_gain_error=0.2, adc_offset_error=0.1)
    found = layer([[1.0], [-0.3]], Device(), tile, OFFSET, signed=False)
    found.set_range(np.ones((1, 1)))
    gain, offset = (normals((1, 4), 1, "a", f"adc_{error}", 0, 0).double().numpy()[0] for error in ("gain", "offset"))
    relative = np.array([1.0, 0.415, np.nan, 0.55])  # at each column position; none at the third, the reference last
    codes = np.clip(np.round(255 * ((1 + 0.2 * gain) * relative + 0.1 * offset)), 0, 255)
    y = (codes[:2] - codes[3]) / 255 * 100e-6 / 45e-6
    assert found.forward(np.ones((1, 1)))[0] == pytest.approx(y)


def test_bit_serial():
    """Codes 5 and 3 of 7 in three reads, each converted; and a negative input in the second of two phases."""
    tile = PLAIN.replace(rows=3, dac_bits=3, bit_serial=True, adc_bits=4, adc_range="full")
    x = np.array([[5 / 7, 3 / 7, 0.0]])
    found = layer([[1.0, -0.4, 0.2]], Device(), tile, signed=False)
    found.set_range(x)
    # relative currents 0.6/3, -0.4/3 and 1/3, in sevenths 1.4, -0.93 and 2.33
    assert found.forward(x) == pytest.approx((1 - 2 * 1 + 4 * 2) / 7 * 3 / 7)
    assert found.conversions() == 3
    reads = 0.3**2 * (110e-6 * 2 + (46e-6 + 10e-6) * 2)  # the first row twice, the second twice
    assert found.array_energy(x, T_READ) == pytest.approx(reads * T_READ)
    signed = layer([[1.0]], Device(), tile.replace(adc_bits=3, converter="column"))
    signed.set_range(x[:, :1])
    # code -2 of 3; g_on reads as code 7 of 7, g_off as 0.7
    assert signed.forward(np.array([[-0.6]])) == pytest.approx(-2 / 3 * (7 - 1) / 7 * 100 / 90)
    assert signed.conversions() == 2 * 2 * 2
    calibrated = layer([[1.0]], Device(), tile.replace(adc_range="calibrated", adc_quantile=0.75))
    calibrated.set_range(np.array([[1 / 3], [-1.0]]))  # of eight reads, three carry current
    assert calibrated.adc_range == pytest.approx(0.3 * 90e-6)


def test_draws_of_slices_and_bits():
    """Slices have devices and read noise of their own; each bit takes the next normals, for both images."""
    device = Device(states=2, read_noise=0.1, program_error=0.01)
    tile = PLAIN.replace(dac_bits=2, bit_serial=True)
    found = layer([[1.0]], device, tile, Mapping(slices=2), signed=False)
    names = (1, "a"), (1, "a", "slice", 1)
    noise, same_noise = ([generator(slice_) for slice_ in range(2)] for _ in range(2))
    for _ in range(2):  # read noise goes on from one forward to the next
        expected = np.zeros(2)
        for slice_, name in enumerate(names):
            error = normals((2, 1, 1, 1), *name, "program_error").double().flatten().numpy()
            g = np.array([100e-6, 10e-6]) + 0.01 * 90e-6 * error
            for bit, driven in enumerate([[1, 1], [1, 0]]):  # codes 3 and 1
                z = torch.randn((2, 1), generator=same_noise[slice_]).double().numpy()[:, 0]
                read = g[0] - g[1] + z * 0.1 * math.hypot(*g)
                expected += np.array(driven) * read * 2**bit / 3 * 2**slice_ / 3 / 90e-6
        y = found.forward(np.array([[1.0], [1 / 3]]), noise)[:, 0]
        np.testing.assert_allclose(y, expected, rtol=1e-12)
