"""The study 10_retention: a binary network on a 3-D vertical array over ten years (after Yu et al., 2022).

Its cells (`cell_decay`) lose their conductance as oxygen vacancies recombine; a layer raises the barriers. Beside it
stands the same network with multi-level weights, on the same cells.
"""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pandas as pd

from memlib.cells.writing import WriteResult
from memlib.evidence.claims import Claim
from memlib.studies.drawing import Drawing
from memlib.studies.run import Run
from memlib.studies.s10_retention import arrays, cell_decay, layer_gain, over_time, writing_energy
from memlib.studies.shared.effects import evaluate, seeds_of
from memlib.studies.shared.trained_networks import inputs
from memlib.studies.study import Study, Sweep, Values, networks, same


def _sweeps(p: SimpleNamespace) -> dict[str, Sweep]:
    claims = Sweep.compared(over_time.comparisons(p), seeds_of(p.claim_seeds))
    gains = [point for time in p.gain_times for point in layer_gain.gain_points(p, time)]
    return {
        "arrays": Sweep.labelled(arrays.points(p), seeds_of(p.array_seeds)),
        "over_time": Sweep.labelled(over_time.points(p), seeds_of(p.device_seeds)),
        "layers": Sweep.labelled(layer_gain.layer_points(p), seeds_of(p.device_seeds)),
        "claims": replace(claims, points=[*gains, *claims.points]),
    }


def _over_time(run: Run) -> pd.DataFrame:
    return run.tidy("over_time")


def _written(run: Run) -> dict[str, list[WriteResult]]:
    return writing_energy.results(run.p)


def _claims(run: Run) -> list[Claim]:
    gains = layer_gain.gain_claims(run.chips("claims"), run.p)
    return gains + run.decided("claims") + writing_energy.claims(run.once(_written))


def _inputs(p: SimpleNamespace) -> dict[str, Any]:
    checkpoints = list(over_time.networks_of(p).values())
    return {"stacks": cell_decay.STACKS, "writing": writing_energy.schemes()} | inputs(checkpoints)


STUDY = Study(
    name="10_retention",
    parameters={
        "binary_checkpoints": networks("vgg8-0.375-binary"),
        "multilevel_checkpoints": networks("vgg8-0.375"),
        "temperatures": Values([298.15, 398.15, 358.15], [298.15, 358.15]),
        "times": Values([100.0, 1.0, 1e5, 1e4, 1e7, 1e6, 3.156e8, 1e8], [100.0, 1e5]),
        "images": Values(1000, 50),
        "device_seeds": Values(5, 2),
        "cells": Values(20_000, 2000),
        "write_cells": Values(5000, 500),
        "planes": Values([32, 8, 64, 16], [32, 64]),
        "r_on": Values([1e6, 1e5, 1e7], [1e6]),
        "array_images": Values(1000, 50),
        "array_seeds": Values(3, 2),
        "layer_energies": Values([0.05, 0.1, 0.25, 0.15, 0.2, 0.3], [0.05, 0.25]),
        "layer_times": Values([1e7, 1e5, 1e6, 1e8], [1e7]),
        "claim_temperature": same(298.15),
        "claim_time": same(1e7),
        "gain_times": Values([1e6, 1e7, 1e8], [1e6, 1e8]),
        "claim_images": Values(5000, 100),
        "claim_seeds": Values(10, 3),
    },
    evaluate=evaluate,
    sweeps=_sweeps,
    tables={
        "10_retention_cells": lambda run: cell_decay.decay(run.p.temperatures, run.p.cells, run.p.claim_seeds),
        "10_retention_array": lambda run: run.tidy("arrays"),
        "10_retention_array_selection": lambda run: arrays.selection(run.p.planes),
        "10_retention": lambda run: run.once(_over_time),
        "10_retention_layers": lambda run: layer_gain.layer_gains(run.chips("layers"), run.labelled("layers")),
        "10_retention_lasting": lambda run: over_time.lasting(run.once(_over_time)),
        "10_retention_stretches": lambda run: over_time.stretches(run.p.temperatures),
        "10_retention_energy": lambda run: writing_energy.table(run.once(_written)),
    },
    drawings={
        "10_retention": Drawing(over_time.plot, ("10_retention",), ("origin",)),
        "10_retention_cells": Drawing(cell_decay.plot_decay, ("10_retention_cells",)),
        "10_retention_array": Drawing(arrays.plot, ("10_retention_array", "10_retention_array_selection"), ("origin",)),
        "10_retention_layers": Drawing(layer_gain.plot_layers, ("10_retention_layers",), ("origin",)),
    },
    claims={
        "10_retention_cells": lambda run: [cell_decay.decay_claim(run.p.temperatures, run.p.cells, run.p.claim_seeds)],
        "10_retention": _claims,
    },
    inputs=_inputs,
)
