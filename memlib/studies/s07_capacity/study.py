"""The study 07_capacity: do parameters, connections or the layout decide how much noise is tolerated?"""

from types import SimpleNamespace

import pandas as pd

from memlib.base.checks import one_of
from memlib.evidence.claims import Claim
from memlib.evidence.comparisons import Chips, Comparison, Labelled
from memlib.studies.drawing import Drawing
from memlib.studies.effects import Setting, evaluate, seeds_of, settings
from memlib.studies.network_lists import (
    EQUALS,
    FINETUNED,
    GROUPED,
    ORDINARY,
    PRUNED_CHANNELS,
    PRUNED_WEIGHTS,
    SEPARABLE,
)
from memlib.studies.run import Run
from memlib.studies.s07_capacity import differences, explanation, ladders, layouts, trainings
from memlib.studies.s07_capacity.connectivities import Families, Pair, families_of, pairs
from memlib.studies.study import Study, Sweep, Values, networks, same
from memlib.studies.trained_networks import inputs


def _families(p: SimpleNamespace) -> Families:
    names = "ordinary", "grouped", "separable", "weights", "channels"
    return families_of(*(getattr(p, f"{name}_checkpoints") for name in names))


def _pairs(p: SimpleNamespace) -> list[Pair]:
    return pairs(_families(p), p.finetuned_checkpoints)


def _ladders(p: SimpleNamespace) -> Labelled:
    return ladders.points(_families(p), p.images, p.severities)


def _claimed_at(p: SimpleNamespace) -> tuple[int, float, list[Setting]]:
    """Images, severity and settings of the claims."""
    return p.claim_images, p.claim_severity, settings(p.claim_recalibrations, p.claim_ranges)


def _compared(p: SimpleNamespace) -> list[Comparison]:
    return differences.comparisons(_families(p), p.finetuned_checkpoints, p.layout_checkpoints, *_claimed_at(p))


def _trained_at(p: SimpleNamespace) -> tuple[list[int], int, float, list[Setting]]:
    """Seeds of trainings, images, severity and settings of the claims about trainings."""
    return p.training_seeds, p.claim_images, p.claim_severity, settings(p.claim_recalibrations, p.claim_ranges[:1])


def _trained(p: SimpleNamespace) -> list[Comparison]:
    return trainings.comparisons(_families(p), *_trained_at(p))


def _sweeps(p: SimpleNamespace) -> dict[str, Sweep]:
    one_of("claim_severity", p.claim_severity, p.severities)
    layers = explanation.layer_points(p.layer_checkpoints, p.images, p.layer_severity)
    alone = [point for _, loss in layers for point in (loss.baseline, loss.point)]
    claims, again = ([point for c in compared for point in c.points] for compared in (_compared(p), _trained(p)))
    return {
        "ladders": Sweep([point for _, point in _ladders(p)], seeds_of(p.device_seeds)),
        "layers": Sweep(alone, seeds_of(p.layer_seeds)),
        "claims": Sweep(claims, seeds_of(p.claim_seeds)),
        "trainings": Sweep(again, seeds_of(p.claim_seeds)),
    }


def _ladder_table(run: Run) -> pd.DataFrame:
    return ladders.tidy(run.sweep("ladders"), _ladders(run.p))


def _gains(run: Run) -> pd.DataFrame:
    return explanation.noise_gains(run.p.layer_checkpoints)


def _alone(run: Run) -> pd.DataFrame:
    p = run.p
    labelled = explanation.layer_points(p.layer_checkpoints, p.images, p.layer_severity)
    return explanation.layer_losses(run.sweep("layers"), labelled)


def _explained(run: Run) -> pd.DataFrame:
    return explanation.explanations(run.once(_ladder_table), run.p.claim_severity)


def _trainings(run: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    return trainings.tables(run.sweep("trainings"), _families(run.p), *_trained_at(run.p))


def _claims(run: Run) -> list[Claim]:
    return differences.claims(_compared(run.p), Chips(run.sweep("claims")))


def _claims_of_trainings(run: Run) -> list[Claim]:
    chips = Chips(run.sweep("trainings"))
    return [comparison.claim(chips) for comparison in _trained(run.p)]


def _differences(run: Run) -> pd.DataFrame:
    return differences.differences(run.sweep("claims"), _pairs(run.p), *_claimed_at(run.p))


def _layouts(run: Run) -> pd.DataFrame:
    return layouts.layout_losses(run.sweep("claims"), run.p.layout_checkpoints, *_claimed_at(run.p))


def _all_networks(p: SimpleNamespace) -> list[str]:
    families = _families(p)
    again = trainings.checkpoints(families, p.training_seeds)
    return sorted({*p.finetuned_checkpoints, *p.layout_checkpoints, *again}.union(*families.values()))


_AT = ("claim_severity", "origin")
STUDY = Study(
    name="07_capacity",
    parameters={
        "ordinary_checkpoints": networks(*ORDINARY, smoke=ORDINARY[:2]),
        "grouped_checkpoints": networks(*GROUPED, smoke=GROUPED[:1]),
        "separable_checkpoints": networks(*SEPARABLE, smoke=SEPARABLE[:1]),
        "weights_checkpoints": networks(*PRUNED_WEIGHTS, smoke=PRUNED_WEIGHTS[:1]),
        "channels_checkpoints": networks(*PRUNED_CHANNELS),
        "finetuned_checkpoints": networks(FINETUNED),
        "severities": Values([0.01, 0.02, 0.03, 0.05, 0.07], [0.01, 0.03]),
        "images": Values(1000, 100),
        "device_seeds": Values(10, 3),
        "layer_checkpoints": networks(*EQUALS, PRUNED_WEIGHTS[0], smoke=EQUALS[:1]),
        "layer_severity": same(0.05),
        "layer_seeds": Values(5, 2),
        "layout_checkpoints": networks(*EQUALS[::2], smoke=EQUALS[:1]),
        "claim_severity": same(0.03),
        "claim_recalibrations": Values(["none", "batch_norm"], ["none"]),
        "claim_ranges": Values(["design", "chip"], ["design"]),
        "claim_images": Values(5000, 500),
        "claim_seeds": Values(10, 3),
        "training_seeds": same([0, 1, 2]),
    },
    evaluate=evaluate,
    sweeps=_sweeps,
    tables={
        "07_capacity_matches": lambda run: ladders.matches(_pairs(run.p)),
        "07_capacity": lambda run: run.once(_ladder_table),
        "07_capacity_tolerance": lambda run: ladders.tolerances(run.sweep("ladders"), _ladders(run.p)),
        "07_capacity_explained_gains": _gains,
        "07_capacity_explained": _alone,
        "07_capacity_explained_networks": lambda run: run.once(_explained),
        "07_capacity_explained_correlations": lambda run: explanation.correlations(run.once(_explained)),
        "07_capacity_differences": _differences,
        "07_capacity_trainings": lambda run: run.once(_trainings)[0],
        "07_capacity_trainings_means": lambda run: run.once(_trainings)[1],
        "07_capacity_layouts": _layouts,
    },
    drawings={
        "07_capacity": Drawing(ladders.plot, ("07_capacity", "07_capacity_tolerance"), _AT),
        "07_capacity_explained": Drawing(
            explanation.plot_explained,
            ("07_capacity_explained_gains", "07_capacity_explained", "07_capacity_explained_networks"),
            ("claim_severity", "layer_severity", "origin"),
        ),
        "07_capacity_differences": Drawing(differences.plot_differences, ("07_capacity_differences",), _AT),
        "07_capacity_layouts": Drawing(layouts.plot_layouts, ("07_capacity_layouts",), _AT),
        "07_capacity_trainings": Drawing(trainings.plot, ("07_capacity_trainings", "07_capacity_trainings_means"), _AT),
    },
    claims={"07_capacity": _claims, "07_capacity_trainings": _claims_of_trainings},
    inputs=lambda p: inputs(_all_networks(p)),
)
