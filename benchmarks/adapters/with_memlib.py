"""memlib, by the variants of inference.py."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
import inference

PACKAGES = ["scipy"]
LABELS = {
    "static": "static non-idealities, converters off",
    "converters": "128x128 tiles, 8-bit DAC and ADC",
    "noise": "the same with read noise",
}


def network(row, model, calibration):
    device, tile, _, _ = inference.VARIANTS[LABELS[row]]
    settings = ", ".join(f"{name}={value}" for name, value in (device | tile).items())
    return inference.create(LABELS[row], calibration), settings


def wires(g, ohm):
    import torch

    from memlib.wires.solver import effective_conductance  # younger than commits that history.py measures

    def once():
        g_eff = effective_conductance(torch.from_numpy(g), ohm, ohm)
        return lambda volts: torch.from_numpy(volts) @ g_eff  # of NumPy, BLAS threads would spin on torch's cores

    return once, "effective conductances of one tile, then a product, float64"
