"""The study 01_devices: what a cell does with the conductance that it was asked for."""

from dataclasses import asdict
from types import SimpleNamespace

from memlib.base.checks import in_range, positive
from memlib.studies.drawing import Drawing
from memlib.studies.s01_devices import ageing, conductances, currents, switching_loops, write_errors
from memlib.studies.study import Study, Values, same


def _requires(p: SimpleNamespace) -> None:
    for tolerance in p.tolerances:
        positive("tolerances", tolerance)
    for noise in p.read_noises:
        in_range("read_noises", noise, 0, 1)


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
    tables={
        "01_devices": conductances.histograms,
        "01_devices_agreement": conductances.agreement,
        "01_devices_currents": currents.iv,
        "01_devices_currents_noise": currents.read_histograms,
        "01_devices_read_noise": currents.read_summary,
        "01_devices_ageing": ageing.ageing_table,
        "01_devices_switching": switching_loops.switching_table,
        "01_devices_write_verify": write_errors.write_table,
        "01_devices_write_errors": write_errors.write_histograms,
        "01_devices_program_error": write_errors.program_errors,
    },
    digits=4,
    drawings={
        "01_devices": Drawing(conductances.plot_programmed, ("01_devices",)),
        "01_devices_currents": Drawing(currents.plot_reads, ("01_devices_currents", "01_devices_currents_noise")),
        "01_devices_ageing": Drawing(ageing.plot_ageing, ("01_devices_ageing",)),
        "01_devices_switching": Drawing(switching_loops.plot_switching, ("01_devices_switching",)),
        "01_devices_write_verify": Drawing(
            write_errors.plot_writing, ("01_devices_write_verify", "01_devices_write_errors"), ("claim_tolerance",)
        ),
    },
    claims={"01_devices_ageing": ageing.ageing_claims, "01_devices_write_verify": write_errors.write_claims},
    requires=_requires,
    inputs=lambda p: {
        "drives": {name: asdict(drive) for name, drive in switching_loops.DRIVES.items()},
        "model": write_errors.MODEL,
        "scheme": asdict(write_errors.SCHEME),
        "cell_spread": write_errors.CELL_SPREAD,
        "cycle_spread": write_errors.CYCLE_SPREAD,
    },
)
