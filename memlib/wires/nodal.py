"""One array looked at closely: all voltages and currents, of linear and of nonlinear cells with resistive wires.

Modified nodal analysis (Ho, Ruehli and Brennan, IEEE Trans. Circuits Syst. 22, 504, 1975) with SciPy's sparse LU:
voltages of row and column nodes and currents of wire segments and cells are all unknown. So resistances are
factors, and 0 ohm is exact. `Wires` says where each resistance is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.sparse.linalg import splu

from memlib.base.checks import fail
from memlib.wires.resistances import Wires

MOST_STEPS = 50  #: of Newton's method
LARGEST_ARGUMENT = 700.0  #: sinh of more is beyond every current; it only has to stay finite
#: Largest deviation from the cells' law at a solution, relative to the largest cell current.
TOLERANCE = 1e-12


@dataclass(frozen=True)
class Array:
    """An array and its input, checked and broadcast."""

    g: np.ndarray  #: (rows, cols) S
    volts: np.ndarray  #: (rows,)
    r_row: np.ndarray  #: (cols,) segment before each cell of a row, ohm
    r_col: np.ndarray  #: (rows,) segment after each cell of a column, ohm
    r_driver: float
    r_sense: float
    r_transistor: np.ndarray  #: (rows, cols) ohm
    v0: np.ndarray | None  #: (rows, cols) V; None: linear

    def current(self, v: np.ndarray) -> np.ndarray:
        """Current (rows, cols), A, through cells whose resistors have the voltages `v`: g v, or g v0 sinh(v/v0)."""
        if self.v0 is None:
            return self.g * v
        return self.g * self.v0 * np.sinh(np.clip(v / self.v0, -LARGEST_ARGUMENT, LARGEST_ARGUMENT))

    def voltage(self, current: np.ndarray) -> np.ndarray:
        """Inverse of `current`, (rows, cols) V; 0 for open cells."""
        v0 = 1.0 if self.v0 is None else self.v0
        ratio = np.divide(current, self.g * v0, out=np.zeros_like(current), where=self.g > 0)
        return ratio if self.v0 is None else v0 * np.arcsinh(ratio)


@dataclass(frozen=True)
class ArraySolution:
    """Voltages and currents of an array; row i, column j."""

    volts: np.ndarray  #: (rows,) V at the drivers
    row_voltages: np.ndarray  #: (rows, cols) V at each cell's row node
    column_voltages: np.ndarray  #: (rows, cols) V at each cell's column node
    cell_currents: np.ndarray  #: (rows, cols) A
    input_currents: np.ndarray  #: (rows,) A out of each driver
    output_currents: np.ndarray  #: (cols,) A into each sense node
    dissipation: dict[str, float]  #: W in all drivers, row_wires, transistors, cells, column_wires, sense
    iterations: int  #: Newton steps

    @property
    def power(self) -> float:
        """Power that the drivers deliver, W: the sum of `dissipation`."""
        return float(self.volts @ self.input_currents)


def solve_array(g: ArrayLike, volts: ArrayLike, wires: Wires, v0: ArrayLike | None = None) -> ArraySolution:
    """Solve one array for one input.

    Newton's method on the whole array. A step ends on each cell's tangent; the cell then goes to the point of its curve
    with the same current if its voltage grew, with the same voltage if it fell. Both limit what sinh can do.

    Args:
        g: (rows, cols) conductances at 0 V, S, >= 0.
        volts: (rows,) V.
        wires: resistances, ohm; those of driver and sense are numbers.
        v0: of I = g v0 sinh(v/v0), v the voltage over the resistor, V: a number or (rows, cols); None: linear.

    Raises:
        ValueError: for values or shapes that do not fit.
        RuntimeError: if Newton's method does not converge in `MOST_STEPS`.
    """
    array = check_array(g, volts, wires, v0)
    equations, right, scale = _equations(array)
    v = np.zeros(array.g.shape)
    for iteration in range(1, MOST_STEPS + 1):
        row, column, _, _, current = unknowns = _step(array, equations, right, scale, v)
        over_cell = row - column - array.r_transistor * current
        largest = np.abs(current).max()
        residual = np.abs(current - array.current(over_cell)).max()
        if residual <= TOLERANCE * largest:
            return _solution(array, unknowns, iteration)
        v = np.where(np.abs(over_cell) > np.abs(v), array.voltage(current), over_cell)
    raise RuntimeError(
        f"solve_array: not converged after {MOST_STEPS} Newton steps; cells deviate from I = g v0 sinh(v/v0) by up "
        f"to {residual:.3g} A, {residual / largest:.3g} of the largest current (tolerance {TOLERANCE:g})"
    )


def check_array(g: ArrayLike, volts: ArrayLike, wires: Wires, v0: ArrayLike | None = None) -> Array:
    """The arguments of `solve_array` as arrays; raises ValueError for values or shapes that do not fit."""
    g = np.asarray(g, float)
    if g.ndim != 2 or not g.size:
        fail("g.shape", g.shape, "(rows, cols)")
    rows, cols = g.shape
    volts = np.asarray(volts, float)
    if volts.shape != (rows,) or not np.isfinite(volts).all():
        fail("volts", volts, f"{rows} finite voltages, one per row")
    array = Array(
        g=_values("g", g, g.shape, "S"),
        volts=volts,
        r_row=_values("r_row", wires.row, (cols,), "ohm"),
        r_col=_values("r_col", wires.col, (rows,), "ohm"),
        r_driver=float(_values("r_driver", wires.driver, (), "ohm")),
        r_sense=float(_values("r_sense", wires.sense, (), "ohm")),
        r_transistor=_values("r_transistor", wires.transistor, g.shape, "ohm"),
        v0=None if v0 is None else _values("v0", v0, g.shape, "V"),
    )
    if array.v0 is not None and not array.v0.all():
        fail("v0", 0.0, "above 0, V, or None for linear cells")
    return array


def _values(field: str, value: ArrayLike, shape: Sequence[int], unit: str) -> np.ndarray:
    """As float64 of this shape; raises unless all are finite and at least 0."""
    found = np.asarray(value, float)
    wrong = found[~((found >= 0) & np.isfinite(found))]
    if wrong.size:
        fail(field, float(wrong.flat[0]), f"finite, at least 0, {unit}")
    if found.ndim and found.shape != tuple(shape):
        fail(f"{field}.shape", found.shape, f"{tuple(shape)}, or a number")
    return np.broadcast_to(found, shape)


def _equations(array: Array) -> tuple[sparse.csc_array, np.ndarray, float]:
    """All equations except the cells' law, their right side, and the conductance that currents are divided by, S.

    The unknowns are row voltages, column voltages, row currents, column currents, and cell currents, each flattened.
    """
    rows, cols = array.g.shape
    count = rows * cols
    scale = float(array.g.max()) or 1.0
    one, none = sparse.eye_array(count), sparse.csc_array((count, count))
    before = sparse.kron(sparse.eye_array(rows), sparse.eye_array(cols, k=-1))  # the cell to the left
    above = sparse.kron(sparse.eye_array(rows, k=-1), sparse.eye_array(cols))
    r_row = np.tile(array.r_row, (rows, 1))
    r_row[:, 0] += array.r_driver
    r_col = np.tile(array.r_col[:, None], (1, cols))
    r_col[-1] += array.r_sense
    r_row, r_col = (sparse.diags_array(r.ravel() * scale) for r in (r_row, r_col))
    equations = sparse.block_array(
        [
            [one - before, none, r_row, none, none],  # voltage drop along a row's segment
            [none, one - above.T, none, -r_col, none],
            [none, none, one - before.T, none, -one],  # a row's current, less what goes on
            [none, none, none, one - above, -one],
        ]
    )
    right = np.zeros(4 * count)
    right[:count:cols] = array.volts
    return equations.tocsc(), right, scale


def _step(array: Array, wires: sparse.csc_array, right: np.ndarray, scale: float, v: np.ndarray) -> list[np.ndarray]:
    """The five unknowns, (rows, cols) each, with cells replaced by their tangents at voltages `v`."""
    shape, count = array.g.shape, array.g.size
    slope = array.g  # of each cell's current at v
    if array.v0 is not None:
        slope = slope * np.cosh(np.clip(v / array.v0, -LARGEST_ARGUMENT, LARGEST_ARGUMENT))
    factors = -slope / scale, slope / scale, 1 + slope * array.r_transistor
    row, column, current = (sparse.diags_array(factor.ravel()) for factor in factors)
    cells = sparse.hstack([row, column, sparse.csc_array((count, 2 * count)), current])
    constant = (array.current(v) - slope * v) / scale
    equations = sparse.vstack([wires, cells], format="csc")
    found = splu(equations).solve(np.concatenate((right, constant.ravel()))).reshape(5, *shape)
    return [*found[:2], *found[2:] * scale]


def _solution(array: Array, unknowns: list[np.ndarray], steps: int) -> ArraySolution:
    """With the power in every part."""
    row, column, along, down, cells = unknowns
    inputs, outputs = along[:, 0], down[-1]
    in_transistors = (array.r_transistor * cells**2).sum()
    dissipation = {
        "drivers": array.r_driver * (inputs**2).sum(),
        "row_wires": (array.r_row * along**2).sum(),
        "transistors": in_transistors,
        "cells": ((row - column) * cells).sum() - in_transistors,
        "column_wires": (array.r_col[:, None] * down**2).sum(),
        "sense": array.r_sense * (outputs**2).sum(),
    }
    dissipation = {part: float(power) for part, power in dissipation.items()}
    return ArraySolution(array.volts, row, column, cells, inputs, outputs, dissipation, steps)
