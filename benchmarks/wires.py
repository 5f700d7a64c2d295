"""How long does exact wire resistance take? Effective conductances beside a sparse solver; peers.py has other tools.

    python benchmarks/wires.py [--sizes 64 128 256] [--rounds 3] [--vectors 100] [--threads 2]

Cells of 10 to 100 kohm, 1 ohm a segment, no other resistance. All methods run in one process, in turn: trust the
ratios, not the seconds. memlib gives a matrix that serves all inputs. So does the sparse LU (SciPy) when it is solved
for every row. Both are also timed for a few input vectors. The last table has the tiles of ResNet-20 in the dense
layout, 128 x 128, positive and negative ones.
"""

import argparse
import os
import statistics
import time

import numpy as np
import torch
from inference import cpu_model
from scipy import sparse
from scipy.sparse.linalg import splu

from memlib.wires.resistances import Wires
from memlib.wires.solver import effective_conductance, solve

OHM = 1.0
BATCH_CELLS = 2**17  # of the arrays in one call
RESNET20 = {  # (rows, cols): positive and negative tiles
    (27, 16): 2,
    (128, 16): 12,
    (16, 16): 12,
    (128, 32): 22,
    (16, 32): 2,
    (32, 32): 10,
    (128, 64): 44,
    (32, 64): 2,
    (64, 64): 10,
    (64, 10): 2,
}


def conductances(*shape):
    """Random cells, S."""
    generator = torch.Generator().manual_seed(0)
    return 1 / (1e4 + 9e4 * torch.rand(shape, generator=generator, dtype=torch.float64))


def sparse_lu(g):
    """The factorised equations of an array's row and column nodes."""
    rows, cols = g.shape
    row = sparse.diags_array([np.full(cols, 2.0), *2 * [np.full(cols - 1, -1.0)]], offsets=[0, 1, -1]).tolil()
    column = sparse.diags_array([np.full(rows, 2.0), *2 * [np.full(rows - 1, -1.0)]], offsets=[0, 1, -1]).tolil()
    row[-1, -1] = column[0, 0] = 1.0
    rows_wires, columns_wires = sparse.kron(sparse.eye_array(rows), row), sparse.kron(column, sparse.eye_array(cols))
    cells = sparse.diags_array(g.ravel())
    return splu(sparse.block_array([[rows_wires / OHM + cells, -cells], [-cells, columns_wires / OHM + cells]]).tocsc())


def by_lu(g, volts):
    """Column currents (vectors, cols) of an array for volts (vectors, rows)."""
    rows, cols = g.shape
    right = np.zeros((2 * rows * cols, len(volts)))
    right[: rows * cols : cols] = volts.T / OHM
    return sparse_lu(g).solve(right)[-cols:].T / OHM


def timed(function, *inputs):
    """(seconds, result) of one call."""
    start = time.perf_counter()
    result = function(*inputs)
    return time.perf_counter() - start, result


def rounds(methods, count):
    """{label: median seconds} and {label: result} of {label: function}, in turn; the first round does not count."""
    seconds, results = {label: [] for label in methods}, {}
    for i in range(count + 1):
        for label, function in methods.items():
            spent, results[label] = timed(function)
            if i:
                seconds[label].append(spent)
    return {label: statistics.median(values) for label, values in seconds.items()}, results


def compare(size, arguments):
    """A table of one square array: milliseconds, ratio to memlib, and largest difference from its currents."""
    tiles = max(1, BATCH_CELLS // size**2)
    g = conductances(tiles, size, size)
    one = g[0].numpy()
    volts = np.random.default_rng(0).uniform(0, 0.3, (arguments.vectors, size))
    few = f"{arguments.vectors} vectors"
    methods = {
        "memlib, G_eff": lambda: effective_conductance(g, OHM, OHM),
        "memlib, G_eff and admittance": lambda: solve(g, Wires(OHM, OHM)).g_eff,
        f"memlib, {few} by G_eff": lambda: volts @ effective_conductance(g[:1], OHM, OHM)[0].numpy(),
        "sparse LU, G_eff": lambda: by_lu(one, np.eye(size)),
        f"sparse LU, {few}": lambda: by_lu(one, volts),
    }
    seconds, results = rounds(methods, arguments.rounds)
    exact = results["memlib, G_eff"][0].numpy()
    fastest = seconds["memlib, G_eff"] / tiles
    for label, spent in seconds.items():
        shared = label in ("memlib, G_eff", "memlib, G_eff and admittance")
        found = results[label][0].numpy() if shared else results[label]
        expected = volts @ exact if "vectors" in label else exact
        difference = np.abs(found - expected).max() / np.abs(expected).max()
        each = spent / tiles if shared else spent
        how = f"{tiles} together" if shared else "one"
        print(f"| {size} x {size} | {label} | {how} | {1e3 * each:.1f} | {each / fastest:.2f} | {difference:.0e} |")


def resnet20(arguments):
    """A row per shape of tile: seconds for all of them."""
    totals = np.zeros(3)
    for (rows, cols), tiles in RESNET20.items():
        g = conductances(tiles, rows, cols)
        methods = {
            "g_eff": lambda g=g: effective_conductance(g, OHM, OHM),
            "both": lambda g=g: solve(g, Wires(OHM, OHM)),
            "lu": lambda g=g, rows=rows: by_lu(g[0].numpy(), np.eye(rows)),
        }
        seconds, _ = rounds(methods, arguments.rounds)
        spent = np.array([seconds["g_eff"], seconds["both"], seconds["lu"] * tiles])
        totals += spent
        print(f"| {rows} x {cols} | {tiles} | " + " | ".join(f"{s:.3f}" for s in spent) + " |", flush=True)
    print(f"| all | {sum(RESNET20.values())} | " + " | ".join(f"{s:.3f}" for s in totals) + " |")


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vectors", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{cpu_model()}, {os.cpu_count()} cores, {arguments.threads} threads, torch {torch.__version__},")
    print(f"load at the start {os.getloadavg()[0]:.1f}; medians of {arguments.rounds} rounds\n")
    print("| array | method | arrays | ms an array | ratio | relative difference |\n|---|---|---|---|---|---|")
    with torch.inference_mode():
        for size in arguments.sizes:
            compare(size, arguments)
        print("\n| tile | tiles | G_eff s | G_eff and admittance s | sparse LU, G_eff s |\n|---|---|---|---|---|")
        resnet20(arguments)


if __name__ == "__main__":
    main()
