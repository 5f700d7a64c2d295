"""memlib beside other simulators of crossbars: ResNet-20, and exact wires of a tile. Writes PEERS.md and PEERS.json.

    python benchmarks/peers.py [--peers memlib SciPy ...] [--rounds 10] [--threads 2] [--budget 10]

pip installs each simulator, pinned, into a virtual environment of its own under the cache folder (build/peers), which
sees the packages of the active one. A simulator that does not install, or lacks a row, gets a row that says why.

Each row of each simulator runs in a process of its own (adapters/serve.py). All processes of a row are set up one by
one and then measured in turn (A B C, A B C, ...), each beside plain torch in the same process. So whatever disturbs the
machine disturbs all: trust the ratios, not the seconds. A simulator whose rounds exceed the budget, in seconds per row,
gets fewer rounds, and then fewer images or vectors, scaled to all; the table says so. glibc's malloc settings matter,
so the page lists them. Each simulator has its own physics: a ratio is the price of what it simulates.

Compiling needs: badcrossbar cairo's headers (Debian: libcairo2-dev, pkg-config); aihwkit and MemTorch a C++ compiler
and some minutes; aihwkit OpenBLAS (libopenblas-dev).
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from inference import cpu_model

ROOT = Path(__file__).resolve().parents[1]
ADAPTERS = ROOT / "benchmarks" / "adapters"
ISOLATED = ("--no-build-isolation",)  # the build must see torch
TOOLS = ("setuptools==84.2.1", "wheel==0.48.0", "ninja==1.13.2")


@dataclass(frozen=True)
class Peer:
    """How to install a simulator; without packages, it is in the active environment."""

    adapter: str
    packages: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()  # installed before them
    options: tuple[str, ...] = ()  # of pip
    needs: str = ""


PEERS = {
    "memlib": Peer("memlib"),
    "aihwkit-lightning": Peer("aihwkit_lightning", ("aihwkit-lightning==2.1.0",)),
    "aihwkit": Peer(
        "aihwkit",
        ("aihwkit==1.2.0",),
        (*TOOLS, "scikit-build==0.19.1", "cmake==3.31.10", "pybind11==3.1.0"),
        ISOLATED,
        "a C++ compiler and OpenBLAS (Debian: g++, libopenblas-dev)",
    ),
    # without its dependencies: one of them, "sklearn", was removed from the registry
    "MemTorch": Peer(
        "memtorch",
        ("memtorch-cpu==1.1.6",),
        (*TOOLS, "scikit-learn==1.9.1", "seaborn==0.13.2", "lmfit==1.3.4"),
        (*ISOLATED, "--no-deps"),
        "a C++ compiler (Debian: g++)",
    ),
    "MemIntelli": Peer("memintelli", ("memintelli==0.0.1.3",)),
    "mpimpy": Peer("mpimpy", ("mpimpy==1.0",)),
    "badcrossbar": Peer("badcrossbar", ("badcrossbar==1.1.0",), needs="cairo (Debian: libcairo2-dev, pkg-config)"),
    "SciPy": Peer("scipy"),
}
NOT_MEASURED = "CrossSim is not on PyPI (`pip install .` of its repository), so this script does not install it."
ROWS = {  # label and goal, a ratio
    "static": ("static non-idealities, converters off", 1.15),
    "converters": ("128x128 tiles, 8-bit DAC and ADC", 3),
    "noise": ("the same with read noise per cell and read, or the nearest that a simulator has", 8),
}
SET_UP_GOAL, PEAK_GOAL, WIRES_GOAL = 1.0, 0.6e9, 0.06  # s, bytes, s
BATCH, VECTORS = 64, 100


class LackError(Exception):
    """A simulator cannot be installed, lacks a row, or died; the message says why."""


def run(command, log, **environment):
    """Run a command and keep what it prints."""
    with log.open("ab") as file:
        return subprocess.run(command, stdout=file, stderr=file, env=os.environ | environment).returncode == 0


def last_error(log):
    """The last line of a log that names an error, or else its last line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line and not line.startswith(("note:", "error: metadata"))]
    return (errors or lines or ["no message"])[-1][:200]


def install(name, peer, cache):
    """The interpreter that has the simulator.

    Raises:
        LackError: if pip fails.
    """
    if not peer.packages:
        return sys.executable
    folder = cache / peer.adapter
    python, log, mark = folder / "bin" / "python", cache / f"{peer.adapter}.log", folder / "installed"
    key = "\n".join([sys.executable, *peer.tools, *peer.packages])
    if mark.exists() and mark.read_text() == key:
        return str(python)
    print(f"installing {name}, see {log}", flush=True)
    log.unlink(missing_ok=True)
    venv.create(folder, clear=True, with_pip=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (packages / "active.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"  # of cmake and ninja
    steps = [[*pip, *peer.tools]] if peer.tools else []
    if not all(run(step, log, PATH=path) for step in [*steps, [*pip, *peer.options, *peer.packages]]):
        needs = f"; it needs {peer.needs}" if peer.needs else ""
        raise LackError(f"pip could not install it: {last_error(log)}{needs}")
    mark.write_text(key)
    return str(python)


class Worker:
    """A process of adapters/serve.py, set up for one row.

    Raises:
        LackError: if the simulator has no such row or fails, now or later.
    """

    def __init__(self, python, adapter, row, log, threads, batch, root=ROOT):
        self.log, self.batch = log, batch
        adapters = Path(root) / "benchmarks" / "adapters"  # a commit's own, for names change
        command = [python, "-P", adapters / "serve.py", adapters / f"with_{adapter}.py", row, str(threads), str(batch)]
        with log.open("wb") as file:
            limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
            limits["OPENBLAS_THREAD_TIMEOUT"] = "10"  # idle threads of one turn do not spin into the next one's
            environment = os.environ | limits | {"PYTHONPATH": str(root)}
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": file}
            self.process = subprocess.Popen(command, text=True, env=environment, **pipes)
        self.state = self._answer()
        if "lacks" in self.state:
            self.close()
            raise LackError(self.state["lacks"])

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            raise LackError(f"it ended with {code}: {last_error(self.log)}")
        return json.loads(line)

    def measure(self, count):
        """One measurement of this many images or vectors, its seconds scaled to the whole batch."""
        with contextlib.suppress(BrokenPipeError):  # the answer says why
            self.process.stdin.write(f"{count}\n")
            self.process.stdin.flush()
        found = self._answer()
        return found | {"seconds": found["seconds"] * self.batch / count}

    def plan(self, budget, rounds):
        """(rounds, count) that fit the budget: as many images or vectors as do, from few on, which also warms up."""
        count = min(self.batch, 4)
        seconds = self.measure(count)["seconds"] * count / self.batch
        while count < self.batch and 2 * seconds <= budget:
            count = min(2 * count, self.batch)
            seconds = self.measure(count)["seconds"] * count / self.batch
        return max(1, min(rounds, int(budget / seconds))), count

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def measure(start, names, rounds, budget):
    """{name: worker's state with its measurements, or why there are none}; start(name) gives a worker."""
    workers, found = {}, {}
    for name in names:
        try:
            worker = start(name)
            plan = worker.plan(budget, rounds)
        except LackError as lack:
            found[name] = {"lacks": str(lack)}
            continue
        workers[name] = worker
        found[name] = worker.state | {"rounds": plan[0], "count": plan[1], "measured": []}
        print(f"  {name}: {plan[0]} rounds of {plan[1]}", file=sys.stderr, flush=True)
    for i in range(rounds):
        for name, worker in list(workers.items()):
            if i >= found[name]["rounds"]:
                continue
            try:
                found[name]["measured"].append(worker.measure(found[name]["count"]))
            except LackError as lack:
                found[name] = {"lacks": str(lack)}
                del workers[name]
    for worker in workers.values():
        worker.close()
    return found


def spread(values, digits):
    """Median and range."""
    low, middle, high = (f"{v:.{digits}f}" for v in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} to {high})"


def extent(found, whole, what):
    """How much was measured."""
    part = "" if found["count"] == whole else f" of {found['count']} {what}, scaled"
    return f"{found['rounds']}{part}"


def verdict(value, goal, text):
    """A goal, and whether it is reached."""
    return f"{text}: {'reached' if value <= goal else 'not reached'}"


def network_line(name, row, found):
    """A row of the table of networks."""
    if "lacks" in found:
        return f"| {name} | | | | | | | {found['lacks']} |"
    measured = found["measured"]
    ratios = [m["seconds"] / m["plain"] for m in measured]
    seconds, plain = (statistics.median(m[key] for m in measured) for key in ("seconds", "plain"))
    peak, goal = max(m["peak"] for m in measured), ROWS[row][1]
    goals = [
        verdict(statistics.median(ratios), goal, f"<= {goal}x"),
        verdict(found["set_up"], SET_UP_GOAL, f"set-up <= {SET_UP_GOAL:g} s"),
        verdict(peak, PEAK_GOAL, f"<= {PEAK_GOAL / 1e9} GB"),
    ]
    numbers = f"{spread(ratios, 2 if seconds < 10 * plain else 0)} | {1e3 * seconds:.0f} | {1e3 * plain:.0f}"
    rest = f"{found['set_up']:.2f} | {peak / 1e9:.2f} | {extent(found, BATCH, 'images')}"
    return f"| {name} | {numbers} | {rest} | {'; '.join(goals) if name == 'memlib' else ''} |"


def wires_line(name, found, exact):
    """A row of the table of wires."""
    if "lacks" in found:
        return f"| {name} | | | | | | {found['lacks']} |"
    measured = found["measured"]
    once, seconds = ([m[key] for m in measured] for key in ("once", "seconds"))
    both = statistics.median(a + b for a, b in zip(once, seconds, strict=True))
    currents = np.array(measured[-1]["currents"])
    error = np.abs(currents - exact[: len(currents)]).max() / np.abs(exact).max()
    goal = verdict(statistics.median(once), WIRES_GOAL, f"<= {WIRES_GOAL} s once") if name == "memlib" else ""
    numbers = f"{1e3 * statistics.median(once):.1f} | {1e3 * statistics.median(seconds):.2f} | {1e3 * both:.0f}"
    return f"| {name} | {numbers} | {error:.0e} | {extent(found, VECTORS, 'vectors')} | {goal} |"


def exact_currents(found):
    """Currents (vectors, cols) of the tile that workers made, by the nodal analysis of the tests."""
    sys.path.append(str(ROOT / "tests"))
    import nodal_oracle

    state = next(f for f in found.values() if "g" in f)
    g, volts = (np.array(state[key]) for key in ("g", "volts"))
    return volts @ nodal_oracle.solve(g, (1.0, 1.0, 0.0, 0.0, 0.0)).g_eff


def settings(results):
    """The settings of each simulator, a line per simulator and row."""
    rows = {(name, row): found for row, table in results.items() for name, found in table.items()}
    return [f"- {name}, {row}: {f['settings']}" for (name, row), f in rows.items() if "settings" in f]


def memlib_profile(threads):
    """The table of inference.py."""
    options = ["--profile", "--rounds", "5", "--threads", str(threads)]
    command = [sys.executable, ROOT / "benchmarks" / "inference.py", *options]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def machine(arguments):
    """The machine that measured, and its settings."""
    kept = {k: v for k, v in sorted(os.environ.items()) if k.startswith(("MALLOC_", "OPENBLAS_", "OMP_"))}
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "threads": arguments.threads,
        "environment": ", ".join(f"{k}={v}" for k, v in kept.items()) or "default",
        "load before": os.getloadavg()[0],
    }


def versions(results):
    """Versions of all packages that were measured."""
    found = {k: v for table in results.values() for f in table.values() for k, v in f.get("versions", {}).items()}
    return ", ".join(f"{k} {v}" for k, v in sorted(found.items()))


def page(results, about, profile):
    """The text of PEERS.md."""
    exact = exact_currents(results["wires"]) if "wires" in results else None
    lines = [
        "# memlib beside other simulators\n",
        "By `python benchmarks/peers.py`, whose first lines say how. Each simulator has its own physics and settings",
        "(below): a ratio is the price of what it simulates, never of the same thing.\n",
        f"{about['cpu']}, {about['cores']} cores, {about['threads']} threads, Python {about['python']}; load average",
        f"{about['load before']:.1f} before and {about['load after']:.1f} after. {versions(results)}.",
        f"Environment: {about['environment']}.\n",
    ]
    if set(ROWS) & set(results):
        lines += [
            f"## ResNet-20, 3x32x32, batch {BATCH}, ratio to plain torch in the same process\n",
            "Ratios: median and range over rounds. Set-up: the first in its process, without imports, with memlib's",
            "calibration on 128 images. Peak memory: of the whole process with plain torch, for the images that were",
            "measured at once.",
        ]
    for row in [row for row in ROWS if row in results]:
        head = "| simulator | ratio | ms | plain torch ms | set-up s | peak GB | rounds | goals of memlib |"
        lines += [f"\n### {ROWS[row][0]}\n", head, "|---" * 8 + "|"]
        lines += [network_line(name, row, found) for name, found in results[row].items()]
    if exact is not None:
        lines += [
            f"\n## Exact wire resistance of one 128x128 tile, {VECTORS} input vectors\n",
            "10 to 100 kohm, 1 ohm a segment. Error: largest difference from the independent nodal analysis of",
            "`tests/nodal_oracle.py`, relative to the largest current.\n",
            "| simulator | ms once a tile | ms for the vectors | ms together | error | rounds | goal of memlib |",
            "|---" * 7 + "|",
        ]
        lines += [wires_line(name, found, exact) for name, found in results["wires"].items()]
    lines += ["\n## Where memlib's time goes\n", profile] if profile else []
    lines += ["\n## Settings\n", *settings(results), f"\n{NOT_MEASURED}"]
    return "\n".join(lines) + "\n"


def main():
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="NAME")
    parser.add_argument("--rows", nargs="+", choices=[*ROWS, "wires"], default=[*ROWS, "wires"])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--budget", type=float, default=10.0, help="seconds per row and simulator")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "peers")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "PEERS.md")
    parser.add_argument("--install-only", action="store_true")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    pythons, failed = {}, {}
    for name in arguments.peers:
        try:
            pythons[name] = install(name, PEERS[name], arguments.cache)
        except LackError as lack:
            failed[name] = {"lacks": str(lack)}
            print(f"{name}: {lack}")
    if arguments.install_only:
        return
    about, results = machine(arguments), {}
    for row in arguments.rows:
        print(row, flush=True)

        def start(name, row=row):
            log = arguments.cache / f"{PEERS[name].adapter}-{row}.log"
            batch = VECTORS if row == "wires" else BATCH
            return Worker(pythons[name], PEERS[name].adapter, row, log, arguments.threads, batch)

        results[row] = measure(start, pythons, arguments.rounds, arguments.budget) | failed
    profile = memlib_profile(arguments.threads) if "memlib" in pythons and set(ROWS) & set(arguments.rows) else ""
    about["load after"] = os.getloadavg()[0]
    arguments.output.write_text(page(results, about, profile))
    for found in results.get("wires", {}).values():  # long, and the same for all
        for one in [found, *found.get("measured", [])]:
            for key in ("g", "volts", "currents"):
                one.pop(key, None)
    raw = {"machine": about, "results": results}
    arguments.output.with_suffix(".json").write_text(json.dumps(raw, indent=1) + "\n")
    print(arguments.output.read_text())


if __name__ == "__main__":
    main()
