"""Shared by all tests: one thread, so that results do not depend on the machine's cores."""

import pytest
import torch
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Sums are taken in the same order everywhere, and small problems do not wait for threads."""
    torch.set_num_threads(1)
    with threadpool_limits(limits=1, user_api="blas"):
        yield
