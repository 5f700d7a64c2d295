"""Sweeps: nothing lost, nothing computed twice, clear errors for files that are not ours."""

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from memlib.store import Store, StoreError
from memlib.sweep import SweepError, point_key, sweep

AXES = {"a": [1, 2, 3], "b": [10, 20]}


def record(point, seed):
    """Leave a line per evaluation, so that tests can count them."""
    with (Path(point["log"])).open("a") as log:
        log.write(f"{point['a']} {point['b']} {seed} {os.getpid()}\n")
    if point["a"] == point.get("bad"):
        raise ZeroDivisionError("on purpose")
    time.sleep(point.get("sleep", 0))
    return {"sum": point["a"] + point["b"] + seed}


def axes(tmp_path, **changes):
    return AXES | {"log": [str(tmp_path / "log")]} | {name: [value] for name, value in changes.items()}


def evaluations(tmp_path):
    return [line.rsplit(maxsplit=1)[0] for line in (tmp_path / "log").read_text().splitlines()]


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
    with pytest.raises(SweepError, match=r"ZeroDivisionError: on purpose \(point .*'a': 3"):
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
jobs = int(sys.argv[3])
if __name__ == "__main__":
    print(t.sweep(t.axes(folder, sleep=0.1), t.record, folder / "store.sqlite", seeds=[0], jobs=jobs)["sum"].tolist())
"""


def script(tmp_path, jobs):
    """The command of a sweep in a process of its own."""
    main = tmp_path / "main.py"
    main.write_text(SCRIPT)
    return [sys.executable, str(main), str(Path(__file__).parent), str(tmp_path), str(jobs)]


def kill_after_points(command, tmp_path, points):
    """Start a sweep and send it SIGKILL when so many points were begun."""
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    log = tmp_path / "log"
    while not (log.exists() and len(evaluations(tmp_path)) >= points) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()


def test_a_killed_sweep_resumes(tmp_path):
    """SIGKILL in the middle: what was stored is not computed again, and the table is whole."""
    command = script(tmp_path, jobs=1)
    kill_after_points(command, tmp_path, 3)
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        stored = connection.execute("SELECT count(*) FROM results").fetchone()[0]
    connection.close()
    assert 2 <= stored < 6
    before = len(evaluations(tmp_path))
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.strip() == str([a + b for a in AXES["a"] for b in AXES["b"]])
    assert len(evaluations(tmp_path)) - before == 6 - stored


def test_workers_of_a_killed_sweep_end_too(tmp_path):
    """No process is left behind, and none goes on computing."""
    kill_after_points(script(tmp_path, jobs=2), tmp_path, 2)
    workers = {int(line.split()[-1]) for line in (tmp_path / "log").read_text().splitlines()}
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}/stat").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    left = [pid for pid in workers if Path(f"/proc/{pid}/stat").exists()]
    assert all(" Z " in Path(f"/proc/{pid}/stat").read_text() for pid in left)


def test_a_failing_point_stops_the_rest(tmp_path):
    """The queue is not worked off after an error."""
    many = axes(tmp_path, bad=1, sleep=0.05) | {"b": list(range(40))}
    with pytest.raises(SweepError, match="ZeroDivisionError"):
        sweep(many, record, tmp_path / "store.sqlite", seeds=[0], jobs=2)
    assert len(evaluations(tmp_path)) < 30


def test_seeds_may_be_numpy_or_an_iterator(tmp_path):
    """Every point gets all seeds, and NumPy's numbers are as good as Python's."""
    small = axes(tmp_path) | {"a": np.array([1, 2])}
    table = sweep(small, record, tmp_path / "store.sqlite", seeds=iter(np.arange(2)), jobs=1)
    assert table["sum"].tolist() == [11, 12, 21, 22, 12, 13, 22, 23]
    assert sweep(axes(tmp_path) | {"a": [1, 2]}, record, tmp_path / "store.sqlite", range(2), 1)["sum"].equals(
        table["sum"]
    )
    assert len(evaluations(tmp_path)) == 8


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


def test_a_store_damaged_in_the_middle_is_refused(tmp_path):
    """Pages overwritten behind a good header: the error names the file."""
    kept = Store(tmp_path / "store.sqlite")
    for i in range(400):
        kept.put(f"{i:064d}", {"a": i}, {"x": "y" * 100})
    kept.close()
    content = bytearray(kept.path.read_bytes())
    content[8192:-8192] = b"\xff" * (len(content) - 16384)
    kept.path.write_bytes(content)
    damaged = Store(kept.path)
    with pytest.raises(StoreError, match=r"store\.sqlite: damaged .*name another file"):
        damaged.get(f"{i:064d}" for i in range(400))
    damaged.close()


def test_jobs_and_unwritable_folder_are_refused(tmp_path):
    """Errors name the field or the path."""
    with pytest.raises(ValueError, match="jobs=-1: must be a whole number at least 1"):
        sweep(AXES, record, tmp_path / "s.sqlite", seeds=[0], jobs=-1)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used as a store"):
        sweep(AXES, record, tmp_path / "file" / "s.sqlite", seeds=[0])
