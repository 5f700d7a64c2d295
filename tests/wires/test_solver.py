"""Wire resistance against an independent nodal solution, and by hand."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from nodal_oracle import conductances, solve as nodal

from memlib.wires import solver
from memlib.wires.resistances import Wires
from memlib.wires.solver import effective_conductance, estimated_seconds, input_admittance, solve

TOLERANCE = 1e-9
WIRES = Wires(row=1.0, col=2.0, driver=30.0, sense=20.0, transistor=500.0)
EITHER = pytest.mark.parametrize("rows_first", [False, True])


def force(monkeypatch, rows_first: bool) -> None:
    """Join rows, or columns, whatever it costs."""
    costs = iter([1, 0] * 1000 if rows_first else [0, 1] * 1000)
    monkeypatch.setattr(solver, "_cost", lambda *_: next(costs))


def resistances(rows: int, cols: int, seed: int) -> Wires:
    """Each absent, a number, or different in every segment: 0.01 to 100 ohm, some 0."""
    rng = np.random.default_rng(seed)
    lengths = {"row": cols, "col": rows}
    chosen = {}
    for name in ("row", "col", "driver", "sense", "transistor"):
        kind = rng.integers(3)
        if kind == 1:
            chosen[name] = 10 ** rng.uniform(-2, 2)
        elif kind == 2 and name in lengths:
            chosen[name] = 10 ** rng.uniform(-2, 2, lengths[name]) * (rng.random(lengths[name]) < 0.8)
    return Wires(**chosen)


def random(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 10


def assert_close(found: torch.Tensor, expected: np.ndarray, tolerance: float = TOLERANCE) -> None:
    """Relative to the largest element, and each element above a millionth of it relative to itself."""
    error, largest = np.abs(found.numpy() - expected), np.abs(expected).max()
    assert error.max() <= tolerance * largest
    large = np.abs(expected) > 1e-6 * largest
    assert (error[large] <= tolerance * np.abs(expected[large])).all()


# By hand


@EITHER
def test_by_hand(monkeypatch, rows_first):
    """One cell; two in a row; two in a column: exact fractions from series and parallel resistors."""
    force(monkeypatch, rows_first)
    wires = Wires(1.0, 2.0, 3.0, 4.0, 5.0)
    one = solve(torch.tensor([[0.1]], dtype=torch.float64), wires)
    np.testing.assert_allclose([one.g_eff.item(), one.admittance.item()], 1 / 25, rtol=1e-15)

    a, b = Fraction(10 + 5 + 2 + 4), Fraction(20 + 5 + 2 + 4)  # ohm, from row node to ground
    total = 4 + 1 / (1 / a + 1 / (1 + b))
    share = (1 + b) / (a + 1 + b)
    row = solve(torch.tensor([[1 / 10, 1 / 20]], dtype=torch.float64), wires)
    np.testing.assert_allclose(row.g_eff[0], [float(share / total), float((1 - share) / total)], rtol=1e-15)
    np.testing.assert_allclose(row.admittance.item(), float(1 / total), rtol=1e-15)

    a, b, end = Fraction(4 + 10 + 5), Fraction(4 + 20 + 5), Fraction(2 + 4)  # ohm, from driver to column node
    other = 1 / (1 / end + 1 / b)
    first = 1 / (a + 2 + other)  # current of the first row, per volt at it
    other = 1 / (1 / end + 1 / (a + 2))
    second = 1 / (b + other)
    column = solve(torch.tensor([[1 / 10], [1 / 20]], dtype=torch.float64), wires)
    expected = [float(first * b / (b + end)), float(second * (a + 2) / (a + 2 + end))]
    np.testing.assert_allclose(column.g_eff[:, 0], expected, rtol=1e-15)
    back = -float(first * end / (b + end))
    np.testing.assert_allclose(column.admittance, [[float(first), back], [back, float(second)]], rtol=1e-15)


@EITHER
def test_no_wires(monkeypatch, rows_first):
    """Then the cells alone conduct, to the last digit."""
    force(monkeypatch, rows_first)
    g = torch.from_numpy(conductances(5, 3))
    cells = g / (1 + 1e4 * g)
    found = solve(g, Wires(transistor=1e4))
    assert torch.equal(found.g_eff, cells)
    torch.testing.assert_close(found.admittance, torch.diag(cells.sum(1)), rtol=1e-15, atol=0)


# The nodal solution


@EITHER
@pytest.mark.parametrize("seed", range(60))
def test_small_arrays(monkeypatch, seed, rows_first):
    """All kinds of zero, uniform and different resistances; both ways to join the lines."""
    force(monkeypatch, rows_first)
    shapes = [(1, 1), (1, 6), (6, 1), (2, 2), (3, 5), (7, 4), (12, 9)]
    rows, cols = shapes[seed % len(shapes)]
    g, wires = conductances(rows, cols, seed=seed), resistances(rows, cols, seed)
    found, exact = solve(torch.from_numpy(g), wires), nodal(g, wires)
    assert_close(found.g_eff, exact.g_eff)
    assert_close(found.admittance, exact.admittance)
    volts = np.random.default_rng(seed).uniform(-0.3, 0.3, rows)
    power = volts @ found.admittance.numpy() @ volts
    np.testing.assert_allclose(power, exact.power(volts), rtol=1e-9)


@pytest.mark.parametrize("ohm", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("shape", [(64, 64), (128, 16), (16, 128)])
def test_tiles(shape, ohm):
    """Six decades of conductances, four of resistances."""
    g, wires = conductances(*shape), Wires(row=ohm, col=ohm, sense=10 * ohm)
    exact = nodal(g, wires)
    found = solve(torch.from_numpy(g), wires)
    assert_close(found.g_eff, exact.g_eff)
    assert_close(found.admittance, exact.admittance)
    assert_close(effective_conductance(torch.from_numpy(g), *wires), exact.g_eff)
    assert_close(input_admittance(torch.from_numpy(g), wires), exact.admittance)


@pytest.mark.slow
def test_large_array():
    """256 x 256, some segments longer than others."""
    g, segments = conductances(256, 256), np.random.default_rng(0).choice([0.5, 1.0, 20.0], 256)
    wires = resistances(256, 256, seed=5).replace(row=segments, col=2.0)
    driven = [0, 7, 100, 255]
    exact = nodal(g, wires, driven)
    found = solve(torch.from_numpy(g), wires)
    assert_close(found.g_eff[driven], exact.g_eff)
    assert_close(found.admittance[:, driven], exact.admittance)


# Properties


@EITHER
def test_reciprocity(monkeypatch, rows_first):
    """Rows and columns may swap their parts, if each end keeps its resistances."""
    force(monkeypatch, rows_first)
    g = torch.from_numpy(conductances(7, 5))
    r_row, r_col = random(5), random(7)
    found = effective_conductance(g, r_row, r_col, r_driver=3.0, r_sense=4.0)
    mirrored = effective_conductance(g.flip(0, 1).mT, r_col.flip(0), r_row.flip(0), r_driver=4.0, r_sense=3.0)
    torch.testing.assert_close(found, mirrored.flip(0, 1).mT, rtol=1e-12, atol=0)


def test_cut_out_lines():
    """A row and a column without cells are no more than wire: gaps are longer segments."""
    g = torch.from_numpy(conductances(9, 8, zeros=0))
    rows, cols = [0, 1, 4, 7], [2, 3, 6]
    holes = torch.zeros_like(g)
    holes[np.ix_(rows, cols)] = g[np.ix_(rows, cols)]
    whole = solve(holes, WIRES)
    gaps = WIRES.replace(row=torch.tensor([3.0, 1.0, 3.0]), col=torch.tensor([2.0, 6.0, 6.0, 4.0]))
    part = solve(g[np.ix_(rows, cols)], gaps)
    torch.testing.assert_close(part.g_eff, whole.g_eff[np.ix_(rows, cols)], rtol=1e-12, atol=0)
    torch.testing.assert_close(part.admittance, whole.admittance[np.ix_(rows, rows)], rtol=1e-12, atol=0)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_batch_and_chunks(monkeypatch, shape):
    """Arrays of a batch, each with its own wires, are what they are alone, however they are cut in chunks."""
    monkeypatch.setattr(solver, "CHUNK_ELEMENTS", 80)
    g = torch.from_numpy(conductances(2, 3, *shape))
    r_row, r_col, r_driver = random(3, shape[1]), random(2, 1, shape[0]), random(3)
    wires = solve(g, Wires(r_row, r_col, r_driver, 1.0, 100.0))
    assert wires.g_eff.shape == (2, 3, *shape)
    assert wires.admittance.shape == (2, 3, shape[0], shape[0])
    for i, j in np.ndindex(2, 3):
        alone = solve(g[i, j], Wires(r_row[j], r_col[i, 0], r_driver[j], 1.0, 100.0))
        torch.testing.assert_close(wires.g_eff[i, j], alone.g_eff, rtol=1e-13, atol=0)
        torch.testing.assert_close(wires.admittance[i, j], alone.admittance, rtol=1e-13, atol=1e-18)


def test_float32_and_empty_batch():
    """Single precision is computed in double; no arrays give none."""
    g = torch.rand(3, 4, generator=torch.Generator().manual_seed(0)) * 1e-4
    assert torch.equal(effective_conductance(g, *WIRES), effective_conductance(g.double(), *WIRES))
    wires = solve(torch.zeros(0, 3, 4), WIRES)
    assert wires.g_eff.shape == (0, 3, 4)
    assert wires.admittance.shape == (0, 3, 3)


# Derivatives


@EITHER
@pytest.mark.parametrize("shape", [(3, 2), (2, 3)])
def test_gradients(monkeypatch, shape, rows_first):
    """In conductances of the order of a wire's, so that everything matters; and where cells are open."""
    force(monkeypatch, rows_first)
    generator = torch.Generator().manual_seed(0)

    def values(*size: int) -> torch.Tensor:
        return (torch.rand(size, generator=generator, dtype=torch.float64) + 0.5).requires_grad_()

    arguments = values(2, *shape), values(2, shape[1]), values(shape[0]), values(2), values(), values()
    torch.autograd.gradcheck(lambda g, *r: (solve(g, Wires(*r)).g_eff, solve(g, Wires(*r)).admittance), arguments)
    torch.autograd.gradcheck(lambda g, *r: (input_admittance(g, Wires(*r)),), arguments)


@EITHER
@pytest.mark.parametrize("ends", [0.0, 2.0])
def test_gradients_at_zero(monkeypatch, ends, rows_first):
    """At 0 S and 0 ohm, or wires of 0 ohm between ends that are not, against one-sided differences of third order."""
    force(monkeypatch, rows_first)
    g = torch.tensor([[1.0, 0.0, 2.0], [0.5, 1.5, 0.0]], dtype=torch.float64)
    start = [g, *(torch.full(n, ohm, dtype=torch.float64) for n, ohm in (((3,), 0), ((2,), 0), ((), ends), ((), ends)))]
    direction = [random(*part.shape) + 0.1 for part in start]

    def results(t: torch.Tensor | float) -> torch.Tensor:
        g, *ohms = (part + t * d for part, d in zip(start, direction, strict=True))
        found = solve(g, Wires(*ohms))
        return torch.cat((found.g_eff.flatten(), found.admittance.flatten()))

    h = 1e-6
    points = [results(k * h) for k in range(4)]
    expected = (-11 * points[0] + 18 * points[1] - 9 * points[2] + 2 * points[3]) / (6 * h)
    found = torch.autograd.functional.jacobian(results, torch.zeros((), dtype=torch.float64))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_inference_mode():
    with torch.inference_mode():
        assert solve(torch.rand(3, 4), Wires(row=torch.ones(4), col=1.0)).g_eff.shape == (3, 4)


# Errors and devices


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"g": [[1.0]]}, "g='list': must be a floating-point tensor"),
        ({"g": torch.ones(2, 2, dtype=torch.int64)}, "g=torch.int64"),
        ({"g": torch.ones(3)}, r"g.shape=\(3,\)"),
        ({"g": torch.ones(0, 3)}, r"g.shape=\(0, 3\)"),
        ({"g": torch.tensor([[1.0, -2.0]])}, "g=-2.0: must be finite conductances"),
        ({"g": torch.tensor([[1.0, float("nan")]])}, "g=nan"),
        ({"row": -1.0}, "r_row=-1.0: must be a number or an array, ohm, at least 0"),
        ({"col": "1"}, "r_col='1'"),
        ({"sense": float("inf")}, "r_sense=inf"),
        ({"driver": torch.tensor(-3.0)}, "r_driver=-3.0: must be finite resistances"),
        ({"row": torch.ones(3)}, r"r_row.shape=\(3,\): must be \(\.\.\., 2\)"),
        ({"g": torch.ones(3, 2, 2), "col": torch.ones(4, 2)}, r"fit for g of shape \(3, 2, 2\)"),
    ],
)
def test_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        solve(changes.pop("g", torch.ones(2, 2)), Wires(**changes))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda():
    """The same numbers, on the device of the conductances."""
    g = torch.from_numpy(conductances(3, 20, 30))
    here, there = solve(g, WIRES), solve(g.cuda(), WIRES)
    torch.testing.assert_close(there.g_eff.cpu(), here.g_eff, rtol=1e-10, atol=1e-18)
    torch.testing.assert_close(there.admittance.cpu(), here.admittance, rtol=1e-10, atol=1e-18)


def test_estimated_seconds():
    """As long as stated for a square array, and no longer for an array that has fewer rows or columns."""
    assert estimated_seconds(128, 128) == pytest.approx(45e-3, rel=0.1)
    assert max(estimated_seconds(64, 128), estimated_seconds(128, 64)) < 0.5 * estimated_seconds(128, 128)
