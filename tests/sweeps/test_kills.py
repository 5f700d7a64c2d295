"""A few random kills of the driver, a worker and the scheduler; `python tests/kills.py` does many."""

import random

import kills
import pytest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kill", "times"), [(kills.kill_driver, 2), (kills.kill_workers, 2), (kills.kill_scheduler, 1)]
)
def test_a_kill_loses_and_doubles_nothing(tmp_path, kill, times):
    """SIGKILL at random moments: the finished table is that of an undisturbed sweep."""
    kill(tmp_path, times, random.Random(7))
