"""What a sweep costs beside its points: a store of 100,000 points, overhead per point, scaling, and the most it serves.

    python benchmarks/engine.py [store] [overhead] [scaling] [crowd]

Without arguments all parts run, in about 5 minutes on 2 cores.
"""

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import dask

sys.path.insert(0, str(Path(__file__).parent))
import engine as this  # under the name by which workers import it

from memlib.base.files import project_root
from memlib.studies.registry import STUDIES
from memlib.studies.run import plan_of
from memlib.sweeps import cluster, workers
from memlib.sweeps.engine import sweep
from memlib.sweeps.points import tasks
from memlib.sweeps.store import Outcome, Store

POINTS = 100_000
RESULT = json.dumps({"accuracy": 0.8815, "correct": "5a" * 125})  # as large as that of 1,000 images


def cheap(point, seed):
    """No work."""
    return {"y": point["x"] + seed}


def idle(point, seed):
    """A point that takes its time, but no processor."""
    time.sleep(point["seconds"])
    return {"y": point["x"] + seed}


def megabytes():
    """Peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(function, *arguments, **named):
    """Seconds, and what the function returns."""
    start = time.perf_counter()
    result = function(*arguments, **named)
    return time.perf_counter() - start, result


def store(folder):
    """100,000 points in one store: writing, reading, size, memory."""
    fields = {"checkpoint": "resnet20-cifar10", "weights": "0" * 64, "rows": 128, "dac_bits": 8, "adc_bits": 8}
    points = [fields | {"d2d_on": x / POINTS} for x in range(POINTS // 5)]
    seconds, wanted = timed(tasks, points, this.cheap, lambda _: range(5))
    yield "hash a point", f"{1e6 * seconds / POINTS:.0f} us"
    outcomes = [Outcome(task, RESULT, None, 1.0) for task in wanted.values()]
    before = megabytes()
    with Store(folder / "s.sqlite") as kept, kept.writing():
        seconds, _ = timed(lambda: [kept.put([o]) for o in outcomes[:5000]])
        yield "insert, a transaction (fsync) per point", f"{5000 / seconds:,.0f} /s"
        seconds, _ = timed(lambda: [kept.put(outcomes[i : i + 100]) for i in range(5000, POINTS, 100)])
        yield "insert, 100 points that arrived together", f"{(POINTS - 5000) / seconds:,.0f} /s"
        yield "memory that writing added", f"{megabytes() - before:.0f} MB"
    yield "file", f"{(folder / 's.sqlite').stat().st_size / 1e6:.0f} MB"
    with Store(folder / "s.sqlite") as kept:
        yield "open and count", f"{1000 * timed(kept.status)[0]:.0f} ms"
        yield "look up 1,000 points by key", f"{1000 * timed(kept.get, list(wanted)[:1000])[0]:.0f} ms"
        seconds, found = timed(kept.get, wanted)
        assert len(found[0]) == POINTS
        yield "look up all", f"{seconds:.1f} s"
        seconds, table = timed(kept.table)
        assert len(table) == POINTS
        yield "all as a sorted table", f"{seconds:.1f} s"
    yield "peak memory of this process, the table included", f"{megabytes():.0f} MB"


def overhead(folder):
    """What a point costs beside its own time, with 2 local workers."""
    yield "start of the local cluster", f"{timed(cluster._local_client, 2, 'engine.cheap')[0]:.1f} s"
    seconds, _ = timed(sweep, {"x": [0]}, this.cheap, folder / "f.sqlite", range(2), jobs=2)
    yield "first point (workers import torch)", f"{seconds:.1f} s"
    seconds, _ = timed(sweep, {"x": range(POINTS)}, this.cheap, folder / "c.sqlite", range(1), jobs=2)
    yield f"{POINTS:,} points without work", f"{seconds:.0f} s, {1e6 * seconds / POINTS:.0f} us a point"
    seconds, _ = timed(sweep, {"x": range(POINTS)}, this.cheap, folder / "c.sqlite", range(1), jobs=2)
    yield "the same again, all finished", f"{seconds:.1f} s"
    for length, count in ((0.01, 2000), (0.1, 200), (1.0, 20)):
        points = [{"x": x, "seconds": length} for x in range(count)]
        seconds, _ = timed(sweep, points, this.idle, folder / "i.sqlite", range(2), jobs=2)
        lost = seconds * 2 / (2 * count) - length
        yield f"points of {length:g} s: beside it, per point and worker", f"{1000 * lost:.1f} ms"


def scaling(folder):
    """The points of 05_tile_size (smoke) on one worker and on two, each with one torch thread; cold and warm."""
    os.environ["MEMLIB_ROOT"] = str(folder)
    found, study = {}, STUDIES["05_tile_size"]
    for jobs in (1, 2):
        client = cluster._local_client(jobs, "memlib.studies.s05_tile_size.evaluate")
        for name in ("cold", "warm"):
            plan = plan_of(study, study.preset("smoke") | {"preset": f"{jobs}{name}"})
            wanted = [t for axes, seeds in plan.parts for t in tasks(axes, plan.evaluate, seeds).values()]
            seconds, outcomes = timed(
                lambda wanted=wanted, client=client: list(cluster._Run(wanted, client).outcomes())
            )
            found[jobs, name] = seconds
            busy = sum(o.seconds for part in outcomes for o in part) / jobs
            yield (
                f"{len(wanted)} points, {jobs} worker(s), {name}",
                f"{seconds:.1f} s, {busy / seconds:.0%} of it in points",
            )
        client.cluster.close()
    for name in ("cold", "warm"):
        yield f"1 to 2 workers, {name}", f"{found[1, name] / found[2, name]:.2f} x"


def crowd(folder):
    """Points a second that driver, scheduler and store manage at most, all in one process, with a message for each."""
    from distributed import LocalCluster

    # 100 workers share this process with scheduler and driver, so all that they do beside evaluating is turned off
    quiet = {"distributed.admin.system-monitor.interval": "1h", "distributed.worker.profile.enabled": False}
    options = {"processes": False, "threads_per_worker": 1, "memory_limit": 0, "dashboard_address": None}
    cluster.CHUNK_SECONDS = workers.SEND_SECONDS = 0.0
    with dask.config.set(quiet), LocalCluster(n_workers=100, **options) as local:
        address = local.scheduler_address
        sweep({"x": range(100), "seconds": [0.1]}, this.idle, folder / "w.sqlite", range(1), address)
        for rate, seeds in ((200, 1), (400, 1), (1600, 1), (400, 10), (800, 10), (1600, 10)):
            points = {"x": range(5 * rate // seeds), "seconds": [100 / rate]}
            seconds, _ = timed(sweep, points, this.idle, folder / f"{seeds}.sqlite", range(seeds), address)
            yield f"100 workers that could finish {rate} /s, {seeds} seed(s) a chunk", f"{5 * rate / seconds:,.0f} /s"


def main(chosen):
    """Print a table for each part."""
    results = project_root() / "results"
    results.mkdir(exist_ok=True)
    for name in chosen or ("store", "overhead", "scaling", "crowd"):
        with tempfile.TemporaryDirectory(dir=results) as folder:
            part = globals()[name]
            print(f"\n{part.__doc__}")
            for row, value in part(Path(folder)):
                print(f"  {row:<60} {value}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
