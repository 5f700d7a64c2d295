"""The study of single effects: which points there are, and what its claims compare."""

from types import SimpleNamespace

import pytest
from made_up import made_up

from memlib.evidence.comparisons import Chips
from memlib.studies import s04_non_idealities as study
from memlib.studies.shared.effects import make_point, seeds_of

DENSE, SPARSE = ["vgg8-digits", "mlp-digits"], ["vgg8-digits"]
SEVERITIES = {"d2d": [0.1, 0.4], "states": [8], "read_noise": [0.1], "wires": [1.0]}
#: Accuracies with 20 % device-to-device variation, by layout and unused cells; 0.95 without.
REACHED = {("dense", "unformed"): 0.85, ("sparse", "unformed"): 0.65, ("sparse", "hrs"): 0.75}


def test_sparse_layouts_leave_out_what_is_slow_or_alike():
    """Each severity and the baseline once; no wires in sparse layouts, and with unused cells only what these change.

    Columns are rescaled for effects that act on all cells of a column alike.
    """
    levels = dict.fromkeys(study.SEVERITIES, ()) | SEVERITIES
    p = SimpleNamespace(checkpoints=DENSE, sparse_checkpoints=SPARSE, images=10, **levels)
    labelled = [(labels, point) for labels, point in study.points(p) if labels["effect"] in SEVERITIES]
    found = [(x["layout"], x["checkpoint"], x["effect"], x["severity"]) for x, _ in labelled]
    levels = {effect: (0, *values) for effect, values in SEVERITIES.items()}
    expected = [("dense", c, effect, x) for c in DENSE for effect in levels for x in levels[effect]]
    for layout, effects in (
        ("sparse", ("d2d", "states", "read_noise")),
        ("sparse, unused cells at HRS", ("d2d", "read_noise")),
    ):
        expected += [(layout, c, effect, x) for c in SPARSE for effect in effects for x in levels[effect]]
    expected += [("dense, columns rescaled", c, "wires", x) for c in DENSE for x in levels["wires"]]
    assert found == expected
    by_label = {label: point for label, (_, point) in zip(found, labelled, strict=True)}
    formed = by_label["sparse, unused cells at HRS", "vgg8-digits", "d2d", 0.4]
    assert formed == make_point("vgg8-digits", 10, "d2d", 0.4, layout="sparse", unused="hrs")
    rescaled = by_label["dense, columns rescaled", "vgg8-digits", "wires", 1.0]
    assert rescaled == make_point("vgg8-digits", 10, "wires", 1.0, recalibration="gain")
    assert by_label["dense", "mlp-digits", "states", 0] == make_point("mlp-digits", 10)


def claims_of(effects, severities):
    """Parameters of claims."""
    claimed = {"claim_checkpoints": SPARSE, "claim_images": 400, "claim_effects": effects}
    return SimpleNamespace(**claimed, claim_severities=severities)


def test_claims_compare_losses_of_layouts():
    """Sparse minus dense, with unused cells minus dense, and what these add, each with its sign."""
    compared = study.comparisons(claims_of(["d2d"], [0.2]))
    found = (point for comparison in compared for point in comparison.points)
    points = list({str(point): point for point in found}.values())

    def accuracy(point):
        return REACHED[point.get("layout", "dense"), point.get("unused", "hrs")] if "d2d_on" in point else 0.95

    chips = Chips(made_up(points, seeds_of(10), accuracy))
    claims = [comparison.claim(chips) for comparison in compared]
    assert [claim.effect for claim in claims] == pytest.approx([20.0, 10.0, -10.0])
    assert [claim.verdict for claim in claims] == ["confirmed", "confirmed", "refuted"]
    assert {claim.n for claim in claims} == {10}


@pytest.mark.parametrize(
    ("effects", "severities", "field"),
    [(["d2d", "states"], [0.2], "claim_severities"), (["wires"], [1.0], "claim_effects")],
)
def test_claims_that_cannot_be(effects, severities, field):
    """A severity for each effect, and no effect that takes the sparse layout minutes a chip."""
    with pytest.raises(ValueError, match=field):
        study.comparisons(claims_of(effects, severities))
