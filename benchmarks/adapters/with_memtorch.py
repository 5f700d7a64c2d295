"""MemTorch (Lammie et al. 2022): one object per device, VTEAM with spread resistances, no switching."""

import memtorch
import torch
from memtorch.bh.crossbar.Passive import solve_passive

PACKAGES = ["memtorch-cpu"]


def network(row, model, calibration):
    if row == "noise":
        raise NotImplementedError("no noise of reads")
    stochastic = memtorch.bh.StochasticParameter
    params = {
        "time_series_resolution": 1e-10,
        "r_on": stochastic(1e4, std=1e3, min=1),
        "r_off": stochastic(1e5, std=1e4, min=2),
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
        return torch.stack([solve_passive(g, v, torch.zeros(g.shape[1]), 0.0, ohm) for v in volts])

    return lambda: solve, "solve_passive, one vector after another, float32"
