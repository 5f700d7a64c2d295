import itertools

import numpy as np
import pandas as pd
import pytest
import search_functions as made_up

from memlib.evidence.answers import unpack
from memlib.evidence.intervals import crossed_interval
from memlib.exploration import multi_objective as module
from memlib.exploration.multi_objective import Evaluator, Fidelity, explore, search
from memlib.exploration.pareto import hypervolume, nondominated
from memlib.exploration.space import Axis
from memlib.sweeps.engine import SweepError

CUBIC = {"accuracy": "max", "energy": "min"}
SENSES = list(made_up.OBJECTIVES.values())


def run(folder, **changes) -> pd.DataFrame:
    options = {
        "space": made_up.SPACE,
        "evaluate": made_up.evaluate,
        "make_point": made_up.make_point,
        "objectives": made_up.OBJECTIVES,
        "store": folder / "search.sqlite",
        "budget": 40,
        "fidelities": [Fidelity(100, 2), Fidelity(1000, 3)],
        "jobs": 1,
    }
    return search(**(options | changes))


def exactly(folder) -> Evaluator:
    """Evaluates the truth, which has no images."""
    store = folder / "exact.sqlite"
    return Evaluator(made_up.exact, lambda design, images: design, made_up.OBJECTIVES, store, {"jobs": 1})


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """What was evaluated, as it is counted."""
    log = tmp_path / "calls"
    monkeypatch.setenv("SEARCH_LOG", str(log))
    return lambda: log.read_text().splitlines()


@pytest.mark.slow
def test_a_fixed_seed_repeats_the_search_and_another_does_not(tmp_path):
    first, again, other = (run(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    pd.testing.assert_frame_equal(first, again)
    assert len(first) == 40
    assert not first[["rows", "adc_bits"]].equals(other[["rows", "adc_bits"]])


def test_the_number_of_workers_decides_nothing(tmp_path):
    budget = 16
    one, two = (run(tmp_path / str(jobs), budget=budget, jobs=jobs) for jobs in (1, 2))
    pd.testing.assert_frame_equal(one, two)


@pytest.mark.slow
def test_a_killed_search_resumes_and_evaluates_nothing_twice(tmp_path, calls, monkeypatch):
    monkeypatch.setenv("SEARCH_CALLS", "37")  # in the middle of a batch
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    finished = calls()[:-1]  # the last one never returned
    monkeypatch.delenv("SEARCH_CALLS")
    resumed = run(tmp_path)
    later = calls()[len(finished) + 1 :]
    assert not {*finished} & {*later}
    whole = run(tmp_path / "whole")
    pd.testing.assert_frame_equal(resumed, whole)
    assert len({*finished, *later}) == len(finished) + len(later)


def test_chips_are_in_the_order_of_their_seeds(tmp_path):
    """In every design, or their draws would not rise and fall with the same chips."""
    evaluator = Evaluator(
        made_up.evaluate, made_up.make_point, made_up.OBJECTIVES, tmp_path / "s.sqlite", {"jobs": 1}
    )  # fmt: skip
    design = {"layout": "dense", "rows": 128, "dac_bits": 6, "adc_bits": 6}
    found = evaluator([design, design | {"rows": 64}, design | {"rows": 256}], Fidelity(2000, 8))
    errors = [made_up.chip_error(seed) for seed in range(8)]
    for known in found:
        assert np.corrcoef(known.hits.mean(1), errors)[0, 1] > 0.95


def test_only_likely_designs_are_looked_at_closely(tmp_path, calls):
    found = run(tmp_path)
    closely = [call for call in calls() if "('images', 1000)" in call]
    assert len(closely) == 3 * (found["fidelity"] == 1).sum()
    assert 0 < (found["fidelity"] == 1).sum() < 40
    first = run(tmp_path, fidelities=[Fidelity(100, 2)])
    spared = found[(first["on_front"] >= 0.05) & (found["fidelity"] == 0)]  # unlikely once others were known better
    assert (spared["on_front"] < 0.05).all()
    assert found.loc[first["on_front"].nlargest(8).index, "fidelity"].eq(1).all()
    assert (found[found["on_front"] >= 0.05]["fidelity"] == 1).all()  # whatever the closer look has shown of others
    assert set(found[found["fidelity"] == 1]["n"]) == {3}
    assert set(found[found["fidelity"] == 0]["images"]) == {100}


def test_designs_on_the_true_front_are_likely_and_dominated_ones_are_not(tmp_path):
    found = run(tmp_path, fidelities=[Fidelity(100, 2), Fidelity(1000, 5)])
    names = [name for name in made_up.SPACE.axes if name in found]
    designs = [{k: v for k, v in row.items() if not pd.isna(v)} for row in found[names].to_dict("records")]
    on_front = nondominated(made_up.qualities(designs), SENSES)
    assert found["on_front"][on_front].mean() > 0.7
    assert found["on_front"][~on_front].mean() < 0.3
    assert found["on_front"].between(0, 1).all()
    assert (found["low"] <= found["accuracy"]).all()
    assert (found["accuracy"] <= found["high"]).all()


@pytest.mark.slow
def test_search_beats_random_search_at_equal_budget(tmp_path):
    """By the volume that the designs found dominate, in at least 9 of 10 repeats; the space has 1,470 designs."""
    costs = made_up.qualities(made_up.SPACE.grid())
    reference = [0.0, *costs[:, 1:].max(0)]

    def volume(sampler: str, seed: int) -> float:
        evaluator = Evaluator(
            made_up.exact, lambda d, images: d, made_up.OBJECTIVES, tmp_path / "s.sqlite", {"jobs": 1}
        )
        known = explore(made_up.SPACE, evaluator, 48, Fidelity(1, 2), seed, sampler=sampler)
        return hypervolume(made_up.qualities([k.design for k in known]), SENSES, reference)

    wins = [volume("tpe", seed) > volume("random", seed) for seed in range(10)]
    assert sum(wins) >= 9


def test_a_small_space_is_searched_through(tmp_path):
    small = {"layout": ["dense"], "rows": [32, 64], "dac_bits": [4], "adc_bits": [3, 4]}
    found = run(tmp_path, space=module.Space(small), budget=100)
    assert sorted(zip(found["rows"], found["adc_bits"], strict=True)) == [(32, 3), (32, 4), (64, 3), (64, 4)]


CUBE = module.Space({name: list(range(5)) for name in ("a", "b")} | {"c": Axis(low=1.5, high=6, whole=True)})


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_space_with_room_for_all_is_listed_whatever_the_seed(tmp_path, sampler):
    """125 designs, of a grid and a range of whole numbers."""
    evaluator = Evaluator(made_up.cubic, lambda design, images: design, CUBIC, tmp_path / "cube.sqlite", {"jobs": 1})
    for budget in (125, 126):
        found = [known.design for known in explore(CUBE, evaluator, budget, Fidelity(1, 2), budget, sampler)]
        assert [(d["a"], d["b"], d["c"]) for d in found] == list(itertools.product(range(5), range(5), range(2, 7)))


@pytest.mark.parametrize(("budget", "merged"), [(124, False), (25, True)])
def test_a_search_tries_as_many_designs_as_it_may_where_its_sampler_gives_up(tmp_path, monkeypatch, budget, merged):
    """One less than all, and as many as there are different points."""
    monkeypatch.setattr(module, "EXHAUSTED", 1)
    names = ("a", "b") if merged else ("a", "b", "c")
    make_point = lambda design, images: {name: design[name] for name in names}  # noqa: E731
    evaluator = Evaluator(made_up.cubic, make_point, CUBIC, tmp_path / "cube.sqlite", {"jobs": 1})
    found = explore(CUBE, evaluator, budget, Fidelity(1, 2), sampler="random")
    assert len({tuple(make_point(known.design, 1).values()) for known in found}) == len(found) == budget


def test_designs_that_are_one_point_are_one_design(tmp_path):
    twice = module.Space({"layout": ["dense"], "rows": [32, 64], "dac_bits": [4], "adc_bits": [3], "alias": [0, 1]})
    found = run(
        tmp_path,
        space=twice,
        budget=100,
        make_point=lambda design, images: made_up.make_point({k: v for k, v in design.items() if k != "alias"}, images),
    )
    assert sorted(found["rows"]) == [32, 64]


def test_a_design_that_fails_under_a_closer_look_stays_as_it_was(tmp_path):
    def make_point(design, images):
        return {**design, "images": images, "broken": images == 1000 and design["layout"] == "sparse"}

    found = run(tmp_path, make_point=make_point)
    assert set(found[found["layout"] == "sparse"]["fidelity"]) == {0}
    assert set(found[found["layout"] != "sparse"]["fidelity"]) == {0, 1}
    assert len(found) == 40


def test_failed_designs_are_left_out(tmp_path):
    space = module.Space({**made_up.SPACE.axes, "broken": [False, True]})
    with pytest.warns(UserWarning, match=r"\d+ of 24 designs failed, and are left out.*memlib status .*search.sqlite"):
        found = run(tmp_path, space=space, budget=24)
    assert 0 < len(found) < 24
    assert not found["broken"].any()


def test_a_search_of_which_everything_fails_ends_at_once(tmp_path):
    space = module.Space({**made_up.SPACE.axes, "broken": [True]})
    with pytest.raises(SweepError, match="all of the first 8 designs failed"):
        run(tmp_path, space=space)


def test_intervals_are_those_of_seeds_and_images(tmp_path):
    budget = 8
    row = run(tmp_path, budget=budget, fidelities=[Fidelity(100, 2)]).iloc[0]
    design = {name: row[name] for name in made_up.SPACE.axes if name in row and not pd.isna(row[name])}
    hits = [unpack(made_up.evaluate({**design, "images": 100}, seed)["correct"], 100) for seed in range(2)]
    interval = crossed_interval(np.array(hits, float))
    assert (row["low"], row["high"]) == (interval.low, interval.high)
    exact = run(
        tmp_path, budget=budget, evaluate=made_up.exact, make_point=lambda d, images: d, fidelities=[Fidelity(1, 2)]
    )
    assert (exact["high"] == exact["low"]).all()  # without answers to images, chips alone vary: here they do not


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objectives": {"energy": "min"}}, "'accuracy': 'max' among them"),
        ({"objectives": {"accuracy": "min"}}, "'accuracy': 'max' among them"),
        ({"objectives": ["accuracy"]}, "names with senses"),
        ({"objectives": {"accuracy": "max", "energy": "most"}}, "sense='most'"),
        ({"objectives": {"accuracy": "max", "volume": "min"}}, "objective='volume': must be one of 'accuracy', "),
        ({"budget": 0}, "budget=0: must be a whole number at least 1"),
        ({"fidelities": Fidelity(100, 2)}, "a list of Fidelity"),
        ({"fidelities": []}, "fidelities"),
        ({"fidelities": [Fidelity(100, 2), Fidelity(100, 2)]}, "each closer than the one before"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_bad_arguments(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        run(tmp_path, **changes)


def test_one_chip_without_answers_to_images_says_nothing_of_how_sure_its_accuracy_is(tmp_path):
    with pytest.raises(ValueError, match="seeds=1: must be at least 2, where results hold no answers"):
        run(tmp_path, evaluate=made_up.exact, make_point=lambda d, images: d, fidelities=[Fidelity(1, 1)])


def test_bad_fidelities_and_samplers(tmp_path):
    with pytest.raises(ValueError, match="seeds=0"):
        Fidelity(100, 0)
    with pytest.raises(ValueError, match="sampler='grid': must be one of 'tpe', 'random'"):
        explore(made_up.SPACE, exactly(tmp_path), 8, Fidelity(1, 2), sampler="grid")
