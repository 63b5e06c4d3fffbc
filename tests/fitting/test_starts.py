import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem import families
from jaxem.families import Gaussian
from jaxem.fitting import starts
from jaxem.fitting.restarts import best_of
from jaxem.inference import kmeans
from jaxem.models import seeding

METHODS = ("portfolio", "k-means++", "random_from_data")


def started(x, k, init="portfolio", n_init=9, covariance="full", **options):
    model = jaxem.Mixture(Gaussian(covariance), k)
    result = jaxem.fit(
        model, x, key=jax.random.key(0), n_init=n_init, init=init, max_iter=0, **options
    )
    return jax.tree.map(np.asarray, result.restarts.params)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(120, 3)) @ np.diag([1.0, 10.0, 100.0])


def test_the_portfolio_cycles_through_its_methods():
    rules = [kmeans.STANDARDISED, kmeans.PROJECTED, kmeans.ROWS, kmeans.WEIGHTED, kmeans.NEAREST]
    assert starts.methods("portfolio", 7).tolist() == [*rules, *rules[:2]]
    in_time = starts.methods("portfolio", 7, in_time=True).tolist()
    assert sorted(in_time) == sorted([*rules, kmeans.WINDOWS, kmeans.SEGMENTS])


def test_a_projection_is_along_one_direction_of_the_sphered_points_and_any():
    points = np.random.default_rng(0).normal(size=(4000, 3)) @ np.diag([1.0, 10.0, 100.0])
    scaled = kmeans.scaled(jnp.asarray(points), jnp.ones(4000))
    by = jax.jit(lambda key, method: scaled.by(key, method))
    directions = []
    for key in jax.random.split(jax.random.key(0), 300):
        along = np.asarray(by(key, jnp.int32(kmeans.PROJECTED)))
        np.testing.assert_array_equal(along[:, 1:], 0)
        found, left, *_ = np.linalg.lstsq(scaled.sphered, along[:, 0])
        assert left < 1e-15 * len(points)
        directions.append(found)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    # Uniform on the sphere: mean 0, second moments 1/3.
    np.testing.assert_allclose(np.mean(directions, axis=0), 0, atol=0.1)
    np.testing.assert_allclose(np.cov(np.transpose(directions)), np.eye(3) / 3, atol=0.08)
    for method in (kmeans.STANDARDISED, kmeans.WEIGHTED, kmeans.NEAREST, kmeans.ROWS):
        np.testing.assert_array_equal(by(key, jnp.int32(method)), scaled.standardised)


def test_without_lloyd_steps_each_row_is_of_the_nearest_seed():
    points = jnp.asarray(np.random.default_rng(0).normal(size=(50, 2)))
    seeds = jnp.array([3, 17, 50], jnp.int32)  # the third component has none
    labels, is_seed = kmeans.lloyd(points, jnp.ones(50), None, seeds, jnp.int32(0))
    away = np.linalg.norm(np.asarray(points)[:, None] - np.asarray(points)[None, [3, 17]], axis=2)
    np.testing.assert_array_equal(labels, np.argmin(away, axis=1))
    np.testing.assert_array_equal(np.flatnonzero(is_seed), [3, 17])


@pytest.mark.slow
def test_rows_weighted_at_random_leave_absent_ones_absent(x):
    weight = jnp.where(jnp.arange(len(x)) % 3 == 0, 0.0, 2.0)
    family, k = Gaussian("full"), 2
    shared = seeding.shared_start_statistics(family, jnp.asarray(x), weight, k)

    def drawn(key, method):
        two, method = jnp.int32(k), jnp.int32(method)
        found = seeding.seeded(key, family, shared, weight, None, k, two, method)
        return found.responsibilities

    keys = jax.random.split(jax.random.key(0), 400)
    own = np.sum(jax.vmap(lambda key: drawn(key, kmeans.WEIGHTED))(keys), axis=1)
    assert np.all(own[:, weight == 0] == 0) and len(np.unique(own[:, 1])) == len(keys)
    # The weights times squares of standard exponentials, whose mean is 2.
    np.testing.assert_allclose(np.mean(own[:, weight > 0]), 4.0, rtol=0.03)
    others = np.sum(drawn(keys[0], kmeans.NEAREST), axis=0)
    np.testing.assert_array_equal(others, weight)


@pytest.mark.slow(but=("tied",))
@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_random_rows_have_the_pooled_covariance_and_equal_weights(x, covariance):
    params = started(x, 4, "random_from_data", covariance=covariance)
    pooled = np.cov(x.T, bias=True)
    one = {"full": pooled, "tied": pooled, "diag": np.diag(pooled),
           "spherical": np.trace(pooled) / 3}[covariance]  # fmt: skip
    expected = np.broadcast_to(one, params.components.covariances.shape)
    np.testing.assert_allclose(params.components.covariances, expected, rtol=1e-7)
    np.testing.assert_allclose(params.weights, 0.25)
    rows = {tuple(row) for row in np.round(x, 9)}
    assert {tuple(m) for m in np.round(params.components.means.reshape(-1, 3), 9)} <= rows


@pytest.mark.slow
@pytest.mark.parametrize("init", METHODS)
def test_no_start_has_identical_or_singular_components(x, init):
    """Nor with heavy duplicates, k = n, or a point mass of nearly all rows."""
    heavy = np.concatenate([np.zeros((100, 3)), x[:4]])
    for data, k in ((x, 8), (heavy, 5), (x[:6], 6)):
        params = started(data, k, init)
        for weights, means, covariances in zip(params.weights, *params.components, strict=True):
            assert len(np.unique(np.round(means, 9), axis=0)) == k
            assert np.all(np.asarray(weights) > 0)
            np.testing.assert_allclose(np.sum(weights), 1)
            assert np.all(np.linalg.eigvalsh(covariances) > 0)


@pytest.mark.slow
def test_components_without_a_distinct_row_are_absent():
    """Under jit no value is looked at: two distinct rows give two live components of three."""
    x = jnp.asarray(np.repeat([[0.0, 0.0], [1.0, 2.0]], 10, axis=0))
    model = jaxem.Mixture(Gaussian("full"), 3)
    fit = jax.jit(lambda x: jaxem.fit(model, x, key=jax.random.key(0), n_init=9, max_iter=0))
    params = fit(x).restarts.params
    np.testing.assert_array_equal(np.sum(np.asarray(params.weights) > 0, 1), 2)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(params))


def test_seeds_are_drawn_in_proportion_to_the_squared_distance():
    """k = 2 of points 0, 1, 3 on a line: the law of k-means++ (Arthur and Vassilvitskii 2007)."""
    points = jnp.array([[0.0], [1.0], [3.0]])
    weight = jnp.array([1.0, 2.0, 1.0])

    def pairs(method):
        two, method = jnp.int32(2), jnp.int32(method)
        draw = jax.vmap(lambda key: kmeans.seeds(key, points, weight, None, 2, two, method))
        chosen = np.asarray(draw(jax.random.split(jax.random.key(0), 40_000)))
        table = np.zeros((3, 3))
        np.add.at(table, (chosen[:, 0], chosen[:, 1]), 1 / len(chosen))
        return table

    first = np.array([1, 2, 1]) / 4
    squared = (np.array([0, 1, 3])[:, None] - np.array([0, 1, 3])) ** 2.0
    for method, odds in (
        (kmeans.STANDARDISED, squared * [1, 2, 1]),
        (kmeans.ROWS, (squared > 0) * np.array([1.0, 2.0, 1.0])),
    ):
        expected = first[:, None] * odds / odds.sum(1, keepdims=True)
        np.testing.assert_allclose(pairs(method), expected, atol=0.012)


def test_scaling_of_the_columns_does_not_move_scaled_starts(x):
    """k-means on standardised columns, and in projections of sphered ones, is equivariant."""
    scale = np.array([1e3, 1e-3, 7.0])
    plain, scaled = started(x, 3), started(x * scale, 3)
    np.testing.assert_allclose(scaled.components.means, plain.components.means * scale, rtol=1e-8)


@pytest.mark.slow
def test_a_large_table_is_sampled_by_weight():
    rng = np.random.default_rng(0)
    n = seeding.SAMPLE + 100
    x = rng.normal(size=(n, 1))
    weight = np.where(np.arange(n) < 50, 1.0, 0.0)
    params = started(x, 3, n_init=3, sample_weight=weight)
    means = params.components.means
    assert x[:50].min() - 1e-12 <= means.min() and means.max() <= x[:50].max() + 1e-12
    labels = np.full(n, -1)
    labels[:3] = [0, 1, 2]
    params = started(x, 3, "random_from_data", n_init=5, labels=labels)
    np.testing.assert_allclose(params.components.means[..., 0], np.tile(x[:3, 0], (5, 1)))


def test_best_of_prefers_regular_then_degenerate_then_anything():
    from jaxem import Status as S

    def best(objective, status, resolution=0.0):
        given = jnp.asarray(objective), jnp.asarray(status, jnp.int32)
        index, near = best_of(*given, jnp.full(len(objective), resolution))
        return int(index), int(near)

    nan = np.nan
    assert best([-5.0, -4.0, -1.0], [S.CONVERGED, S.CONVERGED, S.DEGENERATE]) == (1, 1)
    assert best([nan, -4.0, -4.0], [S.NONFINITE, S.MAX_ITER, S.CONVERGED]) == (2, 2)
    assert best([nan, -4.0, -3.9], [S.NONFINITE, S.CONVERGED, S.MAX_ITER]) == (2, 1)
    assert best([nan, -4.0, -1.0], [S.NONFINITE, S.DEGENERATE, S.NONFINITE]) == (1, 0)
    assert best([-2.0, nan], [S.NONFINITE, S.NONFINITE]) == (0, 0)
    assert best([-4.0, -4.1, -4.3], [S.CONVERGED] * 3, 0.2) == (0, 2)


def alternating(seed, drawn):
    """200 counts of two states; a third is more than there is."""
    rng, states = np.random.default_rng(seed), [0]
    rng.vonmises(0.5, 3, drawn)
    for _ in range(199):
        states.append(rng.choice(2, p=[[0.9, 0.1], [0.1, 0.9]][states[-1]]))
    return rng.poisson(np.array([2, 9])[states])


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "drawn", "best"), [(22, 300, -456.130456), (202, 0, -494.631989)])
def test_chains_start_with_transitions_of_any_kind(seed, drawn, best):
    """The best of 40 starts of hmmlearn's PoissonHMM, which draws its transitions; EM from there.

    Two of the states alternate: starts that persist ended 4.28 and 1.02 below.
    """
    x = alternating(seed, drawn)
    fit = jaxem.fit(jaxem.HMM(families.Poisson(), 3), x, key=jax.random.key(1), n_init=40)
    assert float(fit.log_likelihood) > best - 1e-3


@pytest.mark.slow
def test_states_of_few_letters_do_not_start_as_one_state_a_letter():
    """Two states that differ little in four letters: EM from the truth is what starts reach.

    From one state a letter it crawled, and ended 75 below.
    """
    rng = np.random.default_rng(13)
    transition = np.array([[0.995, 0.005], [0.02, 0.98]])
    letters = np.array([[0.3, 0.2, 0.2, 0.3], [0.15, 0.35, 0.35, 0.15]])
    states, u = np.zeros(4000, int), rng.random(4000)
    for t in range(1, 4000):
        states[t] = states[t - 1] ^ (u[t] < transition[states[t - 1], 1 - states[t - 1]])
    x = (rng.random(4000)[:, None] > np.cumsum(letters[states], 1)).sum(1)
    model = jaxem.HMM(families.Categorical(4), 2)
    truth = jaxem.HMMParams(
        np.array([0.8, 0.2]), transition, families.CategoricalParams((letters,))
    )
    best = float(jaxem.em(model, truth, x, tol=1e-9).log_likelihood)
    fit = jaxem.fit(model, x, key=jax.random.key(0), n_init=6, init="k-means++", max_iter=400)
    assert np.sum(np.asarray(fit.restarts.log_likelihood) > best - 0.01) >= 3


def test_the_rule_of_nearest_seeds_takes_no_lloyd_steps(x):
    family, k, key, weight = Gaussian("tied"), 3, jax.random.key(1), jnp.ones(len(x))
    shared = seeding.shared_start_statistics(family, jnp.asarray(x), weight, k)
    three, method = jnp.int32(k), jnp.int32(kmeans.NEAREST)
    found = seeding.seeded(key, family, shared, weight, None, k, three, method)
    points = np.asarray(shared.points.standardised)
    seeds = np.asarray(kmeans.seeds(key, jnp.asarray(points), weight, None, k, three, method))
    away = np.linalg.norm(points[:, None] - points[None, seeds], axis=2)
    np.testing.assert_array_equal(found.labels, np.argmin(away, axis=1))
