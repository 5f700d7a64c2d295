"""Sweeps: points that are evaluated once, in parallel, and kept."""

import contextlib
import multiprocessing
from collections.abc import Callable, Iterable, Mapping as MappingType
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from memlib.base.checks import fail, one_of
from memlib.base.progress_bar import progress
from memlib.sweeps.adaptive_seeds import AdaptiveSeeds
from memlib.sweeps.cluster import SweepError, evaluate_tasks, jobs_asked_for
from memlib.sweeps.points import Axes, Evaluate, Point, Task, grid, tasks, text_of
from memlib.sweeps.store import Store

HOPELESS = 10  #: a run in which so many points failed, and none succeeded, ends at once

Seeds = Iterable[int] | Callable[[Point], Iterable[int]] | AdaptiveSeeds


def sweep(
    axes: Axes,
    evaluate: Evaluate,
    store: str | Path,
    seeds: Seeds = range(10),
    scheduler: str | None = None,
    jobs: int | None = None,
    retry: bool = False,
    errors: str = "raise",
) -> pd.DataFrame:
    """Evaluate every point at every seed, except those that the store already holds.

    A killed sweep goes on where it was; more values, points or seeds compute only what is new. A failed point stops no
    other, unless the first ten points all fail: it is kept with its error, and not evaluated again unless asked for.
    Worker processes import the main script: there, call this under `if __name__ == "__main__":`.

    Args:
        axes: lists of values by name, whose combinations are the points, or a list of points. Values are numbers,
            texts, True, False, None (the same as leaving the field out), or lists of these. Fields whose names end in
            "_label" are shown and decide nothing.
        evaluate: a function of a module (one that may move is `named`), called with a point (a dict) and a seed;
            returns a dict of numbers or texts. What else decides its result, such as a checkpoint's checksum, must be
            a field. A worker gets all seeds of a point in a row: keep what they share in a `functools.lru_cache`.
        store: SQLite file of finished points; see `memlib.sweeps.store`.
        seeds: the same device seeds for all points, a function of the point, or `AdaptiveSeeds`: more only where the
            interval is wider than asked.
        scheduler: address of a Dask scheduler, such as "tcp://10.0.0.1:8786"; None: MEMLIB_SCHEDULER, else a cluster
            of local processes.
        jobs: local worker processes, with one torch thread each; 1: in this process; None or 0: MEMLIB_JOBS, else as
            many as cores and memory allow.
        retry: evaluate points again that failed in an earlier run.
        errors: "raise" if points failed, after all others are finished; or "keep" them in the table, with their
            traceback in the column `error`.

    Returns:
        A row per point and seed, equal ones once, in the order of the axes and seeds: the point's fields, `seed`, and
        the result's fields.

    Raises:
        SweepError: if points failed, or the cluster did; run again to go on.
        StoreError: if the store cannot be used.
        ValueError: for axes, seeds or options that cannot be.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SweepError("a worker process runs this script again: put the sweep under if __name__ == '__main__':")
    one_of("errors", errors, ("raise", "keep"))
    points = _points_of(axes)
    with Store(store) as kept:
        finish = partial(_finish, retry=retry, store=kept, scheduler=scheduler, jobs=jobs_asked_for(jobs))
        if isinstance(seeds, AdaptiveSeeds):
            wanted = _grown(points, evaluate, seeds, kept, finish)
        else:
            wanted = tasks(points, evaluate, _seeds_of(seeds))
            finish(wanted)
        results, failed = kept.get(wanted)
    if failed and errors == "raise":
        raise _failure({wanted[key]: failed[key] for key in wanted if key in failed}, store)
    table = pd.DataFrame([_row(task, results.get(key), failed.get(key)) for key, task in wanted.items()])
    first = [*dict.fromkeys(name for point in points for name in point), "seed"]
    return table[[*first, *table.columns.difference(first, sort=False)]] if wanted else table


def _points_of(axes: Axes) -> list[Point]:
    if not isinstance(axes, Iterable) or isinstance(axes, str):
        fail("axes", axes, "lists of values by name, or a list of points")
    return grid(axes) if isinstance(axes, MappingType) else list(axes)


def _seeds_of(seeds: Iterable[int] | Callable[[Point], Iterable[int]]) -> Callable[[Point], Iterable[int]]:
    if callable(seeds):
        return seeds
    if not isinstance(seeds, Iterable):
        fail("seeds", seeds, "device seeds, such as range(10), a function of the point, or AdaptiveSeeds")
    common = list(seeds)
    return lambda point: common


def _grown(
    points: list[Point], evaluate: Evaluate, seeds: AdaptiveSeeds, store: Store, finish: Callable[..., None]
) -> dict[str, Task]:
    """The tasks, finished or failed, of points that get seeds until their intervals are narrow enough."""
    counts = {text_of(point): seeds.first for point in points}
    tried: set[str] = set()

    def seeds_by_now(point: Point) -> range:
        return range(counts[text_of(point)])

    while True:
        wanted = tasks(points, evaluate, seeds_by_now)
        finish({key: task for key, task in wanted.items() if key not in tried})
        tried |= set(wanted)
        results, _ = store.get(wanted)
        rows: dict[str, list[dict]] = {}
        for key, result in results.items():
            rows.setdefault(wanted[key].text, []).append(_row(wanted[key], result))
        # a point with failed seeds is left as it is
        more = {t: seeds.count(pd.DataFrame(found)) for t, found in rows.items() if len(found) == counts[t]}
        if all(count <= counts[text] for text, count in more.items()):
            return wanted
        counts |= more


def _finish(wanted: dict[str, Task], retry: bool, store: Store, **where: Any) -> None:
    if _missing(wanted, retry, store):
        with store.writing():
            # another sweep may have finished some before the lock was ours
            if left := _missing(wanted, retry, store):
                with store.run(left[0].evaluate, len(left)):
                    _evaluate(left, store, **where)


def _missing(wanted: dict[str, Task], retry: bool, store: Store) -> list[Task]:
    results, failed = store.get(wanted)
    skipped = {*results} if retry else {*results, *failed}
    return [task for key, task in wanted.items() if key not in skipped]


def _evaluate(left: list[Task], store: Store, scheduler: str | None, jobs: int) -> None:
    """Put every outcome into the store as it arrives; the order of evaluation decides nothing."""
    failed, done = 0, 0
    tried: set[str] = set()
    arriving = evaluate_tasks(left, scheduler, jobs)  # a cluster is up before the bar starts to count
    with contextlib.closing(arriving), progress(total=len(left), unit="points") as bar:
        for outcomes in arriving:
            store.put(outcomes)
            bar.update(len(outcomes))
            errors = [outcome.error for outcome in outcomes if outcome.error is not None]
            failed += len(errors)
            done += len(outcomes)
            tried |= {outcome.task.text for outcome in outcomes}
            if failed:
                bar.set_postfix(failed=failed)
            if failed == done and len(tried) >= HOPELESS:
                raise SweepError(
                    f"the first {len(tried)} points all failed, so the rest was not tried: {last_line(errors[0])}. To "
                    f"see them: python -m memlib status {store.path}. To try them again: retry=True"
                )


def _row(task: Task, result: dict[str, Any] | None, error: str | None = None) -> dict[str, Any]:
    return {**task.point, "seed": task.seed, **({"error": error} if result is None else result)}


def _failure(failed: dict[Task, str], store: str | Path) -> SweepError:
    task, error = next(iter(failed.items()))
    short = {name: value for name, value in task.point.items() if len(str(value)) < 64}  # checksums tell nothing
    others = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
    return SweepError(
        f"{last_line(error)} (point {short}, seed {task.seed}{others}); everything else is finished and kept. "
        f"To see what failed: python -m memlib status {store}. To try again: retry=True"
    )


def last_line(error: str) -> str:
    """The last line of a traceback."""
    return error.strip().splitlines()[-1]
