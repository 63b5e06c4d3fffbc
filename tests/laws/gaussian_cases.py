"""A case of each structure of covariances, of one column, and of rows with holes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from jaxem.families import Gaussian, GaussianParams, GaussianPrior
from jaxem.reference import missing_cells
from laws.family_case import FamilyCase

STRUCTURES = ("full", "tied", "diag", "spherical")


def dense(covariance, params):
    """The k covariance matrices of any structure."""
    k, d = params.means.shape
    c = np.asarray(params.covariances)
    if covariance == "full":
        return c
    if covariance == "tied":
        return np.stack([c] * k)
    if covariance == "diag":
        return np.stack([np.diag(v) for v in c])
    return np.stack([v * np.eye(d) for v in c])


def stored(covariance, matrices, counts):
    """What a structure keeps of the k covariance matrices of so many rows."""
    return {
        "full": matrices,
        "tied": np.average(matrices, axis=0, weights=counts),
        "diag": np.stack([np.diag(m) for m in matrices]),
        "spherical": np.array([np.trace(m) / len(m) for m in matrices]),
    }[covariance]


def gaussian(covariance, d, seed=0, n=48):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3 * rng.normal(size=d)
    means = rng.normal(size=(3, d))
    a = rng.normal(size=(3, d, d))
    matrices = a @ np.swapaxes(a, 1, 2) + np.eye(d)
    covariances = {
        "full": matrices,
        "tied": matrices[0],
        "diag": np.stack([np.diag(m) for m in matrices]),
        "spherical": matrices[:, 0, 0],
    }[covariance]

    def log_prob(params, x):
        each = zip(params.means, dense(covariance, params), strict=True)
        return np.stack(
            [
                scipy.stats.multivariate_normal(np.asarray(m), c).logpdf(np.asarray(x))
                for m, c in each
            ]
        )

    def mle(r, x):
        x = np.asarray(x)
        means = np.stack([np.average(x, axis=0, weights=w) for w in r])
        matrices = np.stack([np.atleast_2d(np.cov(x.T, aweights=w, bias=True)) for w in r])
        return GaussianParams(means, stored(covariance, matrices, r.sum(1)))

    prior = GaussianPrior(
        mean=rng.normal(size=d), mean_precision=0.7, degrees_of_freedom=d + 3.0, scale=1.5,
        reg_covar=0.2,
    )  # fmt: skip
    params = GaussianParams(jnp.asarray(means), jnp.asarray(covariances))
    shared = GaussianParams(False, covariance == "tied")
    return FamilyCase(Gaussian(covariance), params, jnp.asarray(x), log_prob, mle, prior, shared)


def with_holes(covariance):
    """EM, as a hole is hidden: the fixed point of M-steps is the estimate."""
    whole, rng = gaussian(covariance, 3), np.random.default_rng(7)
    values = np.where(rng.random((48, 3)) < 0.15, np.nan, np.asarray(whole.x))
    family, n_steps = Gaussian(covariance, missing=True), 40

    def log_prob(params, x):
        each = list(zip(np.asarray(params.means), dense(covariance, params), strict=True))
        rows = np.asarray(x.values)
        return np.array(
            [[missing_cells.row(own, m, c).log_density for own in rows] for m, c in each]
        )

    def mle(r, x):
        means, matrices = np.zeros((3, 3)), np.stack([np.eye(3)] * 3)
        for _ in range(n_steps):
            filled = [
                [missing_cells.row(own, m, c) for own in np.asarray(x.values)]
                for m, c in zip(means, matrices, strict=True)
            ]
            first = np.array([[own.mean for own in rows] for rows in filled])
            means = np.einsum("kn,kni->ki", r, first) / r.sum(1)[:, None]
            residuals = first - means[:, None]
            second = np.einsum("kn,kni,knj->kij", r, residuals, residuals)
            left = np.array([[own.covariance for own in rows] for rows in filled])
            second = second + np.einsum("kn,knij->kij", r, left)
            kept = stored(covariance, second / r.sum(1)[:, None, None], r.sum(1))
            matrices = dense(covariance, GaussianParams(means, kept))
        return GaussianParams(means, kept)

    x = jax.tree.map(jnp.asarray, family.read(values))
    return whole._replace(family=family, x=x, log_prob=log_prob, mle=mle, n_steps=n_steps)


GAUSSIAN_CASES = {
    **{covariance: partial(gaussian, covariance, 4) for covariance in STRUCTURES},
    "full_of_one_column": partial(gaussian, "full", 1),
    "tied_of_one_column": partial(gaussian, "tied", 1),
    "full_with_holes": partial(with_holes, "full"),
    "diag_with_holes": partial(with_holes, "diag"),
}
