"""The study 11_spice: its points, how their blocks are put together, and tables and verdicts on made-up results."""

import numpy as np
import pandas as pd
import pytest

from memlib.circuits.circuit import build_chip
from memlib.circuits.circuit_model import AnalogModel
from memlib.evidence.answers import pack, unpack
from memlib.studies.registry import STUDIES
from memlib.studies.s11_spice.agreement import cases, disagreements
from memlib.studies.s11_spice.circuits import DURATION, METHODS, circuit_of, evaluate, make_point
from memlib.studies.s11_spice.results import Results, blocks, varied
from memlib.studies.s11_spice.study import claims
from memlib.studies.s11_spice.timing import power, settling
from memlib.wires import ngspice
from memlib.zoo import digits_8x8

STUDY = STUDIES["11_spice"]
P = STUDY.namespace(STUDY.preset("smoke"))


def made_up(accuracy):
    """Results as a sweep returns them; `accuracy(point)` decides how many images of each block are right."""
    sweep = STUDY.sweeps(P)["circuits"]
    rows = []
    for point in sweep.points:
        for seed in sweep.seeds(point):
            row = {**point, "seed": seed}
            if point["method"] == "step":
                rows.append(row | {"settled": 1e-9 * point["hidden"], "decided": 2e-9})
                continue
            hits = np.arange(point["images"]) < round(accuracy(point) * point["images"])
            watts = {"power_inputs": 1e-3, "power_loads": 2e-3, "power_quiescent": 3e-3}
            rows.append(row | {"accuracy": hits.mean(), "correct": pack(hits), "difference": 1e-8} | watts)
    return Results(pd.DataFrame(rows))


def test_a_point_is_a_chip():
    """Evaluated as its circuit says, on the images after the first ones."""
    point = make_point("model", 30, 50, gain=20.0, input_bits=2, r_wire=1.0, hidden=8, offset=2e-3)
    circuit = circuit_of(point)
    assert (circuit.amplifier.gain, circuit.input_bits, circuit.wires.col) == (20, 2, 1)
    assert circuit.device.program_error == 0.02
    assert circuit_of(make_point("model", 0, 1, gain=0.0)).amplifier.gain is None
    chip = build_chip(digits_8x8.load(8), circuit, digits_8x8.images("train")[0][:256], 3)
    x, labels = (part[30:80] for part in digits_8x8.images("test"))
    found = AnalogModel(chip).operating_points(circuit.input_voltages(x))
    result = evaluate(point, 3)
    assert (unpack(result["correct"], 50) == (found.decisions == labels).numpy()).all()
    assert result["power_loads"] == pytest.approx(float(found.power["loads"].mean()))
    with pytest.raises(ValueError, match="did not change since the sweep began"):
        evaluate(point | {"weights": "other"}, 3)


@pytest.mark.skipif(ngspice.find_ngspice() is None, reason="ngspice is not installed")
def test_ngspice_agrees_on_digits():
    """The same images right, voltages within 1e-6; a step settles after it is decided."""
    circuit, model = (make_point(method, 10, 20, hidden=16) for method in METHODS[:2][::-1])
    found, expected = evaluate(circuit, 1), evaluate(model, 1)
    assert found["correct"] == expected["correct"]
    assert found["difference"] < 1e-6
    assert found["power_inputs"] == pytest.approx(expected["power_inputs"], rel=1e-6)
    times = evaluate(make_point("step", 0, 1, hidden=8), 0)
    assert 0 < times["decided"] < times["settled"] < DURATION / 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("spice", 0, 1, {}), "method='spice'"),
        (("model", 0, 1, {"gian": 1}), "field='gian'"),
        (("model", 400, 101, {}), "images=101: must be a whole number from 1 to 100"),
        (("model", 0, 1, {"hidden": 7}), "hidden=7"),
        (("model", 0, 1, {"full_scale": 0}), "full_scale=0"),
    ],
)
def test_wrong_points_raise(arguments, message):
    method, first, images, changes = arguments
    with pytest.raises(ValueError, match=message):
        make_point(method, first, images, **changes)


def test_points_and_blocks():
    """Equal circuits once, with the most seeds that are asked of them; images in decks, put together again in order."""
    sweep = STUDY.sweeps(P)["circuits"]
    points, seeds = sweep.points, sweep.seeds
    assert len({str(point) for point in points}) == len(points)
    nominal = make_point("circuit", 250, 250), make_point("circuit", 0, 100)
    assert [len(seeds(point)) for point in nominal] == [P.claim_seeds, P.spice_seeds]
    assert all(point in points for point in nominal)
    assert blocks(500) == [(0, 250), (250, 250)]
    results = made_up(lambda p: 0.5 + 0.1 * (p["first"] > 0))
    hits = results.hits("circuit", 500, 3)
    assert hits.shape == (3, 500)
    assert hits[1].nonzero()[0].tolist() == [*range(125), *range(250, 400)]


def test_verdicts_follow_the_measurements():
    """ngspice loses 3 points to the model on clipped circuits; large offsets lose 5 of accuracy, few bits nothing."""

    def accuracy(p):
        clipped = p["method"] == "circuit" and p["full_scale"] == 2.0
        return 0.9 - 0.03 * clipped - 0.05 * (p["offset"] == 4e-3) + 0.02 * (p["hidden"] == 16)

    decided = {claim.statement.id: claim for claim in claims(made_up(accuracy), P)}
    verdicts = {"accuracy/nominal": "confirmed", "accuracy/clipping": "refuted", "outputs/ideal": "confirmed"}
    verdicts |= {"cost/offset": "refuted", "cost/input_bits": "confirmed", "cost/width": "confirmed"}
    assert {key: decided[key].verdict for key in verdicts} == verdicts
    ideal, offset = decided["outputs/ideal"], decided["cost/offset"]
    assert (ideal.effect, ideal.n, ideal.images, ideal.exploratory) == (1e-8, P.spice_seeds, 500, True)
    assert (offset.effect, offset.n, offset.images) == (pytest.approx(5, abs=0.3), 3, 500)


def test_tables():
    """Counts and energies by hand."""
    results = made_up(lambda p: 0.9 if p["method"] == "model" else 0.88)
    table = cases(results, P)
    assert table["accuracy"].tolist() == pytest.approx([0.9, 0.88] * 6)
    assert table["n"].tolist() == [1, 1, 3, 3, *[1] * 8]
    assert [value for field, value in varied(P) if field == "input_bits"] == [1, 3, 0]
    assert disagreements(results, P) == (32, 1600)  # 16 circuits without wires, 2 of 100 each
    table = power(results, P)
    assert table["cells"].tolist() == [2 * (65 * h + 10 * (h + 1)) for h in (8, 32)]
    assert table["energy"].tolist() == pytest.approx([6e-3 * 8e-9, 6e-3 * 32e-9])
    assert settling(results, P.widths)["settled"].tolist() == [8e-9, 8e-9, 32e-9, 32e-9]
