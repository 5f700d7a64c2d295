"""The study 07_capacity: do parameters, connections or the layout decide how much noise is tolerated?"""

import itertools
from types import SimpleNamespace

from memlib.base.checks import one_of
from memlib.studies.drawing import Drawing
from memlib.studies.s07_capacity import differences, explanation, ladders, layouts, trainings
from memlib.studies.s07_capacity.connectivities import families_of
from memlib.studies.shared.effects import evaluate, seeds_of
from memlib.studies.shared.network_lists import (
    EQUALS,
    FINETUNED,
    GROUPED,
    ORDINARY,
    PRUNED_CHANNELS,
    PRUNED_WEIGHTS,
    SEPARABLE,
)  # fmt: skip
from memlib.studies.shared.trained_networks import every_training, inputs
from memlib.studies.study import Study, Sweep, Values, networks, same


def _sweeps(p: SimpleNamespace) -> dict[str, Sweep]:
    one_of("claim_severity", p.claim_severity, p.severities)
    alone = [point for _, loss in explanation.layer_points(p) for point in (loss.baseline, loss.point)]
    return {
        "ladders": Sweep.labelled(ladders.points(p), seeds_of(p.device_seeds)),
        "layers": Sweep(alone, seeds_of(p.layer_seeds)),
        "claims": Sweep.compared([*differences.comparisons(p), *trainings.comparisons(p)], seeds_of(p.claim_seeds)),
    }


def _all_networks(p: SimpleNamespace) -> list[str]:
    compared = [*p.finetuned_checkpoints, *itertools.chain(*families_of(p).values())]
    return sorted({*p.layout_checkpoints, *p.layer_checkpoints, *every_training(compared, p.training_seeds)})


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
        "training_seeds": Values([0, 1, 2], [0, 1]),
    },
    evaluate=evaluate,
    sweeps=_sweeps,
    tables={
        "07_capacity_matches": ladders.matches,
        "07_capacity": ladders.losses,
        "07_capacity_tolerance": ladders.tolerances,
        "07_capacity_explained_gains": explanation.gains,
        "07_capacity_explained": explanation.layer_losses,
        "07_capacity_explained_networks": explanation.explanations,
        "07_capacity_explained_correlations": explanation.correlations,
        "07_capacity_differences": differences.differences,
        "07_capacity_trainings": trainings.each_training,
        "07_capacity_trainings_means": trainings.means,
        "07_capacity_layouts": layouts.layout_losses,
    },
    drawings={
        "07_capacity": Drawing(ladders.plot_ladders, ("07_capacity", "07_capacity_tolerance"), _AT),
        "07_capacity_explained": Drawing(
            explanation.plot_explained,
            ("07_capacity_explained_gains", "07_capacity_explained", "07_capacity_explained_networks"),
            ("claim_severity", "layer_severity", "origin"),
        ),
        "07_capacity_differences": Drawing(differences.plot_differences, ("07_capacity_differences",), _AT),
        "07_capacity_layouts": Drawing(layouts.plot_layouts, ("07_capacity_layouts",), _AT),
        "07_capacity_trainings": Drawing(
            trainings.plot_trainings, ("07_capacity_trainings", "07_capacity_trainings_means"), _AT
        ),
    },
    claims={"07_capacity": differences.claims, "07_capacity_trainings": trainings.claims},
    inputs=lambda p: inputs(_all_networks(p)),
)
