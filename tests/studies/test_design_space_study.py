"""The study of the design space: its points, tables, claims and figures, on made-up results."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from made_up import made_up, made_up_run

from memlib.evidence.claims import Claim
from memlib.exploration.loss_formula import Formula
from memlib.exploration.multi_objective import Known, table
from memlib.mapping.point_fields import FROZEN
from memlib.studies.registry import STUDIES
from memlib.studies.s09_design_space import designer_table, formula_fits, recommendations, searches, variance
from memlib.studies.shared.designs import device_of, hardware_of, make_point

mpl.use("agg")
NETWORK = "resnet20-0.5-digits"
PARAMETERS = STUDIES["09_design_space"].preset("smoke")
#: Of the made-up networks: ln half of dense and 4x4, their bits, slope, growth, rest, ln wires.
TRUTH = np.array([np.log(0.05), np.log(0.1), 3.5, 3.0, 3.0, 0.2, 0.0, np.log(0.1)])
WIRED = {"wired_designs": 12, "wired_rows": [32, 64, 128], "wired_ohms": [0.5, 2.0]}
GRID = {"severities": [0.01, 0.03, 0.1], "tile_rows": [32, 128, 512], "adc_bits": [3, 5, 7], "images": 500}


def run_with(known=None, **changes):
    """A run at smoke size, with some changes."""
    return made_up_run(known, **PARAMETERS | {"claim_images": 5000} | changes)


def found_formula() -> Formula:
    return Formula(("dense", "4x4"), 0.9, TRUTH, np.stack([TRUTH + 0.05 * k for k in (-1, 0, 1)]))


def known(layout: str, rows: int, energy: float, hits: np.ndarray, adc_bits: int = 6) -> Known:
    design = {"checkpoint": NETWORK, "layout": layout, "rows": rows, "dac_bits": 8, "adc_bits": adc_bits}
    costs = dict.fromkeys(recommendations.COSTS, 1.0) | {"isaac_energy": energy}
    return Known(design, 1, hits, {"accuracy": hits.mean(), **costs})


def answers(share: float, chips: int = 5, images: int = 400) -> np.ndarray:
    """(chips, images), right on the first of them, a few more or less on each chip."""
    return np.array([np.arange(images) < round(share * images) + k % 3 - 1 for k in range(chips)])


@pytest.fixture(autouse=True)
def _perfect_float_network(monkeypatch):
    """The float network is right on every image."""
    for module in (recommendations, designer_table, formula_fits):
        monkeypatch.setattr(module, "float_hits", lambda checkpoint, images: np.ones(images, bool))


def formula_results(n: int = 40) -> pd.DataFrame:
    points = formula_fits.formula_points(run_with(formula_designs=n, **GRID, **WIRED).p)
    truth = found_formula()

    def accuracy(point):
        point = FROZEN | point
        per_ohm = formula_fits._share_per_ohm(NETWORK, point["layout"], device_of(formula_fits.DEVICE), point["rows"])
        share = point["r_row"] * per_ohm
        severity = formula_fits.cell_error(
            NETWORK, device_of(formula_fits.DEVICE).replace(program_error=point["program_error"])
        )
        design = pd.DataFrame([{**point, "severity": severity, "wire_share": share}])
        return 1 - truth.loss(design)[0]

    return made_up(points, lambda _: range(2), accuracy)


def relied_on(*targets: float) -> pd.DataFrame:
    """Held-out designs that keep to each target up to a prediction of just that."""
    parts = [pd.DataFrame({"formula": np.linspace(0, 2 * t, 41), "loss": np.linspace(0, 2 * t, 41)}) for t in targets]
    return pd.concat(parts).assign(checkpoint=NETWORK)


def test_predictions_are_relied_on_as_far_as_designs_keep_to_the_target():
    exact = relied_on(0.05)  # predictions in steps of 0.0025, 21 of which are no more than 0.05
    assert (
        designer_table.threshold(exact, 0.05) == 0.05
    )  # nine of the ten up to 0.0525 keep to it, but that is beyond it
    assert designer_table.threshold(exact.assign(loss=exact["loss"] + 0.02), 0.05) == pytest.approx(0.0325)
    assert designer_table.threshold(exact.assign(loss=0.06), 0.05) == -np.inf
    assert designer_table.threshold(exact[:9], 0.05) == -np.inf
    assert designer_table.threshold(exact[:21], 0.05) == pytest.approx(0.05)


def test_designs_of_the_formula_are_drawn_without_replacement():
    grid = GRID | {"severities": [0.01, 0.03], "adc_bits": [3, 4, 5, 6, 7]}
    p = run_with(formula_layouts=["dense", "sparse", "4x4"], formula_designs=24, **grid, **WIRED).p
    points = formula_fits.formula_points(p)
    full = [FROZEN | point for point in points]
    wired = [p for p in full if p["r_row"]]
    kinds = {(p["layout"], p["rows"] in WIRED["wired_rows"], p["r_row"] in WIRED["wired_ohms"]) for p in wired}
    assert kinds == {("dense", True, True)}
    assert len(wired) == 12
    counts = pd.Series([p["layout"] for p in full if not p["r_row"]]).value_counts()
    assert counts.to_dict() == {"dense": 24, "4x4": 8, "sparse": 6}
    assert len({str(p) for p in points}) == len(points)
    assert points == formula_fits.formula_points(p)


@pytest.mark.slow
def test_a_formula_that_holds_is_found_and_confirmed():
    run = run_with()
    run.sweep = {"formula": formula_results()}.get
    predicted, fitted = formula_fits.predictions(run), formula_fits.fits(run)
    np.testing.assert_allclose(fitted[NETWORK].fitted, TRUTH, rtol=0.05, atol=0.05)
    assert set(formula_fits.coefficients(run)["coefficient"]) == set(fitted[NETWORK].names)

    def run_of(table):
        return made_up_run({formula_fits.predictions: table})

    (claim,) = formula_fits.error_claims(run_of(predicted))
    assert (claim.verdict, claim.effect < 1) == ("confirmed", True)
    (claim,) = formula_fits.error_claims(run_of(predicted.assign(formula=predicted["loss"] + 0.05)))
    assert (claim.verdict, round(claim.effect, 6)) == ("refuted", 5)
    errors = formula_fits.errors(run_of(predicted)).set_index(["designs", "model"])["rms"]
    assert errors["all", "formula"] < errors["all", "linear"]
    shifted = run_of(predicted.assign(loss=predicted["formula"] + 0.01))
    shifted = formula_fits.errors(shifted).set_index(["designs", "model"])
    assert shifted.loc[("formula below 0.05", "formula"), ["rms", "mean"]].tolist() == pytest.approx([0.01, 0.01])


def test_rules_give_the_largest_tile_and_its_smallest_adc():
    known_rules = {formula_fits.fits: {NETWORK: found_formula()}, formula_fits.predictions: relied_on(0.01, 0.05)}
    choices = {"targets": [0.05, 0.01], "r_wire": [0.0, 0.5], "tile_rows": [32, 128]}
    table = designer_table.rules(run_with(known_rules, devices=["ihp_hfo2", "neurram, 1 day"], **choices))
    assert set(table["threshold"]) == {
        designer_table.threshold(relied_on(0.01, 0.05), target) for target in (0.05, 0.01)
    }
    wired = table[(table["r_wire"] == 0.5) & (table["target"] == 0.05)].set_index(["device", "layout"])
    table = table[table["r_wire"] == 0].set_index(["device", "layout", "target"])
    rule = table.loc["ihp_hfo2", "4x4", 0.05]
    # error^2 is (0.02/0.1)^2 + 4^(3 - bits) at 128 rows: with 4 bits 0.29, a loss of 0.12, with 5 bits 0.10, of 0.03
    assert (rule["rows"], rule["adc_bits"]) == (128, 5)
    assert rule["loss"] == pytest.approx(0.9 / (1 + (0.2**2 + 4.0**-2) ** -1.5), rel=0.02)
    assert rule["low"] < rule["loss"] < rule["high"]
    assert rule["isaac_energy"] > 0
    assert np.isnan(table.loc["neurram, 1 day", "dense", 0.01]["rows"])  # an error of 0.07 of half 0.05
    # wires of 0.5 ohm cost 128 rows twice the share that loses half, 32 rows a sixth of it
    rule = wired.loc["ihp_hfo2", "4x4"]
    assert rule["rows"] == 32
    assert rule["wire_share"] == 0.5 * formula_fits._share_per_ohm(NETWORK, "4x4", device_of("ihp_hfo2"), 32)
    square = 0.2**2 + 4.0 ** (3 + 0.2 * -2 - rule["adc_bits"]) + (rule["wire_share"] / 0.1) ** 2
    assert rule["loss"] == pytest.approx(0.9 / (1 + square**-1.5), rel=0.02)


def test_rules_are_checked_by_their_own_chips():
    known_rules = {formula_fits.fits: {NETWORK: found_formula()}, formula_fits.predictions: relied_on(0.05)}
    choices = {"targets": [0.05], "r_wire": [0.0, 0.5], "tile_rows": [32, 128]}
    table = designer_table.rules(run_with(known_rules, devices=["ihp_hfo2", "cmo_hfox, 1 day"], **choices))
    for layout, targets in (("dense", {0.01, 0.05}), ("4x4", {0.05}), ("sparse", set())):
        both = pd.concat([table.assign(layout=layout, target=t, rows=32) for t in (0.01, 0.05)])
        chosen = designer_table.claimed(both, [NETWORK], 0.5)
        assert set(chosen[chosen["r_wire"] == 0.5]["target"]) == targets
        assert set(chosen[chosen["r_wire"] == 0]["target"]) == ({0.01, 0.05} if layout == "dense" else {0.05})
    assert designer_table.claimed(table, ["vgg8-digits"], 0.5).empty
    assert designer_table.checked(table[:0], pd.DataFrame()).empty
    points = designer_table.rule_points(table, 5000)
    assert [p["r_row"] for p in points if "r_row" in p] == [0.5] * (len(points) // 2)
    good = {str(points[0]), str(points[-1])}
    results = made_up(points, lambda _: range(10), lambda p: 0.97 if str(p) in good else 0.9)
    checked = designer_table.checked(table, results)
    assert checked["measured"].round(6).tolist() == [0.03, *[0.1] * (len(points) - 2), 0.03]
    assert checked["within"].tolist() == [1.0, *[0.0] * (len(points) - 2), 1.0]
    claims = designer_table.rule_claims(made_up_run({designer_table.checked_rules: checked}))
    assert [c.verdict for c in claims] == ["confirmed", *["refuted"] * (len(points) - 2), "confirmed"]
    assert not any(claim.exploratory for claim in claims)


@pytest.mark.slow
def test_sensitivities_of_made_up_accuracies():
    """Only ADC bits and the chip matter: 3 to 8 bits by 0.02 each, ten chips by 0.01."""
    run = run_with(sensitivity_n=128, sensitivity_images=1000)
    sweeps = variance.sweeps(run.p)
    assert sum(len(sweep.points) for sweep in sweeps.values()) == 128 * 16

    def accuracy(point, chip):
        return 0.7 + 0.02 * (FROZEN | point)["adc_bits"] + 0.01 * chip

    run.sweep = {
        name: made_up(s.points, lambda _, s=s: s.seeds, lambda p, s=s: accuracy(p, s.seeds[0]))
        for name, s in sweeps.items()
    }.get
    table = variance.sensitivities(run)
    found = table.set_index(["kind", "factor", "other"])["index"]
    variances = 0.02**2 * 35 / 12, 0.01**2 * 99 / 12
    for kind in ("first", "total"):
        assert found[kind, "adc_bits", ""] == pytest.approx(variances[0] / sum(variances), abs=0.08)
        assert found[kind, "chip", ""] == pytest.approx(variances[1] / sum(variances), abs=0.08)
        assert abs(found[kind, "rows", ""]) < 0.08
    figure = variance.plot_sensitivity(table)
    assert len(figure.axes) == 1


def test_the_search_space_makes_points():
    space = searches.search_space([NETWORK, "vgg8-digits"], ["ihp_hfo2"], ["dense", "windows"])
    plain = {
        "device": "ihp_hfo2",
        "rows": 64,
        "dac_bits": 4,
        "adc_bits": 5,
        "unused": "hrs",
        "recalibration": "batch_norm",
    }
    design = {"checkpoint": NETWORK, f"training {NETWORK}": "noise", "layout": "dense", **plain}
    point = searches.searched_point(design, 50)
    assert point["checkpoint"] == "resnet20-0.5-noise-digits"
    assert point == make_point({**plain, "checkpoint": "resnet20-0.5-noise-digits", "layout": "dense"}, 50)
    assert f"training {NETWORK}" in space.axes
    assert "training vgg8-digits" not in space.axes
    names = [name for name in space.axes if name.startswith("window ")]

    def windowed(first, others):
        windows = {name: first if name == names[0] else others for name in names}
        return searches.searched_point({"checkpoint": "vgg8-digits", "layout": "windows", **plain, **windows}, 50)

    assert {choice.mapping.layout for choice in hardware_of(windowed("4x4", "2x2")).values()} == {
        "dense",
        (2, 2),
        (4, 4),
    }
    for window, layout in (("1x1", "dense"), ("2x2", "2x2")):  # one and the same design
        assert windowed(window, window) == make_point({**plain, "checkpoint": "vgg8-digits", "layout": layout}, 50)


def test_probabilities_to_be_the_cheapest():
    """The cheaper one loses 4 points, the dearer 1; both are known to half a point."""
    designs = [known("dense", 64, 1.0, answers(0.96)), known("4x4", 64, 2.0, answers(0.99))]
    draws = recommendations.loss_draws(designs)
    np.testing.assert_allclose(draws.mean(0), [0.04, 0.01], atol=0.003)

    def cheapest(target):
        return recommendations.cheapest_probability(designs, draws <= target, "isaac_energy")

    assert cheapest(0.1).tolist() == [1, 0]
    assert cheapest(0.04) == pytest.approx([0.5, 0.5], abs=0.15)
    assert cheapest(1e-9).sum() < 0.1


def test_the_answer_is_the_cheapest_sure_design_of_each_layout():
    designs = [
        known("dense", 64, 1.0, answers(0.90), adc_bits=3),
        known("dense", 64, 2.0, answers(0.99), adc_bits=4),
        known("dense", 64, 3.0, answers(1.00), adc_bits=5),
        known("4x4", 64, 0.5, answers(0.90), adc_bits=3),
    ]
    found = recommendations.answer(designs, [0.05, 0.2], "isaac").set_index(["target", "layout"])
    assert found.loc[0.05, "dense"][["adc_bits", "energy"]].tolist() == [4, 2.0]
    assert found.loc[0.05, "dense"]["keeps"] > recommendations.SURE
    assert np.isnan(found.loc[0.05, "4x4"]["energy"])
    assert found.loc[0.05, "dense"]["cheapest"] > 0.95
    assert found.loc[0.2, "4x4"][["adc_bits", "energy", "cheapest"]].tolist() == [3, 0.5, 1.0]
    studied = {recommendations.studied: {64: [designs], 256: [designs[:1]]}}
    both = recommendations.answers(made_up_run(studied, answer_targets=[0.05, 0.2]))
    assert both["technology"].value_counts().to_dict() == {"isaac": 6, "li2022": 6}
    none = recommendations.answer(designs[:1], [0.01], "isaac")
    assert none[["rows", "cheapest", "energy"]].isna().to_numpy().tolist() == [[False, False, True]]
    assert recommendations.confirmed_designs(none, [NETWORK], 0.01, "ihp_hfo2") == []


def test_losses_are_counted_on_each_designs_own_images(monkeypatch):
    """A network that errs on images 100 to 199 only, and chips that get no other wrong: nothing is lost."""
    exact = ~((np.arange(1000) >= 100) & (np.arange(1000) < 200))
    for module in (recommendations, designer_table, formula_fits):
        monkeypatch.setattr(module, "float_hits", lambda checkpoint, images: exact[:images])
    designs = [known("dense", 64, 1.0, np.tile(exact[:200], (2, 1))), known("4x4", 64, 2.0, np.tile(exact, (5, 1)))]
    draws = recommendations.loss_draws(designs)
    np.testing.assert_allclose(draws.mean(0), 0, atol=1e-3)
    assert (draws <= 0.02).mean(0).min() > 0.95


def test_ratios_of_energies_are_of_what_each_layout_needs():
    dense = [known("dense", 64, 2.0, answers(0.90)), known("dense", 64, 4.0, answers(1.0))]
    sparse = [known("sparse", 64, 1.0, answers(1.0)), known("2x2", 64, 1.0, answers(0.5))]
    found = recommendations.answer([*dense, *sparse], [0.05, 0.2], "isaac").set_index(["target", "layout"])
    assert found.loc[0.05, "sparse"][list(recommendations.RATIO)].tolist() == [0.25] * 3
    assert found.loc[0.2, "sparse"]["ratio"] == 0.5
    assert found.loc[0.2, "dense"]["ratio"] == 1
    assert np.isnan(found.loc[0.05, "2x2"]["ratio"])


def test_the_best_network_is_the_cheapest_that_surely_reaches_an_accuracy(monkeypatch):
    """Float networks of 90 and 95 %, less what chips lose."""
    monkeypatch.setattr(recommendations, "float_accuracy", lambda c: 0.9 if c == NETWORK else 0.95)
    cheap, dear = known("dense", 64, 1.0, answers(0.9)), known("4x4", 64, 2.0, answers(1.0))
    other = replace(
        dear, design=dear.design | {"checkpoint": "vgg8-digits"}, values=dear.values | {"isaac_energy": 3.0}
    )
    found = recommendations.best_networks([cheap, dear, other], [0.7, 0.85, 0.93, 0.97], "isaac").set_index("at_least")
    assert found[["checkpoint", "layout", "energy"]].to_numpy().tolist() == [
        [NETWORK, "dense", 1.0],
        [NETWORK, "4x4", 2.0],
        ["vgg8-digits", "4x4", 3.0],
    ]
    assert found["accuracy"].tolist() == pytest.approx([0.8, 0.9, 0.95], abs=2e-3)
    assert (found["keeps"] > recommendations.SURE).all()
    assert found["cheapest"].tolist() == pytest.approx([1.0] * 3, abs=0.1)
    nothing = recommendations.best_networks([cheap], [0.97], "isaac")
    assert list(nothing) == recommendations.NETWORKS
    assert recommendations.network_claims(nothing, [], pd.DataFrame()) == []
    found = pd.concat([found.reset_index(), found.reset_index()[1:].assign(technology="li2022")])  # two designs twice
    designs = recommendations.network_designs(found, "ihp_hfo2")
    assert len(designs) == 3
    results = made_up(
        [searches.searched_point(d, 5000) for d in designs],
        lambda _: range(10),
        lambda p: 0.8 + 0.05 * (p.get("layout") == "4x4"),
    )
    verdicts = [claim.verdict for claim in recommendations.network_claims(found, designs, results)]
    assert verdicts == ["confirmed", "undecided", "refuted", "undecided", "refuted"]


def test_a_network_without_convolutions_has_one_layout():
    p = run_with(answer_layouts=["dense", "sparse"], answer_dac_bits=[4, 8], answer_adc_bits=[6]).p
    assert len(recommendations.candidates(NETWORK, 64, p)) == 4
    assert [d["dac_bits"] for d in recommendations.candidates("mlp-digits", 64, p)] == [4, 8]


def test_answers_are_confirmed_on_fresh_chips():
    both = [known("dense", 64, 1.0, answers(1.0)), known("4x4", 64, 0.5, answers(1.0))]
    table = recommendations.answer(both, [0.05], "isaac")
    designs = recommendations.confirmed_designs(table, [NETWORK], 0.05, "ihp_hfo2")
    points = [searches.searched_point(design, 5000) for design in designs]
    results = made_up(points, lambda _: range(10), lambda p: 0.9 if "layout" in p else 0.98)
    claims = recommendations.answer_claims(designs, results, table, 0.05)
    assert [(c.verdict, round(c.effect, 3)) for c in claims] == [
        ("confirmed", 2.0),
        ("refuted", 10.0),
        ("confirmed", 0.5),
    ]


def test_searches_are_compared_by_what_they_dominate():
    rows = [
        {
            "sampler": sampler,
            "repeat": repeat,
            "designs": n,
            "share": share * n / 10,
            "on_front": 0,
            "space": 100,
            "front": 9,
        }
        for sampler, share in (("tpe", 1.0), ("random", 0.9))
        for repeat in range(10)
        for n in range(1, 11)
    ]
    curves = pd.DataFrame(rows)
    (claim,) = searches.search_claims(made_up_run({searches.curves: curves}))
    assert isinstance(claim, Claim)
    assert (claim.verdict, round(claim.effect, 9), claim.n) == ("confirmed", 10, 10)
    swapped = curves.assign(sampler=curves["sampler"].map({"tpe": "random", "random": "tpe"}))
    assert searches.search_claims(made_up_run({searches.curves: swapped}))[0].verdict == "refuted"


def test_figure_of_the_front():
    designs = [
        known("dense", 64, 1.0, answers(0.9)),
        known("4x4", 64, 0.5, answers(0.8)),
        known("4x4", 32, 2.0, answers(0.5)),
    ]
    designs = [replace(k, values={name: k.values[name] for name in searches.OBJECTIVES}) for k in designs]
    frame = table(designs, searches.OBJECTIVES)
    assert (frame["on_front"] >= 0.05).tolist() == [True, True, False]
