"""The command line: a sweep from a file or of a notebook, its state, its failures, and its points as CSV."""

import io
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from memlib.__main__ import main
from memlib.studies.registry import STUDIES
from memlib.studies.study import PRESETS
from memlib.sweeps.adaptive_seeds import AdaptiveSeeds
from memlib.sweeps.plan_file import file_plan
from memlib.sweeps.store import Store

FILE = """
evaluate = "sweep_functions:record"
seeds = 2
[axes]
a = [1, 2, 3]
b = [10, 20]
log = ["{log}"]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a sweep, in which commands are given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEMLIB_ROOT", str(tmp_path))
    monkeypatch.setenv("MEMLIB_JOBS", "1")
    (tmp_path / "mine.toml").write_text(FILE.format(log=tmp_path / "log"))
    return tmp_path


def test_run_status_and_export(folder, capsys):
    """Twelve points are evaluated once, counted, and written with or without intervals."""
    for _ in range(2):
        assert main(["run", "mine.toml"]) == 0
        assert "12 points are finished, in results/mine.sqlite" in capsys.readouterr().out
    assert len((folder / "log").read_text().splitlines()) == 12
    assert main(["status"]) == 0
    assert "finished 12, failed 0, last run ended (12 of 12)" in capsys.readouterr().out
    assert main(["export", "results/mine.sqlite", "-o", "points.csv"]) == 0
    table = pd.read_csv("points.csv")
    assert table[["a", "b", "seed", "sum"]].to_numpy().tolist() == [
        [a, b, s, a + b + s] for a in (1, 2, 3) for b in (10, 20) for s in range(2)
    ]
    capsys.readouterr()
    assert main(["export", "results/mine.sqlite", "--interval", "sum"]) == 0
    intervals = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert intervals["sum"].tolist() == [11.5, 21.5, 12.5, 22.5, 13.5, 23.5]
    assert (intervals["high"] - intervals["low"]).round(3).tolist() == [12.706] * 6  # twice t(0.975, 1) sd / sqrt 2
    assert intervals["n"].tolist() == [2] * 6


def test_failures_are_shown_and_retried(folder, capsys):
    """The error is told once with its number and place, in full on demand, and is gone after a retry with success."""
    (folder / "mine.toml").write_text((folder / "mine.toml").read_text() + "stubborn = [2]")
    assert main(["run", "mine.toml"]) == 1
    error = capsys.readouterr().err
    assert "error: OSError: not mended yet" in error
    assert "3 more" in error
    assert main(["status", "results/mine.sqlite"]) == 0
    output = capsys.readouterr().out
    assert "finished 8, failed 4" in output
    assert "4 x OSError: not mended yet\n    first: {'a': 2" in output
    assert "--retry" in output
    assert main(["status", "results/mine.sqlite", "--errors"]) == 0
    assert capsys.readouterr().out.count("Traceback") == 4
    assert main(["export", "results/mine.sqlite", "--failed", "-o", "failed.csv"]) == 0
    assert len(pd.read_csv("failed.csv")) == 4
    (folder / "log.mended").touch()
    assert main(["run", "mine.toml", "--retry"]) == 0
    assert main(["status"]) == 0
    assert "finished 12, failed 0" in capsys.readouterr().out


def test_list_shows_every_notebook_and_preset(folder, capsys):
    """With the state of its store; notebooks that evaluate no points are left out."""
    assert main(["list"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    swept = [name for name, study in STUDIES.items() if study.evaluate]
    assert [row[:4] for row in rows] == [[name, preset, "0", "0"] for name in swept for preset in PRESETS]
    assert "05_tile_size" in swept
    assert "02_mapping" not in swept


@pytest.mark.slow
def test_a_notebooks_points_are_run_without_it(folder, monkeypatch):
    """The parameters are the preset's with changes, checked against the notebook's own."""
    monkeypatch.delenv("MEMLIB_ROOT")
    monkeypatch.chdir(Path(__file__).parents[1])
    monkeypatch.setattr("memlib.studies.run.store_of", lambda name, preset: folder / f"{name}-{preset}.sqlite")
    small = ["-p", "images=10", "-p", "claim_images=10", "-p", "tile_rows=[64]", "-p", "adc_bits=[8]"]
    small += ["-p", "checkpoints=['vgg8-digits']", "-p", "d2d=[0.0]", "-p", "states=[0, 4]", "-p", "stuck_on=[0.0]"]
    assert main(["run", "05_tile_size", "-p", "preset=mine", *small, "-p", "stuck_off=[0.0]"]) == 0
    with Store(folder / "05_tile_size-mine.sqlite") as store:
        table = store.table()
    assert len(table) == 2 + 3 * 9  # the figure's two; nine claim points, all random, on three chips
    assert set(table["evaluate"]) == {"accuracy"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("evaluate = ", "bad.toml: cannot be read as a sweep"),
        ("speed = 3", "bad.toml: field='speed': must be one of 'evaluate', 'axes', 'points', 'seeds', 'store'"),
        ("seeds = 3", "bad.toml: must have 'evaluate', and either"),
        ("evaluate = 'a:b'\n[axes]\nx = 3", "bad.toml: axes.x=3: must be a list of values"),
        ("evaluate = 'sweep_functions:digest'\nseeds = 0\n[axes]\n", "bad.toml: seeds=0: must be a number of seeds"),
        ("evaluate = 'sweep_functions:x'\n[axes]\n", "evaluate='sweep_functions:x': must be an importable"),
        ("evaluate = 'sweep_functions:digest'\nseeds = { wide = 1 }\n[axes]\n", "AdaptiveSeeds(wide=1): unknown field"),
    ],
)
def test_wrong_files_are_refused(folder, capsys, text, message):
    (folder / "bad.toml").write_text(text)
    assert main(["run", "bad.toml"]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "none.toml"], "none.toml: cannot be read as a sweep"),
        (["run", "mine.toml", "--preset", "paper"], "-p and --preset: only for the sweeps of notebooks"),
        (["status", "none.sqlite"], "none.sqlite: there is no such file"),
        (["status"], "no stores in results/"),
        (["export", "none.sqlite"], "none.sqlite: there is no such file"),
        (["export", "mine.toml"], "mine.toml: cannot be used as a store"),
        (["run", "mine.toml", "--jobs", "-3"], "jobs=-3: must be a whole number at least 0"),
    ],
)
def test_wrong_arguments_are_refused(folder, capsys, arguments, message):
    """One line on stderr, exit code 1, and nothing is written."""
    before = sorted(folder.iterdir())
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_files_may_list_points_and_ask_for_a_width(folder):
    """[[points]] instead of [axes], seeds as a table or a list, a store of one's own."""
    (folder / "points.toml").write_text("""
evaluate = "sweep_functions:digest"
seeds = { width = 0.5, of = "half" }
store = "here.sqlite"
[[points]]
a = 1
[[points]]
a = 5
""")
    plan = file_plan(folder / "points.toml")
    assert plan.parts == (([{"a": 1}, {"a": 5}], AdaptiveSeeds(0.5, "half")),)
    assert plan.store == Path("here.sqlite")


@pytest.mark.slow
def test_help_teaches():
    for command, words in ((), ("memlib list", "memlib status", "--scheduler")), (("run",), ("[axes]", "--retry")):
        text = subprocess.run(
            [sys.executable, "-m", "memlib", *command, "--help"], capture_output=True, text=True
        ).stdout
        assert all(word in text for word in words)
