"""run_all.sh in a folder and an environment of its own, whose pip and modules only print."""

import os
import pty
import re
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from memlib.base.files import project_root

PIP = """
import sys, time
if "install" in sys.argv:
    print("Collecting torch==2.13.0 (from -r requirements.lock (line 1))")
    print("  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (887.9 MB)", flush=True)
    print("WARNING: nothing to worry about", file=sys.stderr, flush=True)
    time.sleep(0.1)
    print("Installing collected packages: numpy, torch", flush=True)
    {end}
"""


@pytest.fixture
def folder(tmp_path):
    """A copy of the project whose modules print their names and arguments; its environment is .venv in it."""
    for name in ("run_all.sh", "requirements.lock", "pyproject.toml"):
        shutil.copy(project_root() / name, tmp_path)
    for module in ("memlib/zoo/torchvision_import", "memlib/artifact/runner", "ruff", "mypy", "pytest"):
        (tmp_path / module).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{module}.py").write_text("import sys; print(__spec__.name, sys.argv[1:])")
    venv.create(tmp_path / ".venv")
    set_pip(tmp_path)
    return tmp_path


def set_pip(folder: Path, end: str = "pass") -> None:
    """The environment's pip prints a few lines and ends so."""
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / ".venv")}))
    (site / "pip").mkdir(exist_ok=True)
    (site / "pip" / "__main__.py").write_text(PIP.format(end=end))


def run(folder: Path, *arguments: str, status: int = 0, output: int = subprocess.PIPE, **environment: str) -> str:
    """What run_all.sh prints, errors included."""
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)} | environment
    command = ["bash", "run_all.sh", *arguments]
    done = subprocess.run(command, cwd=folder, env=variables, stdout=output, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == status, done.stdout
    return done.stdout


def test_environment_is_set_up_once(folder):
    """Packages, then torchvision, then the command with its options; the next time, the command alone."""
    command = "memlib.artifact.runner ['--only', '05']\n"
    *first, torchvision, ready, last = run(folder, "--only", "05").splitlines(keepends=True)
    assert (first[1:], torchvision, last) == ([], "memlib.zoo.torchvision_import []\n", command)
    assert ready.startswith("The environment is ready after ")
    assert run(folder, "reproduce", "--only", "05") == command


def test_quick(folder):
    """Style, types and what is not marked as slow."""
    *_, style, form, types, tests = run(folder, "test", "--quick").splitlines()
    assert (style, form, types) == ("ruff ['check', '.']", "ruff ['format', '--check', '.']", "mypy []")
    assert tests.startswith("pytest [")
    assert tests.endswith("'-m', 'not slow']")


def test_pip_fails(folder):
    """Its error is passed on, the warning is not; the next run tries again."""
    set_pip(folder, "print('ERROR: the disk is', end=' ', flush=True); time.sleep(1.2); sys.exit('full')")
    printed = run(folder, status=1)
    assert "ERROR: the disk is full\nrun_all.sh: pip could not install the packages" in printed
    assert "worry" not in printed
    set_pip(folder)
    assert "The environment is ready after " in run(folder)


@pytest.mark.parametrize(("variable", "moves"), [("LANG", True), ("NO_COLOR", False)])
def test_a_terminal_shows_what_pip_does(folder, variable, moves):
    """In one line that is written over; NO_COLOR asks for none of that."""
    reader, writer = pty.openpty()
    run(folder, output=writer, TERM="xterm", **{variable: "C"})
    os.close(writer)
    shown = os.read(reader, 2**16).decode()
    os.close(reader)
    for line in (r"Downloading torch-2.13.0 \(887.9 MB\)", "Installing packages, 0 of 2 done"):
        assert bool(re.search(rf"\r\x1b\[K{line} \(\d+ s\)\r\x1b\[K", shown)) is moves


@pytest.mark.parametrize("arguments", [["tests"], ["test", "--fast"], ["test", "--quick", "-x"]])
def test_what_is_not_understood(folder, arguments):
    """Is refused before anything is installed."""
    assert "run_all.sh: " in run(folder, *arguments, status=2)


@pytest.mark.parametrize("home", ["writable", "missing"])
def test_home(folder, home):
    """What would be written to a home that cannot be written goes to results/."""
    (folder / "writable").mkdir()
    run(folder, HOME=str(folder / home))
    assert (folder / "results/.home/IPYTHONDIR").is_dir() is (home == "missing")
