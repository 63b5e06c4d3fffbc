"""Stopping: lack of progress is not convergence, and no status is the leftover case."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxem import Status
from jaxem.core.contracts import Health
from jaxem.fitting.em import Trips, judge
from jaxem.fitting.outcome import Thresholds, has_collapsed


def status(
    objective=-3.0, gain=1e-3, previous=2e-3, slowest=0.0, stalled=0, run=9, n_iter=40, tol=1e-6,
    dtype=jnp.float64,
):  # fmt: skip
    numbers = (jnp.asarray(v, dtype) for v in (objective, gain, previous, slowest))
    trips = Trips(*(jnp.int32(v) for v in (stalled, run, n_iter)))
    return Status(int(judge(*numbers, trips, jnp.asarray(tol, dtype))))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (dict(objective=np.nan, gain=np.nan), Status.NONFINITE),
        (dict(objective=np.inf, gain=np.inf), Status.NONFINITE),
        (dict(objective=np.nan, gain=np.nan, n_iter=0), Status.NONFINITE),
        (dict(gain=-1e-6), Status.DECREASED),
        (dict(gain=-1e-6, n_iter=1), Status.DECREASED),
        (dict(gain=-1e-15, previous=1e-15, stalled=1), Status.RUNNING),  # rounding, once
        (dict(gain=-1e-15, previous=1e-15, stalled=2), Status.CONVERGED),  # and again
        (dict(gain=1e-7, previous=2e-7), Status.CONVERGED),  # 1e-7 / (1 - 0.5) is left
        (dict(gain=1e-7, previous=2e-7, n_iter=4), Status.RUNNING),  # too early to say
        (dict(gain=1e-7, previous=1.001e-7), Status.RUNNING),  # small steps, but 1e-4 is left
        (dict(gain=1e-7, previous=2e-7, run=2), Status.RUNNING),  # too soon after a proposal
        (dict(gain=1e-7, previous=2e-7, slowest=0.99), Status.RUNNING),  # 1e-5 where it is slow
        (dict(gain=1e-7, previous=0.5e-7), Status.RUNNING),  # gains grow
        (dict(gain=1e-7, previous=-1e-12), Status.RUNNING),  # up after down is no rate
        (dict(gain=1e-12, previous=1.0000001e-12), Status.RUNNING),
        (dict(gain=0.0, previous=0.0, stalled=9), Status.CONVERGED),
        (dict(gain=0.0, previous=0.0, stalled=9, tol=0.0), Status.RUNNING),
        (dict(gain=0.0, previous=0.0, stalled=32, tol=0.0), Status.PRECISION),
        # float32 sees 1.4e-6 at best: a rate of two gains of that size is no rate
        (dict(gain=1.7e-6, previous=-4.8e-7, dtype=jnp.float32), Status.RUNNING),
        (dict(gain=9e-6, previous=1e-5, dtype=jnp.float32, tol=1e-4), Status.RUNNING),
        (dict(gain=1e-7, previous=1e-7, stalled=31, dtype=jnp.float32), Status.RUNNING),
        (dict(gain=1e-7, previous=1e-7, stalled=32, dtype=jnp.float32), Status.PRECISION),
        (dict(gain=1e-4, previous=2e-4, dtype=jnp.float32, tol=1e-3), Status.CONVERGED),
        (dict(gain=np.inf, objective=-3.0, previous=np.inf, n_iter=0), Status.RUNNING),
    ],
)
def test_judge(case, expected):
    assert status(**case) == expected


def test_what_log_densities_lose_is_no_decrease():
    """Rounding of the terms of the objective, where it is more than that of their sum."""
    numbers = (jnp.asarray(v) for v in (-3.0, -1e-6, 1e-6, 0.0))
    given = *numbers, Trips(*(jnp.int32(v) for v in (0, 9, 40))), jnp.asarray(1e-9)
    assert Status(int(judge(*given))) == Status.DECREASED
    assert Status(int(judge(*given, jnp.asarray(1e-7)))) == Status.RUNNING
    assert Status(int(judge(*given, jnp.asarray(1e-8)))) == Status.DECREASED


def test_only_two_statuses_are_success():
    assert [s for s in Status if s.converged] == [Status.CONVERGED, Status.PRECISION]
    assert all(s.message for s in Status)


@pytest.mark.parametrize(
    ("count", "ratio", "expected"),
    [
        ([50, 50], [1.0, 1.0], False),
        ([50, 2], [1.0, 0.05], True),  # narrow for its few rows
        ([50, 2], [1.0, 0.5], False),  # few rows far apart
        ([50, 2], [np.inf, np.inf], False),  # ... but it cannot collapse
        ([50, 10], [1.0, 1e-4], True),  # collapsed and few rows
        ([50, 40], [1.0, 1e-4], False),  # thin and well supported
        ([50, 40], [1.0, 0.0], True),  # singular
        ([50, 0], [1.0, np.inf], False),  # absent
        ([np.nan, np.nan], [1.0, 1.0], False),  # NaN is another status
    ],
)
def test_the_rule_of_spurious_optima(count, ratio, expected):
    health = Health(jnp.asarray(count, jnp.float64), jnp.asarray(ratio, jnp.float64))
    thresholds = Thresholds(jnp.asarray(6.0), jnp.asarray(1e-3), jnp.asarray(1e-6))
    assert has_collapsed(health, thresholds).tolist() == [False, expected]
