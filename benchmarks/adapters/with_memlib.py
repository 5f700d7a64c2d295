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

    from memlib.parasitics import effective_conductance  # younger than commits that history.py measures

    def once():
        g_eff = effective_conductance(torch.from_numpy(g)[None], ohm, ohm)[0].numpy()
        return lambda volts: volts @ g_eff

    return once, "effective conductances of one tile, then a product, float64"
