"""The study 01_devices: what a cell does with the conductance that it was asked for."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pandas as pd

from memlib.studies.drawing import Drawing
from memlib.studies.run import Run
from memlib.studies.s01_devices import ageing, conductances, currents, switching_loops, write_errors
from memlib.studies.study import Study, Values, same


def _programmed(run: Run) -> Any:
    return conductances.programmed(run.p.cells, run.p.device_seeds)


def _columns(run: Run) -> Any:
    return currents.read_columns(run.p.reads, run.p.device_seeds)


def _arrays(run: Run) -> dict[str, int]:
    """The arrays that are programmed by write-verify."""
    return {"cells": run.p.write_cells, "max_pulses": run.p.max_pulses, "seeds": run.p.device_seeds}


def _write_table(run: Run) -> pd.DataFrame:
    return write_errors.write_table(run.p.tolerances, run.p.read_noises, **_arrays(run))


TABLES: dict[str, Callable[[Run], pd.DataFrame]] = {
    "01_devices": lambda run: conductances.histograms(run.once(_programmed)),
    "01_devices_agreement": lambda run: conductances.agreement(run.once(_programmed)),
    "01_devices_currents": lambda run: currents.iv(),
    "01_devices_currents_noise": lambda run: currents.read_histograms(run.once(_columns)),
    "01_devices_read_noise": lambda run: currents.read_summary(run.once(_columns)),
    "01_devices_ageing": lambda run: ageing.ageing_table(run.p.cells, run.p.device_seeds),
    "01_devices_switching": lambda run: switching_loops.switching_table(),
    "01_devices_write_verify": lambda run: run.once(_write_table),
    "01_devices_write_errors": lambda run: write_errors.write_histograms(
        run.p.claim_tolerance, run.p.read_noises, **_arrays(run)
    ),
    "01_devices_program_error": lambda run: write_errors.program_errors(run.once(_write_table)),
}


def _rounded(make: Callable[[Run], pd.DataFrame]) -> Callable[[Run], pd.DataFrame]:
    return lambda run: conductances.rounded(make(run))


STUDY = Study(
    name="01_devices",
    parameters={
        "cells": Values(20_000, 2000),
        "reads": Values(100_000, 5000),
        "write_cells": Values(4000, 500),
        "device_seeds": Values(10, 3),
        "tolerances": Values([0.002, 0.005, 0.01, 0.02, 0.05, 0.1], [0.002, 0.01, 0.05]),
        "read_noises": Values([0.0, 0.003, 0.01, 0.03], [0.0, 0.01]),
        "max_pulses": same(100),
        "claim_tolerance": same(0.01),
        "claim_read_noise": same(0.01),
    },
    tables={name: _rounded(make) for name, make in TABLES.items()},
    drawings={
        "01_devices": Drawing(conductances.plot_programmed, ("01_devices",)),
        "01_devices_currents": Drawing(currents.plot_reads, ("01_devices_currents", "01_devices_currents_noise")),
        "01_devices_ageing": Drawing(ageing.plot_ageing, ("01_devices_ageing",)),
        "01_devices_switching": Drawing(switching_loops.plot_switching, ("01_devices_switching",)),
        "01_devices_write_verify": Drawing(
            write_errors.plot_writing, ("01_devices_write_verify", "01_devices_write_errors"), ("claim_tolerance",)
        ),
    },
    claims={
        "01_devices_ageing": lambda run: ageing.ageing_claims(run.p.cells, run.p.device_seeds),
        "01_devices_write_verify": lambda run: write_errors.write_claims(
            run.p.claim_tolerance, run.p.claim_read_noise, **_arrays(run)
        ),
    },
    inputs=lambda p: {
        "drives": {name: asdict(drive) for name, drive in switching_loops.DRIVES.items()},
        "model": write_errors.MODEL,
        "scheme": asdict(write_errors.SCHEME),
        "cell_spread": write_errors.CELL_SPREAD,
        "cycle_spread": write_errors.CYCLE_SPREAD,
    },
)
