"""The strict runner: refuses before it runs, ends with a readable cause, and repeats nothing."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from memlib.artifact import programs, runner
from memlib.artifact.notebooks import notebooks, parameters_cell
from memlib.base.provenance import source_hashes
from memlib.evidence.claims import Statement, exactly
from memlib.studies.registry import MODULES, STUDIES

PARAMETERS = 'preset: str = "smoke"\nscale: float = 1.0\nsizes: list = [1, 2]'
BODY = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from example_study import STUDY
from memlib.studies.run import Run
Run(STUDY, globals()).finish()
__import__("matplotlib.pyplot").pyplot.close("all")
print("ran")
"""


def _write_notebook(path, parameters, body):
    first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}, id="a")
    cells = [first, nbformat.v4.new_code_cell(body, id="b")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one small notebook; returns a function that writes it again with another body."""
    (tmp_path / "run_all.sh").write_text("")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("MEMLIB_ROOT", str(tmp_path))
    for name in ("MEMLIB_PROGRESS", "MEMLIB_JOBS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # the runner sets them; undone after the test
    monkeypatch.setitem(MODULES, "07_example", "example_study")

    def write(body=BODY, parameters=PARAMETERS):
        _write_notebook(tmp_path / "notebooks/07_example.ipynb", parameters, body)

    write()
    return tmp_path, write


@pytest.mark.slow
def test_runs_once_skips_and_runs_again_when_something_changed(project, capsys):
    """Done, up to date with not a byte changed, then done again after the notebook, or an output, changed."""
    root, write = project
    states = []
    for step in range(4):
        if step == 2:
            write(BODY + "\n# changed")
        if step == 3:
            (root / "figures/smoke/07_example.json").unlink()
        before = sorted((p, p.read_bytes()) for p in root.rglob("*") if p.is_file()) if step == 1 else None
        assert runner.main([]) == 0
        if before:
            assert sorted((p, p.read_bytes()) for p in root.rglob("*") if p.is_file()) == before
        states.append("up to date" in capsys.readouterr().out)
    assert states == [False, True, False, False]
    report = (root / "figures/smoke/REPORT.md").read_text()
    assert "| 07_example | the scale is below 1 | refuted | 1 times | 0 | 0 |" in report


@pytest.mark.parametrize("name", STUDIES)
def test_all_sources_of_a_notebook_decide_whether_it_is_up_to_date(name, monkeypatch):
    """Those of its study, and of what evaluates its points and writes its tables."""
    (path,), hashed = notebooks(name), []
    monkeypatch.setattr(runner, "source_hashes", lambda modules: hashed.append(source_hashes(modules)) or len(hashed))
    assert runner._inputs_hash(path, {}) != runner._inputs_hash(path, {})
    study = f"{MODULES[name].removeprefix('memlib.').replace('.', '/')}.py"
    wanted = {study, "studies/run.py", "studies/figure_files.py", "sweeps/engine.py", "sweeps/store.py"}
    assert wanted <= set(hashed[0])


@pytest.mark.slow
def test_says_what_notebooks_took(project, capsys):
    """Seconds of the clock and of CPUs, of what the kernel started too, and the peak of the largest process."""
    root, write = project
    worker = "import time; start = time.process_time()\nwhile time.process_time() < start + 2: pass"
    write(f"{BODY}\nimport subprocess, sys\nassert not subprocess.call([sys.executable, '-c', {worker!r}])")
    assert runner.main([]) == 0
    taken = json.loads((root / "figures/smoke/timings.json").read_text())["07_example"]
    assert taken["seconds"] > 2
    assert taken["cpu_seconds"] > 2
    assert 2e7 < taken["memory"] < 2e9
    shown = f"{taken['seconds']:>7.1f} {taken['cpu_seconds']:>7.1f} {taken['memory'] / 1e9:>4.1f} GB "
    assert shown in capsys.readouterr().out


@pytest.mark.slow
def test_kept_outputs_are_the_same_each_time(project):
    """Text in one piece, however it was cut when it came, and without addresses in memory."""
    root, write = project
    write(f"{BODY}\nimport time\nprint('first', flush=True)\ntime.sleep(0.5)\nprint('last')\nobject()")
    path, kept = root / "notebooks/07_example.ipynb", []
    for _ in range(2):
        assert runner.main(["--keep-outputs"]) == 0
        cells = json.loads(path.read_text())["cells"]
        kept.append(cells[1]["outputs"])
        path.write_text(path.read_text().replace("scale: float = 1.0", "scale: float = 1.5"))  # run again
    assert kept[0] == kept[1]
    assert [output.get("text") for output in kept[0]] == [["ran\n", "first\n", "last\n"], None]
    assert kept[0][1]["data"]["text/plain"] == ["<object>"]


@pytest.mark.slow
def test_the_last_words_are_of_what_ran(project, capsys):
    """They count the claims of the notebooks asked for, run now or up to date; the report holds all."""
    root, _ = project
    claim = exactly(Statement("other", "of another", "scale"), 1.0, True).as_dict()
    (root / "figures/smoke").mkdir(parents=True)
    (root / "figures/smoke/08_other.json").write_text(json.dumps({"claims": [claim]}))
    for _ in range(2):
        assert runner.main(["--only", "07"]) == 0
        out = capsys.readouterr().out
        assert [line.split()[-4:] for line in out.splitlines() if line.startswith("07")] == [["0", "1", "0", "0"]]
        assert "figures as before this run: " in out
        assert "08_other" not in out
    assert "of another" in (root / "figures/smoke/REPORT.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "scael=2.0", "-p", "preset=mine"], "unknown parameter 'scael'; did you mean scale? (allowed: preset, "),
        (["-p", "scale=fast", "-p", "preset=mine"], "scale='fast': must be of type float, such as 1.0"),
        (["-p", "sizes=[1, 'x']", "-p", "preset=mine"], "sizes='x': must be of type int, such as 1"),
        (["-p", "scale=2.0"], "would mix with the preset's own results"),
        (["--only", "99"], "'99': no notebook's name starts so; there are 07_example"),
        (["--jobs", "-1"], "jobs=-1: must be a whole number at least 0"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_runs(project, capsys, arguments, message):
    """One line that names the field, the value and what is allowed; nothing is written."""
    root, _ = project
    assert runner.main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (root / "results").exists()
    assert not (root / "figures").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1 / 0", "07_example: ZeroDivisionError: division by zero"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "07_example: the kernel died"),
    ],
)
def test_a_failing_or_dying_kernel_ends_the_run(project, capsys, body, message):
    """Exit code 1 and the cause; the next run starts the notebook again."""
    _, write = project
    write(body)
    assert runner.main([]) == 1
    assert message in capsys.readouterr().err
    write()
    assert runner.main([]) == 0


@pytest.mark.slow
def test_a_notebook_whose_program_is_missing_is_left_out(project, capsys, monkeypatch):
    """Exit code 0, and a note, before and after, that says how to install it; an unknown program is an error."""
    root, _ = project
    path = root / "notebooks/07_example.ipynb"

    def needs(program):
        content = json.loads(path.read_text())
        content["metadata"]["memlib"] = {"programs": [program]}
        path.write_text(json.dumps(content))

    needs("ngspice")
    monkeypatch.setattr(programs.shutil, "which", lambda name: None)
    assert runner.main([]) == 0
    out, err = capsys.readouterr()
    for text in (out, err):
        assert (
            "note: 07_example is left out, as ngspice was not found; to install ngspice: Debian, Ubuntu: apt-get"
            in text
        )
    assert "07_example         left out" in out
    assert not (root / "figures/smoke/07_example.json").exists()
    monkeypatch.setattr(programs.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert runner.main([]) == 0
    assert (root / "figures/smoke/07_example.json").exists()
    needs("nothing")
    assert runner.main([]) == 1
    assert "needs 'nothing', which is not among ngspice" in capsys.readouterr().err


def test_parameters_cell_must_hold_typed_literals_only(project, capsys):
    _, write = project
    write(parameters="sizes: list = list(range(3))")
    assert runner.main([]) == 1
    assert "must hold lines such as 'images: int = 100' only" in capsys.readouterr().err


@pytest.mark.slow
def test_custom_parameters_land_in_a_folder_of_their_own(project):
    """-p changes a parameter without touching the preset's figures."""
    root, _ = project
    assert runner.main(["-p", "scale=3.5", "-p", "preset=mine"]) == 0
    assert json.loads((root / "figures/mine/07_example.json").read_text())["claims"][0]["effect"] == 3.5
    assert not (root / "figures/smoke").exists()


def test_notebook_cells_are_short():
    """At most 8 lines of code in a cell, except for the parameters."""
    for path in notebooks(None):
        for cell in nbformat.read(path, 4).cells:
            if cell.cell_type == "code" and "parameters" not in cell.metadata.get("tags", []):
                assert len(cell.source.splitlines()) <= 8


@pytest.mark.slow
def test_help_teaches():
    text = subprocess.run(
        [sys.executable, "-m", "memlib.artifact.runner", "--help"], capture_output=True, text=True
    ).stdout
    for word in ("--preset", "smoke", "paper", "--only", "--jobs", "--fresh", "NAME=VALUE"):
        assert word in text


def _small_notebooks(folder, bodies):
    """Notebooks with the names and parameters of studies, and these bodies: other processes know the studies."""
    for name, body in bodies.items():
        _write_notebook(folder / f"{name}.ipynb", parameters_cell(STUDIES[name]), body)


@pytest.mark.slow
def test_side_by_side_a_failing_notebook_is_the_last_that_starts(tmp_path, monkeypatch, capfd):
    """The one beside it is finished; once it is mended, only what is missing runs."""
    (tmp_path / "run_all.sh").write_text("")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("MEMLIB_ROOT", str(tmp_path))
    monkeypatch.delenv("MEMLIB_PROGRESS", raising=False)
    monkeypatch.setenv("MEMLIB_JOBS", "1")  # the runner sets it; undone after the test
    names = ("01_devices", "02_mapping", "03_networks")
    figure = "from memlib.studies.figure_files import folder_of\n(folder_of('smoke') / '{}.json').write_text('{{}}')"
    bodies = {name: figure.format(name) for name in names}
    bodies["02_mapping"] += "\nimport time\ntime.sleep(8)"  # so that the failure is known before it ends
    _small_notebooks(tmp_path / "notebooks", bodies | {"03_networks": "1 / 0"})
    assert runner.main(["--together", "2"]) == 1
    assert "error: 03_networks: ZeroDivisionError" in capfd.readouterr().err
    stamps = tmp_path / "results" / "smoke"
    assert [path.name for path in stamps.glob("*.stamp.json")] == ["02_mapping.stamp.json"]
    _small_notebooks(tmp_path / "notebooks", {"03_networks": bodies["03_networks"]})
    assert runner.main(["--together", "2"]) == 0
    lines = [line.split() for line in capfd.readouterr().out.splitlines() if line.startswith("0")]
    assert [line[:2] for line in lines] == [["01_devices", "done"], ["02_mapping", "up"], ["03_networks", "done"]]


@pytest.mark.slow
def test_plain_papermill_runs_a_notebook_from_any_folder(tmp_path, monkeypatch):
    """Figures land in the folder where it is called, for that is no project."""
    (path,) = notebooks("02")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEMLIB_ROOT", raising=False)
    few = "{preset: mine, tile_sizes: [128], checkpoints: [vgg8-digits]}"
    command = [sys.executable, "-m", "papermill", str(path), "out.ipynb", "-y", few, "--log-level=ERROR"]
    done = subprocess.run([*command, "-k", "python3", "--no-progress-bar"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "figures/mine/02_mapping_footprint.json").exists()
