"""Resources of some work: wall and CPU seconds of all its processes, and the memory of the largest."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

#: Time between two looks at the processes, s. The kernel keeps their peaks, so only the last look may miss some.
LOOK_SECONDS = 1.0


@dataclass
class Usage:
    """The resources of some work; complete when it is over."""

    seconds: float = 0.0  #: by the clock
    cpu_seconds: float = 0.0  #: of this process and of those that it and they started, if they have ended
    memory: int = 0  #: largest resident size of any of those, without this process, B; 0 where there is no /proc


@contextlib.contextmanager
def measured() -> Iterator[Usage]:
    """Measure the work inside."""
    usage, done = Usage(), threading.Event()
    looking = threading.Thread(target=_look, args=(usage, done))
    start, cpu_start = time.perf_counter(), sum(os.times()[:4])
    looking.start()
    try:
        yield usage
    finally:
        done.set()
        looking.join()
        usage.seconds, usage.cpu_seconds = time.perf_counter() - start, sum(os.times()[:4]) - cpu_start


def _look(usage: Usage, done: threading.Event) -> None:
    own = psutil.Process()
    while not done.wait(LOOK_SECONDS):
        usage.memory = max([usage.memory, *(_peak(process.pid) for process in own.children(recursive=True))])


def _peak(process: int) -> int:
    """The largest resident size that a process has had, B; 0 if it is gone."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)
