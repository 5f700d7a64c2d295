"""MemIntelli: weights and inputs in bit slices; devices are drawn anew at every read."""

from memintelli.NN_layers import Conv2dMem, LinearMem
from memintelli.pimpy import DPETensor
from torch import nn

PACKAGES = ["memintelli"]
LACKS = "wire_factor raises NotImplementedError"
SLICES = [1, 1, 2, 4]  # of inputs and of weights: 8 bits


def network(row, model, calibration):
    if row == "static":
        raise NotImplementedError("every product is sliced and converted, and every read draws all devices anew")
    spread = 0.02 if row == "noise" else 0.0
    engine = DPETensor(
        HGS=1e-4,
        LGS=1e-5,
        g_level=16,
        var=spread,
        rdac=16,
        radc=256,
        weight_quant_gran=(128, 128),
        input_quant_gran=(1, 128),
        weight_paral_size=(128, 128),
        input_paral_size=(1, 128),
    )

    def analog(layer):
        bias = layer.bias is not None
        if isinstance(layer, nn.Linear):
            new = LinearMem(engine, layer.in_features, layer.out_features, SLICES, SLICES, bias=bias)
        else:
            size, stride, padding = layer.kernel_size[0], layer.stride[0], layer.padding[0]
            channels = layer.in_channels, layer.out_channels
            new = Conv2dMem(engine, *channels, size, SLICES, SLICES, stride, padding, bias=bias)
        new.load_state_dict(layer.state_dict(), strict=False)
        new.update_weight()
        return new

    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, analog(layer))
    noise = f"var={spread}, one draw of all devices per layer and forward"
    return model, f"INT8 as slices {SLICES} of both, 16 levels, radc=256, tiles 128x128, {noise}"
