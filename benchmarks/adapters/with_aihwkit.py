"""aihwkit (Rasch et al. 2021): PCM programmed once; the fastest of its tiles that has the effect of the row."""

from aihwkit.inference import PCMLikeNoiseModel
from aihwkit.nn.conversion import convert_to_analog
from aihwkit.simulator.configs import InferenceRPUConfig, TorchInferenceRPUConfig, WeightNoiseType

PACKAGES = ["aihwkit"]
LACKS = "no exact wires: a ladder for each column, or a first-order scale"


def network(row, model, calibration):
    config = InferenceRPUConfig() if row == "noise" else TorchInferenceRPUConfig()
    settings = ("C++" if row == "noise" else "torch") + " tiles of 128x128, PCM-like programming and drift"
    config.mapping.max_input_size = config.mapping.max_output_size = 128
    config.noise_model = PCMLikeNoiseModel()
    config.forward.out_noise = 0.0
    if row == "static":
        config.forward.is_perfect = True
        settings += ", is_perfect"
    else:
        config.forward.inp_res = config.forward.out_res = 1 / (2**8 - 2)
        settings += ", inp_res and out_res 1/(2**8-2), noise and bound management as by default"
    if row == "noise":
        config.forward.w_noise_type = WeightNoiseType.ADDITIVE_CONSTANT
        config.forward.w_noise = 0.02
        settings += "; w_noise 0.02 of the range, per read"
    analog = convert_to_analog(model, config).eval()
    analog.drift_analog_weights(3600.0)
    return analog, settings
