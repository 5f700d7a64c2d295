"""Nodal analysis of a resistive array, independent of memlib: every node and resistor, solved by SciPy's sparse LU.

Zero resistances merge the nodes that they join, so that they are exact.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu


def conductances(*shape: int, seed: int = 0, zeros: float = 0.05) -> np.ndarray:
    """Six decades of conductances, S, and a few open cells."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < zeros, 0, 10 ** rng.uniform(-9, -3, shape))


def resistors(g, wires):
    """[(node, node, ohm or None for an open cell)]; nodes are tuples ("drive", i), ("row", i, j), ("col", i, j)."""
    rows, cols = g.shape
    r_row, r_col, r_driver, r_sense, r_transistor = wires
    r_row, r_col = np.broadcast_to(r_row, cols), np.broadcast_to(r_col, rows)
    found = []
    for i in range(rows):
        found.append((("drive", i), ("wire", i), r_driver))
        for j in range(cols):
            found.append((("row", i, j - 1) if j else ("wire", i), ("row", i, j), r_row[j]))
            if g[i, j]:
                found.append((("row", i, j), ("cell", i, j), 1 / g[i, j]))
                found.append((("cell", i, j), ("col", i, j), r_transistor))
            found.append((("col", i, j), ("col", i + 1, j) if i + 1 < rows else ("end", j), r_col[i]))
    return found + [(("end", j), ("ground",), r_sense) for j in range(cols)]


@dataclass
class Nodal:
    """Solutions for one volt at each of the driven rows in turn."""

    g_eff: np.ndarray  # (driven, cols)
    admittance: np.ndarray  # (rows, driven)
    resistors: list
    voltages: dict  # node: (driven,)

    def power(self, volts):
        """Sum over all resistors; those of 0 ohm dissipate nothing."""
        drops = [(np.dot(self.voltages[a] - self.voltages[b], volts), r) for a, b, r in self.resistors if r]
        return sum(drop**2 / r for drop, r in drops)


def _merged(parts):
    """node: its representative, after joining all nodes that 0 ohm connects."""
    parent = {node: node for a, b, _ in parts for node in (a, b)}

    def find(node):
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for a, b, r in parts:
        if r == 0:
            a, b = find(a), find(b)
            if a[0] in ("drive", "ground"):  # the sources stay representatives
                a, b = b, a
            parent[a] = b
    return {node: find(node) for node in parent}


def solve(g, wires, driven=None):
    """Solve the whole array with every node unknown but the driven and the grounded ones."""
    rows, cols = g.shape
    parts, (*_, transistor) = resistors(g, wires), wires
    name = _merged(parts)
    known = {("drive", i): row for i, row in enumerate(np.eye(rows)[:, slice(None) if driven is None else driven])}
    known[("ground",)] = zero = np.zeros_like(known["drive", 0])
    unknown = {node: k for k, node in enumerate(dict.fromkeys(n for n in name.values() if n not in known))}
    entries, right = [(0, 0, 0.0)], np.zeros((len(unknown), len(zero)))
    for a, b, r in parts:
        a, b = name[a], name[b]
        for x, y in ((a, b), (b, a)) if r else ():
            if x in unknown:
                entries.append((unknown[x], unknown[x], 1 / r))
                if y in unknown:
                    entries.append((unknown[x], unknown[y], -1 / r))
                else:
                    right[unknown[x]] += known[y] / r
    if unknown:
        i, j, values = zip(*entries, strict=True)
        right = splu(coo_array((values, (i, j)), shape=(len(unknown),) * 2).tocsc()).solve(right)
    voltages = {node: known[n] if n in known else right[unknown[n]] for node, n in name.items()}
    g_eff, admittance = np.zeros((cols, len(zero))), np.zeros((rows, len(zero)))
    for a, b, r in parts:
        if b[0] == "cell":  # the current through cell and transistor
            _, i, j = b
            current = (voltages[a] - voltages["col", i, j]) / (r + transistor)
            g_eff[j] += current
            admittance[i] += current
    return Nodal(g_eff.T, admittance, parts, voltages)
