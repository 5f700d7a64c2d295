"""The command line for batch users: list, run, status, export and pack sweeps without opening a notebook."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from memlib.artifact.notebooks import RunError, checked_parameters, notebooks, study_of
from memlib.artifact.runner import assignment, target_preset
from memlib.base.files import project_root, write_whole
from memlib.evidence.intervals import seed_interval
from memlib.studies.registry import STUDIES
from memlib.studies.run import plan_of, store_of
from memlib.studies.study import PRESETS
from memlib.sweeps.archive import pack, unpack
from memlib.sweeps.engine import last_line
from memlib.sweeps.plan_file import file_plan
from memlib.sweeps.store import Store

EXAMPLES = """
a session:
  python -m memlib list                                  what there is to run, and how far it is
  python -m memlib run 05_tile_size --preset paper       evaluate its points; kill it, run it again: it goes on
  python -m memlib status                                from another terminal: how far, how long still, what failed
  python -m memlib export results/paper/05_tile_size.sqlite -o points.csv
  ./run_all.sh --preset paper --only 05                  draw the figure from the finished points

A sweep of your own is a TOML file (see `run --help`). On a cluster, add --scheduler tcp://ADDRESS:8786.
"""
RUN_HELP = """
SWEEP is the name of a notebook, or a TOML file such as:

  evaluate = "my_study:evaluate"     # (point: dict, seed: int) -> dict of numbers; my_study.py in this folder, or
                                     # installed; workers of --scheduler must find it too (PYTHONPATH)
  seeds = 10                         # or { width = 0.01, of = "accuracy" }: more seeds where the interval is wider
  store = "results/mine.sqlite"      # may be left out: results/<name of this file>.sqlite
  [axes]                             # all combinations are evaluated; or [[points]], a table for each point
  rows = [64, 128]
  adc_bits = [4, 6, 8]

Finished points are kept in a store (SQLite) and never evaluated again; add values, seeds or axes at any time.
"""


def list_sweeps(arguments: argparse.Namespace) -> int:
    """Print every notebook's stores."""
    rows = []
    for name in (name for name, study in STUDIES.items() if study.evaluate):
        others = {store.parent.name for store in (project_root() / "results").glob(f"*/{name}.sqlite")}
        for preset in [*PRESETS, *sorted(others - set(PRESETS))]:
            with Store(store_of(name, preset)) as store:
                found = store.status()
            where = store.path.relative_to(project_root())
            rows.append({"sweep": name, "preset": preset, **_state(found), "store": where})
    print(pd.DataFrame(rows).to_string(index=False))
    return 0


def run(arguments: argparse.Namespace) -> int:
    """Evaluate a sweep's points."""
    if arguments.sweep.endswith(".toml"):
        if arguments.parameter or arguments.preset:
            raise RunError("-p and --preset: only for the sweeps of notebooks; change the file instead")
        plan = file_plan(Path(arguments.sweep))
    else:
        path, preset, given = notebooks(arguments.sweep)[0], arguments.preset or "smoke", dict(arguments.parameter)
        target_preset(preset, given)
        plan = plan_of(study_of(path), checked_parameters(path, preset, given))
    table = plan.run(scheduler=arguments.scheduler, jobs=arguments.jobs, retry=arguments.retry)
    print(f"{len(table):,} points are finished, in {plan.store}")
    return 0


def status(arguments: argparse.Namespace) -> int:
    """Print how far stores are, and what failed."""
    paths = arguments.store or sorted((project_root() / "results").rglob("*.sqlite"))
    if not paths:
        raise RunError("no stores in results/; name one, or make one with: python -m memlib run 05_tile_size")
    for path in paths:
        if not path.exists():
            raise RunError(f"{path}: there is no such file")
        with Store(path) as store:
            found, failed = store.status(), store.table(failed=True)
        print(f"{path}\n  " + ", ".join(f"{name} {value}" for name, value in _state(found).items()))
        if arguments.errors:
            print(*failed["error"] if len(failed) else (), sep="\n")
        elif len(failed):
            _print_failed(failed)
    return 0


def _state(found: dict[str, Any]) -> dict[str, Any]:
    shown = {"finished": f"{found['finished']:,}", "failed": f"{found['failed']:,}", "last run": found["state"]}
    if "planned" not in found:
        return shown
    shown["last run"] += f" ({found['done']:,} of {found['planned']:,})"
    if found["state"].startswith("running") and found["done"]:
        left = (time.time() - found["started"]) / found["done"] * (found["planned"] - found["done"])
        left = f"{left / 60:.0f} min" if left > 90 else f"{max(left, 0):.0f} s"
        shown["last run"] += f", {left} left, {found['process']}"
    return shown


def _print_failed(failed: pd.DataFrame) -> None:
    """Each error once, with how often and where it came first."""
    messages = failed["error"].map(last_line)
    for message, group in failed.groupby(messages, sort=False):
        point = group.iloc[0].drop(["error", "evaluate"]).dropna()
        print(f"  {len(group):,} x {message}\n    first: {point[point.astype(str).str.len() < 64].to_dict()}")
    print("  tracebacks: --errors. To evaluate them again: run with --retry, or sweep(..., retry=True)")


def export(arguments: argparse.Namespace) -> int:
    """Write a store's points as CSV."""
    if not arguments.store.exists():
        raise RunError(f"{arguments.store}: there is no such file")
    with Store(arguments.store) as store:
        table = store.table(failed=arguments.failed)
    if arguments.interval:
        table = _intervals(table, arguments.interval)
    text = table.to_csv(index=False)
    if arguments.output:
        write_whole(arguments.output, text)
        print(f"{len(table):,} rows in {arguments.output}", file=sys.stderr)
    else:
        sys.stdout.write(text)
    return 0


def _intervals(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Mean and 95 % interval of a number over the device seeds of each point."""
    at = list(table).index("seed")
    fields, results = list(table)[:at], [n for n in list(table)[at + 1 :] if pd.api.types.is_numeric_dtype(table[n])]
    if column not in results:
        raise RunError(f"--interval {column}: must be one of the results: {', '.join(results)}")
    rows, points = [], pd.Series(table[fields].to_dict("records"))
    for _, group in table.groupby(points.map(repr), sort=False):  # pandas cannot group by lists
        i = seed_interval(group[column], constant=column != "accuracy")
        rows.append({**points[group.index[0]], column: i.mean, "low": i.low, "high": i.high, "n": i.n})
    return pd.DataFrame(rows)


def pack_points(arguments: argparse.Namespace) -> int:
    """Write a store's finished points to an archive."""
    print(f"{pack(arguments.store, arguments.archive):,} points in {arguments.archive}")
    return 0


def unpack_points(arguments: argparse.Namespace) -> int:
    """Add an archive's points to a store."""
    found = unpack(arguments.archive, arguments.store)
    print(f"{found.new:,} points are new in {arguments.store}")
    for numbers, count in found.outdated.items():
        print(f"{count:,} points are left out: other physics computed them ({numbers})", file=sys.stderr)
    return 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    style: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser(prog="python -m memlib", description=__doc__, epilog=EXAMPLES, **style)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Callable[..., int], text: str, **more: Any) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", **style, **more)
        sub.set_defaults(function=function)
        return sub

    command("list", list_sweeps, "list the sweeps of all notebooks, and how far they are")
    sub = command("run", run, "evaluate the points of a sweep that are not finished yet", epilog=RUN_HELP)
    sub.add_argument("sweep", metavar="SWEEP", help="name of a notebook, or a TOML file")
    sub.add_argument("--preset", choices=sorted(PRESETS), help="of a notebook: smoke (default; offline) or paper")
    sub.add_argument("--scheduler", metavar="tcp://...", help="a running Dask cluster (default: local processes)")
    sub.add_argument("--jobs", type=int, metavar="N", help="local processes (default: what cores and memory allow)")
    sub.add_argument("--retry", action="store_true", help="evaluate failed points again")
    sub.add_argument(
        "-p", "--parameter", type=assignment, action="append", default=[], metavar="NAME=VALUE",
        help="change a parameter of the notebook; add -p preset=NAME for a store of its own",
    )  # fmt: skip
    sub = command("status", status, "say how far stores are, how long a running sweep still takes, and what failed")
    sub.add_argument("store", type=Path, nargs="*", help="store files (default: all in results/)")
    sub.add_argument("--errors", action="store_true", help="print the traceback of every failed point")
    sub = command("export", export, "write the points of a store as CSV, a row per point and seed")
    sub.add_argument("store", type=Path, help="store file")
    sub.add_argument("-o", "--output", type=Path, metavar="FILE.csv", help="default: standard output")
    sub.add_argument("--failed", action="store_true", help="the failed points, with their tracebacks")
    sub.add_argument(
        "--interval", metavar="NUMBER",
        help="a row per point instead: mean of this result and its 95 %% interval (Student) over device seeds; the "
        "sampling of test images is not in it",
    )  # fmt: skip
    sub = command("pack", pack_points, "write the finished points of a store to an archive, to go on from elsewhere")
    sub.add_argument("store", type=Path, help="store file")
    sub.add_argument("archive", type=Path, metavar="FILE.jsonl.gz")
    sub = command("unpack", unpack_points, "add the points of an archive to a store, which is made if it is not there")
    sub.add_argument("archive", type=Path, metavar="FILE.jsonl.gz")
    sub.add_argument("store", type=Path, help="store file")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    arguments = _arguments(argv)
    try:
        return arguments.function(arguments)
    except (RuntimeError, OSError, ValueError, TypeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; finished points are kept, run again to go on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
