"""The study 09_design_space: Pareto fronts, search, sensitivity, and which hardware is the cheapest."""

import itertools
from types import SimpleNamespace
from typing import Any

import pandas as pd

from memlib.evidence.claims import Claim
from memlib.exploration.loss_formula import Formula
from memlib.exploration.multi_objective import Fidelity
from memlib.studies.designs import evaluate
from memlib.studies.drawing import Drawing
from memlib.studies.network_lists import ORDINARY, SEPARABLE
from memlib.studies.run import Run
from memlib.studies.s09_design_space import designer_table, formula_fits, recommendations, searches, variance
from memlib.studies.study import Study, Sweep, Values, networks, same
from memlib.studies.trained_networks import inputs
from memlib.zoo.checkpoints import read_manifest

HALF = ORDINARY[1]


def _sweeps(p: SimpleNamespace) -> dict[str, Sweep]:
    """The formula's designs, and a sweep for each chip of the sensitivity; searches follow from what they find."""
    grid = p.severities, p.tile_rows, p.adc_bits, p.images
    wires = {"designs": p.wired_designs, "rows": p.wired_rows, "ohms": p.wired_ohms}
    designs = formula_fits.formula_points(p.formula_checkpoints, p.formula_layouts, p.formula_designs, *grid, wires)
    parts = variance.sensitivity_parts(*_varied(p))
    chips = {f"sensitivity, chip {seeds[0]}": Sweep(points, seeds) for points, seeds in parts}
    return {"formula": Sweep(designs, range(p.device_seeds)), **chips}


def _varied(p: SimpleNamespace) -> tuple[list[str], list[str], int, int]:
    return p.sensitivity_checkpoints, p.sensitivity_layouts, p.sensitivity_n, p.sensitivity_images


# The formula and the designer's table


def _designs(run: Run) -> pd.DataFrame:
    return formula_fits.losses(run.sweep("formula"))


def _fitted(run: Run) -> dict[str, Formula]:
    return formula_fits.fits(run.once(_designs))


def _predicted(run: Run) -> pd.DataFrame:
    return formula_fits.held_out(run.once(_designs))


def _rules(run: Run) -> pd.DataFrame:
    p = run.p
    at = p.devices, p.targets, p.r_wire, p.tile_rows, range(3, 9)
    return designer_table.rules(run.once(_fitted), run.once(_predicted), *at)


def _checked(run: Run) -> pd.DataFrame:
    p = run.p
    claimed = designer_table.claimed(run.once(_rules), p.claim_checkpoints, p.claim_r_wire)
    points = designer_table.rule_points(claimed, p.claim_images)
    return designer_table.checked(claimed, run.evaluate(Sweep(points, _fresh_chips(p))))


def _fresh_chips(p: SimpleNamespace) -> range:
    return range(recommendations.FRESH_CHIPS, recommendations.FRESH_CHIPS + p.claim_seeds)


# What matters, and what a search finds


def _sensitivities(run: Run) -> pd.DataFrame:
    names = [name for name in _sweeps(run.p) if name.startswith("sensitivity")]
    varied = pd.concat([run.sweep(name) for name in names])
    return variance.sensitivities(varied, *_varied(run.p))


def _curves(run: Run) -> pd.DataFrame:
    p = run.p
    space = searches.known_space(p.known_checkpoint, p.answer_device, p.known_layouts, p.known_dac_bits)
    return searches.compare_searches(space, run.store, _fidelities(p)[0], p.known_points, p.known_repeats)


def _front(run: Run) -> pd.DataFrame:
    p = run.p
    space = searches.search_space(p.search_checkpoints, p.devices, p.search_layouts)
    looks = [_fidelities(p)[0], Fidelity(p.search_images, p.search_seeds)]
    return searches.run_search(space, run.store, p.search_points, looks)


def _fidelities(p: SimpleNamespace) -> list[Fidelity]:
    return [Fidelity(p.first_images, p.first_seeds), Fidelity(p.closer_images, p.closer_seeds)]


# The answer


def _studied(run: Run) -> recommendations.Studied:
    p = run.p
    choices = p.answer_device, p.answer_layouts, p.answer_dac_bits, p.answer_adc_bits
    goals = p.answer_targets, p.answer_accuracies, _fidelities(p)
    return {
        rows: [
            recommendations.study_candidates(recommendations.candidates(checkpoint, rows, *choices), run.store, *goals)
            for checkpoint in p.answer_checkpoints
        ]
        for rows in p.answer_rows
    }


def _answer(run: Run) -> pd.DataFrame:
    return recommendations.answers(run.once(_studied), run.p.answer_targets)


def _networks(run: Run) -> pd.DataFrame:
    return recommendations.all_best_networks(run.once(_studied), run.p.answer_accuracies)


def _answer_claims(run: Run) -> list[Claim]:
    p, table = run.p, run.once(_answer)
    smallest = table[table["rows"] == min(p.answer_rows)]
    confirmed = recommendations.confirmed_designs(smallest, p.claim_checkpoints, p.claim_target, p.answer_device)
    results = _on_fresh_chips(run, confirmed)
    return recommendations.answer_claims(confirmed, results, table, p.claim_target)


def _network_claims(run: Run) -> list[Claim]:
    networks_found = run.once(_networks)
    reached = networks_found[networks_found["at_least"] == run.p.claim_accuracy]
    designs = recommendations.network_designs(reached, run.p.answer_device)
    return recommendations.network_claims(reached, designs, _on_fresh_chips(run, designs))


def _on_fresh_chips(run: Run, designs: list[dict]) -> pd.DataFrame:
    points = [searches.searched_point(design, run.p.claim_images) for design in designs]
    return run.evaluate(Sweep(points, _fresh_chips(run.p)))


def _claims(run: Run) -> list[Claim]:
    of_formula = formula_fits.error_claims(run.once(_predicted)) + designer_table.rule_claims(run.once(_checked))
    return of_formula + searches.search_claims(run.once(_curves)) + _answer_claims(run) + _network_claims(run)


def _inputs(p: SimpleNamespace) -> dict[str, Any]:
    checkpoints = dict.fromkeys([*p.formula_checkpoints, *p.search_checkpoints, *p.answer_checkpoints])
    trained = [searches.trained_as(c, kind) for c, kind in itertools.product(checkpoints, searches.TRAININGS)]
    there = [name for name in trained if name in read_manifest()]
    return inputs(there) | {"sure": recommendations.SURE, "fresh_chips": recommendations.FRESH_CHIPS}


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
        "answer_checkpoints": networks(HALF, "vgg8", "resnet20", "mlp", smoke=(HALF,)),
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
        "09_design_space_coefficients": lambda run: formula_fits.coefficients(run.once(_fitted)),
        "09_design_space_formula": lambda run: run.once(_predicted),
        "09_design_space_errors": lambda run: formula_fits.errors(run.once(_predicted)),
        "09_design_space_table": lambda run: run.once(_rules),
        "09_design_space_checked": lambda run: run.once(_checked),
        "09_design_space_sensitivity": _sensitivities,
        "09_design_space_search": lambda run: run.once(_curves),
        "09_design_space": _front,
        "09_design_space_answer": lambda run: run.once(_answer),
        "09_design_space_networks": lambda run: run.once(_networks),
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
