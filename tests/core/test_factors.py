"""Factors equal NumPy's, their derivatives those of LAPACK's, and no program divides a batch."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from plans import planned

import jaxem
from jaxem.core.factors import cholesky, eigh, inverse_cholesky, smallest_eigenvalue
from jaxem.families import Density, Gaussian, LinearRegression
from jaxem.fitting import restarts

SHAPES = [(1, 1), (3, 2, 2), (2, 2, 5, 5), (2, 17, 17), (150, 150)]  # a loop, halves, halves thrice


def covariances(shape, seed=0):
    rows = np.random.default_rng(seed).normal(size=(*shape[:-1], 3 * shape[-1]))
    return rows @ np.swapaxes(rows, -1, -2) / rows.shape[-1]


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_factors_are_numpys(shape):
    C = covariances(shape)
    expected = np.linalg.cholesky(C)
    root, log_det = inverse_cholesky(jnp.asarray(C))
    np.testing.assert_allclose(cholesky(jnp.asarray(C)), expected, atol=1e-13)
    np.testing.assert_allclose(root, np.linalg.inv(expected), atol=1e-12)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(C)[1], atol=1e-11)
    values, vectors = eigh(jnp.asarray(C))
    np.testing.assert_allclose(values, np.linalg.eigvalsh(C), atol=1e-12)
    np.testing.assert_allclose(C @ vectors, vectors * values[..., None, :], atol=1e-12)
    np.testing.assert_allclose(smallest_eigenvalue(jnp.asarray(C)), values[..., 0], atol=1e-12)


def test_digits_of_nearly_singular_matrices_are_kept():
    """L and inv(L) as far as LAPACK has them; the error of both grows with the condition, 1e10."""
    scales = np.logspace(-5, 5, 40)[::-1]
    C = covariances((40, 40)) * scales[:, None] * scales
    expected = np.linalg.cholesky(C)
    np.testing.assert_allclose(cholesky(jnp.asarray(C)), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        inverse_cholesky(jnp.asarray(C))[0] @ expected, np.eye(40), atol=1e-9
    )


@pytest.mark.parametrize("place", [0, 3, 39])
def test_what_is_not_positive_definite_is_nan(place):
    C = np.eye(40)
    C[place, place] = -1e-9
    assert jnp.isnan(inverse_cholesky(jnp.asarray(C))[1])
    assert jnp.isnan(cholesky(jnp.asarray(C))).any()


@pytest.mark.slow
def test_derivatives_are_those_of_lapacks_factor():
    C = jnp.asarray(covariances((4, 4)))

    def of(factor, root):
        return jnp.sum(jnp.sin(factor)) + jnp.sum(root**3)

    def ours(C):
        return of(cholesky(C), inverse_cholesky(C)[0])

    def lapacks(C):
        factor = jnp.linalg.cholesky(C)
        return of(factor, jnp.linalg.inv(factor))

    np.testing.assert_allclose(jax.grad(ours)(C), jax.grad(lapacks)(C), atol=1e-10)
    np.testing.assert_allclose(jax.hessian(ours)(C), jax.hessian(lapacks)(C), atol=1e-9)


def normal(mean, x):
    return -0.5 * jnp.sum((x - mean[None]) ** 2, axis=1)


def middle(x, weight):
    return jnp.sum(x * weight[:, None], axis=0) / jnp.sum(weight)


@pytest.mark.slow(but=("GaussianFull0",))
@pytest.mark.parametrize(
    "family",
    [
        Gaussian("full"),
        Gaussian("tied"),
        Gaussian("full", missing=True),
        LinearRegression(),
        Density(normal, middle),
    ],
    ids=lambda family: type(family).__name__ + str(getattr(family, "covariance", ""))[:4],
)
def test_no_program_gives_lapack_a_batch(family):
    """It would wait for threads that may be waiting as well."""
    x = np.random.default_rng(0).normal(size=(40, 5))
    x[0, 0] = np.nan if family == Gaussian("full", missing=True) else 0
    data = (x, x[:, 1]) if isinstance(family, LinearRegression) else x
    job = planned(jaxem.Mixture(family, 3), data, key=jax.random.key(0), n_init=4)
    given = job.execution, job.rows, job.prior
    first = restarts.Begin(np.arange(4, dtype=np.int32), job.methods, None)
    begin = (*given, job.key, first, None, job.n_active)
    states = jax.eval_shape(lambda: restarts.start(*begin))
    go = (*given, states, job.tol, job.max_iter)
    end = (*given, states, job.thresholds, 4)
    programs = (restarts.start, begin), (restarts.advance, go), (restarts.finish, end)
    shapes = []
    for program, arguments in programs:
        text = program.lower(*arguments).compile().as_text()
        shapes += re.findall(r"= \(?\w+\[([\d,]*)\].*custom_call_target=\"lapack", text)
    assert shapes  # at least the eigenvectors of the columns' correlations, for k-means
    assert all(set(shape.split(",")[:-2]) <= {"1"} for shape in shapes)
