"""Cost."""

import torch
from torch import Tensor

from memlib.calibration import input_volts, quantise_input
from memlib.chip import AnalogNetwork
from memlib.reads import window_inputs


@torch.inference_mode()
def array_energy(analog: AnalogNetwork, images: Tensor, t_read: float) -> dict[str, float]:
    found = {}
    hooks = []
    for name, layer in analog.layers.items():

        def hook(module, args, name=name):
            x = args[0]
            v = quantise_input(x.double(), module.hardware.tile, module.inputs) * input_volts(
                module.hardware.tile, module.inputs
            )
            u = window_inputs(module.placement.window, v).flatten(1)
            found[name] = found.get(name, 0.0) + float(module.load @ u.square().sum(1)) * t_read / len(images)

        hooks.append(layer.register_forward_pre_hook(hook))
    analog(images)
    for h in hooks:
        h.remove()
    return found
