"""Shared by all tests: one thread and fixed examples, so that results depend neither on the machine nor on chance."""

import pytest
import torch
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

# examples follow from the test alone, and none is kept; some fixtures hold only what every example writes anew
settings.register_profile(
    "fixed",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("fixed")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Sums are taken in the same order everywhere, and small problems do not wait for threads."""
    torch.set_num_threads(1)
    with threadpool_limits(limits=1, user_api="blas"):
        yield
