import gzip
import json

import pytest
import sweep_functions

from memlib import sweep
from memlib.__main__ import main
from memlib.sweeps.archive import pack, unpack
from memlib.sweeps.store import Store, StoreError


@pytest.fixture
def store(tmp_path):
    """Six points that were evaluated, and the file that counts evaluations."""
    axes = {"a": [1, 2.5, 4], "b": [10], "log": [str(tmp_path / "log")]}
    sweep(axes, sweep_functions.record, tmp_path / "first.sqlite", seeds=range(2), jobs=1)
    return tmp_path / "first.sqlite"


def evaluations(folder) -> int:
    return len((folder / "log").read_text().splitlines())


def test_an_archive_holds_what_was_evaluated(store, tmp_path):
    """Nothing is evaluated again in a store that was made from it, and its results are the same."""
    before = evaluations(tmp_path)
    assert pack(store, tmp_path / "deep" / "points.jsonl.gz") == 6
    assert unpack(tmp_path / "deep" / "points.jsonl.gz", tmp_path / "second.sqlite") == 6
    axes = {"a": [1, 2.5, 4], "b": [10], "log": [str(tmp_path / "log")]}
    tables = [sweep(axes, sweep_functions.record, tmp_path / name, range(2), jobs=1) for name in
              ("first.sqlite", "second.sqlite")]  # fmt: skip
    assert tables[0].equals(tables[1])
    assert evaluations(tmp_path) == before


def test_the_same_results_are_the_same_bytes(store, tmp_path):
    pack(store, tmp_path / "a.gz")
    unpack(tmp_path / "a.gz", tmp_path / "again.sqlite")
    pack(tmp_path / "again.sqlite", tmp_path / "b.gz")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_results_that_are_there_stay(store, tmp_path):
    pack(store, tmp_path / "a.gz")
    lines = gzip.decompress((tmp_path / "a.gz").read_bytes()).decode().splitlines()
    changed = [json.loads(line) | {"result": {"value": -1}} for line in lines]
    (tmp_path / "b.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, changed)).encode()))
    with Store(store) as kept:
        before = kept.table()
    assert unpack(tmp_path / "b.gz", store) == 0
    with Store(store) as kept:
        assert kept.table().equals(before)


@pytest.mark.parametrize("damage", [lambda b: b[:-20], lambda b: b"text", lambda b: b[:60] + b"?" + b[61:]])
def test_a_damaged_archive_adds_nothing(store, tmp_path, damage):
    pack(store, tmp_path / "a.gz")
    (tmp_path / "a.gz").write_bytes(damage((tmp_path / "a.gz").read_bytes()))
    with pytest.raises(ValueError, match=r"a\.gz: damaged, or no archive of points"):
        unpack(tmp_path / "a.gz", tmp_path / "new.sqlite")
    assert not (tmp_path / "new.sqlite").exists()


@pytest.mark.parametrize(
    "line", ["[]", "{}", '{"evaluate": 1, "point": {}, "seed": 0, "result": {}}',
             '{"evaluate": "a.b", "point": {}, "seed": -1, "result": {}}']
)  # fmt: skip
def test_other_files_are_no_archives(tmp_path, line):
    (tmp_path / "a.gz").write_bytes(gzip.compress(line.encode()))
    with pytest.raises(ValueError, match="no archive of points"):
        unpack(tmp_path / "a.gz", tmp_path / "new.sqlite")


def test_on_the_command_line(store, tmp_path, capsys):
    assert main(["pack", str(store), str(tmp_path / "a.gz")]) == 0
    assert main(["unpack", str(tmp_path / "a.gz"), str(tmp_path / "new.sqlite")]) == 0
    assert "6 points in" in (out := capsys.readouterr().out)
    assert "6 points are new in" in out
    assert main(["pack", str(tmp_path / "none.sqlite"), str(tmp_path / "a.gz")]) == 1
    assert "none.sqlite: there is no such file" in capsys.readouterr().err


def test_a_damaged_store_is_not_packed(tmp_path):
    (tmp_path / "bad.sqlite").write_bytes(b"SQLite format 3\0" + b"?" * 5000)
    with pytest.raises(StoreError, match=r"bad\.sqlite"):
        pack(tmp_path / "bad.sqlite", tmp_path / "a.gz")


def test_only_an_archive_is_replaced(store, tmp_path):
    before = store.read_bytes()
    with pytest.raises(ValueError, match=r"first\.sqlite: is there already, and no archive"):
        pack(store, store)
    assert store.read_bytes() == before
    for _ in range(2):
        assert pack(store, tmp_path / "a.gz") == 6
