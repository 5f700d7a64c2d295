"""aihwkit-lightning: tiles cut inputs only; noise is for training, so noisy layers are put in training mode."""

import torch
from aihwkit_lightning.nn.conversion import convert_to_analog
from aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig, WeightNoiseInjectionType

PACKAGES = ["aihwkit-lightning"]
LACKS = "no wires"


def network(row, model, calibration):
    config = TorchInferenceRPUConfig()
    settings = "128 rows a tile"
    config.mapping.max_input_size = 128
    if row != "static":
        config.pre_post.input_range.enable = True
        config.pre_post.input_range.init_from_data = 0
        config.forward.inp_res = config.forward.out_res = 2**8 - 2
        config.forward.out_bound = 12.0
        settings += ", inp_res and out_res 2**8-2, fixed input ranges, out_bound 12"
    if row == "noise":
        config.modifier.noise_type = WeightNoiseInjectionType.ADD_NORMAL
        config.modifier.std_dev = config.forward.out_noise = 0.02
        settings += "; weights noisy once per forward and outputs per read, 0.02 each, in training mode"
    if row == "static":
        settings += "; weights spread by 10 % once, by the adapter: it has no variation of devices"
        with torch.no_grad():
            for weight in model.parameters():
                if weight.dim() > 1:
                    weight.mul_(1 + 0.1 * torch.randn_like(weight))
    analog = convert_to_analog(model, config).eval()
    for layer in analog.analog_layers():
        layer.train(row == "noise")
    return analog, settings
