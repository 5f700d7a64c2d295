"""Did memlib become slower? The rows of inference.py with goals, at older commits beside this one.

    python benchmarks/history.py [--commits fa75850] [--rounds 20] [--threads 2] [--budget 30]

Each commit is checked out into a git worktree of its own and measured by its own adapter, in turn with the others
(A B, A B, ...). So whatever disturbs the machine disturbs all. The default is the last commit of version 0.1. A ratio
below 1 means faster now. A row that a commit lacks says so.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from peers import BATCH, ROOT, ROWS, Worker, measure, spread


@contextlib.contextmanager
def checked_out(commits):
    """({commit: folder}, a temporary folder): worktrees that end with the context, and "now", this folder as it is."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = {commit: Path(temporary, commit) for commit in commits}
        git = ["git", "-C", ROOT, "worktree"]
        try:
            for commit, folder in folders.items():
                subprocess.run([*git, "add", "--quiet", "--detach", folder, commit], check=True)
            yield folders | {"now": ROOT}, Path(temporary)
        finally:
            for folder in folders.values():
                subprocess.run([*git, "remove", "--force", folder], check=False)


def print_row(row, found):
    """Times of each commit, and the ratio of now to then."""
    now = found["now"]
    if "lacks" in now:
        raise SystemExit(now["lacks"])
    for commit, then in found.items():
        if "lacks" in then:
            print(f"| {ROWS[row][0]} | {commit} | {then['lacks']} | | | |")
            continue
        pairs = list(zip(now["measured"], then["measured"], strict=False))  # one may have had fewer rounds
        ratios = [a["seconds"] / b["seconds"] for a, b in pairs]
        milliseconds = 1e3 * statistics.median(m["seconds"] for m in then["measured"])
        rest = f"{then['set_up']:.2f} | {max(m['peak'] for m in then['measured']) / 1e6:.0f}"
        print(f"| {ROWS[row][0]} | {commit} | {milliseconds:.1f} | {spread(ratios, 2)} | {rest} |", flush=True)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commits", nargs="+", default=["fa75850"])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--budget", type=float, default=30.0, help="seconds per row and commit")
    arguments = parser.parse_args()
    print("| row | commit | ms | now / then, median and range | set-up s | peak MB |\n|---|---|---|---|---|---|")
    with checked_out(arguments.commits) as (folders, temporary):
        for row in ROWS:

            def start(commit, row=row):
                log = temporary / f"{row}.log"
                return Worker(sys.executable, "memlib", row, log, arguments.threads, BATCH, folders[commit])

            print_row(row, measure(start, folders, arguments.rounds, arguments.budget))


if __name__ == "__main__":
    main()
