"""Regressions do not depend on where their regressors and responses lie, nor on their units."""

import warnings

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import jaxem
from jaxem import families

KEY = jax.random.key(0)
N = 80
_RNG = np.random.default_rng(5)
U = _RNG.random(N)
ETA = np.where(_RNG.random(N) < 0.5, 3 + 4 * U, 6 - 4 * U)
LINES = ETA + _RNG.normal(0, 0.2, N)
COUNTS = _RNG.poisson(np.exp(ETA / 2)).astype(float)
ANSWERS = (_RNG.random(N) < 1 / (1 + np.exp(2 - 4 * U))).astype(float)

FAR = [(2015.0, 5.0), (2459000.5, 1 / 24), (1.7e18, 1e9), (0.0, 1e-6), (0.0, 1e12), (-1e6, 1.0)]


def least_squares(x, y):
    """The log-likelihood at the least squares of one line, in longdouble, and its slope."""
    x, y = (np.asarray(a, np.longdouble) for a in (x, y))
    x, y = x - x.mean(), y - y.mean()
    slope = (x * y).sum() / (x * x).sum()
    variance = ((y - slope * x) ** 2).mean()
    return float(-len(x) / 2 * (np.log(2 * np.pi * variance) + 1)), float(slope), float(variance)


def irls(x, y, mean, variance):
    """Coefficients about the mean of x, and their covariance, by Newton steps in NumPy."""
    x = np.asarray(np.asarray(x, np.longdouble) - np.mean(x, dtype=np.longdouble), float)
    u, b = np.c_[np.ones(len(x)), x / x.std()], np.zeros(2)
    for _ in range(60):
        eta = u @ b
        information = (u * variance(eta)[:, None]).T @ u
        b = b + np.linalg.solve(information, u.T @ (y - mean(eta)))
    errors = np.sqrt(np.diagonal(np.linalg.inv(information)))
    return b[1] / x.std(), errors[1] / x.std()


def one(family, x, y, **options):
    return jaxem.fit(jaxem.Mixture(family, 1), (x[:, None], y), key=KEY, n_init=1, tol=1e-10,
                     **options)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("offset", "width"), FAR)
def test_one_line_is_least_squares(offset, width):
    x = offset + width * U
    log_likelihood, slope, variance = least_squares(x, LINES)
    result = one(families.LinearRegression(), x, LINES)
    assert result.converged
    np.testing.assert_allclose(result.log_likelihood, log_likelihood, rtol=1e-9)
    np.testing.assert_allclose(result.params.components.coefficients[0, 1], slope, rtol=1e-9)
    again = jaxem.log_likelihood(result.provenance.model, result.params, (x[:, None], LINES))
    np.testing.assert_allclose(again, log_likelihood, rtol=1e-9)
    errors = jaxem.standard_errors(result.provenance.model, result.params, (x[:, None], LINES))
    expected = np.sqrt(variance / N) / x.std()
    np.testing.assert_allclose(errors.components.coefficients[0, 1], expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("offset", "width"), [FAR[0], FAR[1], FAR[4]])
@pytest.mark.parametrize(
    ("family", "y", "mean", "variance"),
    [
        (families.PoissonRegression(), COUNTS, np.exp, np.exp),
        (families.LogisticRegression(), ANSWERS, lambda e: 1 / (1 + np.exp(-e)),
         lambda e: 1 / (2 + np.exp(e) + np.exp(-e))),
    ],
    ids=["poisson", "logistic"],
)  # fmt: skip
def test_one_component_is_irls(family, y, mean, variance, offset, width):
    x = offset + width * U
    slope, error = irls(x, y, mean, variance)
    result = one(family, x, y)
    np.testing.assert_allclose(result.params.components.coefficients[0, 1], slope, rtol=1e-5)
    errors = jaxem.standard_errors(result.provenance.model, result.params, (x[:, None], y))
    np.testing.assert_allclose(errors.components.coefficients[0, 1], error, rtol=1e-5)


def fits(family, model, place):
    """Fits of the same rows with regressors at 0 and at another place."""
    y = {"Poisson": COUNTS, "Logistic": ANSWERS}.get(type(family).__name__[:-10], LINES)
    for x in (U, place[0] + place[1] * U):
        data = (x[:, None], y)
        if isinstance(family, families.Product):
            data = {"line": data, "place": U[:, None]}
        yield data, jaxem.fit(model, data, key=KEY, n_init=6, tol=1e-10)


@pytest.mark.slow(but=("lines-year",))
@pytest.mark.parametrize("place", [(2015.0, 5.0), (2459000.5, 1 / 24)], ids=["year", "date"])
@pytest.mark.parametrize(
    "model",
    [
        jaxem.Mixture(families.LinearRegression(), 2),
        jaxem.Mixture(families.PoissonRegression(), 2),
        jaxem.HMM(families.LinearRegression(common_scale=True), 2),
        jaxem.Mixture(
            families.Product({"line": families.LinearRegression(),
                              "place": families.Gaussian("diag")}), 2,
        ),
    ],
    ids=["lines", "counts", "chain", "product"],
)  # fmt: skip
def test_fits_do_not_depend_on_the_place(model, place):
    (_, near), (x, far) = fits(model.family, model, place)
    np.testing.assert_allclose(far.log_likelihood, near.log_likelihood, rtol=1e-7)
    np.testing.assert_allclose(far.bic, near.bic, rtol=1e-7)
    again = jaxem.log_likelihood(model, far.params, x)
    np.testing.assert_allclose(again, far.log_likelihood, rtol=1e-9)
    assert far.provenance.n_columns == near.provenance.n_columns


def test_responses_have_their_units_too():
    """y -> a + b y: the log-likelihood moves by n log b."""
    near = one(families.LinearRegression(), 2015 + 5 * U, LINES)
    far = one(families.LinearRegression(), 2015 + 5 * U, 1e6 + 1e-3 * LINES)
    np.testing.assert_allclose(
        far.log_likelihood, near.log_likelihood - N * np.log(1e-3), rtol=1e-7
    )


@pytest.mark.slow
def test_float32_keeps_years():
    """Digits: 1e-6 of a nat a row, of numbers that float64 had on the host."""
    with jax.enable_x64(False):
        x = 2015 + 5 * U
        log_likelihood, slope, _ = least_squares(x, LINES)
        result = one(families.LinearRegression(), x, LINES)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result.log_likelihood, log_likelihood, atol=1e-6 * N)
        np.testing.assert_allclose(result.params.components.coefficients[0, 1], slope, rtol=1e-5)
        again = jaxem.log_likelihood(result.provenance.model, result.params, (x[:, None], LINES))
        np.testing.assert_allclose(again, log_likelihood, atol=1e-6 * N)


@pytest.mark.slow
def test_an_offset_that_leaves_no_digits_is_said():
    model = jaxem.Mixture(families.LinearRegression(), 1)
    with jax.enable_x64(False):
        with pytest.raises(ValueError, match=r"column 0 of X spreads over.*subtract the offset"):
            jaxem.fit(model, (2459000.5 + U / 24, LINES), key=KEY, n_init=1)
        with pytest.warns(UserWarning, match="column 0 of X spreads over"):
            result = jaxem.fit(model, (2459000.5 + 365 * U, LINES), key=KEY, n_init=1)
        assert "column 0 of X" in str(result)


@pytest.mark.slow
def test_traced_regressors_have_a_pivot():
    """Under jit and vmap, where none can be looked at; rows of weight 0 may hold anything."""
    model = jaxem.Mixture(families.LinearRegression(), 1)
    X = jnp.stack([2015 + 5 * jnp.asarray(U), 1e5 + jnp.asarray(U)])[:, :, None]
    weight = jnp.ones(N).at[3].set(0)
    start = jaxem.MixtureParams(
        np.ones(1), families.LinearRegressionParams(np.zeros((1, 2)), np.ones(1))
    )
    of = jax.jit(jax.vmap(lambda x: jaxem.em(model, start, (x, jnp.asarray(LINES)), weight)))
    results = of(X.at[:, 3].set(jnp.nan))
    there = np.arange(N) != 3
    for x, log_likelihood in zip(X, results.log_likelihood, strict=True):
        expected = least_squares(np.asarray(x)[there, 0], LINES[there])[0]
        np.testing.assert_allclose(log_likelihood, expected, rtol=1e-9)


@pytest.mark.slow
def test_known_numbers_and_priors_are_in_the_persons_units():
    """A slope that is fixed, an intercept at 0 that is fixed, and a prior on the slope, far off."""
    x, model = 2015 + 5 * U, jaxem.Mixture(families.LinearRegression(), 1)

    def coefficients(**options):
        result = one(families.LinearRegression(), x, LINES, **options)
        return np.asarray(result.params.components.coefficients[0])

    def fixed(*b):
        return jaxem.MixtureParams(None, families.LinearRegressionParams(np.array([b]), None))

    b = coefficients(fixed=fixed(np.nan, 0.25))
    np.testing.assert_allclose(b, [np.mean(LINES - 0.25 * x), 0.25], rtol=1e-9)
    b = coefficients(fixed=fixed(2.0, np.nan))
    np.testing.assert_allclose(b, [2.0, x @ (LINES - 2) / (x @ x)], rtol=1e-9)
    own = families.LinearRegressionPrior(0.5, np.array([[0.0, 30.0]]))
    b = coefficients(prior=jaxem.MixturePrior(components=own))
    centred = x - x.mean()
    slope = (centred @ LINES + 30 * 0.5) / (centred @ centred + 30)
    np.testing.assert_allclose(b, [LINES.mean() - slope * x.mean(), slope], rtol=1e-8)
    own = families.LinearRegressionPrior(0.0, np.array([[2.0, 0.5]]))
    b = coefficients(prior=jaxem.MixturePrior(components=own))
    u = np.c_[np.ones(N), x]
    np.testing.assert_allclose(
        b, np.linalg.solve(u.T @ u + np.diag([2, 0.5]), u.T @ LINES), rtol=1e-6
    )
    assert model.family.intercept


# ---- starts


CROSSING = np.array([(0, 1), (3, -1), (-3, 2), (5, 0.2)])


@pytest.mark.slow
def test_few_points_on_each_of_four_lines():
    """All starts by lines lead to the best optimum or next to it; k-means starts to none."""
    rng = np.random.default_rng(8)
    x, z = rng.uniform(-3, 3, 20), np.repeat(np.arange(4), 5)
    y = CROSSING[z, 0] + CROSSING[z, 1] * x + rng.normal(0, 0.1, 20)
    model = jaxem.Mixture(families.LinearRegression(common_scale=True), 4)
    params = families.LinearRegressionParams(CROSSING, np.full(4, 0.1))
    truth = jaxem.em(model, jaxem.MixtureParams(np.full(4, 0.25), params), (x[:, None], y))
    for seed in range(4):
        result = jaxem.fit(model, (x[:, None], y), key=jax.random.key(seed))
        assert float(result.log_likelihood) > float(truth.log_likelihood) - 1e-3


@pytest.mark.slow
def test_lines_start_from_the_rows_that_are_theirs():
    """With a few rows labelled, lines go through those, and components keep their numbers."""
    rng = np.random.default_rng(9)
    x, z = rng.uniform(-3, 3, 40), np.arange(40) % 4
    y = CROSSING[z, 0] + CROSSING[z, 1] * x + rng.normal(0, 0.1, 40)
    model = jaxem.Mixture(families.LinearRegression(common_scale=True), 4)
    labels = np.where(np.arange(40) < 12, z, -1)
    result = jaxem.fit(model, (x[:, None], y), key=KEY, n_init=4, init="random_from_data",
                       labels=labels)  # fmt: skip
    np.testing.assert_allclose(result.params.components.coefficients, CROSSING, atol=0.3)


@pytest.mark.slow
def test_crossing_counts():
    rng = np.random.default_rng(3)
    x, z = rng.uniform(-2, 2, 60), rng.integers(0, 3, 60)
    true = np.array([(1, 1.2), (2, -1.0), (3, 0.1)])
    y = rng.poisson(np.exp(true[z, 0] + true[z, 1] * x)).astype(float)
    model = jaxem.Mixture(families.PoissonRegression(), 3)
    start = jaxem.MixtureParams(np.full(3, 1 / 3), families.PoissonRegressionParams(true))
    truth = jaxem.em(model, start, (x[:, None], y))
    result = jaxem.fit(model, (x[:, None], y), key=KEY, n_init=12)
    assert float(result.log_likelihood) > float(truth.log_likelihood) - 1e-3


# ---- what rows leave open


@pytest.mark.slow
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ((U, np.full(N, 3.3)), "nothing of column 1 of X, constant"),
        ((U, LINES, 2 * U), "tell columns 0, 2 of X apart"),
        ((2015 + U, LINES, 1e4 - 3 * U), "tell columns 0, 2 of X apart"),
        ((1e9 + U, LINES, 1e4 - 3 * U), "tell columns 0, 2 of X apart"),
    ],
)
def test_columns_that_depend_on_each_other_are_named(columns, message):
    model = jaxem.Mixture(families.LinearRegression(), 1)
    with pytest.warns(UserWarning, match=message):
        result = jaxem.fit(model, (np.stack(columns, 1), COUNTS), key=KEY, n_init=1)
    assert "prior precision" in str(result)


@pytest.mark.slow
def test_fewer_rows_than_coefficients_are_said():
    X = np.random.default_rng(0).normal(size=(3, 4))
    with pytest.warns(UserWarning, match="3 rows leave 5 coefficients open"):
        jaxem.fit(
            jaxem.Mixture(families.PoissonRegression(), 1), (X, [1.0, 2, 3]), key=KEY, n_init=1
        )


@pytest.mark.slow
def test_separated_components_are_said():
    """Answers that a column tells without error, for some rows alone; with a prior none."""
    group = (np.arange(N) < 20) * 1.0
    X = np.c_[2015 + U, group]
    y = np.where(group > 0, 1.0, ANSWERS)
    model = jaxem.Mixture(families.LogisticRegression(), 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = jaxem.fit(model, (X, y), key=KEY, n_init=1)
    assert "component 0 is separated: along column 1 of X" in str(result)
    prior = jaxem.MixturePrior(components=families.RegressionPrior(precision=1.0))
    kept = jaxem.fit(model, (X, y), key=KEY, n_init=1, prior=prior)
    assert "separated" not in str(kept)
    assert "separated" not in str(jaxem.fit(model, (U, ANSWERS), key=KEY, n_init=1))


# ---- large counts


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32])
def test_large_counts_keep_their_digits(dtype):
    """Against mpmath at 40 digits, at the eta that the dtype has."""
    mpmath.mp.dps = 40
    y = np.array([0, 1, 2, 15, 16, 100, 1e4, 1e6, 1e7])
    family = families.PoissonRegression()
    for d in (0.0, 1e-3, 0.2, 0.3, -2.0):
        eta = jnp.asarray(np.log(np.maximum(y, 0.5)) + d, dtype)
        got = np.asarray(family.log_density(eta, jnp.asarray(y, dtype)), float)
        for value, count, at in zip(got, y, np.asarray(eta, float), strict=True):
            at = mpmath.mpf(at)
            exact = count * at - mpmath.exp(at) - mpmath.loggamma(count + 1)
            rounding = float(jnp.finfo(dtype).eps) * (4 + abs(float(exact)))
            of_eta = (
                float(jnp.finfo(dtype).eps) * abs(float(at)) * abs(count - float(mpmath.exp(at)))
            )
            assert abs(value - float(exact)) < 8 * (rounding + of_eta)


@pytest.mark.slow
def test_counts_of_a_million_converge_from_afar():
    y = np.random.default_rng(1).poisson(np.exp(14 + 0.5 * U)).astype(float)
    slope, _ = irls(U, y / 1e6, lambda e: np.exp(e), lambda e: np.exp(e))
    result = one(families.PoissonRegression(), U, y)
    assert result.converged and int(result.n_iter) < 60
    np.testing.assert_allclose(result.params.components.coefficients[0, 1], slope, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("place", [(2015.0, 5.0), (2459000.5, 1 / 24)], ids=["year", "date"])
def test_derivatives_of_a_fit_do_not_depend_on_the_place(place):
    """d slope / d y of one line: (x - mean) / sum (x - mean)^2; and the same through a mixture."""
    x = place[0] + place[1] * U
    start = jaxem.MixtureParams(
        np.full(2, 0.5), families.LinearRegressionParams(np.zeros((2, 2)), np.ones(2))
    )

    def slope(y, x, b, k):
        first = start.components._replace(coefficients=b[:k], scales=np.ones(k))
        own = jaxem.MixtureParams(np.full(k, 1 / k), first)
        model = jaxem.Mixture(families.LinearRegression(), k)
        return jaxem.em(model, own, (x[:, None], y), tol=1e-9).params.components.coefficients[0, 1]

    centred = x - x.mean()
    of_one = jax.grad(slope)(jnp.asarray(LINES), x, np.zeros((1, 2)), 1)
    np.testing.assert_allclose(of_one, centred / (centred @ centred), rtol=1e-5, atol=1e-12)
    b = np.array([[3.0, 4.0], [6.0, -4.0]])
    far = np.c_[b[:, 0] - b[:, 1] * place[0] / place[1], b[:, 1] / place[1]]
    near = jax.grad(slope)(jnp.asarray(LINES), U, b, 2)
    moved = jax.grad(slope)(jnp.asarray(LINES), x, far, 2) * place[1]
    assert np.isfinite(near).all()
    np.testing.assert_allclose(moved, near, rtol=1e-4, atol=1e-6)
