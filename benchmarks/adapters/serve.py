"""Measures one row of one simulator, in the interpreter of its own environment; `peers.Worker` is the other end.

    python -P serve.py ADAPTER ROW THREADS BATCH

An adapter is a file that imports its simulator, with `PACKAGES`, whose versions are reported, and with one or both of

    network(row, model, calibration) -> (module, settings)   # rows "static", "converters", "noise"
    wires(g, ohm) -> (once, settings)                        # row "wires"; once() -> function of volts, to currents

An adapter says what its simulator lacks by NotImplementedError. Each line of standard input is a JSON number, of images
or of vectors, and asks for one measurement; each line of standard output is a JSON object. What simulators print goes
to standard error.
"""

import importlib.metadata
import json
import os
import resource
import runpy
import sys
import time
from functools import partial


def timed(function, *inputs):
    """(seconds, result) of one call."""
    start = time.perf_counter()
    result = function(*inputs)
    return time.perf_counter() - start, result


def networks(adapter, row, batch):
    """Set-up seconds, settings, and a function of a number of images: seconds of plain torch and of the simulator."""
    import torch

    from memlib.zoo.networks import build_network

    generator = torch.Generator().manual_seed(0)
    calibration = torch.rand(128, 3, 32, 32, generator=generator)
    x = torch.rand(batch, 3, 32, 32, generator=generator)
    plain, model = build_network("resnet20").eval(), build_network("resnet20").eval()
    set_up, (network, settings) = timed(adapter["network"], row, model, calibration)

    def measure(images):
        with torch.inference_mode():
            return {"plain": timed(plain, x)[0], "seconds": timed(network, x[:images])[0]}

    with torch.inference_mode():
        assert network(x[:2]).shape == (2, 10)
    return {"set_up": set_up, "settings": settings}, measure


def wires(adapter, batch):
    """The same of a tile and a number of vectors: seconds once for the tile, for the vectors, and their currents."""
    import numpy as np

    rng = np.random.default_rng(0)
    g = 1 / rng.uniform(1e4, 1e5, (128, 128))
    volts = rng.uniform(0, 0.3, (batch, 128))
    once, settings = adapter["wires"](g, 1.0)

    def measure(vectors):
        prepared, solve = timed(once)
        seconds, currents = timed(solve, volts[:vectors])
        return {"once": prepared, "seconds": seconds, "currents": np.asarray(currents).tolist()}

    return {"settings": settings, "g": g.tolist(), "volts": volts.tolist()}, measure


def peak():
    """The process's peak of memory so far, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(path, row, threads, batch):
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    answer = partial(print, file=answers, flush=True)
    import torch

    torch.set_num_threads(int(threads))
    adapter = runpy.run_path(path)
    try:
        prepare = wires if row == "wires" else partial(networks, row=row)
        if ("wires" if row == "wires" else "network") not in adapter:
            raise NotImplementedError(adapter.get("LACKS", "has no such simulation"))
        state, measure = prepare(adapter, batch=int(batch))
    except NotImplementedError as lack:
        return answer(json.dumps({"lacks": str(lack)}))
    versions = {name: importlib.metadata.version(name) for name in [*adapter["PACKAGES"], "torch", "numpy"]}
    answer(json.dumps(state | {"versions": versions}))
    for line in sys.stdin:
        answer(json.dumps(measure(json.loads(line)) | {"peak": peak()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
