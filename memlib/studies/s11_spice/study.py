"""The study 11_spice: fully analog inference, the circuit in ngspice beside its behavioural model."""

import itertools
from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from memlib.base.checks import whole
from memlib.evidence.claims import Claim, Statement, below, exactly, within
from memlib.evidence.intervals import difference_interval
from memlib.studies.drawing import Drawing
from memlib.studies.s11_spice.agreement import cases, cases_of, outputs, plot_agreement
from memlib.studies.s11_spice.circuits import FIXED, METHODS, NOMINAL, evaluate, make_point
from memlib.studies.s11_spice.requirements import design_of, plot_design
from memlib.studies.s11_spice.results import Results, blocks, results_of, varied
from memlib.studies.s11_spice.timing import plot_settling, power, settling, waveform
from memlib.studies.study import Study, Sweep, Values, same
from memlib.sweeps.points import Point, text_of
from memlib.zoo import digits_8x8

#: The largest loss that claims allow, a fraction of all images.
MARGIN = 0.01
#: Circuits that claims compare with the nominal one, by id: what is said of them, and their changes of `NOMINAL`.
COMPARED: dict[str, tuple[str, dict[str, Any]]] = {
    "gain/1000": ("an open-loop gain of 1,000 instead of 10,000 costs at most 1 point", {"gain": 1e3}),
    "gain/100": ("an open-loop gain of 100 instead of 10,000 costs at most 1 point", {"gain": 100.0}),
    "offset": ("offsets of 4 mV instead of 1 mV cost at most 1 point", {"offset": 4e-3}),
    "input_bits": ("inputs of 3 bits instead of exact ones cost at most 1 point", {"input_bits": 3}),
    "width": ("this network of 16 instead of that of 32 hidden neurons costs at most 1 point", {"hidden": 16}),
    "full_scale": (
        "amplifiers set to a twentieth of their supplies instead of half cost at most 1 point",
        {"full_scale": 0.05},
    ),
}


def _sweeps(p: SimpleNamespace) -> dict[str, Sweep]:
    """The points of all circuits, each once, with the most seeds that any part of the study asks of it."""
    points: dict[str, Point] = {}
    seeds: dict[str, int] = {}
    for point, count in [*_accuracy_points(p), *_step_points(p)]:
        whole("seeds", count, 1)
        points[text_of(point)] = point
        seeds[text_of(point)] = max(count, seeds.get(text_of(point), 0))
    return {"circuits": Sweep([*points.values()], lambda point: range(seeds[text_of(point)]))}


def _accuracy_points(p: SimpleNamespace) -> Iterable[tuple[Point, int]]:
    wanted = []
    for field, value in varied(p):
        wanted.append(("model", p.images, p.device_seeds, {field: value}))
        if field != "r_wire" or not value:
            wanted.append(("circuit", p.images, p.spice_seeds, {field: value}))
        elif (p.wired_hidden, p.wired_images) == (NOMINAL["hidden"], p.images):
            wanted.append(("circuit", p.images, p.wired_seeds, {field: value}))
    for case in cases_of(p).values():
        wanted += [(method, case.images, case.seeds, case.changes) for method in METHODS[:2]]
    wanted += [("model", p.claim_images, p.claim_seeds, changes) for _, changes in COMPARED.values()]
    for method, images, seeds, changes in wanted:
        for first, size in blocks(images):
            yield make_point(method, first, size, **changes), seeds


def _step_points(p: SimpleNamespace) -> Iterable[tuple[Point, int]]:
    for width, image in itertools.product(p.widths, range(p.settling_images)):
        yield make_point("step", image, 1, hidden=width), 1


def float_accuracy(hidden: int, images: int) -> float:
    """Accuracy of the network in software on the first test images."""
    x, labels = digits_8x8.images("test")
    return float((digits_8x8.load(hidden)(x[:images]).argmax(1) == labels[:images]).double().mean())


def claims(results: Results, p: SimpleNamespace) -> list[Claim]:
    """Whether ngspice and the model agree, and what the parts of the circuit cost, on shared chips and images."""
    decided = []
    for name, case in cases_of(p).items():
        pair = [results.hits(method, case.images, case.seeds, **case.changes) for method in ("circuit", "model")]
        text = f"{name}: accuracy in ngspice is within 1 point of the behavioural model's"
        statement = Statement("accuracy/" + name.replace(", ", "_").replace(" ", "_"), text, "ngspice and model")
        decided.append(within(statement, difference_interval(*pair), MARGIN))
    decided.append(_outputs_claim(results, p))
    nominal = results.hits("model", p.claim_images, p.claim_seeds)
    for key, (text, changes) in COMPARED.items():
        loss = difference_interval(nominal, results.hits("model", p.claim_images, p.claim_seeds, **changes))
        decided.append(below(Statement(f"cost/{key}", text, "analog circuit"), loss, MARGIN))
    return decided


def _outputs_claim(results: Results, p: SimpleNamespace) -> Claim:
    ideal = cases_of(p)["ideal"]
    largest = results.rows("circuit", ideal.images, ideal.seeds, **ideal.changes)["difference"].max()
    text = "ideal op-amps: outputs in ngspice differ by at most 1e-6 of the largest from the behavioural model's"
    claim = exactly(Statement("outputs/ideal", text, "ngspice and model"), largest, largest <= 1e-6)
    return replace(claim, n=ideal.seeds, images=ideal.images)


def inputs(_: SimpleNamespace) -> dict[str, Any]:
    """Fixed values, and checksums of weights and images, for the provenance file."""
    weights = {name: entry["sha256"] for name, entry in digits_8x8.manifest().items()}
    images = {"pixels": digits_8x8.identity(), "origin": "scikit-learn's digits at 8x8 pixels"}
    return {"nominal": NOMINAL, "fixed": FIXED, "weights": weights, **images}


STUDY = Study(
    name="11_spice",
    parameters={
        "gains": Values([10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4], [10.0, 100.0, 1e3, 1e4]),
        "offsets": Values([0.0, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3], [0.0, 1e-3, 4e-3]),
        "full_scales": Values([0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0], [0.05, 0.2, 0.5, 1.0, 2.0]),
        "widths": Values([8, 16, 32, 64], [8, 32]),
        "input_bits": Values([1, 2, 3, 4, 0], [1, 3, 0]),
        "r_wire": Values([0.0, 0.5, 1.0, 2.0, 4.0], [0.0, 1.0]),
        "program_error": Values([0.0, 0.01, 0.02, 0.05, 0.1, 0.2], [0.0, 0.02, 0.1]),
        "d2d": Values([0.0, 0.1, 0.2, 0.4], [0.0, 0.2]),
        "images": Values(500, 100),
        "device_seeds": Values(10, 3),
        "spice_seeds": Values(3, 1),
        "wired_hidden": Values(32, 8),
        "wired_images": Values(500, 100),
        "wired_seeds": same(1),
        "settling_images": Values(20, 2),
        "claim_images": same(500),
        "claim_seeds": Values(10, 3),
    },
    evaluate=evaluate,
    sweeps=_sweeps,
    tables={
        "11_spice": lambda run: cases(run.once(results_of), run.p),
        "11_spice_outputs": lambda run: outputs(20),
        "11_spice_design": lambda run: run.once(design_of)[0],
        "11_spice_design_chips": lambda run: run.once(design_of)[1],
        "11_spice_waveform": lambda run: waveform(),
        "11_spice_settling": lambda run: settling(run.once(results_of), run.p.widths),
        "11_spice_power": lambda run: power(run.once(results_of), run.p),
    },
    drawings={
        "11_spice": Drawing(plot_agreement, ("11_spice", "11_spice_outputs"), ("wired_hidden",)),
        "11_spice_design": Drawing(plot_design, ("11_spice_design", "11_spice_design_chips")),
        "11_spice_settling": Drawing(plot_settling, ("11_spice_waveform", "11_spice_settling", "11_spice_power")),
    },
    claims={"11_spice": lambda run: claims(run.once(results_of), run.p)},
    inputs=inputs,
    light=("smoke",),
)
