"""The store: files that are not ours, full disks, read-only folders, two writers."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from memlib.sweeps.engine import sweep
from memlib.sweeps.points import Task
from memlib.sweeps.store import Outcome, Store, StoreError

AXES = {"a": [1, 2, 3], "b": [10, 20]}


def outcome(number, result="{}", error=None):
    return Outcome(Task("module.function", json.dumps({"a": number}), 0), result, error, 0.1)


def filled(path, count, size=100):
    """A store of `count` points; returns their keys."""
    outcomes = [outcome(i, json.dumps({"x": "y" * size})) for i in range(count)]
    with Store(path) as store, store.writing():
        store.put(outcomes)
    return [o.task.key for o in outcomes]


def add(x, seed):
    return {"sum": x["a"] + x["b"] + seed}


def test_results_and_errors_come_back(tmp_path):
    """What was put is there for another reader; finished results stay, failed ones are replaced."""
    path = tmp_path / "s.sqlite"
    with Store(path) as store, store.writing():
        store.put([outcome(1, '{"y": 1}'), outcome(2, None, "Traceback\nValueError: no")])
        store.put([outcome(1, '{"y": 9}'), outcome(1, None, "too late")])
        with Store(path) as reader:
            keys = [outcome(i).task.key for i in (1, 2, 3)]
            assert reader.get(keys) == ({keys[0]: {"y": 1}}, {keys[1]: "Traceback\nValueError: no"})
        store.put([outcome(2, '{"y": 2}')])
        assert store.get(keys) == ({keys[0]: {"y": 1}, keys[1]: {"y": 2}}, {})


def test_table_has_the_points_fields_before_the_seed_and_the_results_after(tmp_path):
    """Also where points have different fields."""
    with Store(tmp_path / "s.sqlite") as store, store.writing():
        store.put([Outcome(Task("m.f", text, 3), '{"y": 5}', None, 0) for text in ('{"a": 1}', '{"a": 1, "b": 2}')])
        table = store.table()
        assert list(table) == ["evaluate", "a", "b", "seed", "y"]
        assert table.iloc[0].tolist() == ["m.f", 1, 2.0, 3, 5]
        assert store.table(failed=True).empty


def test_a_missing_file_is_an_empty_store_and_is_not_made_by_reading(tmp_path):
    with Store(tmp_path / "none" / "s.sqlite") as store:
        assert store.get(["k"]) == ({}, {})
        assert store.table().empty
        assert store.status() == {"finished": 0, "failed": 0, "state": "none"}
    assert not list(tmp_path.iterdir())


def test_a_store_that_is_just_being_made_is_an_empty_one(tmp_path):
    """The first writer made the file, and has not committed its tables: a reader sees no points, and no damage."""
    path = tmp_path / "s.sqlite"
    path.touch()
    with Store(path) as store:
        assert store.get(["k"]) == ({}, {})
        assert store.table().empty
        assert store.status() == {"finished": 0, "failed": 0, "state": "none"}
        with store.writing():
            store.put([outcome("k")])
        assert store.status()["finished"] == 1


@pytest.mark.parametrize("content", ["text", "other", "newer", "older", "truncated", "truncated at a page"])
def test_foreign_and_damaged_files_are_refused_and_left_alone(tmp_path, content):
    """Not ours, of another version, or damaged: a clear error, and not a byte changes."""
    path = tmp_path / "store.sqlite"
    if content == "text":
        path.write_text("dear diary " * 100)
    elif content == "other":
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE diary (day)")
    else:
        filled(path, 300)
        if content in ("newer", "older"):
            with contextlib.closing(sqlite3.connect(path)) as connection:
                connection.execute(f"PRAGMA user_version = {99 if content == 'newer' else 2}")
        else:
            path.write_bytes(path.read_bytes()[: 5000 if content == "truncated" else 16384])
    before = path.read_bytes()
    why = "of memlib 0.1, whose points had other fields; name another" if content == "older" else ".*name another file"
    with pytest.raises(StoreError, match=rf"store\.sqlite: {why}"):
        sweep(AXES, add, path, jobs=1)
    assert path.read_bytes() == before


def test_a_store_damaged_in_the_middle_is_refused(tmp_path):
    """Pages overwritten behind a good header: the error names the file, for readers and for the writer."""
    path = tmp_path / "store.sqlite"
    keys = filled(path, 400)
    content = bytearray(path.read_bytes())
    content[12288:-8192] = b"\xff" * (len(content) - 20480)
    path.write_bytes(content)
    with Store(path) as damaged:
        with pytest.raises(StoreError, match=r"store\.sqlite: damaged .*name another file"):
            damaged.get(keys)
        with pytest.raises(StoreError, match=r"store\.sqlite: .*(damaged|malformed).*name another"), damaged.writing():
            pass
    assert path.read_bytes() == content


def test_a_second_writer_is_refused_while_the_first_writes(tmp_path):
    """It is told who writes; readers are welcome; afterwards the lock is free."""
    path = tmp_path / "s.sqlite"
    with Store(path) as first, Store(path) as second:
        with first.writing(), first.run("m.f", 7):
            first.put([outcome(1)])
            with Store(path) as late:
                assert late.status()["state"] == "running"
                assert late.status()["planned"] == 7
                message = rf"s\.sqlite: process {os.getpid()} on .* is writing to it; wait for its end, or name another"
                with pytest.raises(StoreError, match=message), late.writing():
                    pass
        with second.writing():
            second.put([outcome(2)])
        assert second.status() | {"started": 0, "ended": 0, "process": ""} == {
            "finished": 2, "failed": 0, "state": "stopped", "planned": 7, "done": 2, "started": 0, "ended": 0,
            "process": "",
        }  # fmt: skip


HOLD = """
import sys, time
from memlib.sweeps.store import Store
with Store(sys.argv[1]) as store, store.writing(), store.run("m.f", 1):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_writer_is_free(tmp_path):
    """And `status` says that it was killed."""
    path = tmp_path / "s.sqlite"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "locked\n"
    with Store(path) as store:
        assert store.status()["state"] == "running"
        holder.kill()
        holder.communicate()
        assert store.status()["state"] == "killed"
        with store.writing():
            store.put([outcome(1)])


FILL = """
import json, resource, sys
from memlib.sweeps.points import Task
from memlib.sweeps.store import Outcome, Store
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
with Store(sys.argv[1]) as store, store.writing():
    for i in range(10_000):
        task = Task("module.function", json.dumps({"a": i}), 0)
        store.put([Outcome(task, json.dumps({"x": "y" * 1000}), None, 0.1)])
        print(i, flush=True)
"""


def test_a_full_disk_loses_nothing_that_was_reported(tmp_path):
    """A file that may not grow: a clear error; every point that was put is there; with room again, all goes on."""
    path = tmp_path / "s.sqlite"
    command = [sys.executable, "-c", FILL, str(path)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert "results could not be written" in run.stderr.strip().splitlines()[-1]
    assert "mend this and run again" in run.stderr
    kept = len(run.stdout.split())
    with Store(path) as store:
        assert 50 < kept == store.status()["finished"] < 10_000
        with store.writing():
            store.put([outcome(kept, '{"x": 1}')])
        assert store.status()["finished"] == kept + 1


def test_a_read_only_folder_can_be_read_and_not_written(tmp_path):
    """Finished sweeps are redrawn from it; new points are refused with the reason, and nothing changes."""
    path = tmp_path / "folder" / "s.sqlite"
    table = sweep(AXES, add, path, seeds=[0], jobs=1)
    before = path.read_bytes()
    for lock in path.parent.glob("*.lock"):
        lock.unlink()
    with read_only(path.parent):
        assert sweep(AXES, add, path, seeds=[0], jobs=1).equals(table)
        with pytest.raises(StoreError, match=r"s\.sqlite: cannot be written .*choose a file in a folder that can be"):
            sweep(AXES, add, path, seeds=[1], jobs=1)
    assert path.read_bytes() == before


@contextlib.contextmanager
def read_only(folder):
    """Take the permission to write; for root, who needs none, mount the folder read-only."""
    if os.geteuid():
        folder.chmod(0o555)
        (folder / "s.sqlite").chmod(0o444)
        yield
        folder.chmod(0o755)
        return
    mount = ["mount", "--bind", "-o", "ro", str(folder), str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("root may write anywhere, and mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/s\.sqlite: cannot be written"):
        sweep(AXES, add, tmp_path / "file" / "s.sqlite", seeds=[0], jobs=1)


def test_the_writer_waits_for_a_reader_in_the_middle_of_its_query(tmp_path):
    """A reader in the middle of its query, a write, the reader again: no error on either side."""
    path = tmp_path / "s.sqlite"
    filled(path, 50)
    with Store(path) as store, store.writing():
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        cursor = other.execute("SELECT key FROM results")
        assert cursor.fetchone()
        threading.Timer(0.3, lambda: (cursor.fetchall(), other.close())).start()
        start = time.monotonic()
        store.put([outcome(99)])
        assert time.monotonic() - start > 0.2
        assert store.status()["finished"] == 51
