"""Single arrays, linear and nonlinear, against `solve`, Kirchhoff's laws and SciPy's root finder."""

import numpy as np
import pytest
import torch
from nodal_oracle import resistors
from scipy.optimize import brentq

from memlib.wires import nodal
from memlib.wires.nodal import solve_array
from memlib.wires.resistances import Wires
from memlib.wires.solver import effective_conductance, solve

WIRES = Wires(row=1.0, col=2.0, driver=30.0, sense=20.0, transistor=2e3)
CASES = [Wires(), Wires(row=1.0), Wires(col=2.0, sense=5.0), Wires(driver=30.0, transistor=1e3), WIRES]


def example(*shape: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Conductances from 10 kohm to 1 Mohm, one cell open, and voltages of both signs."""
    rng = np.random.default_rng(seed)
    g = 10 ** rng.uniform(-6, -4, shape)
    g[-1, 0] = 0 if g.size > 1 else g[-1, 0]
    return g, rng.uniform(-0.3, 0.3, shape[0])


@pytest.mark.parametrize("wires", CASES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (16, 10), (10, 16)])
def test_linear(shape, wires):
    """The currents and the power that `solve` gives, in one step; power is conserved."""
    g, volts = example(*shape)
    found, exact = solve_array(g, volts, wires), solve(torch.from_numpy(g), wires)
    np.testing.assert_allclose(found.output_currents, volts @ exact.g_eff.numpy(), rtol=1e-9)
    np.testing.assert_allclose(found.input_currents, exact.admittance.numpy() @ volts, rtol=1e-9)
    np.testing.assert_allclose(found.power, volts @ exact.admittance.numpy() @ volts, rtol=1e-9)
    np.testing.assert_allclose(sum(found.dissipation.values()), found.power, rtol=1e-9)
    assert found.iterations == 1
    ohms = [wires.driver, wires.row, wires.transistor, wires.col, wires.sense]
    parts = ("drivers", "row_wires", "transistors", "column_wires", "sense")
    dissipating = [part for part in parts if found.dissipation[part]]
    assert dissipating == [part for part, ohm in zip(parts, ohms, strict=True) if ohm]


def test_large_array():
    """128 x 128 with segments that differ."""
    g, volts = example(128, 128)
    rng = np.random.default_rng(1)
    wires = Wires(rng.uniform(0, 5, 128), rng.uniform(0, 5, 128), 10.0, 10.0, 1e3)
    found, g_eff = solve_array(g, volts, wires), effective_conductance(torch.from_numpy(g), *wires)
    np.testing.assert_allclose(found.output_currents, volts @ g_eff.numpy(), rtol=1e-9)


@pytest.mark.parametrize("wires", CASES)
@pytest.mark.parametrize("v0", [0.5, 0.05, 0.02])
def test_kirchhoff(wires, v0):
    """Currents of nonlinear cells, from the node voltages alone, add up to 0 at every node."""
    g, volts = example(12, 9)
    found = solve_array(g, volts, wires, v0)
    voltage = {("ground",): 0.0}
    for (i, j), value in np.ndenumerate(found.row_voltages):
        voltage["row", i, j], voltage["col", i, j] = value, found.column_voltages[i, j]
        voltage["cell", i, j] = value - found.column_voltages[i, j]
    balance = {}
    for a, b, ohm in resistors(g, wires):
        if "cell" in (a[0], b[0]) or not ohm or not {a, b} <= set(voltage):
            continue
        balance[a] = balance.get(a, 0) - (voltage[a] - voltage[b]) / ohm
        balance[b] = balance.get(b, 0) + (voltage[a] - voltage[b]) / ohm
    over_cell = found.row_voltages - found.column_voltages - wires.transistor * found.cell_currents
    expected, scale = g * v0 * np.sinh(over_cell / v0), np.abs(found.cell_currents).max()
    np.testing.assert_allclose(found.cell_currents, expected, rtol=1e-9, atol=1e-12 * scale)
    if wires.row:
        inner = [balance["row", i, j] - expected[i, j] for i in range(12) for j in range(1, 9)]
        np.testing.assert_allclose(inner, 0, atol=1e-9 * scale)
    if wires.col:
        inner = [balance["col", i, j] + expected[i, j] for i in range(11) for j in range(9)]
        np.testing.assert_allclose(inner, 0, atol=1e-9 * scale)
    np.testing.assert_allclose(found.cell_currents.sum(0), found.output_currents, rtol=1e-9)
    np.testing.assert_allclose(found.cell_currents.sum(1), found.input_currents, rtol=1e-9)
    np.testing.assert_allclose(sum(found.dissipation.values()), found.power, rtol=1e-9)


@pytest.mark.parametrize("v0", [3.0, 0.3, 0.03, 0.01])
@pytest.mark.parametrize("volt", [0.3, -0.3, 0.0])
def test_one_cell(volt, v0):
    total = sum(WIRES)
    g = 1e-4
    root = brentq(lambda x: x + total * g * v0 * np.sinh(x / v0) - volt, -0.3, 0.3, xtol=1e-16, rtol=1e-15)
    found = solve_array([[g]], [volt], WIRES, v0)
    np.testing.assert_allclose(found.output_currents, g * v0 * np.sinh(root / v0), rtol=1e-10)


def test_limits():
    """A large v0 is linear; a small one converges in a few steps; each cell may have its own."""
    g, volts = example(12, 9)
    linear = solve_array(g, volts, WIRES).output_currents
    almost = solve_array(g, volts, WIRES, v0=10.0)
    np.testing.assert_allclose(almost.output_currents, linear, atol=1e-3 * np.abs(linear).max())
    assert almost.iterations <= 3
    np.testing.assert_allclose(solve_array(g, volts, WIRES, v0=1e5).output_currents, linear, rtol=1e-9)
    steep = solve_array(g, volts, WIRES, v0=0.002)
    assert steep.iterations < 15
    assert (np.abs(steep.output_currents) > 2 * np.abs(linear)).any()
    mixed = np.where(np.arange(9) < 4, 0.05, 0.2) * np.ones((12, 1))
    apart = [solve_array(g, volts, Wires(col=2.0), v0).output_currents for v0 in (0.05, 0.2, mixed)]
    np.testing.assert_allclose(apart[2], np.where(np.arange(9) < 4, apart[0], apart[1]), rtol=1e-10)


def test_no_current():
    for g, volt in ((np.zeros((2, 3)), 0.3), (np.ones((2, 3)), 0.0)):
        found = solve_array(g, [volt, volt], WIRES, v0=0.1)
        assert not found.output_currents.any()
        assert abs(found.power) < 1e-15


def test_not_converged(monkeypatch):
    """The error tells how far it is from a solution."""
    monkeypatch.setattr(nodal, "MOST_STEPS", 2)
    g, volts = example(4, 4)
    with pytest.raises(RuntimeError, match=r"not converged after 2 Newton steps; .* of the largest current"):
        solve_array(g, volts, WIRES, v0=0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"g": [1.0]}, r"g.shape=\(1,\)"),
        ({"g": [[1.0], [-1.0]]}, "g=-1.0: must be finite, at least 0, S"),
        ({"volts": [1.0]}, "volts=.*: must be 2 finite voltages"),
        ({"volts": [1.0, np.nan]}, "volts="),
        ({"wires": Wires(row=np.array([1.0, 2.0]))}, r"r_row.shape=\(2,\): must be \(1,\), or a number"),
        ({"wires": Wires(sense=np.array(-1.0))}, "r_sense=-1.0"),
        ({"v0": 0.0}, "v0=0.0: must be above 0"),
    ],
)
def test_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        solve_array(**{"g": [[1.0], [2.0]], "volts": [1.0, 2.0], "wires": Wires()} | changes)
