"""The study 09_design_space: Pareto fronts, search, sensitivity, and which hardware is the cheapest."""

import itertools
from types import SimpleNamespace
from typing import Any

from memlib.evidence.claims import Claim
from memlib.studies.drawing import Drawing
from memlib.studies.run import Run
from memlib.studies.s09_design_space import designer_table, formula_fits, recommendations, searches, variance
from memlib.studies.shared.designs import evaluate
from memlib.studies.shared.network_lists import ORDINARY, SEPARABLE
from memlib.studies.shared.trained_networks import inputs
from memlib.studies.study import Study, Sweep, Values, networks, same
from memlib.training.recipes import RECIPES

HALF = ORDINARY[1]


def _sweeps(p: SimpleNamespace) -> dict[str, Sweep]:
    """The formula's designs, and a sweep for each chip of the sensitivity; searches follow from what they find."""
    return {"formula": Sweep(formula_fits.formula_points(p), range(p.device_seeds)), **variance.sweeps(p)}


def _claims(run: Run) -> list[Claim]:
    of_formula = formula_fits.error_claims(run) + designer_table.rule_claims(run)
    return of_formula + searches.search_claims(run) + recommendations.claims(run)


def _inputs(p: SimpleNamespace) -> dict[str, Any]:
    checkpoints = dict.fromkeys([*p.formula_checkpoints, *p.search_checkpoints, *p.answer_checkpoints])
    trained = [searches.trained_as(c, kind) for c, kind in itertools.product(checkpoints, searches.TRAININGS)]
    there = [name for name in trained if name in RECIPES]
    return inputs(there) | {"sure": recommendations.SURE, "fresh_chips": designer_table.FRESH_CHIPS}


STUDY = Study(
    name="09_design_space",
    parameters={
        "formula_checkpoints": networks(HALF, "vgg8", "resnet20", smoke=(HALF,)),
        "formula_layouts": Values(["dense", "sparse", "4x4"], ["dense", "4x4"]),
        "formula_designs": Values(120, 12),
        "severities": Values([0.005, 0.01, 0.02, 0.03, 0.05, 0.08], [0.005, 0.02, 0.05]),
        "tile_rows": Values([32, 64, 128, 256, 512], [32, 128, 512]),
        "adc_bits": Values([3, 4, 5, 6, 7, 8], [3, 5, 7]),
        "wired_designs": Values(40, 6),
        "wired_rows": Values([32, 64, 128], [32, 128]),
        "wired_ohms": Values([0.5, 1.0, 2.0], [0.5, 2.0]),
        "images": Values(500, 100),
        "device_seeds": Values(3, 2),
        "r_wire": Values([0.0, 0.5, 1.0], [0.0, 1.0]),
        "devices": Values(
            ["ihp_hfo2", "cmo_hfox, 1 day", "neurram, 1 day", "3 % error"], ["ihp_hfo2", "neurram, 1 day"]
        ),
        "targets": Values([0.05, 0.02, 0.01], [0.05, 0.01]),
        "sensitivity_checkpoints": networks(HALF, "vgg8", smoke=(HALF,)),
        "sensitivity_layouts": Values(["dense", "4x4"], ["dense"]),
        "sensitivity_n": Values(32, 4),
        "sensitivity_images": Values(200, 50),
        "known_checkpoint": Values(f"{HALF}-cifar10", f"{HALF}-digits"),
        "known_layouts": Values(["dense", "2x2", "4x4"], ["dense"]),
        "known_dac_bits": Values([3, 4, 6, 8], [3, 6]),
        "known_points": Values(48, 24),
        "known_repeats": same(10),
        "search_checkpoints": networks("vgg8", HALF, "resnet20", SEPARABLE[1], smoke=("vgg8", HALF)),
        "search_layouts": Values(["dense", "sparse", "2x2", "4x4", "windows"], ["dense", "2x2", "windows"]),
        "search_points": Values(100, 16),
        "search_images": Values(500, 200),
        "search_seeds": Values(3, 2),
        "answer_checkpoints": networks(HALF, "vgg8", "resnet20", smoke=(HALF,)),
        "answer_device": same("ihp_hfo2"),
        "answer_layouts": Values(["dense", "sparse", "2x2", "4x4"], ["dense", "2x2"]),
        "answer_rows": Values([64, 256], [64]),
        "answer_dac_bits": Values([4, 5, 6, 8], [4, 6]),
        "answer_adc_bits": Values([5, 6, 8], [5, 8]),
        "answer_targets": Values([0.05, 0.02], [0.05]),
        "answer_accuracies": Values([0.85, 0.8, 0.87], [0.85, 0.87]),
        "first_images": Values(200, 50),
        "first_seeds": Values(2, 1),
        "closer_images": Values(1000, 300),
        "closer_seeds": same(5),
        "claim_checkpoints": networks(HALF, "vgg8", smoke=(HALF,)),
        "claim_target": same(0.05),
        "claim_accuracy": same(0.85),
        "claim_r_wire": same(1.0),
        "claim_images": Values(5000, 300),
        "claim_seeds": Values(10, 3),
    },
    evaluate=evaluate,
    sweeps=_sweeps,
    tables={
        "09_design_space_coefficients": formula_fits.coefficients,
        "09_design_space_formula": formula_fits.predictions,
        "09_design_space_errors": formula_fits.errors,
        "09_design_space_table": designer_table.rules,
        "09_design_space_checked": designer_table.checked_rules,
        "09_design_space_sensitivity": variance.sensitivities,
        "09_design_space_search": searches.curves,
        "09_design_space": searches.front,
        "09_design_space_answer": recommendations.answers,
        "09_design_space_networks": recommendations.all_best_networks,
    },
    drawings={
        "09_design_space": Drawing(searches.plot_front, ("09_design_space",), ("origin",)),
        "09_design_space_formula": Drawing(formula_fits.plot_formula, ("09_design_space_formula",), ("origin",)),
        "09_design_space_sensitivity": Drawing(variance.plot_sensitivity, ("09_design_space_sensitivity",)),
        "09_design_space_search": Drawing(searches.plot_searches, ("09_design_space_search",)),
        "09_design_space_answer": Drawing(recommendations.plot_answer, ("09_design_space_answer",), ("origin",)),
    },
    claims={"09_design_space": _claims},
    inputs=_inputs,
)
