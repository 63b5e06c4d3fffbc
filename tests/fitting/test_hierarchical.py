"""A start from hierarchical clusters: against scipy's, and the same whatever the key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

import jaxem
from jaxem import datasets, families

X = np.asarray(datasets.load_faithful().x)
MODEL = jaxem.Mixture(families.Gaussian("full"), 3)


def fit(x, seed=0, model=MODEL, **options):
    return jaxem.fit(model, x, key=jax.random.key(seed), init="hierarchical", **options)


@pytest.mark.slow
def test_it_starts_from_wards_clusters_of_sphered_rows():
    """The starting means are those of scipy's clusters: a start's prior is on covariances alone."""
    root = np.linalg.inv(np.linalg.cholesky(np.cov(X.T)))
    labels = fcluster(linkage((X - X.mean(axis=0)) @ root.T, "ward"), 3, "maxclust")
    expected = np.stack([X[labels == j].mean(axis=0) for j in (1, 2, 3)])
    found = np.asarray(fit(X, max_iter=0).params.components.means)
    order = [np.lexsort(of.T) for of in (expected, found)]
    np.testing.assert_allclose(found[order[1]], expected[order[0]], rtol=1e-9)


def test_nothing_is_drawn():
    one, other = fit(X, seed=0), fit(X, seed=1)
    jax.tree.map(np.testing.assert_array_equal, one.params, other.params)
    assert one.converged and np.shape(one.restarts.status) == (1,)


@pytest.mark.slow
def test_large_tables_are_clustered_by_some_rows():
    """Each other row is of the nearest mean: far groups come out whole."""
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [30.0, 0.0], [0.0, 30.0]])
    x = np.concatenate([rng.normal(c, 1.0, size=(1200, 2)) for c in centres])
    result = fit(x[rng.permutation(len(x))], max_iter=0)
    means = np.asarray(result.params.components.means)
    np.testing.assert_allclose(means[np.lexsort(means.T)], centres[[0, 1, 2]], atol=0.2)


def test_rows_of_weight_0_are_in_no_cluster():
    weight = np.ones(len(X) + 1)
    weight[-1] = 0
    spoilt = np.vstack([X, [[1e3, 1e3]]])
    one, other = fit(spoilt, sample_weight=weight), fit(X)
    np.testing.assert_allclose(one.log_likelihood, other.log_likelihood, rtol=1e-9)


@pytest.mark.slow
def test_states_of_a_chain_start_from_clusters():
    model = jaxem.HMM(families.Gaussian("diag"), 2)
    assert fit(X[:100], model=model).converged


def test_what_draws_or_is_traced_is_refused():
    for options in ({"n_init": 20}, {"search": "race"}):
        with pytest.raises(ValueError, match="it has one start"):
            fit(X, **options)
    with pytest.raises(ValueError, match="looks at the values of all rows"):
        jax.jit(lambda x: fit(x).log_likelihood)(jnp.array(X))
