"""Scores, communalities and rotations of factor analysers, against scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import FactorAnalysis

import jaxem
from jaxem import families

D, Q = 7, 3
RNG = np.random.default_rng(0)
LOADINGS = RNG.normal(size=(2, D, Q)) * (RNG.random((2, D, Q)) < 0.6) + 0.1
OWN = families.FactorAnalyzerParams(
    RNG.normal(size=(2, D)), LOADINGS, 0.2 + RNG.random((2, D))
)  # fmt: skip
MODEL = jaxem.Mixture(families.FactorAnalyzer(Q), 2)
PARAMS = jaxem.MixtureParams(np.array([0.3, 0.7]), OWN)
X = RNG.normal(size=(30, D))


def peer(k, loadings):
    found = FactorAnalysis(Q)
    found.mean_, found.components_ = OWN.means[k], loadings.T
    found.noise_variance_, found.n_features_in_ = OWN.uniquenesses[k], D
    return found


def test_scores_and_communalities():
    scores = jaxem.factor_scores(MODEL, PARAMS, X)
    assert scores.shape == (30, 2, Q)
    share = jaxem.communalities(MODEL, PARAMS)
    for k in range(2):
        of = peer(k, LOADINGS[k])
        np.testing.assert_allclose(scores[:, k], of.transform(X), rtol=1e-9, atol=1e-12)
        variance = of.get_covariance().diagonal()
        np.testing.assert_allclose(share[k], 1 - OWN.uniquenesses[k] / variance, rtol=1e-12)


def test_varimax_is_scikit_learns_of_rows_of_one_length():
    """Rows in units of the root of their communality: Kaiser's normalisation, R's default."""
    turned = jaxem.varimax(MODEL, PARAMS)
    for k in range(2):
        length = np.sqrt((LOADINGS[k] ** 2).sum(1, keepdims=True))
        of = FactorAnalysis(Q, rotation="varimax")
        expected = length * of._rotate((LOADINGS[k] / length).T, tol=1e-14).T
        expected = expected[:, np.argsort(-(expected**2).sum(0))] * 1.0
        expected = expected * np.sign(expected.sum(0))
        np.testing.assert_allclose(turned.components.loadings[k], expected, atol=1e-4)
    logs = [jaxem.log_prob(MODEL, params, X) for params in (PARAMS, turned)]
    np.testing.assert_allclose(*logs, rtol=1e-12)
    again = jaxem.varimax(MODEL, turned).components.loadings
    np.testing.assert_allclose(again, turned.components.loadings, atol=1e-6)


def test_promax_is_a_regression_on_powers_of_varimax():
    """The same covariance; the normal equations of the target, column by column."""
    turned = np.asarray(jaxem.varimax(MODEL, PARAMS).components.loadings)
    pattern, correlations = jaxem.promax(MODEL, PARAMS, power=3.0)
    for v, p, phi in zip(turned, pattern, correlations, strict=True):
        np.testing.assert_allclose(p @ phi @ p.T, v @ v.T, atol=1e-10)
        np.testing.assert_allclose(np.diagonal(phi), 1, rtol=1e-12)
        assert np.max(np.abs(phi - np.eye(Q))) > 0.05
        shape, target = v.T @ p, v.T @ (np.sign(v) * np.abs(v) ** 3)
        ratio = (shape * target).sum(0) / (target**2).sum(0)
        np.testing.assert_allclose(shape, ratio * target, atol=1e-9)
    plain = jaxem.promax(MODEL, PARAMS, power=1.0)
    np.testing.assert_allclose(plain.loadings, turned, atol=1e-10)
    np.testing.assert_allclose(plain.correlations, np.stack([np.eye(Q)] * 2), atol=1e-10)
    with pytest.raises(ValueError, match="from 1"):
        jaxem.promax(MODEL, PARAMS, power=0.5)


@pytest.mark.slow
def test_a_heywood_case_is_told_of_and_bic_chooses_the_factors():
    """Two factors of rows that one made, where one column is all of a factor."""
    rng = np.random.default_rng(4)
    z = rng.normal(size=(200, 1))
    x = z @ rng.normal(1, 0.2, size=(1, 5)) + 0.6 * rng.normal(size=(200, 5))
    models = [jaxem.Mixture(families.FactorAnalyzer(q), 1) for q in (1, 2)]
    found = jaxem.select(models, x, key=jax.random.key(0), n_init=3)
    assert found.best.provenance.model == models[0] and not found.best.provenance.remarks
    exact = np.column_stack([x, x[:, :1] + 1e-6 * rng.normal(size=(200, 1))])
    result = jaxem.fit(models[0], exact, key=jax.random.key(0), n_init=3, max_iter=20_000)
    assert any("Heywood case" in remark for remark in result.provenance.remarks)


def test_other_families_have_no_factors():
    model = jaxem.Mixture(families.Poisson(), 1)
    params = jaxem.MixtureParams(np.ones(1), families.PoissonParams(jnp.ones((1, 2))))
    for of in (jaxem.varimax, jaxem.communalities):
        with pytest.raises(ValueError, match="has no factors"):
            of(model, params)
