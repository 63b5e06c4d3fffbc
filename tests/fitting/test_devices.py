"""Devices that are not the one CPU: what is chosen for an accelerator, programs for other
platforms, and data that lie on a second device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax
from plans import planned

import jaxem
from jaxem import families
from jaxem.analysis import predict
from jaxem.core.dataset import as_dataset
from jaxem.fitting import restarts, sizes, steps
from laws.compare import close

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(60, 5)) + 3 * (np.arange(60) % 2)[:, None]
HOLED = np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, X)
COUNTS = np.random.default_rng(2).poisson(np.repeat([[2.0], [9.0]], 30, 0)).astype(float)
FULL = jaxem.Mixture(families.Gaussian("full"), 2)
CHAIN = jaxem.HMM(families.Poisson(), 2)
OPTIONS = {"n_init": 3, "tol": 1e-9}


@pytest.fixture
def as_if_on_an_accelerator(monkeypatch):
    """Runs what is for an accelerator: choices of sizes, and branches of compiled programs."""

    def other(*args, default, **branches):
        return default(*args)

    def force():
        monkeypatch.setattr(sizes, "on_cpu", lambda rows=None: False)
        monkeypatch.setattr(lax, "platform_dependent", other)
        jax.clear_caches()

    yield force
    jax.clear_caches()


# ---- choices

FITS = {
    "starts_side_by_side": lambda: jaxem.fit(FULL, X, key=KEY, **OPTIONS),
    "holes": lambda: jaxem.fit(
        jaxem.Mixture(families.Gaussian("full", missing=True), 2), HOLED, key=KEY, **OPTIONS
    ),
    "chain": lambda: jaxem.fit(CHAIN, COUNTS, key=KEY, **OPTIONS),
    "many_data_sets": lambda: jaxem.fit_many(
        FULL, np.stack([X, X[::-1] + 1.0, 2 * X]), key=KEY, **OPTIONS
    ),
}


@pytest.mark.parametrize("name", FITS)
def test_what_is_chosen_for_an_accelerator_gives_the_same(name, as_if_on_an_accelerator):
    expected = FITS[name]()
    as_if_on_an_accelerator()
    found = FITS[name]()
    np.testing.assert_array_equal(found.status, expected.status)
    np.testing.assert_allclose(found.restarts.log_likelihood, expected.restarts.log_likelihood)
    close(found.params, expected.params, rtol=1e-7, atol=1e-9)


def test_an_accelerator_is_given_all_at_once(as_if_on_an_accelerator):
    rows = as_dataset(FULL, X).rows
    on_a_cpu = sizes.chunk_size(rows, 2, 5, 60), sizes.lanes(rows, 3)
    assert on_a_cpu == (1, 1) and sizes.n_threads(FULL, rows, 5) > 1
    as_if_on_an_accelerator()
    job = planned(FULL, X, key=KEY, n_init=5)
    assert (job.chunk, job.n_threads, job.block_size) == (5, 1, 60)
    assert sizes.lanes(rows, 3) == sizes.sets_a_group(FULL, rows, 5, 3) == 3


# ---- programs for other platforms


def programs(model, x):
    """The functions that a fit compiles, with their arguments."""
    job = planned(model, x, key=KEY, n_init=2)
    index = np.arange(2, dtype=np.int32)
    begin = job.rows, job.prior, job.key, index, job.methods, job.n_active, job.splits
    own = job.execution
    state = jax.eval_shape(lambda *of: restarts.start(own, *of), *begin)
    params = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), state.params
    )
    sums, _ = jax.eval_shape(
        lambda p, rows: steps._e_step(model, p, rows, None, job.block_size), params, job.rows
    )
    return (
        (restarts.start, (own, *begin)),
        (restarts.advance, (own, job.rows, job.prior, state, job.tol, job.max_iter)),
        (restarts.finish, (own, job.rows, job.prior, state, job.thresholds, job.n_starts)),
        (steps._e_step, (model, params, job.rows, None, job.block_size)),
        (steps._m_step, (model, params, sums, None)),
        (predict._of_rows, (model, params, job.rows, job.block_size, "probabilities")),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (FULL, X),
        (jaxem.Mixture(families.Gaussian("full", missing=True), 2), HOLED),
        (jaxem.HMM(families.Gaussian("full"), 2), X.reshape(6, 10, 5)),
    ],
    ids=["full", "holes", "chain"],
)
def test_programs_are_exported_for_every_platform(model, x):
    for function, args in programs(model, x):
        found = export.export(function, platforms=("cpu", "cuda", "tpu"))(*args)
        assert found.platforms == ("cpu", "cuda", "tpu")


# ---- a second device


def test_data_on_a_second_device_are_fitted_there():
    second = jax.devices()[1]
    x = jax.device_put(jnp.asarray(X), second)
    expected, found = (jaxem.fit(FULL, data, key=KEY, **OPTIONS) for data in (X, x))
    close(found.params, expected.params)
    here = found.params, found.log_likelihood, jaxem.predict_proba(FULL, found.params, x)
    assert {device for leaf in jax.tree.leaves(here) for device in leaf.devices()} == {second}
