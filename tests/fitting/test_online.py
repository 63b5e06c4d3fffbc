"""Online EM: one pass comes near the optimum of all rows, and sums move with the parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem import families, sources
from jaxem.core import pool
from jaxem.core.status import Status
from jaxem.fitting import stream
from laws.compare import close

KEY = jax.random.key(7)
RNG = np.random.default_rng(1)
N = 40_003
GROUP = RNG.integers(0, 3, N)
X = RNG.normal(size=(N, 2)) * (1 + GROUP[:, None] / 2) + 4 * GROUP[:, None]
COUNTS = RNG.poisson(np.array([1.0, 6.0, 15.0])[GROUP])[:, None].astype(float)
FULL = jaxem.Mixture(families.Gaussian("full"), 3)
START = jaxem.MixtureParams(
    np.full(3, 1 / 3), families.GaussianParams(X[:3], np.tile(np.cov(X.T), (3, 1, 1)))
)


@pytest.fixture(autouse=True)
def parts(monkeypatch):
    """Several parts, and a pool that is not all rows."""
    monkeypatch.setattr(stream, "_PART", 1 << 17)
    monkeypatch.setattr(pool, "POOL", 4000)


def rows(x, size=10_000):
    def own(at):
        return jax.tree.map(lambda leaf: leaf[at : at + size], x)

    return sources.batches(lambda: map(own, range(0, N, size)))


def test_one_pass_comes_near_the_optimum_from_the_same_start():
    start = jaxem.fit(FULL, X[:300], key=KEY, n_init=2, max_iter=2).params
    best = jaxem.em(FULL, start, X)
    found = jaxem.fit_online(FULL, rows(X), key=KEY, init=start)
    assert 0 <= (best.log_likelihood - found.log_likelihood) / N < 1e-3
    assert found.status == Status.MAX_ITER and not found.converged
    close(found.log_likelihood, jaxem.log_likelihood(FULL, found.params, X), rtol=1e-12)
    on = jaxem.em(FULL, found.params, rows(X))
    assert abs(on.log_likelihood - best.log_likelihood) / N < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "x"),
    [
        (families.Poisson(), COUNTS),
        (families.Gaussian("tied"), X),
        (families.LinearRegression(), (X[:, :1], X[:, 1] * (1 - GROUP) + COUNTS[:, 0])),
        (families.Product({"a": families.Gaussian("diag"), "b": families.Poisson()}),
         {"a": X, "b": COUNTS}),
    ],
    ids=["poisson", "tied", "regression", "dict"],
)  # fmt: skip
def test_starts_of_a_method_come_near_the_best_of_many(family, x):
    model = jaxem.Mixture(family, 3)
    best = jaxem.fit(model, x, key=KEY, n_init=4)
    found = jaxem.fit_online(model, rows(x), key=KEY, n_init=4)
    assert (best.log_likelihood - found.log_likelihood) / N < 2e-3


@pytest.mark.slow(but=("30000.0",))
@pytest.mark.parametrize("pull", [1e-6, 3e4])
def test_one_component_is_that_of_all_rows(pull):
    """Of one batch, whose sums move with the parameters; a prior counts as it does in `em`."""
    one = jaxem.Mixture(families.Gaussian("full"), 1)
    start = jaxem.MixtureParams(np.ones(1), families.GaussianParams(X[:1], np.eye(2)[None]))
    of = {"key": KEY, "init": start, "exponent": 1.0, "offset": 0.0, "batch_size": N}
    prior = jaxem.MixturePrior(
        components=families.GaussianPrior(mean=np.zeros(2), mean_precision=pull)
    )
    found = jaxem.fit_online(one, rows(X), **of, prior=prior)
    close(found.params.components.means[0], X.mean(0) * N / (N + pull), rtol=1e-9)
    expected = jaxem.em(one, start, X, prior=prior, tol=1e-12)
    close(found.params, expected.params, rtol=1e-8)


@pytest.mark.slow
def test_steps_are_those_of_the_equation(monkeypatch):
    """With weights 1/t a step ends at the mean of the batches so far, and the fit at the mean of
    the last half of those means. A batch has rows from all over a part."""
    monkeypatch.setattr(stream, "_PART", 1 << 24)
    one, x = jaxem.Mixture(families.Gaussian("full"), 1), X[:40_000]
    start = jaxem.MixtureParams(np.ones(1), families.GaussianParams(X[:1], np.eye(2)[None]))
    of = {"init": start, "exponent": 1.0, "offset": 0.0, "batch_size": 4000}
    found = jaxem.fit_online(one, sources.batches(lambda: [x]), key=KEY, **of)
    batches = np.array([x[i::10].mean(0) for i in range(10)])
    means = np.cumsum(batches, axis=0) / np.arange(1, 11)[:, None]
    close(found.params.components.means[0], means[5:].mean(0), rtol=1e-9)


@pytest.mark.slow
def test_weights_holes_and_priors():
    weight = RNG.integers(0, 3, N).astype(float)
    holed = np.where(RNG.random(X.shape) < 0.1, np.nan, X)

    def batches():
        for at in range(0, N, 9000):
            yield holed[at : at + 9000], weight[at : at + 9000], None

    model = jaxem.Mixture(families.Gaussian("diag", missing=True), 3)
    given = {"key": KEY, "n_init": 3, "reg_covar": 0.2}
    best = jaxem.fit(model, holed, sample_weight=weight, **given)
    found = jaxem.fit_online(model, sources.batches(batches), **given, n_passes=2)
    assert (best.log_posterior - found.log_posterior) / weight.sum() < 1e-3
    assert found.total_weight == best.total_weight


@pytest.mark.slow
def test_a_component_that_collapses_is_named():
    """A third of the rows lie on a line, near which a component begins."""
    model = jaxem.Mixture(families.LinearRegression(), 3)
    coefficients, scales = np.array([[0, 0], [0.1, -0.6], [-1, -1]]), np.array([1e-4, 1, 2])
    near = families.LinearRegressionParams(coefficients, scales)
    start = jaxem.MixtureParams(np.full(3, 1 / 3), near)
    line = rows((X[:, :1], X[:, 1] * (1 - GROUP)))
    found = jaxem.fit_online(model, line, key=KEY, init=start, n_passes=3)
    assert found.status == Status.DEGENERATE


@pytest.mark.slow
def test_what_cannot_be_fitted_so_says_why():
    with pytest.raises(ValueError, match=r"give a source, such as jaxem\.sources\.npy"):
        jaxem.fit_online(FULL, X, key=KEY)
    with pytest.raises(ValueError, match=r"exponent is 0\.5; it must be over 0\.5"):
        jaxem.fit_online(FULL, rows(X), key=KEY, exponent=0.5)
    model = jaxem.Mixture(families.PoissonRegression(), 2)
    with pytest.raises(ValueError, match="keeps derivatives at the parameters of the E-step"):
        jaxem.fit_online(model, rows((X, COUNTS[:, 0])), key=KEY, n_init=2)


def test_a_batch_without_rows_that_are_there_is_passed_over():
    weight = np.where(np.arange(N) < 2000, 0.0, 1.0)
    source = sources.batches(
        lambda: ((X[a : a + 5000], weight[a : a + 5000], None) for a in range(0, N, 5000))
    )
    found = jaxem.fit_online(FULL, source, key=KEY, init=START)
    assert jnp.all(jnp.isfinite(found.params.components.covariances))
    assert found.total_weight == N - 2000
