"""Part of the study 10_retention: the energy that writing a network takes.

All cells start at HRS and are written by pulses with a verifying read after each, as in 01_devices, with the model
`stanford_pku` and cells and pulses of varying speed. Its joules are that model's, whose LRS is far lower than that of a
stack's cells, so only ratios are told. Two states may be written coarsely, within 10 % of the range; multi-level
weights within 2 % take many small pulses. A third row writes these within 10 % too, which tells the number of states
from how far they may be missed. What half-selected cells draw is not counted.
"""

from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch

from memlib.cells.device import Device
from memlib.cells.switching import preset
from memlib.cells.writing import PulseScheme, WriteResult, programming_error, write_verify
from memlib.evidence.claims import Claim, Statement, below_times
from memlib.evidence.intervals import Interval, seed_interval
from memlib.layers.mappable import matrix_layers
from memlib.mapping.scheme import Mapping, target_conductances
from memlib.studies.s01_devices.write_errors import CELL_SPREAD, CYCLE_SPREAD, MODEL, SCHEME
from memlib.studies.s10_retention.cell_decay import PLAIN
from memlib.studies.s10_retention.over_time import networks_of
from memlib.zoo.checkpoints import load_checkpoint

#: How each kind of weight is written: pulses, and the accepted error relative to the range.
WRITING: dict[str, tuple[PulseScheme, float]] = {
    "binary": (PulseScheme(set_volts=(1.4, 0.05, 1.6), reset_volts=(-1.3, -0.05, -1.5), width=SCHEME.width), 0.1),
    "multi-level": (SCHEME, 0.02),
    "multi-level, coarse": (SCHEME, 0.1),
}
MAX_PULSES = 300


def schemes() -> dict[str, Any]:
    """For the provenance file."""
    return {
        kind: {"scheme": asdict(scheme), "tolerance": tolerance, "model": MODEL}
        for kind, (scheme, tolerance) in WRITING.items()
    }


def positions(checkpoint: str) -> np.ndarray:
    """Where in their window the cells of all weights should be, 0 for HRS and 1 for LRS: both cells of each pair."""
    device = Device(r_on=PLAIN["r_on"], r_off=PLAIN["r_off"])
    found = []
    for layer in matrix_layers(load_checkpoint(checkpoint)).values():
        (targets,), _ = target_conductances(layer.weight.detach().double(), device, Mapping())
        found.append(((targets - device.g_off) / device.g_range).flatten())
    return torch.cat(found).numpy()


def written(kind: str, wanted: np.ndarray, cells: int, seed: int) -> WriteResult:
    """So many of a network's cells, drawn at random, written from HRS."""
    model, (scheme, tolerance) = preset(MODEL), WRITING[kind]
    low, high = (float(model.conductance(state)) for state in (model.hrs, model.lrs))
    targets = low + (high - low) * np.random.default_rng(seed).choice(wanted, cells)
    return write_verify(
        model, targets, scheme, tolerance=tolerance, max_pulses=MAX_PULSES, cell_spread=CELL_SPREAD,
        cycle_spread=CYCLE_SPREAD, seed=seed,
    )  # fmt: skip


def results(p: SimpleNamespace) -> dict[str, list[WriteResult]]:
    """By kind of weight, one array per seed."""
    wanted = {kind: positions(checkpoint) for kind, checkpoint in networks_of(p).items()}
    return {
        kind: [written(kind, wanted[kind.partition(",")[0]], p.write_cells, seed) for seed in range(p.claim_seeds)]
        for kind in WRITING
    }


def table(arrays: dict[str, list[WriteResult]]) -> pd.DataFrame:
    """A row per kind: energy over that of multi-level weights, pulses per cell, the error left, cells that failed."""
    rows = []
    for kind, parts in arrays.items():
        energy, pulses = (
            ratio(arrays, "energy", kind),
            seed_interval([part.pulses.mean() for part in parts], constant=True),
        )
        errors = [programming_error(part) for part in parts]
        row = {"weights": kind} | energy.named("energy") | pulses.named("pulses")
        error, failed = (float(np.mean([getattr(e, name) for e in errors])) for name in ("sigma", "failed"))
        row |= {"error": error, "failed": failed}
        rows.append(row | {"n": len(parts), "cells": parts[0].pulses.size})
    return pd.DataFrame(rows)


def ratio(arrays: dict[str, list[WriteResult]], name: str, kind: str) -> Interval:
    """Of "energy" or "pulses", of one kind over multi-level, over arrays."""
    pairs = zip(arrays[kind], arrays["multi-level"], strict=True)
    ratios = [getattr(one, name).mean() / getattr(other, name).mean() for one, other in pairs]
    return seed_interval(ratios, constant=True)  # 1 of multi-level over itself


def claims(arrays: dict[str, list[WriteResult]]) -> list[Claim]:
    """What coarse multi-level weights save at each writing. Binary ones are of another training, and not ranked."""
    text = "writing multi-level weights within 10 % takes less energy than within 2 %"
    about = Statement("writing/coarse", text, "writing")
    return [below_times(about, ratio(arrays, "energy", "multi-level, coarse"), 1.0)]
