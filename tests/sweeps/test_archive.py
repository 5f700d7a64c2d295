import gzip
import json

import pytest
import sweep_functions

from memlib import sweep
from memlib.__main__ import main
from memlib.sweeps import physics
from memlib.sweeps.archive import Unpacked, pack, unpack
from memlib.sweeps.store import Store


@pytest.fixture
def store(tmp_path):
    """Six points that were evaluated, and the file that counts evaluations."""
    axes = {"a": [1, 2.5, 4], "b": [10], "log": [str(tmp_path / "log")]}
    sweep(axes, sweep_functions.record, tmp_path / "first.sqlite", seeds=range(2), jobs=1)
    return tmp_path / "first.sqlite"


def evaluations(folder) -> int:
    return len((folder / "log").read_text().splitlines())


def test_an_archive_holds_what_was_evaluated(store, tmp_path):
    """Nothing is evaluated again in a store that was made from it; its results are the same, to the archive's bytes."""
    before, archives = evaluations(tmp_path), (tmp_path / "deep" / "points.jsonl.gz", tmp_path / "again.gz")
    assert pack(store, archives[0]) == 6
    assert unpack(archives[0], tmp_path / "second.sqlite") == Unpacked(new=6, known=0)
    pack(tmp_path / "second.sqlite", archives[1])
    assert archives[0].read_bytes() == archives[1].read_bytes()
    axes = {"a": [1, 2.5, 4], "b": [10], "log": [str(tmp_path / "log")]}
    tables = [sweep(axes, sweep_functions.record, tmp_path / name, range(2), jobs=1) for name in
              ("first.sqlite", "second.sqlite")]  # fmt: skip
    assert tables[0].equals(tables[1])
    assert evaluations(tmp_path) == before


def test_results_that_are_there_stay(store, tmp_path):
    pack(store, tmp_path / "a.gz")
    lines = gzip.decompress((tmp_path / "a.gz").read_bytes()).decode().splitlines()
    changed = [json.loads(line) | {"result": {"value": -1}} for line in lines]
    (tmp_path / "b.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, changed)).encode()))
    with Store(store) as kept:
        before = kept.table()
    assert unpack(tmp_path / "b.gz", store) == Unpacked(new=0, known=6)
    with Store(store) as kept:
        assert kept.table().equals(before)


LINE = {"evaluate": "a.b", "physics": {}, "point": {}, "seed": 0, "result": {}}


@pytest.mark.parametrize("line", [[], {}, LINE | {"evaluate": 1}, LINE | {"seed": -1}, LINE | {"physics": 1}])
def test_other_files_are_no_archives(tmp_path, line):
    (tmp_path / "a.gz").write_bytes(gzip.compress(json.dumps(line).encode()))
    with pytest.raises(ValueError, match="no archive of points"):
        unpack(tmp_path / "a.gz", tmp_path / "new.sqlite")


def test_an_old_archive_is_refused_with_the_reason(tmp_path):
    """Those of memlib 0.1 state no physics."""
    old = {name: value for name, value in LINE.items() if name != "physics"}
    (tmp_path / "a.gz").write_bytes(gzip.compress(json.dumps(old).encode()))
    with pytest.raises(ValueError, match=r"a\.gz: of memlib 0\.1, whose points had other fields"):
        unpack(tmp_path / "a.gz", tmp_path / "new.sqlite")
    assert not (tmp_path / "new.sqlite").exists()


def test_points_of_other_physics_stay_out_and_are_counted(tmp_path, monkeypatch, capsys):
    """A raised number of an effect keeps the points without it; what a store holds of before is packed as it was."""
    axes = {"a": [1], "b": [10, 20], "v0": [None, 0.5, 1.0], "log": [str(tmp_path / "log")]}
    sweep(axes, sweep_functions.record, tmp_path / "old.sqlite", seeds=range(2), jobs=1)
    monkeypatch.setitem(physics.EFFECTS, "iv", (2, ("v0",)))
    pack(tmp_path / "old.sqlite", tmp_path / "a.gz")
    found = unpack(tmp_path / "a.gz", tmp_path / "new.sqlite")
    assert (found.new, found.outdated) == (4, {"iv 1, now 2": 8})
    before = evaluations(tmp_path)
    sweep(axes, sweep_functions.record, tmp_path / "new.sqlite", seeds=range(2), jobs=1)
    assert evaluations(tmp_path) == before + 8
    monkeypatch.setattr(physics, "BASE", 2)
    assert main(["unpack", str(tmp_path / "a.gz"), str(tmp_path / "none.sqlite")]) == 0
    printed = capsys.readouterr()
    assert "0 points are new in" in printed.out
    assert "8 points are left out: other physics computed them (base 1, now 2; iv 1, now 2)" in printed.err


def test_on_the_command_line(store, tmp_path, capsys):
    assert main(["pack", str(store), str(tmp_path / "a.gz")]) == 0
    assert main(["unpack", str(tmp_path / "a.gz"), str(tmp_path / "new.sqlite")]) == 0
    assert "6 points in" in (out := capsys.readouterr().out)
    assert "6 points are new in" in out
    assert main(["pack", str(tmp_path / "none.sqlite"), str(tmp_path / "a.gz")]) == 1
    assert "none.sqlite: there is no such file" in capsys.readouterr().err


def test_only_an_archive_is_replaced(store, tmp_path):
    before = store.read_bytes()
    with pytest.raises(ValueError, match=r"first\.sqlite: is there already, and no archive"):
        pack(store, store)
    assert store.read_bytes() == before
    for _ in range(2):
        assert pack(store, tmp_path / "a.gz") == 6
