import optuna
import pytest

from memlib.exploration.space import Axis, Space

CONDITIONAL = Space(
    {
        "layout": ["dense", "window"],
        "window": Axis([1, 2], when={"layout": ["window"]}),
        "order": Axis(["a", "b"], when={"window": [2]}),
        "severity": Axis(low=1e-3, high=1.0, log=True),
        "rows": Axis(low=3, high=9, whole=True),
    }
)


def proposals(space: Space, n: int) -> list[dict]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space.suggest(study.ask()) for _ in range(n)]


def test_axes_exist_only_where_their_conditions_hold():
    found = proposals(CONDITIONAL, 200)
    kinds = {(d["layout"], d.get("window"), d.get("order")) for d in found}
    assert kinds == {("dense", None, None), ("window", 1, None), ("window", 2, "a"), ("window", 2, "b")}


def test_ranges_are_kept_to_and_spread():
    found = proposals(CONDITIONAL, 400)
    assert {d["rows"] for d in found} == set(range(3, 10))
    severities = [d["severity"] for d in found]
    assert min(severities) >= 1e-3
    assert max(severities) <= 1
    assert 0.4 < sum(s < 10**-1.5 for s in severities) / 400 < 0.6


def test_a_grid_by_hand():
    space = Space({"layout": ["dense", "window"], "window": Axis([1, 2], when={"layout": ["window"]}), "bits": [4, 8]})
    windows = [{"layout": "window", "window": w, "bits": b} for w in (1, 2) for b in (4, 8)]
    assert space.grid() == [{"layout": "dense", "bits": 4}, {"layout": "dense", "bits": 8}, *windows]


def test_designs_are_listed_up_to_a_number_and_only_if_they_can_be():
    whole = Axis(low=0.5, high=3.5, whole=True, when={"layout": ["window"]})  # 1, 2, 3
    space = Space({"layout": ["dense", "window"], "window": whole})
    assert space.listed(4) == [{"layout": "dense"}, *({"layout": "window", "window": w} for w in (1, 2, 3))]
    assert space.listed(3) is None
    assert Space({"layout": ["dense"], "severity": Axis(low=0.0, high=1.0)}).listed() is None


def test_numbers_in_rising_order_are_a_scale_and_others_are_not():
    study = optuna.create_study()
    trial = study.ask()
    Space({"up": [1, 2, 4], "down": [4, 2, 1], "text": ["a", "b"]}).suggest(trial)
    kinds = {name: type(kind).__name__ for name, kind in trial.distributions.items()}
    assert kinds == {"up": "IntDistribution", "down": "CategoricalDistribution", "text": "CategoricalDistribution"}


def test_shares_of_an_axis():
    assert [Axis(["a", "b"]).at(share) for share in (0, 0.49, 0.5, 1)] == ["a", "a", "b", "b"]
    assert Axis(low=1.0, high=3.0).at(0.25) == 1.5
    assert Axis(low=0.01, high=1.0, log=True).at(0.5) == pytest.approx(0.1)
    assert [Axis(low=1.5, high=4.2, whole=True).at(share) for share in (0, 0.32, 0.34, 0.99, 1)] == [2, 2, 3, 4, 4]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Space({}), "axes={}: must be at least one"),
        (lambda: Axis(), "low=None: must be a number, where no values are listed"),
        (lambda: Axis([1, 2], low=0), "either values, or low and high"),
        (lambda: Axis([1, 2], log=True), "either values, or low and high"),
        (lambda: Axis([[1], [2]]), r"values=\[1\]: must be numbers, texts, True, False or None"),
        (lambda: Axis([1.0, float("nan")]), "values=nan"),
        (lambda: Axis(low="a", high=1), "low='a': must be a number"),
        (lambda: Axis(low=0, high=float("nan")), "high=nan: must be a number"),
        (lambda: Axis(low=1.2, high=1.8, whole=True), "low=1.2: must be at most a whole number"),
        (lambda: Axis(low=1, high=2, log=1), "log=1: must be True or False"),
        (lambda: Axis([1], low=0, high=1), "either values, or low and high"),
        (lambda: Axis([]), r"values=\[\]: must be a list of at least one value"),
        (lambda: Axis("abc"), "values='abc'"),
        (lambda: Axis([1, 1]), "different from each other"),
        (lambda: Axis(low=2, high=1), "low=2: must be below high=1"),
        (lambda: Axis(low=0, high=1, log=True), "low=0: must be above 0 on a logarithmic axis"),
        (lambda: Space({"a": Axis([1], when={"b": [1]}), "b": [1]}), "when of axis 'a'='b': must be an axis before it"),
        (lambda: Space({"b": Axis(low=0, high=1), "a": Axis([1], when={"b": [1]})}), "that lists values"),
        (lambda: Space({"b": [1, 2], "a": Axis([1], when={"b": [3]})}), "when of axis 'a'=3: must be a value of 'b'"),
        (
            lambda: Space({"b": [1, 2], "a": Axis([1], when={"b": []})}),
            r"when of axis 'a'=\[\]: must be a list of values",
        ),
        (lambda: CONDITIONAL.grid(), "axis 'severity'=.*a list of values, in a grid"),
    ],
)
def test_bad_spaces(make, message):
    with pytest.raises(ValueError, match=message):
        make()
