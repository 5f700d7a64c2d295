"""Parameters of every notebook at every preset: `paper` is written down, `smoke` is derived from it by shrinking."""

from typing import Any

#: For each notebook, the parameters of its full-size run.
PAPER: dict[str, dict[str, Any]] = {
    "01_devices": {
        "cells": 20_000,
        "reads": 100_000,
        "write_cells": 4000,
        "device_seeds": 10,
        "tolerances": [0.002, 0.005, 0.01, 0.02, 0.05, 0.1],
        "read_noises": [0.0, 0.003, 0.01, 0.03],
        "max_pulses": 100,
        "claim_tolerance": 0.01,
        "claim_read_noise": 0.01,
    },
    "02_mapping": {
        "checkpoints": ["resnet20-cifar10", "vgg8-cifar10"],
        "tile_sizes": [32, 64, 128, 256, 512],
        "claim_tile_size": 128,
    },
    "05_tile_size": {
        "checkpoints": ["resnet20-cifar10", "vgg8-cifar10"],
        "device": "10k_100k",
        "images": 1000,
        "device_seeds": 5,
        "tile_rows": [32, 64, 128, 256],
        "adc_bits": [2, 4, 6, 8, 10],
        "d2d": [0.0, 0.1, 0.2, 0.3, 0.4],
        "states": [0, 32, 16, 8, 4],
        "stuck_on": [0.0, 0.0003, 0.001, 0.003, 0.01],
        "stuck_off": [0.0, 0.003, 0.01, 0.03, 0.1],
        "claim_images": 5000,
        "claim_seeds": 10,
    },
    "06_power": {
        "checkpoints": ["resnet20-cifar10", "vgg8-cifar10"],
        "layouts": ["dense", "2x2", "best windows", "4x4", "sparse", "8x8", "sparse, unformed"],
        "device": "10k_100k",
        "rows": 128,
        "bits": 8,
        "images": 1000,
        "device_seeds": 5,
        "claim_images": 5000,
        "claim_seeds": 10,
    },
    "08_parasitics": {  # lists in an order of which smoke takes what is quick
        "checkpoints": ["resnet20-cifar10", "vgg8-cifar10"],
        "devices": ["10k_100k", "cmo_hfox", "ihp_hfo2", "neurram"],
        "tile_sizes": [32, 128, 64],
        "r_wire": [0.0, 0.5, 2.0, 1.0, 4.0],
        "images": 1000,
        "device_seeds": 2,
        "claim_checkpoints": ["resnet20-cifar10"],
        "claim_tile_sizes": [64, 32, 128],
        "claim_r_wire": 1.0,
        "claim_images": 5000,
        "claim_seeds": 10,
        "sparse_checkpoint": "resnet20-digits",
        "sparse_device": "10k_100k",
        "sparse_layers": 19,
        "sparse_tile_sizes": [32],
        "sparse_r_wire": [0.0, 2.0, 4.0, 8.0],
        "sparse_images": 500,
        "sparse_seeds": 3,
        "arrays": 10,
    },
}

#: The largest value of each parameter that counts something, and the most values of a list, at smoke size.
SMOKE_LIMITS = {
    "images": 100,
    "device_seeds": 3,
    "claim_images": 500,
    "claim_seeds": 3,
    "cells": 2000,
    "reads": 5000,
    "write_cells": 500,
    "sparse_layers": 1,
    "sparse_images": 100,
    "sparse_seeds": 2,
    "arrays": 5,
    "r_wire": 2,
    "claim_tile_sizes": 1,
}


def shrink(parameters: dict[str, Any]) -> dict[str, Any]:
    """Smoke size: networks trained on digits, fewer images and seeds, every second value of the numeric axes."""
    small = {}
    for name, value in parameters.items():
        if name.endswith("checkpoints"):
            small[name] = [checkpoint.replace("cifar10", "digits") for checkpoint in value]
        elif isinstance(value, list):
            small[name] = value[::2][: SMOKE_LIMITS.get(name)]
        else:
            small[name] = min(value, SMOKE_LIMITS.get(name, value))
    return small


PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "smoke": {name: shrink(parameters) for name, parameters in PAPER.items()},
    "paper": PAPER,
}
