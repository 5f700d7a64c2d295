"""MemTorch (Lammie et al. 2022): one object per device, VTEAM with spread resistances, no switching."""

import torch

from memlib.zoo.torchvision_import import make_importable

make_importable()  # MemTorch imports torchvision
import memtorch  # noqa: E402
from memtorch.bh.crossbar.Passive import solve_passive  # noqa: E402

PACKAGES = ["memtorch-cpu"]


def network(row, model, calibration):
    if row == "noise":
        raise NotImplementedError("no noise of reads")
    stochastic = memtorch.bh.StochasticParameter
    params = {
        "time_series_resolution": 1e-10,
        "r_on": stochastic(loc=1e4, scale=1e3, min=1),
        "r_off": stochastic(loc=1e5, scale=1e4, min=2),
    }
    converters = {"ADC_resolution": 8, "ADC_overflow_rate": 0.0, "quant_method": "linear", "tile_shape": (128, 128)}
    memtorch.mn.Module.patch_model(
        model,
        memristor_model=memtorch.bh.memristor.VTEAM,
        memristor_model_params=params,
        module_parameters_to_patch=[torch.nn.Conv2d, torch.nn.Linear],
        mapping_routine=memtorch.map.Parameter.naive_map,
        transistor=True,
        programming_routine=None,
        max_input_voltage=0.3,
        scaling_routine=memtorch.map.Input.naive_scale,
        verbose=False,
        **(converters if row == "converters" else {}),
    )
    model.tune_()
    settings = "VTEAM, r_on 10k and r_off 100k with 10 % of spread, 1T1R, tuned"
    return model, settings + (", linear 8-bit ADC, tiles 128x128, no DAC" if row == "converters" else ", no tiles")


def wires(g, ohm):
    g = torch.from_numpy(g).float()

    def solve(volts):
        volts = torch.from_numpy(volts).float()
        grounded = torch.zeros(len(volts), g.shape[1])
        return solve_passive(g, volts, grounded, ohm, ohm, n_input_batches=len(volts))

    return lambda: solve, "solve_passive, one factorisation for a batch of vectors, float32"
