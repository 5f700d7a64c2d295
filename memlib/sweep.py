"""Sweeps: points that are evaluated once, in parallel, and kept."""

import contextlib
import functools
import hashlib
import itertools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping as MappingType, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from memlib.progress import progress
from memlib.store import Store, dumps
from memlib.validate import fail, whole

Point = dict[str, Any]
Evaluate = Callable[[Point, int], dict[str, Any]]
Tasks = dict[str, tuple[Point, int]]

#: Part of every point's key. From the first release on, raise a module's number when its results change, and only then.
PHYSICS = {
    "streams": 1,
    "device": 1,
    "mapping": 1,
    "tile": 1,
    "layers": 1,
    "calibration": 1,
    "analog": 1,
    "accuracy": 1,
    "data": 1,
    "networks": 1,
}


class SweepError(RuntimeError):
    """A point failed or a worker died; everything finished is kept."""


def grid(axes: MappingType[str, Sequence[Any]]) -> list[Point]:
    """All combinations of the axes' values."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def point_key(evaluate: Evaluate, point: Point, seed: int) -> str:
    """Content hash of everything that decides a result; a field that is None counts as left out."""
    content = {
        "evaluate": f"{evaluate.__module__}.{evaluate.__qualname__}",
        "point": {name: value for name, value in point.items() if value is not None},
        "seed": seed,
        "physics": PHYSICS,
    }
    return hashlib.sha256(dumps(content).encode()).hexdigest()


def sweep(
    axes: MappingType[str, Sequence[Any]] | Sequence[Point],
    evaluate: Evaluate,
    store: str | Path,
    seeds: Iterable[int] | Callable[[Point], Iterable[int]] = range(10),
    jobs: int | None = None,
) -> pd.DataFrame:
    """Evaluate every point at every seed, but none that the store already holds.

    Args:
        axes: lists of values by name, or a list of points; values must be JSON scalars.
        evaluate: an importable function of a point and a seed that returns a dict of numbers or strings. What else
            decides its result, such as a checkpoint's checksum, must be part of the point.
        store: file of finished points; a killed sweep goes on where it was.
        seeds: the same for all points, or a function of the point.
        jobs: worker processes, each with one torch thread; 1: in this process; None or 0: MEMLIB_JOBS, else one per
            core.

    Returns:
        A row per point and seed, equal ones once, in the order of the axes: the point's fields, `seed`, and the
        result's fields.

    Raises:
        SweepError: if a point fails or a worker dies; run again to go on.
        StoreError: if the store cannot be used.
    """
    points = grid(axes) if isinstance(axes, MappingType) else list(axes)
    common = None if callable(seeds) else list(seeds)
    tasks: Tasks = {}
    for point in points:
        for seed in seeds(point) if common is None else common:
            tasks.setdefault(point_key(evaluate, point, seed), (point, seed))
    kept = Store(store)
    try:
        results = kept.get(tasks)
        missing = {key: task for key, task in tasks.items() if key not in results}
        if missing:
            _evaluate(missing, evaluate, kept, results, _jobs(jobs, len(missing)))
    finally:
        kept.close()
    return pd.DataFrame([{**point, "seed": seed, **results[key]} for key, (point, seed) in tasks.items()])


def _jobs(jobs: int | None, tasks: int) -> int:
    set_by_environment = os.environ.get("MEMLIB_JOBS") or "0"
    if not set_by_environment.isdigit():
        fail("MEMLIB_JOBS", set_by_environment, "a whole number, or unset")
    jobs = jobs or int(set_by_environment) or os.cpu_count() or 1
    whole("jobs", jobs, 1)
    return min(jobs, tasks)


def _evaluate(missing: Tasks, evaluate: Evaluate, store: Store, results: dict, jobs: int) -> None:
    """Fill `results` and the store; the order of evaluation decides nothing."""
    outcomes = _in_process(missing, evaluate) if jobs == 1 else _in_workers(missing, evaluate, jobs)
    with contextlib.closing(outcomes) as finished, progress(total=len(missing), unit="points") as bar:
        for key, outcome in finished:
            point, seed = missing[key]
            try:
                results[key] = outcome()
            except BrokenProcessPool as error:
                raise SweepError(
                    "a worker process died (out of memory, or killed); finished points are kept"
                ) from error
            except Exception as error:
                short = {k: v for k, v in point.items() if len(str(v)) < 64}  # checksums tell a reader nothing
                name, text = type(error).__name__, str(error)
                raise SweepError(f"{name}: {text} (point {short}, seed {seed})") from error
            store.put(key, {**point, "seed": seed}, results[key])
            bar.update()


def _in_process(missing: Tasks, evaluate: Evaluate) -> Iterator[tuple[str, Callable[[], dict]]]:
    """Yield each key with a function that evaluates it here, with one torch thread as in a worker."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for key, (point, seed) in missing.items():
            yield key, functools.partial(evaluate, point, seed)
    finally:
        torch.set_num_threads(threads)


def _in_workers(missing: Tasks, evaluate: Evaluate, jobs: int) -> Iterator[tuple[str, Callable[[], dict]]]:
    """Yield each key, as it is finished, with a function that returns or raises its outcome."""
    context = multiprocessing.get_context("spawn")  # a fork would inherit torch's thread pools half-alive
    pool = ProcessPoolExecutor(jobs, context, initializer=_start_worker)
    try:
        futures = {pool.submit(evaluate, point, seed): key for key, (point, seed) in missing.items()}
        for future in as_completed(futures):
            yield futures[future], future.result
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """One torch thread; and a worker whose parent was killed ends too, instead of waiting for work for ever."""
    torch.set_num_threads(1)

    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
