"""Agreement with ngspice, which shares no code with memlib."""

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from memlib.wires import ngspice
from memlib.wires.nodal import solve_array
from memlib.wires.resistances import Wires
from memlib.wires.solver import effective_conductance

TOLERANCE = 1e-6
NAMES = ("row", "col", "driver", "sense", "transistor")
needs_ngspice = pytest.mark.skipif(ngspice.find_ngspice() is None, reason="ngspice is not installed")


def example(rows: int, cols: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Conductances from 10 kohm to 1 Mohm, one cell open, and voltages."""
    rng = np.random.default_rng(seed)
    g = 10 ** rng.uniform(-6, -4, (rows, cols))
    g[0, -1] = 0
    return g, rng.uniform(0.05, 0.3, rows)


def resistances(rows: int, cols: int, seed: int) -> Wires:
    """Half of them 0; wires as numbers or a value per segment, some of which are 0."""
    rng = np.random.default_rng(seed)
    chosen = {name: 10 ** rng.uniform(-1, 1.5) for name in NAMES if rng.random() < 0.5}
    for name, count in (("row", cols), ("col", rows)):
        if name in chosen and rng.random() < 0.5:
            chosen[name] = chosen[name] * rng.integers(0, 4, count)
    return Wires(**chosen)


def expected(g: np.ndarray, volts: np.ndarray, wires: Wires) -> np.ndarray:
    return volts @ effective_conductance(torch.from_numpy(g), *wires).numpy()


@needs_ngspice
@pytest.mark.parametrize("seed", range(16))
def test_linear(seed):
    """All kinds of zero and other resistances."""
    shape = [(2, 2), (1, 3), (7, 3), (16, 16)][seed % 4]
    g, volts = example(*shape, seed)
    wires = resistances(*shape, seed)
    np.testing.assert_allclose(ngspice.array_currents(g, volts, wires), expected(g, volts, wires), rtol=TOLERANCE)


@needs_ngspice
@pytest.mark.parametrize(("shape", "r_col"), [((128, 16), 2.0), ((48, 48), 2.0), ((64, 64), 0.0)])
def test_tiles(shape, r_col):
    """Whole tiles; ngspice's time grows fast with the size of a mesh."""
    g, volts = example(*shape)
    wires = Wires(1.0, r_col, 20.0, 20.0, 1e3)
    np.testing.assert_allclose(ngspice.array_currents(g, volts, wires), expected(g, volts, wires), rtol=TOLERANCE)


@needs_ngspice
@pytest.mark.parametrize("v0", [0.5, 0.05])
@pytest.mark.parametrize("seed", range(8))
def test_nonlinear(seed, v0):
    """Cells with I = g v0 sinh(v/v0), v0 different from cell to cell."""
    shape = [(2, 2), (1, 3), (7, 3), (16, 16)][seed % 4]
    g, volts = example(*shape, seed)
    wires = resistances(*shape, seed)
    v0 = v0 * np.random.default_rng(seed).uniform(0.8, 1.2, shape)
    found = ngspice.array_currents(g, volts, wires, v0)
    np.testing.assert_allclose(found, solve_array(g, volts, wires, v0).output_currents, rtol=TOLERANCE)


@needs_ngspice
def test_simulate():
    """Every saved vector of the last analysis, at every point."""
    vectors = ngspice.simulate("* divider\nvin in 0 dc 3\nr1 in out 1k\nr2 out 0 2k\n.dc vin 0 3 1\n.end\n")
    np.testing.assert_allclose(vectors["v(out)"], [0, 2 / 3, 4 / 3, 2], rtol=1e-6)
    np.testing.assert_allclose(vectors["i(vin)"], [0, -1e-3 / 3, -2e-3 / 3, -1e-3], rtol=1e-6)
    with pytest.raises(RuntimeError, match="ngspice failed"):
        ngspice.simulate("* nothing\nfoo a\n.op\n.end\n")
    with pytest.raises(RuntimeError, match="complex numbers"):
        ngspice.simulate("* filter\nvin in 0 dc 0 ac 1\nr1 in 0 1\n.ac dec 1 1 10\n.end\n")


#: A file of vectors with one value, v(a) = 1e9 V.
RAW = b"Flags: real\nNo. Variables: 1\nNo. Points: 1\nVariables:\n\t0\tv(a)\tvoltage\nBinary:\n" + struct.pack("d", 1e9)
FOUND_BY_STEPS = """
Warning: singular matrix:  check node a

Note: Starting dynamic gmin stepping
Trying gmin =   1.0000E-03 Note: One successful gmin step
Trying gmin =   1.0000E-12 Note: One successful gmin step
Note: Dynamic gmin stepping completed
"""
#: What ngspice 39 says, with exit status 0, of a current exp(-v) + 1 mA into a capacitor: there it gives 1e9 V.
NOT_FOUND = """
Warning: Dynamic gmin stepping failed
Note: Starting true gmin stepping
Warning: True gmin stepping failed
Note: Starting source stepping
Supplies reduced to   0.1000% Supplies reduced to   0.0000% Warning: source stepping failed
Note: Transient op started
Note: Transient op finished successfully
"""


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (NOT_FOUND, "Note: Transient op started"),
        ("No. of Data Columns : 3  \n\nDC solution failed -\n", "DC solution failed -"),
        ("Error: The operating point could not be simulated successfully.\n", "Error: The operating point could not"),
    ],
)
def test_a_circuit_without_an_operating_point_is_refused_with_what_ngspice_said(log, said, monkeypatch):
    """Also where its exit status is 0, and a file of vectors is there."""
    with pytest.raises(RuntimeError, match=f"no operating point.* It said: {said}"):
        simulated(log, monkeypatch)


def test_an_operating_point_that_was_found_by_steps_counts(monkeypatch):
    np.testing.assert_equal(simulated(FOUND_BY_STEPS, monkeypatch), {"v(a)": [1e9]})


def simulated(log, monkeypatch) -> dict:
    """What `simulate` makes of RAW, where ngspice ends with status 0 and says this on the way."""

    def run(command, cwd, **options):
        Path(cwd, "deck.raw").write_bytes(RAW)
        return subprocess.CompletedProcess(command, 0, "Circuit: * a deck\n", log)

    monkeypatch.setattr(ngspice, "find_ngspice", lambda: "ngspice")
    monkeypatch.setattr(ngspice.subprocess, "run", run)
    return ngspice.simulate("* a deck\n.op\n.end\n")


def test_netlist():
    """No resistor of 0 ohm, which ngspice would change; no open cell."""
    lines = ngspice.netlist([[1e-4, 0.0]], [0.3], Wires(row=1.0, transistor=1e3), v0=0.25).splitlines()
    assert "vdriver0 in0 r0_start dc 0" in lines
    assert "rrow0_1 r0_0 r0_1 1" in lines
    assert "rtransistor0_0 r0_0 m0_0 1000" in lines
    assert [line for line in lines if line.startswith("bcell")] == [
        "bcell0_0 m0_0 c0_0 i=2.5000000000000001e-05*sinh(v(m0_0,c0_0)/0.25)"
    ]


def test_missing(monkeypatch):
    """The error tells how to get ngspice."""
    monkeypatch.setattr(ngspice, "find_ngspice", lambda: None)
    with pytest.raises(RuntimeError, match=r"apt-get install ngspice; conda: conda install -c conda-forge ngspice"):
        ngspice.array_currents([[1e-4]], [0.3], Wires())
