"""A case of factor analysers: one factor, whose sign alone is not told."""

import jax.numpy as jnp
import numpy as np
import scipy.stats

from jaxem.families import FactorAnalyzer, FactorAnalyzerParams
from laws.family_case import FamilyCase, N, arrays

_TURNS = 3000
D = 4


def covariances(params):
    _, loadings, uniquenesses = map(np.asarray, params)
    own = np.stack([np.diag(of) for of in np.broadcast_to(uniquenesses, loadings.shape[:2])])
    return loadings @ np.swapaxes(loadings, 1, 2) + own


def factor_analyzer():
    rng = np.random.default_rng(4)
    loadings = np.array([[1.2, 0.9, -1.0, 0.7], [0.8, 1.1, -0.9, 1.0], [1.0, 0.7, -1.3, 0.8]])
    uniquenesses = np.array([[0.5, 0.7, 0.4, 0.9], [0.8, 0.6, 0.5, 0.7], [0.6, 0.6, 0.9, 0.4]])
    means = 5 + 0.2 * rng.normal(size=(3, D))
    x = 5 + rng.normal(size=(N, 1)) * loadings[0] + 0.8 * rng.normal(size=(N, D))
    params = FactorAnalyzerParams(*arrays(means, loadings[:, :, None], uniquenesses))

    def log_prob(params, x):
        each = zip(np.asarray(params.means), covariances(params), strict=True)
        return np.stack(
            [scipy.stats.multivariate_normal(m, c).logpdf(np.asarray(x)) for m, c in each]
        )

    def mle(r, x):
        """EM for the covariance matrix of the rows, by dense matrices (Rubin and Thayer 1982)."""
        x, found = np.asarray(x), []
        for own, a, psi in zip(r, loadings[:, :, None], uniquenesses, strict=True):
            m, s = np.average(x, axis=0, weights=own), np.cov(x.T, aweights=own, bias=True)
            for _ in range(_TURNS):
                beta = a.T @ np.linalg.inv(a @ a.T + np.diag(psi))
                a = s @ beta.T @ np.linalg.inv(np.eye(1) - beta @ a + beta @ s @ beta.T)
                psi = np.diag(s - a @ beta @ s)
            found.append((m, a, psi))
        return FactorAnalyzerParams(*map(np.stack, zip(*found, strict=True)))

    return FamilyCase(
        FactorAnalyzer(1), params, jnp.asarray(x), log_prob, mle, None,
        shared=FactorAnalyzerParams(False, False, False), n_steps=150, digits=1e-7,
    )  # fmt: skip


FACTOR_CASES = {"factor_analyzer": factor_analyzer}
