"""Derivatives of fits: closed forms, central differences of refits, NaN where there are none."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import jaxem
from jaxem import HMM, HMMPrior, Mixture, MixtureParams, MixturePrior, Status, families
from jaxem.core.dataset import as_dataset
from jaxem.families import GaussianParams, GaussianPrior
from jaxem.fitting import fixed_point

ONE_D = Mixture(families.Gaussian("full"), 2)
START = MixtureParams(
    jnp.array([0.4, 0.6]), GaussianParams(jnp.array([[0.0], [8.0]]), jnp.full((2, 1, 1), 6.0))
)


def two_normals(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(np.where(rng.random(n) < 0.4, rng.normal(1, 2, n), rng.normal(9, 3, n)))


def blobs(n, d, rng):
    z = rng.random(n) < 0.4
    return np.where(z[:, None], 0.0, 2.5) + rng.normal(size=(n, d)) * np.where(z, 1, 0.6)[:, None]


def holes(rng):
    x = blobs(80, 3, rng)
    x[rng.random(x.shape) < 0.15] = np.nan
    return x[~np.isnan(x).all(axis=1)]


def regression(rng):
    X, z = rng.normal(size=(90, 1)), rng.random(90) < 0.5
    y = np.where(z, 2 + 1.5 * X[:, 0], -1 - X[:, 0]) + 0.5 * rng.normal(size=90)
    return X, y


def chains(rng, of):
    z = np.zeros((12, 20), bool)
    z[::3, 0] = True
    for t in range(1, 20):
        z[:, t] = np.where(rng.random(12) < 0.85, z[:, t - 1], ~z[:, t - 1])
    return of(z)[..., None].astype(float)


@dataclass(frozen=True)
class Case:
    name: str
    model: Any
    data: Any  # of a random generator
    prior: Any = None
    moves: bool = True  # whether the data can change by a little
    step: float = 1e-5  # of the differences: longer where an M-step is a search
    within: float = 1e-6

    @cached_property
    def inputs(self):
        """-> (x, weights, prior as arrays)."""
        rng = np.random.default_rng(7)
        x = jax.tree.map(jnp.asarray, self.data(rng))
        weight = jnp.asarray(rng.uniform(0.5, 1.5, jax.tree.leaves(x)[0].shape[0]))
        rows = as_dataset(self.model, x, weight).rows
        return x, weight, self.model.as_prior(self.prior, None, rows.x)

    @cached_property
    def fitted(self):
        x, weight, prior = self.inputs
        result = jaxem.fit(
            self.model, x, key=jax.random.key(1), n_init=4, sample_weight=weight, prior=prior
        )
        assert result.converged
        return result.params


def _gaussian_prior():
    own = GaussianPrior(mean=0.5, mean_precision=1.0, degrees_of_freedom=4.0, scale=0.3,
                        reg_covar=0.02)  # fmt: skip
    return MixturePrior(weights=2.0, components=own)


CASES = [
    Case("Gaussian, prior", Mixture(families.Gaussian("full"), 2), lambda rng: blobs(70, 2, rng),
         _gaussian_prior()),
    Case("Gaussian of products", Mixture(families.Gaussian("tied"), 2),
         lambda rng: blobs(70, 4, rng)),
    Case("missing cells", Mixture(families.Gaussian("full", missing=True), 2), holes),
    Case("regression", Mixture(families.LinearRegression(), 2), regression),
    Case("Gamma", Mixture(families.Gamma(), 2),
         lambda rng: np.concatenate([rng.gamma(2, 1, (50, 1)), rng.gamma(20, 0.5, (50, 1))])),
    Case("counts", Mixture(families.Poisson(), 2),
         lambda rng: np.concatenate([rng.poisson(2, (50, 2)), rng.poisson(9, (50, 2))]) * 1.0,
         MixturePrior(weights=3.0), moves=False),
    Case("Poisson regression", Mixture(families.PoissonRegression(), 2),
         lambda rng: (regression(rng)[0], np.round(np.exp(regression(rng)[1] / 2 + 1))),
         moves=False),
    Case("HMM", HMM(families.Gaussian("diag"), 2),
         lambda rng: chains(rng, lambda z: rng.normal(np.where(z, 3, 0))),
         HMMPrior(transition=2.0)),
    Case("HMM, stationary", HMM(families.Poisson(), 2, initial="stationary"),
         lambda rng: chains(rng, lambda z: rng.poisson(np.where(z, 8, 2))), moves=False,
         step=1e-3, within=1e-5),
]  # fmt: skip


def moved(tree, direction, step):
    return jax.tree.map(lambda leaf, to: leaf + step * to, tree, direction)


def direction(tree, rng, moves=True):
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape) * moves), tree)


@pytest.mark.slow(but=("Gaussian of products",))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_derivatives_equal_central_differences_of_refits(case):
    model, start = case.model, case.fitted

    @jax.jit
    def refit(x, weight, prior):
        """A thousand plain EM steps: a fixed point to rounding."""

        def step(_, params):
            statistics, _ = jaxem.e_step(model, params, x, weight, prior)
            return jaxem.m_step(model, params, statistics, prior)

        return ravel_pytree(jax.lax.fori_loop(0, 1000, step, start))[0]

    def fitted(inputs):
        x, weight, prior = inputs
        return ravel_pytree(jaxem.em(model, start, x, weight, prior).params)[0]

    @jax.jit
    def derivatives(inputs, tangents, cotangent):
        """Forward along each of the tangents, and backward: what reverse mode makes of the same."""
        _, forward = jax.linearize(fitted, inputs)
        back = jax.linear_transpose(forward, inputs)
        return [forward(of) for of in tangents], back(cotangent)[0]

    rng, inputs = np.random.default_rng(3), case.inputs
    nothing = jax.tree.map(jnp.zeros_like, inputs)
    cotangent = jnp.asarray(rng.normal(size=ravel_pytree(start)[0].shape))
    moving = [
        i
        for i, (own, moves) in enumerate(zip(inputs, (case.moves, True, True), strict=True))
        if own is not None and moves
    ]

    def along(i):
        return tuple(direction(inputs[i], rng) if i == j else of for j, of in enumerate(nothing))

    tangents = [along(i) for i in moving]
    forward, gradients = derivatives(inputs, tangents, cotangent)
    for i, tangent, found in zip(moving, tangents, forward, strict=True):
        ends = [refit(*moved(inputs, tangent, step)) for step in (case.step, -case.step)]
        differences = (ends[0] - ends[1]) / (2 * case.step)
        scale = jnp.max(jnp.abs(differences))
        within = case.within
        np.testing.assert_allclose(found, differences, rtol=within, atol=within * scale)
        assert scale > 1e-3
        both = jax.tree.map(lambda a, b: jnp.nansum(a * b), gradients[i], tangent[i])
        np.testing.assert_allclose(sum(jax.tree.leaves(both)), found @ cotangent, rtol=1e-9)


@pytest.mark.slow
def test_one_component_has_its_closed_form():
    """m = sum w x / W and C = sum w (x - m)(x - m)' / W."""
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(12, 2)), rng.uniform(0.5, 2, 12)
    model = Mixture(families.Gaussian("full"), 1)
    start = jaxem.fit(model, x, key=jax.random.key(0), n_init=1).params

    def moments(x, weight):
        return jaxem.em(model, start, x, weight).params.components

    found = jax.jit(jax.jacobian(moments, (0, 1)))(jnp.asarray(x), jnp.asarray(weight))
    share, one = weight / weight.sum(), np.eye(2)
    centred = x - (share @ x)[None]
    covariance = np.einsum("n,ni,nj->ij", share, centred, centred)
    of_x, of_weight = found.means
    np.testing.assert_allclose(of_x[0], np.einsum("n,ij->inj", share, one), atol=1e-12)
    np.testing.assert_allclose(of_weight[0], centred.T / weight.sum(), atol=1e-12)
    of_x, of_weight = found.covariances
    half = np.einsum("n,il,nj->ijnl", share, one, centred)
    np.testing.assert_allclose(of_x[0], half + half.transpose(1, 0, 2, 3), atol=1e-12)
    outer = np.einsum("ni,nj->ijn", centred, centred) - covariance[:, :, None]
    np.testing.assert_allclose(of_weight[0], outer / weight.sum(), atol=1e-12)


def exact(x, weight=None, start=START):
    return jaxem.em(ONE_D, start, x, weight, tol=1e-14, max_iter=5000)


@pytest.mark.slow
def test_what_a_fit_says_of_itself_has_its_total_derivative():
    x, step = two_normals(), 1e-4
    to = jnp.asarray(np.random.default_rng(1).normal(size=x.shape))

    def said(x, fit):
        result = fit(x)
        return jnp.stack([result.log_likelihood, result.bic, result.aic, result.health.count[0]])

    loose = jax.jit(lambda x: said(x, lambda x: jaxem.em(ONE_D, START, x)))
    found = jax.jvp(loose, (x,), (to,))[1]
    differences = (said(x + step * to, exact) - said(x - step * to, exact)) / (2 * step)
    np.testing.assert_allclose(found, differences, rtol=1e-5)


@pytest.mark.slow
def test_a_loose_fit_has_exact_gradients_of_functions_that_are_not_linear():
    x = two_normals()

    def curved(x, tol):
        return jnp.sum(jaxem.em(ONE_D, START, x, tol=tol).params.components.means ** 4)

    gradient = jax.jit(jax.grad(curved))
    loose, tight = gradient(x, 1e-4), gradient(x, 1e-13)
    np.testing.assert_allclose(loose, tight, rtol=1e-9)
    assert abs(curved(x, 1e-4) / curved(x, 1e-13) - 1) > 1e-6  # the fits do differ


@pytest.mark.slow
def test_second_derivatives_are_symmetric_and_those_of_the_gradient():
    x, rng = two_normals(40), np.random.default_rng(2)
    u, v = (jnp.asarray(rng.normal(size=x.shape)) for _ in range(2))

    @jax.jit
    def slope(x, u):
        return jax.grad(lambda e: exact(x + e * u).params.components.means[1, 0])(0.0)

    @jax.jit
    def second(x, u, v):
        return jax.grad(lambda e: slope(x + e * v, u))(0.0)

    found = second(x, u, v)
    np.testing.assert_allclose(found, second(x, v, u), rtol=1e-8)
    step = 1e-4
    differences = (slope(x + step * v, u) - slope(x - step * v, u)) / (2 * step)
    np.testing.assert_allclose(found, differences, rtol=1e-6)


@pytest.mark.slow
def test_inside_jit_and_vmap_a_fit_is_the_same():
    sets = jnp.stack([two_normals(60, seed) for seed in range(3)])

    def fit(x):
        return jaxem.fit(ONE_D, x, key=jax.random.key(0), n_init=3)

    def mean(x):
        return jaxem.em(ONE_D, START, x).params.components.means[1, 0]

    outside = [fit(x) for x in sets]
    outside = jax.tree.map(lambda *leaves: jnp.stack(leaves), *outside)
    inside = jax.jit(jax.vmap(fit))(sets)
    one = jax.jit(fit)(sets[0])
    assert np.all(inside.status == outside.status) and np.all(inside.converged)
    for found, expected in ((inside, outside), (one, jax.tree.map(lambda a: a[0], outside))):
        for a, b in zip(
            jax.tree.leaves(found.params), jax.tree.leaves(expected.params), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-12)
        np.testing.assert_allclose(found.log_likelihood, expected.log_likelihood, rtol=1e-13)
    gradients = jax.jit(jax.vmap(jax.grad(mean)))(sets)
    each = jnp.stack([jax.grad(mean)(x) for x in sets])
    np.testing.assert_allclose(gradients, each, rtol=1e-9)


@pytest.mark.slow
def test_the_best_start_has_derivatives_and_the_others_nan():
    x = two_normals()

    def spread(x, pick):
        restarts = jaxem.fit(ONE_D, x, key=jax.random.key(0), n_init=3).restarts
        index = restarts.best if pick == "best" else (restarts.best + 1) % 3
        return restarts.log_likelihood[index]

    best = jax.jit(jax.grad(lambda x: spread(x, "best")))(x)
    expected = jax.grad(lambda x: exact(x).log_likelihood)(x)
    np.testing.assert_allclose(best, expected, rtol=1e-8)
    assert np.all(np.isnan(jax.jit(jax.grad(lambda x: spread(x, "another")))(x)))


def mean_of(model, start, x, **options):
    """A gradient with respect to rows, and one along all of them."""

    def first(x):
        return ravel_pytree(jaxem.em(model, start, x, **options).params)[0][-1]

    return jax.grad(first)(x), jax.jvp(first, (x,), (x,))[1]


@pytest.mark.slow
def test_without_convergence_there_is_no_gradient():
    x = two_normals()
    for gradient in mean_of(ONE_D, START, x, max_iter=3):
        assert np.all(np.isnan(gradient))
    assert jaxem.em(ONE_D, START, x, max_iter=3).status == Status.MAX_ITER


@pytest.mark.slow
def test_identical_components_have_no_gradient():
    """A saddle point, and, with weights alone to tell, a ridge on which EM stands still."""
    x = two_normals()
    same = START._replace(components=jax.tree.map(lambda a: a[jnp.array([0, 0])], START.components))
    result = jaxem.em(ONE_D, same, x)
    assert result.converged
    for gradient in mean_of(ONE_D, same, x):
        assert np.all(np.isnan(gradient))


@pytest.mark.slow
def test_on_the_boundary_there_is_no_gradient():
    x = jnp.asarray(np.repeat([[1.0, 1], [1, 0], [0, 0], [1, 1], [0, 0]], 4, axis=0))
    model = Mixture(families.Bernoulli(), 2)
    start = MixtureParams(
        jnp.array([0.5, 0.5]), families.BernoulliParams(jnp.array([[0.9, 0.6], [0.2, 0.1]]))
    )
    result = jaxem.em(model, start, x, tol=1e-12, max_iter=20000)
    assert result.converged and result.boundary

    def weight(w):
        return jaxem.em(model, start, x, w, tol=1e-12, max_iter=20000).params.weights[0]

    assert np.all(np.isnan(jax.grad(weight)(jnp.ones(20))))


def test_what_does_not_depend_on_a_fit_is_not_spoiled_by_it():
    """As in a batch of which one lane has failed: a cotangent of 0 comes back as 0."""
    x = two_normals()

    def loss(x):
        result = jaxem.em(ONE_D, START, x, max_iter=3)
        return jnp.where(result.converged, result.params.components.means[0, 0], jnp.sum(x**2))

    np.testing.assert_allclose(jax.grad(loss)(x), 2 * x)


@pytest.mark.slow
def test_fixed_numbers_and_the_start_have_no_derivative():
    x = two_normals()
    fixed = MixtureParams(None, GaussianParams(np.array([[1.0], [np.nan]]), None))

    def means(x, start):
        return jaxem.em(ONE_D, start, x, fixed=fixed).params.components.means[:, 0]

    of_x, of_start = jax.jit(jax.jacobian(means, (0, 1)))(x, START)
    assert np.all(of_x[0] == 0) and np.all(np.abs(of_x[1]) > 0)
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(of_start))


@pytest.mark.slow
def test_a_fixed_initial_law_passes_its_derivative_on():
    model = HMM(families.Poisson(), 2, initial="fixed")
    rng = np.random.default_rng(5)
    x = chains(rng, lambda z: rng.poisson(np.where(z, 8, 2)))
    start = jaxem.HMMParams(
        jnp.array([0.7, 0.3]), jnp.array([[0.8, 0.2], [0.2, 0.8]]),
        families.PoissonParams(jnp.array([[2.0], [8.0]])),
    )  # fmt: skip

    def fitted(p):
        given = start._replace(initial=jnp.stack([p, 1 - p]))
        params = jaxem.em(model, given, x, tol=1e-14).params
        return jnp.stack([params.initial[0], params.transition[0, 0], params.emissions.rates[0, 0]])

    found, step = jax.jit(jax.jacobian(fitted))(0.7), 1e-4
    differences = (fitted(0.7 + step) - fitted(0.7 - step)) / (2 * step)
    np.testing.assert_allclose(found, differences, rtol=1e-5)
    assert found[0] == 1


@pytest.mark.slow
def test_absent_components_change_nothing():
    x = two_normals()
    three = Mixture(families.Gaussian("full"), 3)
    start = jax.tree.map(lambda a: jnp.concatenate([a, a[:1]]), START)
    start = start._replace(weights=jnp.concatenate([START.weights, jnp.zeros(1)]))

    def mean(model, start):
        return jax.grad(lambda x: jaxem.em(model, start, x).params.components.means[1, 0])(x)

    np.testing.assert_allclose(mean(three, start), mean(ONE_D, START), rtol=1e-8)


@pytest.mark.slow
def test_many_parameters_are_solved_for_by_vectors(monkeypatch):
    """Blocks of another size, that nothing compiled for matrices is met again."""
    x, weight = two_normals(), jnp.linspace(0.5, 1.5, 60)

    def gradient(size):
        def value(x, start):
            params = jaxem.em(ONE_D, start, x, weight, block_size=size).params
            return params.components.covariances[0, 0, 0] + params.weights[0]

        return jax.jit(jax.value_and_grad(value))

    value, expected = gradient(None)(x, START)
    monkeypatch.setattr(fixed_point, "DIRECT", 0)
    of = gradient(59)
    by_vectors, found = of(x, START)
    np.testing.assert_allclose(by_vectors, value, rtol=1e-12)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)
    same = jax.tree.map(lambda a: a[jnp.array([0, 0])], START)._replace(weights=START.weights)
    assert np.all(np.isnan(of(x, same)[1]))


@pytest.mark.slow
def test_blocks_of_rows_have_the_same_gradient():
    x, weight = two_normals(), jnp.linspace(0.5, 1.5, 60)

    def gradient(size):
        def mean(x):
            return jaxem.em(ONE_D, START, x, weight, block_size=size).params.weights[0]

        return jax.jit(jax.grad(mean))(x)

    np.testing.assert_allclose(gradient(13), gradient(None), rtol=1e-8)


@pytest.mark.slow
def test_float32_stays_float32():
    x = two_normals()

    def gradient(x):
        start = jax.tree.map(lambda a: a.astype(x.dtype), START)
        mean = jax.grad(lambda x: jaxem.em(ONE_D, start, x).params.components.means[1, 0])
        return mean(x)

    single = gradient(x.astype(jnp.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, gradient(x), rtol=2e-3)


def test_a_second_gradient_is_not_compiled_again():
    x, before = two_normals(), fixed_point.look
    mean = jax.grad(lambda x, tol: jaxem.em(ONE_D, START, x, tol=tol).params.weights[0])
    mean(x, 1e-6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fixed_point, "look", lambda *_: pytest.fail("traced again"))
        mean(x + 1, 1e-7)
    assert fixed_point.look is before


@pytest.mark.slow
def test_without_x64_gradients_are_as_exact_as_float32():
    x = np.asarray(two_normals(), np.float32)
    start = jax.tree.map(lambda a: np.asarray(a, np.float32), START)

    def gradient(x):
        return jax.grad(lambda x: jaxem.em(ONE_D, start, x).params.components.means[1, 0])(x)

    with jax.enable_x64(False):
        single = gradient(jnp.asarray(x))
    assert single.dtype == jnp.float32
    double = jax.grad(lambda x: exact(x).params.components.means[1, 0])(jnp.asarray(x, float))
    np.testing.assert_allclose(single, double, rtol=2e-3)
