"""The runner: executes the notebooks, strictly.

    python -m memlib.artifact.runner --preset smoke --only 05

Unknown or mistyped parameters are refused before anything runs; a failing or dying kernel ends the run with exit code 1
and its cause. A notebook whose inputs and outputs are unchanged is skipped. A line for each notebook closes the run.
"""

import argparse
import ast
import functools
import hashlib
import itertools
import json
import multiprocessing
import os
import platform
import re
import sys
import threading
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path
from typing import Any

from memlib.artifact.closing import Row, closing, reference
from memlib.artifact.notebooks import RunError, checked_parameters, keep_outputs, notebooks, study_of
from memlib.artifact.programs import left_out
from memlib.artifact.report import write_report
from memlib.artifact.usage import measured
from memlib.base.checks import whole
from memlib.base.files import project_root, write_whole
from memlib.base.progress_bar import note, progress
from memlib.base.provenance import source_hashes, versions
from memlib.studies.run import modules_of
from memlib.studies.study import PRESETS
from memlib.sweeps.cluster import what_fits

NOTEBOOK_MEMORY = 2.4e9  #: what a notebook of the smoke preset may need, with the process that runs it, B


def run_notebook(path: Path, preset: str, given: dict[str, Any], fresh: bool) -> Row:
    """Execute one notebook unless it is up to date; its row of the closing table. Raises RunError if it fails."""
    parameters = checked_parameters(path, preset, given)
    preset = parameters["preset"]
    folder = project_root() / "results" / preset
    folder.mkdir(parents=True, exist_ok=True)
    stamp = folder / f"{path.stem}.stamp.json"
    inputs = _inputs_hash(path, parameters)
    if not fresh and _up_to_date(stamp, inputs):
        return Row(path.stem, "up to date")
    stamp.unlink(missing_ok=True)
    with measured() as usage:
        _execute(path, folder / path.name, parameters)
    figures = sorted((project_root() / "figures" / preset).glob(f"{path.stem}*"))
    outputs = {str(file.relative_to(project_root())): _hash(file) for file in figures}
    write_whole(stamp, json.dumps({"inputs": inputs, "outputs": outputs}, indent=1) + "\n")
    return Row(path.stem, "done", usage)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _inputs_hash(path: Path, parameters: dict[str, Any]) -> str:
    """What a notebook depends on: itself, parameters, the sources of its study, networks, libraries, data files."""
    from memlib.zoo.checkpoints import CHECKPOINTS as WEIGHTS

    networks = {file.name: _hash(file) for file in sorted(WEIGHTS.iterdir())}
    root = Path(os.environ.get("MEMLIB_DATA") or project_root() / "data" / "cifar-10-batches-py")
    files = [file for file in sorted(root.rglob("*")) if file.is_file()] if "cifar10" in str(parameters) else []
    data = [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    cells = [[cell["source"], cell.get("metadata")] for cell in json.loads(path.read_text())["cells"]]
    sources = source_hashes(modules_of(study_of(path)))
    content = [cells, parameters, platform.python_version(), versions(), sources, networks, data]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _up_to_date(stamp: Path, inputs: str) -> bool:
    kept = _read_json(stamp)
    outputs = {project_root() / name: digest for name, digest in kept.get("outputs", {}).items()}
    unchanged = all(path.exists() and _hash(path) == digest for path, digest in outputs.items())
    return kept.get("inputs") == inputs and bool(outputs) and unchanged


def _read_json(path: Path) -> dict[str, Any]:
    """The content of a file that only saves time; empty if it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def _execute(source: Path, target: Path, parameters: dict[str, Any]) -> None:
    """Run a notebook by papermill in its own folder, with one torch thread, and its progress bars on our stderr."""
    import papermill
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    bars = target.with_suffix(".progress")
    bars.write_text("")
    os.environ |= {"MEMLIB_PROGRESS": str(bars), "MEMLIB_ROOT": str(project_root())}
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = threading.Event()
    mirror = threading.Thread(target=_mirror, args=(bars, done))
    mirror.start()
    try:
        # 50: critical only. As an error (40), a kernel logs that it was interrupted whenever it is shut down
        quiet = {"kernel_name": "python3", "progress_bar": False, "extra_arguments": ["--log-level=50"]}
        papermill.execute_notebook(source, target, parameters, cwd=source.parent, **quiet)
    except PapermillExecutionError as error:
        said = re.sub(r"\x1b\[[0-9;]*m", "", str(error.evalue)).strip().replace("\n", " ")  # without colours
        raise RunError(f"{source.stem}: {error.ename}: {said} (cell {error.exec_count}; see {target})") from error
    except DeadKernelError as error:
        raise RunError(f"{source.stem}: the kernel died, out of memory or killed; finished points are kept") from error
    except (NoSuchKernel, OSError) as error:
        raise RunError(f"{source.stem}: {error}") from error
    finally:
        done.set()
        mirror.join()
        bars.unlink(missing_ok=True)


def _mirror(path: Path, done: threading.Event) -> None:
    """Copy what appears in a file to stderr until `done`."""
    with path.open() as file:
        while True:
            text = file.read()
            if text:
                sys.stderr.write(text)
                sys.stderr.flush()
            elif done.wait(0.3):
                if file.tell():
                    sys.stderr.write("\n")  # a bar ends without one
                return


def assignment(text: str) -> tuple[str, Any]:
    """Name and value of an argument NAME=VALUE; a value that is no literal is a text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r}: must be NAME=VALUE, such as images=200 or adc_bits=[4,8]")
    try:
        return name.strip(), ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        return name.strip(), value.strip()


def target_preset(preset: str, given: dict[str, Any]) -> str:
    """The name under which results are kept: the preset's, or another by -p preset=NAME.

    Raises RunError for a name that is no folder's, or other parameters than a preset's under its name.
    """
    target = given.get("preset", preset)
    if not isinstance(target, str) or not re.fullmatch(r"[\w-]+", target):
        raise RunError(f"-p preset={target!r}: must be a name of letters, digits, '_' and '-'")
    if given and target in PRESETS:
        raise RunError("-p: would mix with the preset's own results; add -p preset=NAME, which keeps them apart")
    return target


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run_all.sh", description="Regenerate figures, tables and claims.")
    add, number = parser.add_argument, dict[str, Any](type=int, default=0, metavar="N")
    add("--preset", choices=sorted(PRESETS), default="smoke", help="smoke: offline, small; paper: CIFAR-10")
    add("--only", metavar="05", help="only notebooks that start so; several separated by commas")
    add("--jobs", **number, help="worker processes (default: what cores and memory allow)")
    add("--together", **number, help="notebooks at a time (default: 1; smoke: what fits)")
    add("--scheduler", metavar="tcp://...", help="evaluate points on this Dask cluster instead of local processes")
    add("--keep-outputs", action="store_true", help="smoke only: keep the outputs in notebooks/ too")
    add("--fresh", action="store_true", help="run notebooks again though nothing changed (points are kept)")
    more = "change a parameter of the notebooks run; the preset's name then must be changed too: -p preset=mine"
    add("-p", "--parameter", type=assignment, action="append", default=[], metavar="NAME=VALUE", help=more)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    arguments = _arguments(argv)
    given = dict(arguments.parameter)
    try:
        whole("jobs", arguments.jobs, 0)
        whole("together", arguments.together, 0)
        if arguments.jobs:
            os.environ["MEMLIB_JOBS"] = str(arguments.jobs)
        if arguments.scheduler:
            os.environ["MEMLIB_SCHEDULER"] = arguments.scheduler
        target = target_preset(arguments.preset, given)
        if arguments.keep_outputs and target != "smoke":
            raise RunError("--keep-outputs: only with the smoke preset, whose outputs the notebooks carry")
        chosen = notebooks(arguments.only)
        for path in chosen:  # all are checked before any runs
            checked_parameters(path, arguments.preset, given)
        folder = project_root() / "figures" / target
        before = reference(folder)
        rows = _run_all(chosen, arguments, given)
        write_report(target)
    except (RunError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; finished points are kept, run again to go on", file=sys.stderr)
        return 130
    _keep_timings(rows, folder / "timings.json")
    print(f"\n{closing(rows, folder, before)}")
    return 0


def _run_all(chosen: list[Path], arguments: argparse.Namespace, given: dict[str, Any]) -> list[Row]:
    """The notebooks' rows of the closing table. Several run at a time, each in a process of its own, without workers.

    Raises RunError if one fails; those that run then are finished, and no other is started.
    """
    run = functools.partial(_run_or_leave_out, arguments=arguments, given=given)
    together = min(_together(arguments), len(chosen))
    if together == 1:
        return [run(path) for path in chosen]
    os.environ["MEMLIB_JOBS"] = "1"
    # the first notebooks are the quickest: they come last, and none runs alone for long at the end
    waiting, running, rows = reversed(chosen), dict[Future[Row], str](), dict[str, Row]()
    pool = ProcessPoolExecutor(together, multiprocessing.get_context("spawn"), _silence)
    with pool, progress(total=len(chosen), unit="notebooks") as bar:
        while len(rows) < len(chosen):
            for path in itertools.islice(waiting, together - len(running)):
                running[pool.submit(run, path)] = path.stem
            bar.set_description(", ".join(running.values()))
            done = next(iter(wait(running, return_when=FIRST_COMPLETED).done))
            name = running.pop(done)
            try:
                rows[name] = done.result()
            except BrokenExecutor as error:
                names = " or ".join([name, *running.values()])
                raise RunError(f"{names}: its process was killed, for memory? Finished points are kept") from error
            except RunError:
                note(f"{name} failed" + (f"; waiting for {', '.join(running.values())}" if running else ""))
                raise
            note(f"{name}: {rows[name].state}")
            bar.update()
    return [rows[path.stem] for path in chosen]


def _together(arguments: argparse.Namespace) -> int:
    """How many notebooks run at a time: those of the smoke preset have too few points to keep many workers busy."""
    if arguments.together or arguments.preset != "smoke":
        return arguments.together or 1
    workers = arguments.jobs or arguments.scheduler or any(map(os.environ.get, ("MEMLIB_JOBS", "MEMLIB_SCHEDULER")))
    return 1 if workers else what_fits(NOTEBOOK_MEMORY)


def _silence() -> None:
    """The bars of notebooks that run at a time would overwrite each other."""
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _run_or_leave_out(path: Path, arguments: argparse.Namespace, given: dict[str, Any]) -> Row:
    if why := left_out(path):
        print(f"note: {why}", file=sys.stderr, flush=True)
        return Row(path.stem, "left out", why=why)
    print(f"{path.stem} ...", file=sys.stderr, flush=True)
    row = run_notebook(path, arguments.preset, given, arguments.fresh)
    if arguments.keep_outputs:
        keep_outputs(path)
    return row


def _keep_timings(rows: list[Row], path: Path) -> None:
    """Write the resources of the notebooks that ran now, beside those of earlier runs."""
    taken = {row.notebook: asdict(row.usage) for row in rows if row.usage}
    rounded = {name: {key: round(value, 1) for key, value in usage.items()} for name, usage in taken.items()}
    write_whole(path, json.dumps(_read_json(path) | rounded, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    from memlib.artifact.runner import main as imported  # the name by which other processes know what it sends

    sys.exit(imported())
