"""Acceleration: the optimum of plain EM in fewer steps, and harmless whatever it proposes."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from plans import planned

import jaxem
from jaxem import Status
from jaxem.families import Gaussian, GaussianParams
from jaxem.fitting import driver as fitting
from jaxem.fitting.squarem import Squarem
from jaxem.models.mixture import MixtureParams

MODEL = jaxem.Mixture(Gaussian("full"), 2)
START = MixtureParams(
    jnp.array([0.5, 0.5]),
    GaussianParams(jnp.array([[-0.5], [1.0]]), jnp.ones((2, 1, 1))),
)


@pytest.fixture(scope="module")
def x():
    """Two components 2.4 standard deviations apart: EM is slow."""
    rng = np.random.default_rng(11)
    return np.where(rng.random(800) < 0.4, rng.normal(-1.2, 1, 800), rng.normal(1.2, 1, 800))


@pytest.fixture(scope="module")
def plain(x):
    return jaxem.em(MODEL, START, x, tol=1e-9, max_iter=20_000, acceleration=None)


@pytest.mark.slow
def test_the_same_optimum_in_fewer_steps(x, plain):
    fast = jaxem.em(MODEL, START, x, tol=1e-9, max_iter=20_000, acceleration="squarem")
    assert plain.converged and fast.converged
    assert 5 * int(fast.n_iter) < int(plain.n_iter)
    np.testing.assert_allclose(fast.log_likelihood, plain.log_likelihood, atol=1e-9 * len(x))
    np.testing.assert_allclose(fast.params.weights, plain.params.weights, atol=1e-3)


@pytest.mark.parametrize("tol", [1e-5, 1e-7, 1e-9])
def test_it_ends_no_lower_than_plain_em_at_the_same_tol(x, tol):
    """A proposal leaves small gains behind it; they alone are not convergence."""
    ends = [
        jaxem.em(MODEL, START, x, tol=tol, max_iter=20_000, acceleration=name)
        for name in (None, "squarem")
    ]
    assert all(end.status == Status.CONVERGED for end in ends)
    assert float(ends[1].log_likelihood) >= float(ends[0].log_likelihood) - tol * len(x)


def test_no_trip_lowers_the_objective(x):
    job = planned(MODEL, x, init=START, tol=0.0)
    state, last, rejected = fitting.start(job), -np.inf, 0
    for until in range(60):
        state = fitting.advance(job, state, until)
        objective = float(state.tree.objective[0])
        rejected += objective == last
        assert objective >= last - 1e-12
        last = objective
    assert state.tree.n_iter[0] == 59
    assert rejected  # a proposal was refused on the way, and cost one trip


@dataclass(frozen=True)
class Wild(Squarem):
    """Proposes nonsense: `factor` times the coordinates, NaN for NaN."""

    factor: float

    def accept(self, model, memory, params, successor, stay):
        memory = super().accept(model, memory, params, successor, stay)
        return memory._replace(proposal=self.factor * memory.here, plain=jnp.zeros((), bool))


@pytest.mark.parametrize("factor", [np.nan, -30.0, 1e8])
def test_nonsense_is_not_taken(x, plain, factor):
    """Every second trip is wasted; the others are plain EM."""
    wild = jaxem.em(MODEL, START, x, tol=0.0, max_iter=60, acceleration=Wild(factor))
    alone = jaxem.em(MODEL, START, x, tol=0.0, max_iter=30, acceleration=None)
    np.testing.assert_allclose(wild.log_likelihood, alone.log_likelihood, rtol=1e-12)
    np.testing.assert_allclose(wild.params.weights, alone.params.weights, rtol=1e-9)


def test_exact_zeros_and_absent_components_stay(x):
    start = MixtureParams(
        jnp.array([0.5, 0.0, 0.5]),
        GaussianParams(jnp.array([[-0.5], [9.0], [1.0]]), jnp.ones((3, 1, 1))),
    )
    three = jaxem.em(jaxem.Mixture(Gaussian("full"), 3), start, x, tol=1e-8)
    two = jaxem.em(MODEL, START, x, tol=1e-8)
    assert three.params.weights[1] == 0 and three.params.components.means[1] == 9
    np.testing.assert_allclose(three.log_likelihood, two.log_likelihood, rtol=1e-10)


def test_an_unknown_acceleration_is_named():
    for bad in ("anderson", 1, ["squarem"]):
        with pytest.raises(ValueError, match=r"must be one of 'squarem', None"):
            jaxem.em(MODEL, START, np.ones(9), acceleration=bad)


@pytest.mark.slow
def test_lanes_do_not_touch_each_other(x):
    """vmap over starts: each ends as alone."""

    def end(shift):
        means = START.components.means + shift
        params = START._replace(components=START.components._replace(means=means))
        result = jaxem.em(MODEL, params, x, tol=1e-9)
        return result.log_likelihood

    shifts = jnp.array([0.0, 0.3, -0.5])
    together = jax.jit(jax.vmap(end))(shifts)
    for i, shift in enumerate(shifts):
        np.testing.assert_allclose(together[i], jax.jit(end)(shift), rtol=1e-9)
