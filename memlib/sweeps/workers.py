"""The workers' part: evaluate tasks with one torch thread, and send outcomes to the driver at once."""

import contextlib
import ctypes
import functools
import os
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memlib.base.canonical import dumps, dumps_field
from memlib.base.provenance import fingerprint
from memlib.sweeps.points import Task, code_of, import_function
from memlib.sweeps.store import Outcome

SEND_SECONDS = 0.1  #: how long an outcome may wait for others to be sent with, s
#: glibc's malloc parameters (M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, of <malloc.h>) that make a worker keep what
#: it frees, instead of giving it back to the system after every layer, as Dask asks its workers to: 34 instead of 85 s
#: for the smoke points of 05_tile_size on one worker.
MALLOC = {-1: 2**31 - 1, -2: 2**26, -3: 2**30}
#: Where data are: the driver's folder if the worker has it too, else what the worker was started with.
FOLDERS = ("MEMLIB_ROOT", "MEMLIB_DATA")
STARTED_WITH = {name: os.environ[name] for name in FOLDERS if name in os.environ}


class UnfitWorkerError(RuntimeError):
    """A worker might compute something else than the driver; the message says why, and what to do."""


def evaluate_task(task: Task) -> Outcome:
    """Evaluate one task; an error is an outcome too."""
    start = time.perf_counter()
    result, error = None, None
    try:
        result = dumps(_checked(task, import_function(task.function)(task.point, task.seed)))
    except Exception:
        # what UTF-8 cannot say, such as a broken file name, could not be sent or kept
        result, error = None, traceback.format_exc().encode("utf-8", "backslashreplace").decode()
    return Outcome(task, result, error, time.perf_counter() - start)


def _checked(task: Task, result: Any) -> dict[str, Any]:
    if not isinstance(result, dict):
        raise TypeError(f"{task.function} returned {type(result).__name__}; it must return a dict")
    for name, value in result.items():
        if not isinstance(name, str):
            raise TypeError(f"{task.function} returned a field {name!r}; its name must be a text")
        dumps_field(f"{task.function}: result[{name!r}]", value)
        if name in ("seed", "error", "evaluate") or name in task.point:
            raise ValueError(f"{task.function} returned a field {name!r}, which the point has too")
    return result


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one torch thread; where Dask's workers have not imported torch yet, their environment says so."""
    if "torch" not in sys.modules and os.environ.get("OMP_NUM_THREADS") == "1":
        yield
        return
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


_code_at_import = functools.lru_cache(code_of)  #: the `code_of` a function when it was first asked for here


def evaluate_chunk(tasks: list[Task], run: str, chunk: str, wanted: str, code: str, folders: dict[str, str]) -> None:
    """On a worker: evaluate tasks of one function, and send outcomes to the driver as they come.

    Args:
        run: topic of the messages.
        chunk: key of these tasks' future.
        wanted: the driver's `fingerprint`.
        code: the driver's `code_of` the function.
        folders: the driver's, by name of environment variable.

    Raises:
        UnfitWorkerError: if the worker might compute something else than the driver.
        ValueError: if the worker cannot import the function.
    """
    from distributed import get_worker

    def is_wanted() -> bool:
        state = get_worker().state.tasks.get(chunk)
        return state is not None and state.state == "executing"

    if (threads := get_worker().state.nthreads) != 1:  # torch's number of threads belongs to the process
        raise UnfitWorkerError(
            f"it has {threads} threads, and only one gives the same results everywhere: --nthreads 1"
        )
    if fingerprint() != wanted:
        raise UnfitWorkerError(
            f"its environment differs from the driver's: {fingerprint()} instead of {wanted}; install the same packages"
        )
    if _code_at_import(tasks[0].function) != code:
        raise UnfitWorkerError(
            f"the file of {tasks[0].function} changed since the worker imported it; restart the workers"
        )
    os.environ["MEMLIB_PROGRESS"] = os.devnull  # the driver's bar is the one to be seen
    _use_folders(folders)
    _keep_freed_memory()
    outcomes, sent = [], time.monotonic()
    with one_thread():
        for position, task in enumerate(tasks):
            if not is_wanted():  # the driver was interrupted, or killed
                return
            outcome = evaluate_task(task)
            outcomes.append((position, outcome.result, outcome.error, outcome.seconds))
            if time.monotonic() - sent > SEND_SECONDS or position == len(tasks) - 1:
                get_worker().log_event(run, {"chunk": chunk, "outcomes": outcomes})
                outcomes, sent = [], time.monotonic()


def _use_folders(folders: dict[str, str]) -> None:
    for name in FOLDERS:
        os.environ.pop(name, None)
        here = name in folders and Path(folders[name]).is_dir()
        os.environ |= {name: folders[name]} if here else {k: v for k, v in STARTED_WITH.items() if k == name}


@functools.lru_cache
def _keep_freed_memory() -> None:
    """Once per worker process, where its C library is glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", lambda *_: None)
    for parameter, value in MALLOC.items():
        mallopt(parameter, value)
