"""Sweeps: nothing lost, nothing computed twice, clear errors for files that are not ours."""

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memlib.store import Store, StoreError
from memlib.sweep import SweepError, point_key, sweep

AXES = {"a": [1, 2, 3], "b": [10, 20]}


def record(point, seed):
    """Leave a line per evaluation, so that tests can count them."""
    with (Path(point["log"])).open("a") as log:
        log.write(f"{point['a']} {point['b']} {seed}\n")
    if point["a"] == point.get("bad"):
        raise ZeroDivisionError("on purpose")
    time.sleep(point.get("sleep", 0))
    return {"sum": point["a"] + point["b"] + seed}


def axes(tmp_path, **changes):
    return AXES | {"log": [str(tmp_path / "log")]} | {name: [value] for name, value in changes.items()}


def evaluations(tmp_path):
    return (tmp_path / "log").read_text().splitlines()


def test_a_row_per_point_and_seed_in_order_and_nothing_twice(tmp_path):
    """The table holds every point and seed; more seeds and values compute only what is new."""
    store = tmp_path / "store.sqlite"
    first = sweep(axes(tmp_path), record, store, seeds=range(2), jobs=2)
    assert first[["a", "b", "seed", "sum"]].to_numpy().tolist() == [
        [a, b, s, a + b + s] for a in AXES["a"] for b in AXES["b"] for s in range(2)
    ]
    again = sweep(axes(tmp_path) | {"a": [1, 2, 3, 4]}, record, store, seeds=range(3), jobs=1)
    assert len(again) == 24
    done = evaluations(tmp_path)
    assert len(done) == len(set(done)) == 24
    assert sweep(axes(tmp_path), record, store, seeds=range(2), jobs=1).equals(first)


def test_a_failing_point_is_named_and_the_finished_are_kept(tmp_path):
    """The error says which point; a second run starts from the finished ones."""
    with pytest.raises(SweepError, match=r"'a': 3.*ZeroDivisionError: on purpose"):
        sweep(axes(tmp_path, bad=3), record, tmp_path / "store.sqlite", seeds=[0], jobs=1)
    kept = Store(tmp_path / "store.sqlite")
    keys = [point_key(record, {"a": a, "b": 10, "log": str(tmp_path / "log"), "bad": 3}, 0) for a in (1, 3)]
    assert list(kept.get(keys)) == keys[:1]
    kept.close()


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_sweep as t
folder = Path(sys.argv[2])
print(t.sweep(t.axes(folder, sleep=0.1), t.record, folder / "store.sqlite", seeds=[0], jobs=1)["sum"].tolist())
"""


def test_a_killed_sweep_resumes(tmp_path):
    """SIGKILL in the middle: what was stored is not computed again, and the table is whole."""
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(tmp_path)]
    process = subprocess.Popen(command)
    log = tmp_path / "log"
    deadline = time.monotonic() + 60
    while not (log.exists() and len(evaluations(tmp_path)) >= 3) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        stored = connection.execute("SELECT count(*) FROM results").fetchone()[0]
    connection.close()
    assert 2 <= stored < 6
    before = len(evaluations(tmp_path))
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.strip() == str([a + b for a in AXES["a"] for b in AXES["b"]])
    assert len(evaluations(tmp_path)) - before == 6 - stored


def test_keys_follow_content():
    """A field that is None changes no key; every value, the seed and the function do."""
    key = point_key(record, {"a": 1}, 0)
    assert key == point_key(record, {"a": 1, "later": None}, 0)
    others = [point_key(record, {"a": 2}, 0), point_key(record, {"a": 1}, 1), point_key(axes, {"a": 1}, 0)]
    assert len({key, *others}) == 4


@pytest.mark.parametrize("content", ["text", "other", "version", "truncated"])
def test_foreign_and_damaged_files_are_refused_and_left_alone(tmp_path, content):
    """Not ours, newer, or damaged: a clear error, and not a byte changes."""
    path = tmp_path / "store.sqlite"
    if content == "text":
        path.write_text("dear diary " * 100)
    elif content == "other":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE diary (day)")
        connection.close()
    else:
        kept = Store(path)
        kept.put("k", {}, {"x": "y" * 20000})
        if content == "version":
            kept.connection.execute("PRAGMA user_version = 99")
        kept.close()
        if content == "truncated":
            path.write_bytes(path.read_bytes()[:5000])
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"store\.sqlite: .*name another file"):
        sweep(AXES, record, path)
    assert path.read_bytes() == before


def test_jobs_and_unwritable_folder_are_refused(tmp_path):
    """Errors name the field or the path."""
    with pytest.raises(ValueError, match="jobs=-1: must be a whole number at least 1"):
        sweep(AXES, record, tmp_path / "s.sqlite", seeds=[0], jobs=-1)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used as a store"):
        sweep(AXES, record, tmp_path / "file" / "s.sqlite", seeds=[0])
