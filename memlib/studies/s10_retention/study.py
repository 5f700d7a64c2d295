"""The study 10_retention: a binary network on a 3-D vertical array over ten years (after Yu et al., 2022).

Its cells (`cell_decay`) lose their conductance as oxygen vacancies recombine; a layer raises the barriers. Beside it
stands the same network with multi-level weights, on the same cells.
"""

from types import SimpleNamespace
from typing import Any

from memlib.evidence.claims import Claim
from memlib.evidence.comparisons import Chips
from memlib.studies.drawing import Drawing
from memlib.studies.effects import evaluate, seeds_of
from memlib.studies.run import Run
from memlib.studies.s10_retention import arrays, cell_decay, layer_gain, over_time, writing_energy
from memlib.studies.study import Study, Sweep, Values, networks, same
from memlib.studies.trained_networks import inputs


def _sweeps(p: SimpleNamespace) -> dict[str, Sweep]:
    gain = layer_gain.gain_of(p, p.gain_times)
    compared = [point for comparison in over_time.comparisons(p) for point in comparison.points]
    return {
        "arrays": Sweep([point for _, point in arrays.points(p)], seeds_of(p.array_seeds)),
        "over_time": Sweep([point for _, point in over_time.points(p)], seeds_of(p.device_seeds)),
        "layers": Sweep([point for _, point in layer_gain.points(p)], seeds_of(p.device_seeds)),
        "claims": Sweep([*gain.without, *gain.layered, *compared], seeds_of(p.claim_seeds)),
    }


def _claims(run: Run) -> list[Claim]:
    chips = Chips(run.sweep("claims"))
    compared = [comparison.claim(chips) for comparison in over_time.comparisons(run.p)]
    return layer_gain.gain_claims(run) + compared + writing_energy.claims(run)


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
        "claim_times": same([1e7]),
        "gain_times": Values([1e6, 1e7, 1e8], [1e6, 1e8]),
        "claim_images": Values(5000, 100),
        "claim_seeds": Values(10, 3),
    },
    evaluate=evaluate,
    sweeps=_sweeps,
    tables={
        "10_retention_cells": cell_decay.decay,
        "10_retention_array": arrays.accuracies,
        "10_retention_array_selection": arrays.selection,
        "10_retention": over_time.accuracies,
        "10_retention_layers": layer_gain.layer_gains,
        "10_retention_lasting": over_time.lasting,
        "10_retention_stretches": over_time.stretches,
        "10_retention_energy": writing_energy.energies,
    },
    drawings={
        "10_retention": Drawing(over_time.plot_over_time, ("10_retention",), ("origin",)),
        "10_retention_cells": Drawing(cell_decay.plot_decay, ("10_retention_cells",)),
        "10_retention_array": Drawing(
            arrays.plot_arrays, ("10_retention_array", "10_retention_array_selection"), ("origin",)
        ),
        "10_retention_layers": Drawing(layer_gain.plot_layers, ("10_retention_layers",), ("origin",)),
    },
    claims={"10_retention_cells": cell_decay.decay_claims, "10_retention": _claims},
    inputs=_inputs,
)
