"""Where tasks are evaluated: in this process, or by the workers of a dask.distributed cluster.

Tasks reach workers in chunks of about a second, all seeds of a point together: what seeds share is done once
(see `evaluate` of `memlib.sweep`) and cheap points cost little. Outcomes do not wait for the end of their chunk: they
are sent on after a tenth of a second, together with what was finished by then. Every worker computes with one torch
thread. So results are the same bit for bit wherever processors are of one type.
"""

import contextlib
import itertools
import logging
import math
import os
import queue
import re
import sys
import time
import uuid
from collections import Counter, deque
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from memlib.base.checks import fail, whole
from memlib.base.progress_bar import note
from memlib.base.provenance import fingerprint
from memlib.sweeps.points import Task, code_of
from memlib.sweeps.store import Outcome
from memlib.sweeps.workers import FOLDERS, SEND_SECONDS, UnfitWorkerError, evaluate_chunk, evaluate_task, one_thread

CHUNK_SECONDS = 1.0  #: how long a chunk should take, s
CHUNKS_PER_WORKER = 2  #: one that runs, and one that waits so that the worker never does
WORKER_MEMORY = 1.2e9  #: what a worker process may need; a local cluster has as many workers as fit, B
CONNECT_SECONDS = 10
#: Workers keep the memory they freed, so Dask would let them wait for ever; its limit, where it ends them, stays.
NO_PAUSE = {f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause")}
DEATHS = 3  #: a task fails when so many workers died that had nothing else to do

#: What becomes of tasks, some at a time; closing it stops what still runs.
Outcomes = Generator[list[Outcome], None, None]


class SweepError(RuntimeError):
    """Points failed, or the cluster did; the message says what to do. Everything finished is kept."""


def jobs_asked_for(jobs: int | None) -> int:
    """The number of local processes: `jobs`, else MEMLIB_JOBS, else 0. Raises ValueError for no whole number."""
    jobs = whole("jobs", jobs, 0, none=True)
    variable = os.environ.get("MEMLIB_JOBS") or "0"
    if not variable.isdigit():
        fail("MEMLIB_JOBS", variable, "a whole number, or unset")
    return jobs or int(variable)


def evaluate_tasks(tasks: Sequence[Task], scheduler: str | None = None, jobs: int = 0) -> Outcomes:
    """The outcomes of tasks, as they become known, in any order. Connects before it returns.

    Args:
        scheduler: address of a Dask scheduler; None: MEMLIB_SCHEDULER, else a cluster of local processes, which stays
            for later calls until this process ends.
        jobs: local processes; 1: in this one; 0: as many as cores and memory allow.

    Raises:
        SweepError: if nothing answers at the scheduler's address, the scheduler is lost, or a worker is not set up as
            it must be.
        ValueError: for a scheduler that is no address.
    """
    if scheduler := scheduler or os.environ.get("MEMLIB_SCHEDULER"):
        return _on_cluster(tasks, scheduler)
    jobs = jobs or what_fits(WORKER_MEMORY)
    if jobs == 1:
        return _in_process(tasks)
    return _Run(tasks, _local_client(jobs, tasks[0].function)).outcomes()


def what_fits(memory: float) -> int:
    """As many processes as there are cores, and memory for so many bytes each; at least one."""
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    return max(1, min(CPU_COUNT, int(MEMORY_LIMIT / memory)))


def _in_process(tasks: Iterable[Task]) -> Outcomes:
    with one_thread():
        for task in tasks:
            yield [evaluate_task(task)]


def _on_cluster(tasks: Sequence[Task], scheduler: str) -> Outcomes:
    from distributed import Client

    if not re.fullmatch(r"inproc://.+|\w+://\S+:\d+", scheduler):
        fail("scheduler", scheduler, "an address such as 'tcp://10.0.0.1:8786'")
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # our error says what a lost scheduler means
    try:
        client = Client(scheduler, set_as_default=False, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise SweepError(f"scheduler={scheduler!r}: no Dask scheduler answers there ({error})") from error

    def outcomes() -> Outcomes:
        with client:
            yield from _Run(tasks, client).outcomes()

    return outcomes()


class _Local:
    """The cluster of local processes; it stays for later sweeps until this process ends."""

    client: Any = None
    started_with: tuple = ()  #: number of workers, and where Python looks for modules
    code: ClassVar[dict[str, str]] = {}  #: hash of each function's file when the workers were first given it


def _local_client(jobs: int, function: str) -> Any:
    """A client of `jobs` local processes: those of an earlier call, if they would still do the same."""
    from distributed import Client

    code = code_of(function)
    current = _Local.started_with == (jobs, *sys.path) and _Local.code.setdefault(function, code) == code
    if _Local.client is None or _Local.client.status != "running" or not current:
        if _Local.client is not None:
            _Local.client.cluster.close()
        _Local.client = Client(_local_cluster(jobs), set_as_default=False)
        # Dask adds a folder of its own to the path while it starts
        _Local.started_with, _Local.code = (jobs, *sys.path), {function: code}
    return _Local.client


def _local_cluster(jobs: int) -> Any:
    import dask
    from distributed import LocalCluster

    try:
        with dask.config.set(NO_PAUSE):
            return LocalCluster(
                n_workers=jobs,
                threads_per_worker=1,
                memory_limit=1 / jobs,  # of the machine's
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",  # any free port, of this machine alone
                worker_dashboard_address="127.0.0.1:0",
                security=True,  # keys of its own: no other user of the machine can reach it
                scheduler_kwargs={"allowed_failures": 0, "dashboard": False},  # see _Run._after_death
                silence_logs=logging.CRITICAL,
            )
    except RuntimeError as error:
        advice = "in a script, sweep under if __name__ == '__main__':"
        raise SweepError(f"the local workers did not start ({error}); {advice}") from error


class _Waiting:
    """Tasks that no worker has yet, and how they are cut into chunks."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self.groups: deque[list[Task]] = deque()
        self.count = 0
        self._evaluated, self._seconds = 0, 0.0
        self.put_back(tasks)
        self.total = self.count

    def put_back(self, tasks: Iterable[Task]) -> None:
        """Add tasks, to be handed out next; those of the same point stay together."""
        groups = [list(group) for _, group in itertools.groupby(tasks, key=lambda task: task.text)]
        self.groups.extendleft(reversed(groups))
        self.count += sum(len(group) for group in groups)

    def learn(self, outcomes: list[Outcome]) -> None:
        """How long tasks take; failures may be much quicker."""
        finished = [outcome.seconds for outcome in outcomes if outcome.error is None]
        self._evaluated += len(finished)
        self._seconds += sum(finished)

    @property
    def mean_seconds(self) -> float:
        """Mean time of the tasks evaluated so far, s."""
        return self._seconds / max(self._evaluated, 1)

    def take(self, workers: int) -> list[Task]:
        """The next chunk: as many whole points as make a second, and leave enough for other workers.

        A point's seeds are parted only where there are fewer points than workers.
        """
        workers = max(1, workers)
        wanted = CHUNK_SECONDS / max(self.mean_seconds, 1e-6) if self._evaluated else 1
        fair = math.ceil(self.count / (CHUNKS_PER_WORKER * workers))
        chunk = self.groups.popleft()
        while self.groups and len(chunk) + len(self.groups[0]) <= min(wanted, fair):
            chunk += self.groups.popleft()
        self.count -= len(chunk)
        most = math.ceil(self.total / workers)
        self.put_back(chunk[most:])
        return chunk[:most]


@dataclass
class _Chunk:
    """Tasks that were handed out together."""

    future: Any
    left: dict[int, Task]  #: by position, those whose outcome is not known


class _Run:
    """Some tasks on their way through a cluster."""

    def __init__(self, tasks: Sequence[Task], client: Any) -> None:
        self.client, self.waiting = client, _Waiting(tasks)
        self.chunks: dict[str, _Chunk] = {}
        self.inbox: queue.SimpleQueue = queue.SimpleQueue()  # messages of workers, and futures that are done
        self.run = f"memlib-{uuid.uuid4().hex}"  # the topic of its workers' messages
        self.code = code_of(tasks[0].function)
        self.folders = {name: os.environ[name] for name in FOLDERS if name in os.environ}
        # tasks that may have killed their worker: each is evaluated as a chunk of its own, one at a time
        self.suspects: deque[Task] = deque()
        self.suspect = ""  # the key of the chunk of one that is on its way
        self.deaths: Counter[str] = Counter()  # of workers, by the key of their suspect
        self._workers, self._counted = 0, -math.inf

    def outcomes(self) -> Outcomes:
        """As they arrive; see `evaluate_tasks`."""
        self.client.subscribe_topic(self.run, lambda event: self.inbox.put(event[1]))
        try:
            while self.waiting.count or self.suspects or self.chunks:
                self._hand_out_all()
                messages = self._arrived()
                outcomes = [o for m in messages if isinstance(m, dict) for o in self._outcomes_in(m)]
                if outcomes:  # kept before the end of a chunk may raise
                    self.waiting.learn(outcomes)
                    yield outcomes
                failed = [o for m in messages if not isinstance(m, dict) for o in self._end_of_chunk(m)]
                if failed:
                    yield failed
        finally:
            if self.client.status == "running":
                self.client.unsubscribe_topic(self.run)
                self.client.cancel([chunk.future for chunk in self.chunks.values()])

    def _hand_out_all(self) -> None:
        workers = max(1, self._count_workers())
        if self.suspects and not self.suspect and len(self.chunks) < workers:
            self.suspect = self._hand_out([self.suspects.popleft()])
        # nothing waits behind a suspect, nor a suspect behind anything: deaths are blamed on what ran
        most = workers if self.suspects or self.suspect else CHUNKS_PER_WORKER * workers
        while self.waiting.count and len(self.chunks) < most:
            self._hand_out(self.waiting.take(workers))

    def _hand_out(self, tasks: list[Task]) -> str:
        key = f"memlib-{uuid.uuid4().hex}"
        settings = (self.run, key, fingerprint(), self.code, self.folders)
        future = self.client.submit(evaluate_chunk, tasks, *settings, key=key, pure=False)
        self.chunks[key] = _Chunk(future, dict(enumerate(tasks)))
        future.add_done_callback(self.inbox.put)
        return key

    def _count_workers(self) -> int:
        """Workers of the cluster; asked for once a second, as they may come and go."""
        if time.monotonic() - self._counted > 1:
            info = self.client.scheduler_info(n_workers=0)
            if not info["n_workers"] and (self._workers or self._counted < 0):
                note(f"waiting for workers at {info['address']}")
            if self.client.cluster and info["n_workers"] < len(self.client.cluster.worker_spec):
                # a process that is killed while it starts is given up by Dask; this makes another
                self.client.cluster.scale(len(self.client.cluster.worker_spec))
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
        if not chunk:
            return []
        new = [line for line in message["outcomes"] if line[0] in chunk.left]
        return [Outcome(chunk.left.pop(position), *line) for position, *line in new]

    def _end_of_chunk(self, future: Any) -> list[Outcome]:
        """Its outcomes came before; what has none is handed out again, unless it keeps killing its workers."""
        from distributed import KilledWorker

        left = list(self.chunks.pop(future.key).left.values())
        alone, self.suspect = self.suspect == future.key, "" if self.suspect == future.key else self.suspect
        if future.status == "error" and isinstance(future.exception(), KilledWorker):
            return self._after_death(left, alone)
        if future.status == "error":
            error = future.exception()
            needed = (
                "; it needs the driver's packages, and the module of the evaluated function (installed, or on the "
                "PYTHONPATH that the worker was started with)"
            )
            raise SweepError(
                f"a worker cannot evaluate points: {error}{'' if isinstance(error, UnfitWorkerError) else needed}"
            )
        if future.status not in ("finished", "lost"):  # Dask calls one lost whose worker finished it, and died then
            raise self._lost()
        self.waiting.put_back(left)
        return []

    def _after_death(self, left: list[Task], alone: bool) -> list[Outcome]:
        """Deal with tasks whose worker died, through one of them or not."""
        if alone and left:
            self.deaths[left[0].key] += 1
            if self.deaths[left[0].key] == DEATHS:
                return [Outcome(left[0], None, f"WorkerDied: {DEATHS} workers died of it: out of memory?", 0.0)]
        # outcomes may have been lost that waited to be sent; the task after them ran
        unsure = 1 + int(SEND_SECONDS / max(self.waiting.mean_seconds, 1e-6))
        self.suspects.extend(left[:unsure])
        self.waiting.put_back(left[unsure:])
        return []

    def _lost(self) -> SweepError:
        return SweepError("the Dask scheduler was lost; finished points are kept, run again to go on")
