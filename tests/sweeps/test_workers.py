"""Workers: where they run decides nothing; one that dies takes no other point with it."""

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import kills
import psutil
import pytest
from sweep_functions import axes, evaluations, record

from memlib.base import provenance
from memlib.studies.registry import STUDIES
from memlib.studies.run import plan_of
from memlib.sweeps import cluster
from memlib.sweeps.cluster import SweepError, _Waiting
from memlib.sweeps.engine import sweep
from memlib.sweeps.points import Task
from memlib.sweeps.store import Outcome, Store


@pytest.mark.slow
def test_a_deadly_point_fails_and_its_neighbours_do_not(tmp_path):
    """What kills its worker (as the system does when memory is out) is found and named; all others finish."""
    points = axes(tmp_path, deadly="2 10 1")
    table = sweep(points, record, tmp_path / "s.sqlite", seeds=range(2), jobs=2, errors="keep")
    assert table["error"].dropna().tolist() == ["WorkerDied: 3 workers died of it: out of memory?"]
    assert table[table["sum"].isna()][["a", "b", "seed"]].to_numpy().tolist() == [[2, 10, 1]]


@pytest.mark.slow
def test_workers_that_die_after_a_chunk_ended_take_nothing_with_it(tmp_path, monkeypatch):
    """All workers die between the end of a chunk and the driver's look at it.

    Dask then calls the chunk's future lost, or, if it gave the chunk to the other worker before that died, an error.
    """
    seen, arrived = [], cluster._Run._arrived

    def after_their_death(run):
        messages = arrived(run)
        ended = [message for message in messages if not isinstance(message, dict)]
        if ended and not seen:
            family = psutil.Process().children(recursive=True)
            for process in [p for p in family if "spawn_main" in str(p.cmdline())]:
                process.kill()
            deadline = time.monotonic() + 60
            while ended[0].status == "finished" and time.monotonic() < deadline:
                time.sleep(0.01)
            seen.append(ended[0].status)
        return messages

    monkeypatch.setattr(cluster._Run, "_arrived", after_their_death)
    table = sweep(axes(tmp_path), record, tmp_path / "s.sqlite", seeds=range(2), jobs=2)
    assert seen in (["lost"], ["error"])
    assert table["sum"].tolist() == (table["a"] + table["b"] + table["seed"]).tolist()
    assert len(table) == 12


def test_the_local_cluster_listens_to_this_machine_alone():
    """No port of the driver or of its workers can be reached from elsewhere."""
    cluster._local_client(2, "sweep_functions.record")
    driver = psutil.Process()
    family = [driver, *driver.children(recursive=True)]
    listening = {c.laddr.ip for p in family for c in p.net_connections() if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


@pytest.mark.slow
def test_external_cluster_gives_the_same_numbers_bit_for_bit(tmp_path, monkeypatch):
    """The smoke sweep of the tile-size study on two workers of another scheduler, and in this process."""
    monkeypatch.setenv("MEMLIB_ROOT", str(tmp_path))
    study = STUDIES["05_tile_size"]
    few = {"checkpoints": ["vgg8-digits"], "images": 20, "claim_images": 20, "tile_rows": [64], "d2d": [0.2]}
    few |= {"adc_bits": [2, 6], "claim_seeds": 2}
    parameters = study.preset("smoke") | few
    local = plan_of(study, parameters | {"preset": "local"}).run(jobs=1)
    with kills.cluster(tmp_path) as (_, address):
        remote = plan_of(study, parameters | {"preset": "remote"}).run(scheduler=address)
    assert remote.equals(local)
    assert local["accuracy"].nunique() > 5


@pytest.mark.slow
def test_workers_of_several_threads_are_refused(tmp_path):
    """Workers of several threads end the sweep with the reason, however short it is."""
    with kills.cluster(tmp_path, threads=2) as (_, address), pytest.raises(SweepError, match="--nthreads 1"):
        sweep(axes(tmp_path), record, tmp_path / "s.sqlite", seeds=[0], scheduler=address)


def test_workers_of_another_version_are_refused(tmp_path, monkeypatch):
    """A worker that would compute something else than the driver says so."""
    monkeypatch.setattr(cluster, "fingerprint", lambda: "torch 0.1")
    with pytest.raises(SweepError, match=r"a worker cannot evaluate points: its environment differs .* torch 0\.1"):
        sweep(axes(tmp_path), record, tmp_path / "s.sqlite", seeds=[0], jobs=2)


@pytest.mark.slow
def test_a_worker_that_cannot_import_the_function_is_an_error_of_the_cluster(tmp_path, monkeypatch):
    """The points are not to blame: none is kept as failed."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "elsewhere.py").write_text("def evaluate(point, seed): return {}")
    elsewhere = importlib.import_module("elsewhere")
    with (
        kills.cluster(Path("/")) as (_, address),
        pytest.raises(SweepError, match=r"'elsewhere\.evaluate'.*PYTHONPATH"),
    ):
        sweep([{"a": 1}, {"a": 2}], elsewhere.evaluate, tmp_path / "s.sqlite", seeds=[0], scheduler=address)
    with Store(tmp_path / "s.sqlite") as store:
        assert store.status()["failed"] == 0
        assert store.status()["state"] == "stopped"


@pytest.mark.slow
def test_a_changed_function_is_evaluated_by_new_workers(tmp_path, monkeypatch):
    """Workers that stay must not answer with the code they once imported; if it is the same, the same ones stay."""
    monkeypatch.syspath_prepend(tmp_path)
    for version in (1, 2):
        (tmp_path / "study_that_changes.py").write_text(f"def evaluate(point, seed): return {{'y': {version}}}")
        module = importlib.reload(importlib.import_module("study_that_changes"))
        points = [{"a": a, "version": version} for a in range(4)]
        table = sweep(points, module.evaluate, tmp_path / "s.sqlite", seeds=[0], jobs=2)
        assert table["y"].tolist() == [version] * 4
        client = cluster._Local.client
        sweep([{"a": a, "version": version} for a in range(9)], module.evaluate, tmp_path / "s.sqlite", [0], jobs=2)
        assert cluster._Local.client is client
        importlib.invalidate_caches()
        time.sleep(1.1)  # Python looks at the whole seconds of a file's time
    sys.modules.pop("study_that_changes")


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_so(tmp_path):
    """Workers import the script that starts them; the sweep in it must not start again."""
    (tmp_path / "main.py").write_text(SCRIPT.replace('if __name__ == "__main__":', "if True:"))
    command = [sys.executable, str(tmp_path / "main.py"), str(Path(__file__).parents[1]), str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert run.returncode
    assert "sweep under if __name__ == '__main__':" in run.stderr.strip().splitlines()[-1]


@pytest.fixture
def interruptible():
    """SIGINT raises KeyboardInterrupt, also where a shell started the tests in the background, with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
def test_an_interrupted_driver_leaves_no_work_behind(tmp_path, interruptible):
    """Ctrl-C in the middle of a long chunk: workers stop after the point they are at, and the next sweep goes on."""
    long = axes(tmp_path, sleep=0.2) | {"a": [1, 2]}

    def interrupt():
        deadline = time.monotonic() + 60
        while len(evaluations(tmp_path) if (tmp_path / "log").exists() else ()) < 4 and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        sweep(long, record, tmp_path / "s.sqlite", seeds=range(20), jobs=2)
    time.sleep(0.6)
    before = len(evaluations(tmp_path))
    time.sleep(0.6)
    assert len(evaluations(tmp_path)) == before < 12
    table = sweep(long | {"sleep": [0.0]}, record, tmp_path / "s.sqlite", seeds=range(2), jobs=2)
    assert len(table) == 8


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import sweep_functions as t
from memlib import sweep
folder = Path(sys.argv[2])
if __name__ == "__main__":
    sweep(t.axes(folder, sleep=0.2), t.record, folder / "s.sqlite", seeds=range(20), jobs=2)
"""


@pytest.mark.slow
def test_workers_of_a_killed_driver_end_too(tmp_path):
    """No process is left behind, and none goes on computing."""
    main = tmp_path / "main.py"
    main.write_text(SCRIPT)
    driver = subprocess.Popen([sys.executable, str(main), str(Path(__file__).parents[1]), str(tmp_path)])
    deadline = time.monotonic() + 60
    while not (tmp_path / "log").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    children = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait()
    assert len(children) >= 2
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive


def outcome(task, seconds):
    return Outcome(task, "{}", None, seconds)


def task(a, seed=0):
    return Task("m.f", f'{{"a": {a}}}', seed)


def test_chunks_are_whole_points_of_about_a_second():
    """By hand: 12 points x 4 seeds on two workers; points of unknown, 0.1 s and 10 s length."""
    waiting = _Waiting([task(a, seed) for a in range(12) for seed in range(4)])
    assert [t.seed for t in waiting.take(2)] == [0, 1, 2, 3]
    waiting.learn([outcome(task(0), 0.1)])
    assert len(waiting.take(2)) == 8  # 0.8 s; a third point would exceed the second
    waiting.learn([outcome(task(0), 60.0)])
    assert len(waiting.take(2)) == 4
    waiting.learn([outcome(task(0), 0.0) for _ in range(10**5)])
    assert len(waiting.take(2)) == 8  # of 32: a fair share of what is left, two chunks a worker
    assert waiting.count == 24


def test_a_point_is_parted_only_if_workers_would_idle():
    """Two points x 10 seeds: whole for two workers, in fives for four, one by one for a hundred."""
    for workers_there, sizes in ((2, [10, 10]), (4, [5, 5, 5, 5]), (100, [1] * 20)):
        waiting, taken = _Waiting([task(a, seed) for a in range(2) for seed in range(10)]), []
        while waiting.count:
            taken.append(len(waiting.take(workers_there)))
        assert taken == sizes


def test_fingerprint_names_what_must_be_equal():
    """Versions and the hash of the sources."""
    text = provenance.fingerprint()
    assert f"torch {provenance.versions()['torch']}, " in text
    assert provenance.source_hash()[:12] in text
