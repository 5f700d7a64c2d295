"""Parameters of every notebook at every preset: `paper` is written down, `smoke` is derived from it by shrinking."""

from typing import Any

#: ResNet-20 of three connectivities, narrow to wide, and pruned.
ORDINARY = [f"resnet20-{width}-cifar10" for width in ("0.25", "0.5", "1", "1.41")]
GROUPED = [f"resnet20_grouped-{width}-cifar10" for width in ("0.5", "1", "2")]
SEPARABLE = [f"resnet20_separable-{width}-cifar10" for width in ("0.65", "1.4", "2.9")]
PRUNED = [f"resnet20-1-{what}-cifar10" for what in ("weights0.75", "weights0.9", "channels0.6")]
#: What was trained on as they were, whole.
FINETUNED = "resnet20-0.5-finetuned-cifar10"
#: One of each connectivity, with about the same number of parameters.
EQUALS = [ORDINARY[1], GROUPED[1], SEPARABLE[1]]
AWARE = [name.replace("-cifar10", "-noise-cifar10") for name in EQUALS]
LONGER = [name.replace("-cifar10", "-longer-cifar10") for name in EQUALS]
QUANTISED = "resnet20-0.5-quantised-cifar10"
LARGEST = ["resnet20-cifar10", "vgg8-cifar10", "vgg8-0.375-cifar10", "mobilenetv2-cifar10", "mlp-cifar10"]

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
    "03_networks": {
        "checkpoints": [*LARGEST, *ORDINARY, *GROUPED, *SEPARABLE, *PRUNED, FINETUNED, *LONGER, *AWARE, QUANTISED],
        "weight_checkpoints": [*EQUALS, PRUNED[0], "vgg8-cifar10", "mobilenetv2-cifar10"],
        "claim_checkpoints": EQUALS,
        "images": 10_000,
    },
    "04_non_idealities": {
        "checkpoints": [ORDINARY[0], "mobilenetv2-cifar10", "vgg8-cifar10", "resnet20-cifar10", "mlp-cifar10"],
        "sparse_checkpoints": [ORDINARY[0], "vgg8-cifar10", "resnet20-cifar10"],
        "images": 1000,
        "device_seeds": 3,
        "program_error": [0.02, 0.05, 0.1],
        "d2d": [0.1, 0.2, 0.4],
        "states": [32, 16, 8],
        "stuck_on": [0.0003, 0.001, 0.003],
        "stuck_off": [0.003, 0.01, 0.03],
        "unformed": [0.003, 0.01, 0.03],
        "read_noise": [0.03, 0.1, 0.3],
        "retention": [1e2, 1e4, 1.7e5],
        "endurance": [2e4, 5e4, 1e5],
        "iv": [1.0, 0.7, 0.5],
        "transistors": [200.0, 500.0, 1000.0],
        "wires": [0.25, 0.5, 1.0],
        "dac_bits": [6, 4, 3],
        "adc_bits": [6, 5, 4],
        "adc_errors": [0.01, 0.03, 0.1],
        "claim_checkpoints": [ORDINARY[0], "vgg8-cifar10", "resnet20-cifar10"],
        "claim_effects": ["program_error", "d2d", "stuck_on", "read_noise"],
        "claim_severities": [0.05, 0.2, 0.001, 0.1],
        "claim_images": 5000,
        "claim_seeds": 10,
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
    "07_capacity": {
        "ordinary_checkpoints": ORDINARY,
        "grouped_checkpoints": GROUPED,
        "separable_checkpoints": SEPARABLE,
        "weights_checkpoints": PRUNED[:2],
        "channels_checkpoints": PRUNED[2:],
        "finetuned_checkpoints": [FINETUNED],
        "severities": [0.01, 0.02, 0.03, 0.05, 0.07],
        "images": 1000,
        "device_seeds": 10,
        "layer_checkpoints": [*EQUALS, PRUNED[0]],
        "layer_severity": 0.05,
        "layer_seeds": 5,
        "layout_checkpoints": EQUALS[::2],
        "claim_severity": 0.03,
        "claim_recalibrations": ["none", "batch_norm"],
        "claim_ranges": ["design", "chip"],
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
    "09_design_space": {
        "formula_checkpoints": [ORDINARY[1], "vgg8-cifar10", "resnet20-cifar10"],
        "formula_layouts": ["dense", "sparse", "4x4"],
        "formula_designs": 120,
        "severities": [0.005, 0.01, 0.02, 0.03, 0.05, 0.08],
        "tile_rows": [32, 64, 128, 256, 512],
        "adc_bits": [3, 4, 5, 6, 7, 8],
        "wired_designs": 40,
        "wired_rows": [32, 64, 128],
        "wired_ohms": [0.5, 1.0, 2.0],
        "images": 500,
        "device_seeds": 3,
        "r_wire": [0.0, 0.5, 1.0],
        "devices": ["ihp_hfo2", "cmo_hfox, 1 day", "neurram, 1 day", "3 % error"],
        "targets": [0.05, 0.02, 0.01],
        "sensitivity_checkpoints": [ORDINARY[1], "vgg8-cifar10"],
        "sensitivity_layouts": ["dense", "4x4"],
        "sensitivity_n": 32,
        "sensitivity_images": 200,
        "known_checkpoints": [ORDINARY[1]],
        "known_layouts": ["dense", "2x2", "4x4"],
        "known_points": 48,
        "known_repeats": 10,
        "search_checkpoints": ["vgg8-cifar10", ORDINARY[1], "resnet20-cifar10", SEPARABLE[1]],
        "search_layouts": ["dense", "sparse", "2x2", "4x4", "windows"],
        "search_points": 100,
        "search_images": 500,
        "search_seeds": 3,
        "answer_checkpoints": [ORDINARY[1], "vgg8-cifar10", "resnet20-cifar10", "mlp-cifar10"],
        "answer_device": "ihp_hfo2",
        "answer_layouts": ["dense", "sparse", "2x2", "4x4"],
        "answer_rows": [64, 256],
        "answer_dac_bits": [4, 5, 6, 8],
        "answer_adc_bits": [5, 6, 8],
        "answer_targets": [0.05, 0.02],
        "answer_accuracies": [0.85, 0.8, 0.87],
        "first_images": 200,
        "first_seeds": 2,
        "closer_images": 1000,
        "closer_seeds": 5,
        "claim_checkpoints": [ORDINARY[1], "vgg8-cifar10"],
        "claim_target": 0.05,
        "claim_accuracy": 0.85,
        "claim_r_wire": 1.0,
        "claim_images": 5000,
        "claim_seeds": 10,
    },
    "12_training": {
        "plain_checkpoints": EQUALS,
        "aware_checkpoints": AWARE,
        "longer_checkpoints": LONGER,
        "severities": [0.02, 0.03, 0.05, 0.07, 0.1],
        "images": 1000,
        "device_seeds": 10,
        "quantised_checkpoints": [LONGER[0], QUANTISED],
        "states": [32, 16, 8, 4],
        "dac_bits": [6, 4, 3, 2],
        "quantised_images": 5000,
        "claim_severity": 0.05,
        "claim_recalibrations": ["none", "batch_norm"],
        "claim_ranges": ["design", "chip"],
        "claim_images": 5000,
        "claim_seeds": 10,
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
    "sparse_checkpoints": 1,
    "layer_checkpoints": 1,
    "layer_seeds": 2,
    "layout_checkpoints": 1,
    "quantised_images": 500,
    "plain_checkpoints": 2,
    "longer_checkpoints": 2,
    "aware_checkpoints": 2,
    "severities": 2,
    "ordinary_checkpoints": 2,
    "grouped_checkpoints": 1,
    "weights_checkpoints": 1,
    "separable_checkpoints": 1,
    "claim_recalibrations": 1,
    "claim_ranges": 1,
}
#: The same for single notebooks: 04 keeps one severity of each effect.
SMOKE_LIMITS_OF: dict[str, dict[str, int]] = {
    "04_non_idealities": {name: 1 for name, value in PAPER["04_non_idealities"].items() if isinstance(value, list)}
    | {"checkpoints": 2},
    "09_design_space": {
        "formula_checkpoints": 1,
        "formula_designs": 15,
        "wired_designs": 12,
        "severities": 3,
        "device_seeds": 2,
        "sensitivity_checkpoints": 1,
        "sensitivity_layouts": 1,
        "sensitivity_n": 4,
        "sensitivity_images": 50,
        "known_layouts": 1,
        "known_points": 32,
        "search_checkpoints": 2,
        "search_points": 16,
        "search_images": 300,
        "answer_checkpoints": 1,
        "first_images": 50,
        "first_seeds": 1,
        "closer_images": 300,
        "claim_checkpoints": 1,
    },
}


def shrink(notebook: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Smoke size: networks trained on digits, fewer images and seeds, every second value of the numeric axes."""
    limits, small = SMOKE_LIMITS | SMOKE_LIMITS_OF.get(notebook, {}), {}
    for name, value in parameters.items():
        if name.endswith("checkpoints"):
            small[name] = [c.replace("cifar10", "digits") for c in value][: limits.get(name)]
        elif isinstance(value, list):
            small[name] = value[::2][: limits.get(name)]
        else:
            small[name] = min(value, limits.get(name, value))
    return small


PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "smoke": {name: shrink(name, parameters) for name, parameters in PAPER.items()},
    "paper": PAPER,
}
