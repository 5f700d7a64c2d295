"""Where tasks are evaluated: in this process, or by the workers of a dask.distributed cluster.

Tasks reach workers in chunks of about a second, all seeds of a point together, so that what seeds share is done once
(see `evaluate` of `memlib.sweep`) and cheap points cost little. Outcomes do not wait for the end of their chunk: they
are sent on within a tenth of a second. Every worker computes with one torch thread, so that results are the same
everywhere, bit for bit.
"""

import contextlib
import itertools
import logging
import math
import os
import queue
import time
import traceback
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from memlib.identity import fingerprint
from memlib.points import Task, dumps, import_function
from memlib.progress import note
from memlib.store import Outcome
from memlib.validate import fail, whole

#: The name under which workers send outcomes to the driver.
TOPIC = "memlib"
#: How long a chunk should take, and how long an outcome may wait for others to be sent with, s.
CHUNK_SECONDS, SEND_SECONDS = 1.0, 0.1
#: Chunks per worker: one that runs, and one that waits so that the worker never does.
CHUNKS_PER_WORKER = 2
#: What a worker process may need; a local cluster has as many workers as fit, B.
WORKER_MEMORY = 1.2e9
CONNECT_SECONDS = 20
#: Where workers find data, unless their own environment says so; only folders that are there count.
FOLDERS = ("MEMLIB_ROOT", "MEMLIB_DATA")
OWN_ENVIRONMENT = {name: os.environ[name] for name in FOLDERS if name in os.environ}


class SweepError(RuntimeError):
    """Points failed, or the cluster did; the message says what to do. Everything finished is kept."""


def evaluate_task(task: Task) -> Outcome:
    """Evaluate one task; an error is an outcome too."""
    start = time.perf_counter()
    result, error = None, None
    try:
        result = dumps(_checked(task, import_function(task.evaluate)(task.point, task.seed)))
    except Exception:
        result, error = None, traceback.format_exc()
    return Outcome(task, result, error, time.perf_counter() - start)


def _checked(task: Task, result: Any) -> dict[str, Any]:
    if not isinstance(result, dict):
        raise TypeError(f"{task.evaluate} returned {type(result).__name__}; it must return a dict")
    for name in result:
        if name in ("seed", "error", "evaluate") or name in task.point:
            raise ValueError(f"{task.evaluate} returned a field {name!r}, which the point has too")
    return result


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one torch thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Evaluator:
    """Evaluates tasks: in this process if `jobs` is 1, else on a cluster, which is started when it is first needed.

    Args:
        scheduler: address of a Dask scheduler; None: MEMLIB_SCHEDULER, else a cluster of local processes.
        jobs: local worker processes; None or 0: MEMLIB_JOBS, else as many as cores and memory allow.

    Raises:
        ValueError: for a number of jobs that is not whole or below 1.
    """

    def __init__(self, scheduler: str | None = None, jobs: int | None = None) -> None:
        self.scheduler = scheduler or os.environ.get("MEMLIB_SCHEDULER") or None
        self.jobs = None if self.scheduler else _local_jobs(jobs)
        self._stack = contextlib.ExitStack()
        self._client: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def outcomes(self, tasks: Sequence[Task]) -> Iterator[list[Outcome]]:
        """What becomes of tasks, as it becomes known, in any order.

        Raises:
            SweepError: if nothing answers at the scheduler's address, the scheduler is lost, or a worker is not set up
                as it must be.
        """
        if not self._client and (self.jobs == 1 or (len(tasks) == 1 and not self.scheduler)):
            return _in_process(tasks)
        if not self._client:
            self._client = self._connect()
        return _Run(tasks, self._client).outcomes()

    def _connect(self) -> Any:
        from distributed import Client, LocalCluster

        cluster = self.scheduler
        if cluster is None:
            cluster = LocalCluster(
                n_workers=self.jobs,
                threads_per_worker=1,
                memory_limit=1 / self.jobs,  # of the machine's
                host="127.0.0.1",
                dashboard_address=None,
                security=True,  # keys of its own: no other user of the machine can reach it
                silence_logs=logging.CRITICAL,
            )
            self._stack.enter_context(cluster)
        try:
            return self._stack.enter_context(Client(cluster, set_as_default=False, timeout=CONNECT_SECONDS))
        except (OSError, ValueError) as error:
            raise SweepError(f"scheduler={self.scheduler!r}: no Dask scheduler answers there ({error})") from error


def _local_jobs(jobs: int | None) -> int:
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    set_by_environment = os.environ.get("MEMLIB_JOBS") or "0"
    if not set_by_environment.isdigit():
        fail("MEMLIB_JOBS", set_by_environment, "a whole number, or unset")
    jobs = jobs or int(set_by_environment) or max(1, min(CPU_COUNT, int(MEMORY_LIMIT / WORKER_MEMORY)))
    whole("jobs", jobs, 1)
    return jobs


def _in_process(tasks: Iterable[Task]) -> Iterator[list[Outcome]]:
    with one_thread():
        for task in tasks:
            yield [evaluate_task(task)]


class _Waiting:
    """Tasks that no worker has yet, and how they are cut into chunks."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self.groups: deque[list[Task]] = deque()
        self.count = 0
        self._evaluated, self._seconds = 0, 0.0
        self.put_back(tasks)

    def put_back(self, tasks: Iterable[Task]) -> None:
        """Add tasks, to be handed out next; those of the same point stay together."""
        groups = [list(group) for _, group in itertools.groupby(tasks, key=lambda task: task.text)]
        self.groups.extendleft(reversed(groups))
        self.count += sum(len(group) for group in groups)

    def learn(self, outcomes: list[Outcome]) -> None:
        """How long tasks take."""
        self._evaluated += len(outcomes)
        self._seconds += sum(outcome.seconds for outcome in outcomes)

    def take(self, workers: int) -> list[Task]:
        """The next chunk: whole points, but never so much that other workers would run out of work."""
        fair = math.ceil(self.count / (CHUNKS_PER_WORKER * max(1, workers)))
        wanted = CHUNK_SECONDS * self._evaluated / max(self._seconds, 1e-6) if self._evaluated else 1
        chunk = self.groups.popleft()
        while self.groups and len(chunk) + len(self.groups[0]) <= min(wanted, fair):
            chunk += self.groups.popleft()
        self.count -= len(chunk)
        self.put_back(chunk[fair:])
        return chunk[:fair]


@dataclass
class _Chunk:
    """Tasks that were handed out together."""

    future: Any
    tasks: list[Task]
    left: dict[int, Task]  #: by position, those whose outcome is not known


class _Run:
    """Some tasks on their way through a cluster."""

    def __init__(self, tasks: Iterable[Task], client: Any) -> None:
        self.client, self.waiting = client, _Waiting(tasks)
        self.chunks: dict[str, _Chunk] = {}
        self.inbox: queue.SimpleQueue = queue.SimpleQueue()  # messages of workers, and futures that are done
        self.run = uuid.uuid4().hex
        self.folders = {name: os.environ[name] for name in FOLDERS if name in os.environ}
        self._workers, self._counted = 0, -math.inf

    def outcomes(self) -> Iterator[list[Outcome]]:
        self.client.subscribe_topic(TOPIC, self._receive)
        while self.waiting.count or self.chunks:
            while self.waiting.count and len(self.chunks) < CHUNKS_PER_WORKER * max(1, self._count_workers()):
                self._hand_out()
            outcomes = []
            for message in self._arrived():
                outcomes += self._outcomes_in(message) if isinstance(message, dict) else self._end_of_chunk(message)
            if outcomes:
                self.waiting.learn(outcomes)
                yield outcomes

    def _receive(self, event: tuple[float, dict[str, Any]]) -> None:
        """Called for messages to any driver on this scheduler."""
        if event[1]["run"] == self.run:
            self.inbox.put(event[1])

    def _hand_out(self) -> None:
        tasks = self.waiting.take(self._workers)
        key = f"memlib-{uuid.uuid4().hex}"
        settings = (self.run, key, fingerprint(), self.folders)
        future = self.client.submit(evaluate_chunk, tasks, *settings, key=key, pure=False)
        self.chunks[key] = _Chunk(future, tasks, dict(enumerate(tasks)))
        future.add_done_callback(self.inbox.put)

    def _count_workers(self) -> int:
        """Workers of the cluster; asked for once a second, as they may come and go."""
        if time.monotonic() - self._counted > 1:
            info = self.client.scheduler_info(n_workers=0)
            if info["total_threads"] != info["n_workers"]:
                raise SweepError(
                    f"the workers of {info['address']} have several threads each; start them with --nthreads 1: "
                    "results are the same everywhere if each computes with one"
                )
            if not info["n_workers"] and self._counted < 0:
                note(f"waiting for workers at {info['address']}")
            self._workers, self._counted = info["n_workers"], time.monotonic()
        return self._workers

    def _arrived(self) -> list[Any]:
        """All messages that are here; waits for the first, up to a second."""
        messages = []
        with contextlib.suppress(queue.Empty):
            messages.append(self.inbox.get(timeout=1))
            while True:
                messages.append(self.inbox.get_nowait())
        if not messages and self.client.status != "running":
            raise self._lost()
        return messages

    def _outcomes_in(self, message: dict[str, Any]) -> list[Outcome]:
        """Those of a worker's message that are new: after a worker's death, another may repeat some."""
        chunk = self.chunks.get(message["chunk"])
        new = [line for line in message["outcomes"] if chunk and line[0] in chunk.left]
        return [Outcome(chunk.left.pop(position), *line) for position, *line in new]

    def _end_of_chunk(self, future: Any) -> list[Outcome]:
        """Its outcomes came before; what has none is handed out again, but for a task that kills its workers."""
        from distributed import KilledWorker

        left = list(self.chunks.pop(future.key).left.values())
        failed = []
        if future.status == "error":
            error = future.exception()
            if not isinstance(error, KilledWorker):
                raise SweepError(f"a worker cannot evaluate points: {error}")
            if left:
                failed.append(Outcome(left.pop(0), None, f"WorkerDied: several workers died here ({error})", 0.0))
        elif future.status != "finished":
            raise self._lost()
        self.waiting.put_back(left)
        return failed

    def _lost(self) -> SweepError:
        return SweepError("the Dask scheduler was lost; finished points are kept, run again to go on")


def evaluate_chunk(tasks: list[Task], run: str, chunk: str, wanted: str, folders: dict[str, str]) -> None:
    """On a worker: evaluate tasks, and send outcomes to the driver as they come.

    Raises:
        RuntimeError: if the worker would compute something else than the driver.
    """
    from distributed import get_worker

    if fingerprint() != wanted:
        raise RuntimeError(f"its environment differs from the driver's: {fingerprint()} instead of {wanted}")
    os.environ |= {n: folder for n, folder in folders.items() if n not in OWN_ENVIRONMENT and Path(folder).is_dir()}
    outcomes, sent = [], time.monotonic()
    with one_thread():
        for position, task in enumerate(tasks):
            outcome = evaluate_task(task)
            outcomes.append((position, outcome.result, outcome.error, outcome.seconds))
            if time.monotonic() - sent > SEND_SECONDS or position == len(tasks) - 1:
                get_worker().log_event(TOPIC, {"run": run, "chunk": chunk, "outcomes": outcomes})
                outcomes, sent = [], time.monotonic()
