"""Shared by all tests: one torch thread, so that results do not depend on the machine's cores."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Sums are taken in the same order everywhere."""
    torch.set_num_threads(1)
