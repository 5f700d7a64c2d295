"""The same arrays in ngspice, a circuit simulator that shares no code with this package.

`Wires` says where each resistance is; `netlist` writes one array with its inputs as a deck, `simulate`
runs any deck and reads all vectors that it saves.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from memlib.wires.nodal import Array, check_array
from memlib.wires.resistances import Wires

#: Far below what the currents of an array are compared at.
OPTIONS = ".options reltol=1e-10 abstol=1e-18 vntol=1e-14 gmin=1e-18 itl1=1000"
#: What ngspice says if neither Newton's method nor steps of gmin or of sources find an operating point. It then takes
#: the end of a short transient instead, and calls that a success even where voltages still run away.
NO_OPERATING_POINT = r"transient op\b|DC solution failed|operating point could not be"


def find_ngspice() -> str | None:
    """Path of the ngspice program, or None."""
    return shutil.which("ngspice")


def array_currents(g: ArrayLike, volts: ArrayLike, wires: Wires, v0: ArrayLike | None = None) -> np.ndarray:
    """Column currents (cols,), A, of one array, by ngspice; arguments as of `memlib.wires.nodal.solve_array`.

    Raises ValueError for values or shapes that do not fit, and RuntimeError without ngspice, or if it fails.
    """
    vectors = simulate(netlist(g, volts, wires, v0))
    return np.array([vectors[f"i(vout{j})"][0] for j in range(np.shape(g)[1])])


def netlist(g: ArrayLike, volts: ArrayLike, wires: Wires, v0: ArrayLike | None = None) -> str:
    """An ngspice deck: the operating point of one array; arguments as of `memlib.wires.nodal.solve_array`.

    Row i is driven by the source vin<i>, column j ends in the ammeter vout<j>. Cell (i, j) lies between the nodes
    r<i>_<j> and c<i>_<j>. 0 ohm is a source of 0 V, since ngspice makes 1 milliohm of a resistor of 0.
    """
    array = check_array(g, volts, wires, v0)
    rows, cols = array.g.shape
    lines = [f"* {rows} x {cols} resistive array", OPTIONS]
    for i in range(rows):
        lines += _row(array, i)
    for j in range(cols):
        lines += _column(array, j)
    for i, j in np.argwhere(array.g):
        lines += _cell(array, i, j)
    saved = " ".join(f"i(vout{j})" for j in range(cols))
    return "\n".join([*lines, f".save {saved}", ".op", ".end", ""])


def _row(array: Array, i: int) -> Iterator[str]:
    yield f"vin{i} in{i} 0 dc {array.volts[i]:.17g}"
    yield _resistor(f"driver{i}", f"in{i}", f"r{i}_start", array.r_driver)
    for j, ohm in enumerate(array.r_row):
        yield _resistor(f"row{i}_{j}", f"r{i}_{j - 1}" if j else f"r{i}_start", f"r{i}_{j}", ohm)


def _column(array: Array, j: int) -> Iterator[str]:
    last = len(array.r_col) - 1
    for i, ohm in enumerate(array.r_col):
        yield _resistor(f"col{i}_{j}", f"c{i}_{j}", f"c{i + 1}_{j}" if i < last else f"c_end{j}", ohm)
    yield _resistor(f"sense{j}", f"c_end{j}", f"out{j}", array.r_sense)
    yield f"vout{j} out{j} 0 dc 0"


def _cell(array: Array, i: int, j: int) -> Iterator[str]:
    row, column, ohm = f"r{i}_{j}", f"c{i}_{j}", array.r_transistor[i, j]
    if ohm:
        yield _resistor(f"transistor{i}_{j}", row, f"m{i}_{j}", ohm)
        row = f"m{i}_{j}"
    if array.v0 is None:
        yield _resistor(f"cell{i}_{j}", row, column, 1 / array.g[i, j])
    else:
        v0 = array.v0[i, j]
        yield f"bcell{i}_{j} {row} {column} i={array.g[i, j] * v0:.17g}*sinh(v({row},{column})/{v0:.17g})"


def _resistor(name: str, a: str, b: str, ohm: float) -> str:
    return f"r{name} {a} {b} {ohm:.17g}" if ohm else f"v{name} {a} {b} dc 0"


def simulate(deck: str) -> dict[str, np.ndarray]:
    """Run a deck with an analysis (.op, .dc, .tran ...) and no control block in ngspice's batch mode.

    Returns:
        Each saved vector of the last analysis, by its name in lower case, float64 with a value per point.

    Raises:
        RuntimeError: without ngspice, if it fails, or if it finds no operating point.
    """
    program = find_ngspice()
    if program is None:
        raise RuntimeError(
            "ngspice was not found; install it (Debian, Ubuntu: apt-get install ngspice; "
            "conda: conda install -c conda-forge ngspice) and see that it is on the PATH"
        )
    with tempfile.TemporaryDirectory() as folder:
        path, raw = Path(folder, "deck.cir"), Path(folder, "deck.raw")
        path.write_text(deck)
        command = [program, "-n", "-b", "-r", raw.name, path.name]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode or not raw.exists():
            said = (done.stdout + done.stderr)[-2000:]
            raise RuntimeError(f"ngspice failed (exit status {done.returncode}):\n{said}")
        _check_log(done.stdout + done.stderr)
        return _read_raw(raw.read_bytes())


def _check_log(log: str) -> None:
    """Raise RuntimeError if ngspice found no operating point, which its exit status may not tell."""
    for line in log.splitlines():
        if re.search(NO_OPERATING_POINT, line, re.IGNORECASE):
            raise RuntimeError(f"ngspice found no operating point; the circuit may have none. It said: {line.strip()}")


def _read_raw(content: bytes) -> dict[str, np.ndarray]:
    """Vectors of the last analysis in a binary raw file: a text header, and real numbers, all of a point together."""
    header, separator, _ = content.partition(b"Binary:\n")
    vectors: dict[str, np.ndarray] = {}
    while separator:
        fields = dict(line.split(":", 1) for line in header.decode().splitlines() if ":" in line)
        if "complex" in fields["Flags"]:
            raise RuntimeError("ngspice: vectors of complex numbers, of an analysis over frequency, are not read")
        variables, points = int(fields["No. Variables"]), int(fields["No. Points"])
        names = [line.split()[1].lower() for line in header.decode().split("Variables:\n", 1)[1].splitlines()]
        start, size = len(header) + len(separator), variables * points * 8
        values = np.frombuffer(content[start : start + size]).reshape(points, variables)
        vectors = dict(zip(names, values.T.copy(), strict=True))
        content = content[start + size :]
        header, separator, _ = content.partition(b"Binary:\n")
    return vectors
