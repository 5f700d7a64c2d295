"""Sweeps: nothing lost, nothing computed twice, failures kept and named, seeds only where they are needed."""

import io

import numpy as np
import pandas as pd
import pytest
import sweep_functions
from sweep_functions import AXES, axes, digest, evaluations, noisy, record, sharing, wrong

from memlib.__main__ import main
from memlib.evidence.comparisons import tidy
from memlib.evidence.intervals import seed_interval
from memlib.sweeps.adaptive_seeds import AdaptiveSeeds
from memlib.sweeps.archive import pack, unpack
from memlib.sweeps.cluster import SweepError
from memlib.sweeps.engine import sweep
from memlib.sweeps.points import named
from memlib.sweeps.store import Store


def test_a_row_per_point_and_seed_in_order_and_nothing_twice(tmp_path):
    """The table holds every point and seed; more seeds, values and axes compute only what is new."""
    store = tmp_path / "store.sqlite"
    first = sweep(axes(tmp_path), record, store, seeds=range(2), jobs=2)
    assert first[["a", "b", "seed", "sum"]].to_numpy().tolist() == [
        [a, b, s, a + b + s] for a in AXES["a"] for b in AXES["b"] for s in range(2)
    ]
    again = sweep(axes(tmp_path) | {"a": [1, 2, 3, 4]}, record, store, seeds=range(3), jobs=1)
    assert len(again) == 24
    done = evaluations(tmp_path)
    assert len(done) == len(set(done)) == 24
    assert sweep(axes(tmp_path) | {"later": [None]}, record, store, seeds=range(2), jobs=1)["sum"].equals(first["sum"])
    assert len(evaluations(tmp_path)) == 24


def test_a_failed_point_stops_no_other_is_named_and_is_retried_on_demand_only(tmp_path):
    """The error says which point failed and what to do; it stays in the store until it is retried with success."""
    store = tmp_path / "store.sqlite"
    options = {"axes": axes(tmp_path, stubborn=2), "evaluate": record, "store": store, "seeds": [0], "jobs": 1}
    message = r"OSError: not mended yet \(point .*'a': 2, 'b': 10.*, seed 0, and 1 more\).*status .*retry=True"
    with pytest.raises(SweepError, match=message):
        sweep(**options)
    assert len(evaluations(tmp_path)) == 6
    with pytest.raises(SweepError, match="not mended yet"):
        sweep(**options)
    table = sweep(**options, errors="keep")
    assert len(evaluations(tmp_path)) == 6
    assert table["sum"].isna().tolist() == [False, False, True, True, False, False]
    assert table["error"].dropna().str.startswith("Traceback").all()
    (tmp_path / "log.mended").touch()
    assert sweep(**options, retry=True)["sum"].tolist() == [11, 21, 12, 22, 13, 23]
    assert len(evaluations(tmp_path)) == 8
    with Store(store) as kept:
        assert kept.table(failed=True).empty


def test_hopeless_sweeps_end_at_once(tmp_path):
    """If the first ten points all fail, the others are not tried."""
    many = axes(tmp_path, bad=1) | {"a": [1], "b": list(range(40))}
    with pytest.raises(
        SweepError, match="the first 10 points all failed, so the rest was not tried: ZeroDivisionError"
    ):
        sweep(many, record, tmp_path / "store.sqlite", seeds=[0], jobs=1)
    assert len(evaluations(tmp_path)) == 10


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("", "returned NoneType; it must return a dict"),
        ("list", "returned list"),
        ("number", "returned a field 3; its name must be a text"),
        ("object", r"result\['x'\]=<object .*must be a finite number, a text"),
        ("array", r"result\['x'\]=an array of shape \(30,\): must be a finite number"),
        ("one", r"result\['x'\]=an array of shape \(1,\): must be a finite number"),
        ("tensor", r"result\['x'\]=an array of shape \(2,\): must be a finite number"),
        ("nan", r"result\['x'\]=nan: must be a finite number"),
        ("nested", r"result\['x'\]=\[1, inf\]: must be a finite number.* or a list of these"),
    ],
)
def test_what_is_not_a_result_is_a_failure(tmp_path, kind, message):
    """Not a dict, or not JSON: the point fails and says so."""
    with pytest.raises(SweepError, match=message):
        sweep([{"kind": kind}], wrong, tmp_path / "s.sqlite", seeds=[0], jobs=1)


def test_a_result_must_not_hide_a_field_of_the_point(tmp_path):
    """A column means one thing."""
    with pytest.raises(SweepError, match="returned a field 'a', which the point has too"):
        sweep([{"kind": "clash", "a": 5}], wrong, tmp_path / "s.sqlite", seeds=[0], jobs=1)


def test_seeds_may_be_numpy_an_iterator_or_a_function(tmp_path):
    """Every point gets all its seeds, and NumPy's numbers are as good as Python's."""
    small = axes(tmp_path) | {"a": np.array([1, 2])}
    store = tmp_path / "store.sqlite"
    table = sweep(small, record, store, seeds=iter(np.arange(2)), jobs=1)
    assert table["sum"].tolist() == [11, 12, 21, 22, 12, 13, 22, 23]
    again = sweep(axes(tmp_path) | {"a": [1.0, 2]}, record, store, lambda point: range(int(point["a"])), jobs=1)
    assert again["sum"].tolist() == [11, 21, 12, 13, 22, 23]
    assert len(evaluations(tmp_path)) == 8


def test_an_axis_may_be_an_iterator(tmp_path):
    """It is read once, also beside other axes."""
    points = axes(tmp_path) | {"a": (a for a in (1, 2)), "b": map(int, "34")}
    assert sweep(points, record, tmp_path / "store.sqlite", [0], jobs=1)["sum"].tolist() == [4, 5, 5, 6]


def test_none_and_lists_among_values_are_points_like_others(tmp_path, capsys):
    """In the table, in answers by chip, in exports, in archives, and with adaptive seeds."""
    values, store = [None, [1, None], [], {"b": [2]}, 3], tmp_path / "store.sqlite"
    grid = {"a": values, "images": [3]}
    table = sweep(grid, sweep_functions.answers, store, AdaptiveSeeds(0.1, first=2), jobs=1)
    assert table["a"].tolist() == [value for value in values for _ in range(2)]
    assert (table["listed"].tolist()[0], table["small"].tolist()[0]) == ([1, None], 0.5)
    tidied = tidy(table, [({"a": value}, {"a": value, "images": 3}) for value in values])
    assert tidied["accuracy"].tolist() == pytest.approx([1, *[2 / 3] * 4])
    assert tidied["n"].tolist() == [2] * 5
    assert main(["export", str(store), "--interval", "accuracy"]) == 0
    exported = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert sorted(exported["a"].fillna("").astype(str)) == ["", "3", "[1, None]", "[]", "{'b': [2]}"]
    assert exported["n"].tolist() == [2] * 5
    pack(store, tmp_path / "points.gz")
    assert unpack(tmp_path / "points.gz", tmp_path / "other.sqlite").new == 10


def test_none_beside_numbers_is_found_though_a_table_makes_nan_of_it(tmp_path):
    table = sweep({"a": [None, 1], "images": [3]}, sweep_functions.answers, tmp_path / "store.sqlite", [0, 1], jobs=1)
    assert table["a"].isna().tolist() == [True, True, False, False]
    points = [{"images": 3}, {"a": None, "images": 3}, {"a": table["a"][0], "images": 3}, {"a": 1, "images": 3}]
    assert tidy(table, [({}, point) for point in points])["accuracy"].tolist() == pytest.approx([1, 1, 1, 2 / 3])


def test_adaptive_seeds_need_a_number_in_every_result(tmp_path):
    with pytest.raises(ValueError, match=r"of='number': must be a number in every result, not \[.*nan"):
        sweep([{}], sweep_functions.seldom, tmp_path / "s.sqlite", AdaptiveSeeds(1, "number", first=2), jobs=1)


def test_labels_are_shown_and_decide_nothing(tmp_path):
    """A point under another name is the same point, and has the name that was asked for."""
    point, store = {"a": 1, "b": 2, "log": str(tmp_path / "log")}, tmp_path / "s.sqlite"
    first = sweep([point | {"device_label": "mine"}], record, store, [0], jobs=1)
    again = sweep([point | {"device_label": "yours"}, point], record, store, [0], jobs=1)
    assert (first["device_label"].tolist(), again["device_label"].tolist()) == (["mine"], ["yours"])
    assert len(evaluations(tmp_path)) == 1


def test_a_named_function_may_move(tmp_path):
    """Results are found by its name, whatever module it is in by then; workers import it from there."""
    points, store = [{"a": a, "log": str(tmp_path / "log")} for a in (1, 2)], tmp_path / "s.sqlite"
    table = sweep(points, sweep_functions.here, store, [0], jobs=1)
    assert sweep(points, sweep_functions.there, store, [0], jobs=1).equals(table)
    assert sweep([points[0] | {"a": 3}], sweep_functions.there, store, [0], jobs=2)["sum"].tolist() == [3]
    with Store(store) as kept:
        assert set(kept.table()["evaluate"]) == {"somewhere"}
    with pytest.raises(ValueError, match=r"name='a\.b': must be lower-case letters"):
        named("a.b")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"axes": [{"a": object()}]}, r"point\['a'\]=<object .*must be a finite number, a text"),
        ({"axes": [{"a": float("nan")}]}, r"point\['a'\]=nan: must be a finite number"),
        ({"axes": {"a": [np.arange(2)]}}, r"point\['a'\]=an array of shape \(2,\): must be a finite number"),
        ({"axes": None}, "axes=None: must be lists of values by name, or a list of points"),
        ({"axes": {"a": iter(())}}, r"axes\['a'\]=<tuple_iterator .*: must be a list of at least one value"),
        ({"axes": {"a": np.array(3)}}, r"axes\['a'\]=array\(3\): must be a list of at least one value"),
        ({"axes": [{"seed": 1}]}, "without a field 'seed'"),
        ({"axes": [3]}, "point=3: must be a dict"),
        ({"axes": {"a": 3}}, r"axes\['a'\]=3: must be a list of at least one value"),
        ({"axes": {"a": []}}, r"axes\['a'\]=\[\]: must be a list of at least one value"),
        ({"seeds": 5}, "seeds=5: must be device seeds, such as range"),
        ({"scheduler": "tcp://localhost"}, "scheduler='tcp://localhost': must be an address such as"),
        ({"seeds": [-1]}, "seed=-1: must be a whole number at least 0"),
        ({"evaluate": lambda point, seed: {}}, "evaluate=.*must be a function of a module"),
        ({"evaluate": "text"}, "evaluate='text': must be a function of a module"),
        ({"errors": "ignore"}, "errors='ignore': must be one of 'raise', 'keep'"),
        ({"jobs": -1}, "jobs=-1: must be a whole number at least 0"),
        ({"scheduler": "tcp://127.0.0.1:9"}, "scheduler='tcp://127.0.0.1:9': no Dask scheduler answers there"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path, monkeypatch, arguments, message):
    monkeypatch.setattr("memlib.sweeps.cluster.CONNECT_SECONDS", 1)
    options = {"axes": [{"a": 1, "sleep": 0}], "evaluate": digest, "store": tmp_path / "s.sqlite", "seeds": [0]}
    with pytest.raises((ValueError, SweepError), match=message):
        sweep(**(options | arguments))
    with Store(tmp_path / "s.sqlite") as store:
        assert store.table().empty


def test_environment_variables_choose_jobs_and_scheduler(tmp_path, monkeypatch):
    """What the runner sets for notebooks; a wrong number is named."""
    monkeypatch.setenv("MEMLIB_JOBS", "many")
    with pytest.raises(ValueError, match="MEMLIB_JOBS='many': must be a whole number, or unset"):
        sweep([{"a": 1, "sleep": 0}], digest, tmp_path / "s.sqlite")
    monkeypatch.setenv("MEMLIB_JOBS", "1")
    monkeypatch.setenv("MEMLIB_SCHEDULER", "nonsense")
    with pytest.raises(ValueError, match="scheduler='nonsense': must be an address such as"):
        sweep([{"a": 1, "sleep": 0}], digest, tmp_path / "s.sqlite")


def test_work_that_seeds_share_is_done_once(tmp_path):
    """All seeds of a point follow each other in one worker, so a cache of one entry is enough."""
    points = {"a": list(range(8)), "log": [str(tmp_path / "log")]}
    sweep(points, sharing, tmp_path / "s.sqlite", seeds=range(10), jobs=2)
    assert sorted(map(int, (tmp_path / "log").read_text().split())) == list(range(8))


def test_adaptive_seeds_go_where_intervals_are_wide(tmp_path):
    """Quiet points keep the first seeds; noisy ones get more until the width is reached, or the most allowed."""
    seeds = AdaptiveSeeds(width=1.0, of="value", first=5, most=60)
    table = sweep({"spread": [0.1, 2.0, 50.0]}, noisy, tmp_path / "s.sqlite", seeds, jobs=1)
    groups = dict(list(table.groupby("spread")))
    assert len(groups[0.1]) == 5 < len(groups[2.0]) < 60 == len(groups[50.0])
    intervals = {spread: seed_interval(group["value"]) for spread, group in groups.items()}
    widths = {spread: interval.high - interval.low for spread, interval in intervals.items()}
    assert widths[0.1] < 1
    assert 0.6 < widths[2.0] <= 1.0 < widths[50.0]
    assert all(group["seed"].tolist() == list(range(len(group))) for group in groups.values())


def test_adaptive_seeds_leave_failed_points_alone(tmp_path):
    """A point that fails gets no more seeds, and the others go on."""
    seeds = AdaptiveSeeds(width=0.1, of="sum", first=2, most=4)
    table = sweep(axes(tmp_path, bad=2), record, tmp_path / "s.sqlite", seeds, jobs=1, errors="keep")
    assert table.groupby("a")["seed"].count().to_dict() == {1: 8, 2: 4, 3: 8}
