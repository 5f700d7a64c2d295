"""The study 13_memtorch: a guide for who comes from MemTorch, its exemplar sweeps, and its seizure case in spirit.

MemTorch: Lammie, Xiang, Linares-Barranco and Rahimi Azghadi, Neurocomputing 485, 124 (2022), arXiv 2004.10971. What is
said of it here is of version 1.1.6: read in its documentation and sources, or measured where that is said. Its formulas
are written again, and none of its code is used.
"""

from types import SimpleNamespace
from typing import Any

from memlib.studies.drawing import Drawing
from memlib.studies.s13_memtorch import detector, documented, exemplar
from memlib.studies.shared import effects
from memlib.studies.shared.effects import seeds_of
from memlib.studies.shared.trained_networks import inputs
from memlib.studies.study import Study, Sweep, Values, networks, same
from memlib.sweeps.points import Point, named
from memlib.zoo import seizures


@named("memtorch")
def evaluate(point: Point, seed: int) -> dict[str, Any]:
    """Accuracy of one chip, and which images, or windows of EEG, it gets right.

    Args:
        point: as `effects.make_point` or `detector.case_point` makes it.
        seed: device seed.

    Raises:
        ValueError: if checkpoint, detector or images are not those of the point.
    """
    return detector.evaluate_case(point, seed) if "detector" in point else effects.evaluate(point, seed)


def _sweeps(p: SimpleNamespace) -> dict[str, Sweep]:
    return {
        "exemplar": Sweep.labelled(exemplar.exemplar_points(p), seeds_of(p.device_seeds)),
        "claims": Sweep(list(exemplar.claim_points(p).values()), seeds_of(p.claim_seeds)),
        "case": Sweep.labelled(detector.case_points(p), seeds_of(p.case_seeds)),
        "case claims": Sweep(list(detector.case_claim_points(p).values()), seeds_of(p.case_seeds)),
    }


STUDY = Study(
    name="13_memtorch",
    parameters={
        "checkpoints": networks("mobilenetv2"),
        "device": same("14k_50M"),
        "images": Values(1000, 40),
        "device_seeds": Values(3, 2),
        "adc_bits": Values([4, 2, 8, 6, 10], [4, 8]),
        "d2d": Values([0.1, 0.2], [0.1]),
        "states": Values([8, 4], [8]),
        "stuck_on": Values([0.001, 0.003], [0.001]),
        "stuck_off": Values([0.01, 0.03], [0.01]),
        "claim_d2d": same(0.1),
        "claim_images": Values(5000, 40),
        "claim_seeds": Values(10, 2),
        "case_windows": Values(10_000, 100),
        "case_seeds": Values(10, 2),
        "case_program_error": Values([0.02, 0.05, 0.1], [0.02, 0.1]),
        "case_d2d": Values([0.05, 0.1, 0.2], [0.05, 0.2]),
        "case_states": Values([16, 8, 4], [16, 4]),
        "case_stuck_on": Values([0.001, 0.003, 0.01], [0.001, 0.01]),
        "case_gentle": same(0.02),
        "case_harsh": same(0.1),
    },
    evaluate=evaluate,
    sweeps=_sweeps,
    tables={
        "13_memtorch_equations": lambda run: documented.equations(),
        "13_memtorch_probes": lambda run: documented.probes(),
        "13_memtorch": lambda run: run.tidy("exemplar"),
        "13_memtorch_case": lambda run: detector.case_tidy(run.chips("case"), run.labelled("case")),
    },
    drawings={
        "13_memtorch": Drawing(exemplar.plot_exemplar, ("13_memtorch",), ("device", "origin")),
        "13_memtorch_case": Drawing(detector.plot_case, ("13_memtorch_case",)),
    },
    claims={
        "13_memtorch": lambda run: exemplar.claims(run.chips("claims"), run.p),
        "13_memtorch_case": lambda run: detector.case_claims(run.chips("case claims"), run.p),
    },
    inputs=lambda p: inputs(p.checkpoints) | {"detector": seizures.manifest()},
)
