"""SIGKILL the driver, a worker, or the scheduler at random moments, again and again; the table must not notice.

`python tests/kills.py 20` kills each of them 20 times; tests/test_kills.py does it a few times.
"""

import contextlib
import itertools
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from memlib.sweeps.points import tasks
from memlib.sweeps.store import Store

sys.path.insert(0, str(Path(__file__).parent))
import sweep_functions

TESTS = Path(__file__).parent

SWEEP = """
evaluate = "sweep_functions:digest"
seeds = 4
store = "kills.sqlite"
[axes]
a = {a}
sleep = [{sleep}]
"""
MEMLIB = [sys.executable, "-m", "memlib"]
#: Where processes find the evaluated function, and this checkout.
PYTHONPATH = f"{TESTS}{os.pathsep}{TESTS.parent}"


class Stage:
    """A folder with a sweep of `points` x 4 points of `sleep` seconds."""

    def __init__(self, folder, points, sleep=0.05):
        self.folder, self.store = Path(folder), Path(folder) / "kills.sqlite"
        self.axes = {"a": list(range(points)), "sleep": [sleep]}
        (self.folder / "kills.toml").write_text(SWEEP.format(a=self.axes["a"], sleep=sleep))

    @contextlib.contextmanager
    def driver(self, *options):
        """The driver in a process of its own, which does not outlive the test."""
        environment = {"PYTHONPATH": PYTHONPATH, "MEMLIB_JOBS": "2"}
        with subprocess.Popen(
            [*MEMLIB, "run", "kills.toml", *options], cwd=self.folder, env=inherited(environment),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        ) as driver:  # fmt: skip
            try:
                yield driver
            finally:
                driver.kill()  # nothing if it has ended

    def finished(self):
        if not self.store.exists():
            return 0
        with Store(self.store) as store:
            return store.status()["finished"]

    def wait_for(self, points, process, seconds=60):
        """Until so many more points are finished, or the driver has ended."""
        wanted, deadline = self.finished() + points, time.monotonic() + seconds
        while process.poll() is None and self.finished() < wanted and time.monotonic() < deadline:
            time.sleep(0.02)

    def check(self):
        """The finished table is the one of an undisturbed sweep: no point missing, none doubled, none different."""
        points = [{"a": a, "sleep": 0} for a in self.axes["a"]]
        expected = [(p["a"], seed, sweep_functions.digest(p, seed)["number"]) for p in points for seed in range(4)]
        with Store(self.store) as store:
            table = store.table()
            assert store.status()["failed"] == 0
        assert sorted(zip(table["a"], table["seed"], table["number"], strict=True)) == sorted(expected)
        keys = tasks([{"a": a, "sleep": self.axes["sleep"][0]} for a in self.axes["a"]], sweep_functions.digest, seeds)
        assert len(keys) == len(table)


def seeds(_point):
    return range(4)


def inherited(changes):
    return os.environ | changes


def kill_driver(folder, times, rng):
    """Kill the driver `times` times after a few points; then let it finish."""
    stage = Stage(folder, points=10 * times)
    for _ in range(times):
        with stage.driver() as driver:
            stage.wait_for(rng.randrange(12), driver)
            time.sleep(0.1 * rng.random())
    with stage.driver() as driver:
        assert driver.wait(300) == 0, driver.stderr.read()
    stage.check()


def kill_workers(folder, times, rng):
    """Kill one worker after the other while the driver runs."""
    stage = Stage(folder, points=40 + 30 * times)
    with stage.driver() as driver:
        stage.wait_for(1, driver)
        for _ in range(times):
            stage.wait_for(rng.randrange(1, 12), driver)
            time.sleep(0.1 * rng.random())
            family = psutil.Process(driver.pid).children(recursive=True)
            assert driver.poll() is None, "the sweep was over before all kills"
            rng.choice([p for p in family if "spawn_main" in str(p.cmdline())]).kill()
        assert driver.wait(600) == 0, driver.stderr.read()
    stage.check()


@contextlib.contextmanager
def cluster(folder, workers=2, threads=1):
    """A scheduler and workers as separate processes on loopback; yields the scheduler and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    quiet["env"] = inherited({"PYTHONPATH": PYTHONPATH})
    local = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
    commands = [
        ["scheduler", *local, "--port", str(port)],
        *[["worker", address, *local, "--nthreads", str(threads), "--death-timeout", "20"]] * workers,
    ]
    processes = [subprocess.Popen([*dask, *command], **quiet) for command in commands]
    try:
        yield processes[0], address
    finally:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                for part in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
                    part.kill()
            process.wait()


def kill_scheduler(folder, times, rng):
    """Kill the scheduler `times` times; each time the driver ends with an error, and a new cluster goes on."""
    stage = Stage(folder, points=10 * times, sleep=0.2)  # so long that it cannot end before the kill
    for kills in itertools.count():
        with cluster(folder) as (scheduler, address), stage.driver("--scheduler", address) as driver:
            if kills == times:
                assert driver.wait(300) == 0, driver.stderr.read()
                break
            stage.wait_for(rng.randrange(12), driver)
            time.sleep(0.1 * rng.random())
            scheduler.kill()
            _, error = driver.communicate(timeout=60)
            assert driver.returncode == 1
            assert "error: " in error
    stage.check()


def main(times):
    """Kill each of them `times` times and say how it went."""
    for seed, kill in enumerate((kill_driver, kill_workers, kill_scheduler)):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            kill(folder, times, random.Random(seed))
            print(json.dumps({"test": kill.__name__, "kills": times, "seconds": round(time.perf_counter() - start)}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
