"""The study 11_spice: its points, how their blocks are put together, verdicts on made-up results, and figures."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from memlib.artifact.presets import PRESETS

from memlib.circuits.circuit import build_chip
from memlib.circuits.circuit_model import AnalogModel
from memlib.evidence.answers import pack, unpack
from memlib.studies import s11_spice as study
from memlib.wires import ngspice
from memlib.zoo import digits_8x8

mpl.use("agg")
needs_ngspice = pytest.mark.skipif(ngspice.find_ngspice() is None, reason="ngspice is not installed")
PARAMETERS = PRESETS["smoke"]["11_spice"]
DESIGN = ("gains", "offsets", "full_scales", "widths", "input_bits", "r_wire", "program_error", "d2d")
VARIED = {name: PARAMETERS[name] for name in DESIGN}
COUNTS = {name: value for name, value in PARAMETERS.items() if name not in DESIGN}


def made_up(accuracy):
    """Results as a sweep returns them; `accuracy(point)` decides how many images of each block are right."""
    ((points, seeds),) = study.sweeps(**VARIED, **COUNTS)
    rows = []
    for point in points:
        for seed in seeds(point):
            row = {**point, "seed": seed}
            if point["method"] == "step":
                rows.append(row | {"settled": 1e-9 * point["hidden"], "decided": 2e-9})
                continue
            hits = np.arange(point["images"]) < round(accuracy(point) * point["images"])
            watts = {"power_inputs": 1e-3, "power_loads": 2e-3, "power_quiescent": 3e-3}
            rows.append(row | {"accuracy": hits.mean(), "correct": pack(hits), "difference": 1e-8} | watts)
    return study.Results(pd.DataFrame(rows))


def test_a_point_is_a_chip():
    """Evaluated as its circuit says, on the images after the first ones."""
    point = study.make_point("model", 30, 50, gain=20.0, input_bits=2, r_wire=1.0, hidden=8, offset=2e-3)
    circuit = study.circuit_of(point)
    assert (circuit.amplifier.gain, circuit.input_bits, circuit.wires.col, circuit.device.program_error) == (
        20,
        2,
        1,
        0.02,
    )
    assert study.circuit_of(study.make_point("model", 0, 1, gain=0.0)).amplifier.gain is None
    chip = build_chip(digits_8x8.load(8), circuit, digits_8x8.images("train")[0][:256], 3)
    x, labels = (part[30:80] for part in digits_8x8.images("test"))
    found = AnalogModel(chip).operating_points(circuit.input_voltages(x))
    result = study.evaluate(point, 3)
    assert (unpack(result["correct"], 50) == (found.decisions == labels).numpy()).all()
    assert result["power_loads"] == pytest.approx(float(found.power["loads"].mean()))
    with pytest.raises(ValueError, match="did not change since the sweep began"):
        study.evaluate(point | {"weights": "other"}, 3)


@needs_ngspice
def test_ngspice_agrees_on_digits():
    """The same images right, voltages within 1e-6; a step settles after it is decided."""
    circuit, model = (study.make_point(method, 10, 20, hidden=16) for method in study.METHODS[:2][::-1])
    found, expected = study.evaluate(circuit, 1), study.evaluate(model, 1)
    assert found["correct"] == expected["correct"]
    assert found["difference"] < 1e-6
    assert found["power_inputs"] == pytest.approx(expected["power_inputs"], rel=1e-6)
    times = study.evaluate(study.make_point("step", 0, 1, hidden=8), 0)
    assert 0 < times["decided"] < times["settled"] < study.DURATION / 2


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
        study.make_point(method, first, images, **changes)


def test_points_and_blocks():
    """Equal circuits once, with the most seeds that are asked of them; images in decks, put together again in order."""
    ((points, seeds),) = study.sweeps(**VARIED, **COUNTS)
    texts = [str(point) for point in points]
    assert len(set(texts)) == len(texts)
    nominal = {(p["method"], p["first"], p["images"]): len(seeds(p)) for p in points if not changed(p)}
    assert nominal[("circuit", 250, 250)] == COUNTS["claim_seeds"]
    assert nominal[("circuit", 0, 100)] == COUNTS["spice_seeds"]
    assert study.blocks(500) == [(0, 250), (250, 250)]
    results = made_up(lambda p: 0.5 + 0.1 * (p["first"] > 0))
    hits = results.hits("circuit", 500, 3)
    assert hits.shape == (3, 500)
    assert hits[1].nonzero()[0].tolist() == [*range(125), *range(250, 400)]


def changed(point):
    """Whether its circuit is not the nominal one."""
    nominal = study.make_point("model", 0, 1)
    return study.circuit_of(point) != study.circuit_of(nominal) or point["hidden"] != nominal["hidden"]


def test_verdicts_follow_the_measurements():
    """ngspice loses 3 points to the model on clipped circuits; large offsets lose 5 of accuracy, few bits nothing."""

    def accuracy(p):
        clipped = p["method"] == "circuit" and p["full_scale"] == 2.0
        return 0.9 - 0.03 * clipped - 0.05 * (p["offset"] == 4e-3) + 0.02 * (p["hidden"] == 16)

    verdicts = {claim.statement: claim for claim in study.claims(made_up(accuracy), **COUNTS)}
    found = {text: verdicts[next(s for s in verdicts if s.startswith(text))].verdict for text in (
        "nominal", "clipping", "ideal op-amps", "offsets", "inputs of 3 bits", "this network of 16"
    )}  # fmt: skip
    assert [*found.values()] == ["confirmed", "refuted", "confirmed", "refuted", "confirmed", "confirmed"]
    ideal = next(claim for text, claim in verdicts.items() if text.startswith("ideal op-amps"))
    assert (ideal.effect, ideal.n, ideal.images, ideal.exploratory) == (1e-8, COUNTS["spice_seeds"], 500, True)
    offsets = next(claim for text, claim in verdicts.items() if text.startswith("offsets"))
    assert (offsets.effect, offsets.n, offsets.images) == (pytest.approx(5, abs=0.3), 3, 500)


def test_tables_and_figures():
    """Energy by hand; a line of the model, and circles of ngspice, in each panel."""
    results = made_up(lambda p: 0.9 if p["method"] == "model" else 0.88)
    cases = study.cases(results, **COUNTS)
    assert cases["accuracy"].tolist() == pytest.approx([0.9, 0.88] * 6)
    assert cases["n"].tolist() == [1, 1, 3, 3, *[1] * 8]
    chosen = study.axes(**VARIED)
    assert [value for effect, value in chosen if effect == "input_bits"] == [1, 3, 0]
    assert study.disagreements(results, chosen, **COUNTS) == (32, 1600)  # 16 circuits without wires, 2 of 100 each
    power = study.power(results, PARAMETERS["widths"], **COUNTS)
    assert power["cells"].tolist() == [2 * (65 * h + 10 * (h + 1)) for h in (8, 32)]
    assert power["energy"].tolist() == pytest.approx([6e-3 * 8e-9, 6e-3 * 32e-9])
    outputs = pd.DataFrame([
        {"image": 0, "digit": d, "method": m, "output": 0.1 * d} for d in range(10) for m in ("model", "circuit")
    ])  # fmt: skip
    assert len(study.plot(cases, outputs, 8).axes) == 3
    summary, chips = study.design(results, chosen, **COUNTS)
    figure = study.plot_design(summary, chips)
    assert [len(axis.containers) for axis in figure.axes] == [1] * 8
    waves = pd.DataFrame([{"time": t, "digit": d, "output": d * t} for d in range(10) for t in (0.0, 1e-9)])
    settling = study.settling(results, PARAMETERS["widths"])
    assert settling["settled"].tolist() == [8e-9, 8e-9, 32e-9, 32e-9]
    assert len(study.plot_settling(waves, settling, power).axes) == 3
    mpl.pyplot.close("all")
