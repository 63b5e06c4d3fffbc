"""A search reaches what a few starts miss, gives up nothing but the hopeless, and ends."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilations import compilations

import jaxem
from jaxem import datasets
from jaxem.core.dataset import as_dataset
from jaxem.core.status import Status
from jaxem.datasets import load_galaxies
from jaxem.families import Gaussian
from jaxem.fitting import driver, launch, moves, optima, padded_components, race, restarts, sizes
from jaxem.fitting.fit import _padded_k
from jaxem.fitting.options import Options
from jaxem.fitting.plan import prepare
from jaxem.fitting.starts import FIRST, ROUND, begin

FOUR = jaxem.Mixture(Gaussian("full"), 4)
# Roeder's 82 galaxies, k = 4, unequal variances: the best of mclust's restarts, by R.
BEST_OF_FOUR = -197.710311240552


@pytest.fixture(scope="module")
def galaxies():
    return load_galaxies().x


@pytest.fixture(scope="module")
def raced(galaxies):
    return jaxem.fit(FOUR, galaxies, key=jax.random.key(0), n_init=100, search="race")


def planned(x, n_init, search, **options):
    data, begun = as_dataset(FOUR, x), begin("portfolio", jax.random.key(0), n_init, search)
    return prepare(data, Options(**options), begun, _padded_k(data, Options(), begun))


# ---- what it finds


def test_a_search_reaches_what_a_few_starts_miss(galaxies):
    missed = [
        key
        for key in range(6)
        if jaxem.fit(FOUR, galaxies, key=jax.random.key(key), n_init=FIRST).log_likelihood
        < BEST_OF_FOUR - 1e-3
    ]
    assert missed
    for key in missed:
        found = jaxem.fit(FOUR, galaxies, key=jax.random.key(key))
        np.testing.assert_allclose(found.log_likelihood, BEST_OF_FOUR, rtol=1e-6)
        assert not found.collapsed.any()


def test_a_race_finds_the_best_with_less_work(galaxies, raced):
    plain = jaxem.fit(FOUR, galaxies, key=jax.random.key(0), n_init=100)
    np.testing.assert_allclose(raced.log_likelihood, BEST_OF_FOUR, rtol=1e-6)
    assert len(raced.restarts.status) == 100
    work = [int(np.sum(found.restarts.n_iter)) for found in (raced, plain)]
    assert work[0] < 0.9 * work[1]


def test_starts_that_were_given_up_are_under_the_best(raced):
    given_up = np.asarray(raced.restarts.status) == Status.GIVEN_UP
    assert given_up.any() and not given_up[:FIRST].any()
    assert np.all(np.asarray(raced.restarts.log_likelihood)[given_up] < raced.log_likelihood)
    assert raced.restarts.params.weights.shape == (100, 4)


def test_half_of_each_later_round_is_moves(raced):
    moved = np.asarray(raced.restarts.moved)
    assert not moved[:FIRST].any()
    ends = np.cumsum([FIRST, 20, 40, 35])  # rounds double, and the last has what is left of 100
    shares = [np.mean(own) for own in np.split(moved, ends)[1:4]]
    np.testing.assert_allclose(shares, [0.5, 0.5, 18 / 35])


@pytest.mark.slow
def test_a_search_ends_when_all_starts_agree():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(60, 2)), rng.normal(size=(60, 2)) + 9])
    found = jaxem.fit(jaxem.Mixture(Gaussian("full"), 2), x, key=jax.random.key(0))
    assert len(found.restarts.status) == ROUND
    assert len(found.restarts.optima) == 1
    assert found.restarts.unseen == pytest.approx(1 / (ROUND - 3))
    assert "0 others seen; expected number of better ones unseen: 0.059" in str(found)


@pytest.mark.slow
def test_a_search_without_a_regular_start_ends_with_its_status():
    x = np.repeat(np.arange(3.0), 5)[:, None]  # three points: any component is one of them
    found = jaxem.fit(jaxem.Mixture(Gaussian("full"), 3), x, key=jax.random.key(0))
    assert int(found.status) in (Status.DEGENERATE, Status.NONFINITE)
    assert len(found.restarts.status) == 2 * ROUND
    assert found.restarts.unseen == 1


def test_one_move_mends_a_fit_with_two_components_in_one_group_and_one_over_two():
    rng = np.random.default_rng(1)
    centres = np.array([[0.0, 0], [20, 0], [0, 20], [20, 20]])
    x = np.concatenate([centre + rng.normal(size=(40, 2)) for centre in centres])
    model = jaxem.Mixture(Gaussian("tied"), 4)
    wrong = jaxem.MixtureParams(
        np.full(4, 0.25),
        jaxem.families.GaussianParams(
            np.array([[-1.0, 0], [1, 0], [20, 0], [10, 20]]), 9.0 * np.eye(2)
        ),
    )
    stuck = jaxem.em(model, wrong, x)
    data, begun = as_dataset(model, x), begin("portfolio", jax.random.key(0), 20, "race")
    job = prepare(data, Options(), begun)
    labels, overlap = moves.look(job, stuck.params)
    np.testing.assert_allclose(overlap.sum(), 160, rtol=1e-6)
    kept = np.array([[0, 0, 2, -1]], np.int32)  # the two of one group merge, the wide one divides
    moved = job._replace(moves=restarts.Moves(labels, kept), methods=job.methods[:1])
    states = launch.advance(moved, launch.start(moved), 1000)
    best = jaxem.fit(model, x, key=jax.random.key(1))
    value = states.tree.objective * states.tree.total_weight
    np.testing.assert_allclose(value, best.log_likelihood, rtol=1e-9)
    assert value[0] > stuck.log_likelihood + 50


@pytest.mark.slow
def test_a_search_starts_as_plain_starts_do():
    """Room for moves changes no fresh start, nor the order of its states in time."""
    steps = np.repeat([0.0, 4, 1, 6], 15)[:, None]
    x = steps + np.random.default_rng(2).normal(size=(60, 1))
    for model in (jaxem.HMM(Gaussian("diag"), 4, transitions="left-right"), FOUR):
        plain, searched = (
            jaxem.fit(model, x, key=jax.random.key(0), max_iter=0, **of)
            for of in ({"n_init": ROUND}, {"n_init": "auto"})
        )
        own = jax.tree.map(lambda leaf: leaf[:ROUND], searched.restarts.params)
        jax.tree.map(np.testing.assert_array_equal, plain.restarts.params, own)


# ---- how it runs


@pytest.mark.slow
@pytest.mark.parametrize("n_init, search", [("auto", None), (50, "race")])
def test_a_search_cut_into_pieces_has_the_same_bits(galaxies, n_init, search):
    whole = driver.uncut(planned(galaxies, n_init, search))
    job = planned(galaxies, n_init, search)
    states = driver.start(job)
    for later in driver.pieces(job, states, 1e-9):
        states = later
    assert driver.progress(job, states).n_ended == len(whole.restarts.status)
    in_pieces = driver.finish(job, states)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(whole), jax.device_get(in_pieces))


def test_nothing_compiles_for_another_schedule(galaxies, raced):
    jaxem.fit(FOUR, galaxies, key=jax.random.key(3))
    with compilations() as names:
        jaxem.fit(FOUR, galaxies, key=jax.random.key(4), n_init=70, search="race", max_iter=90)
        jaxem.fit(FOUR, galaxies, key=jax.random.key(5), tol=1e-4)
    assert names == []


@pytest.mark.slow
def test_on_an_accelerator_starts_go_side_by_side(galaxies, raced, monkeypatch):
    """In lanes of one size, however many still run: no other program for fewer."""
    monkeypatch.setattr(sizes, "on_cpu", lambda rows=None: False)
    monkeypatch.setattr(sizes, "chunk_size", lambda *_: 8)
    found = jaxem.fit(FOUR, galaxies, key=jax.random.key(0), n_init=50, search="race")
    np.testing.assert_array_equal(found.restarts.status.shape, 50)
    first = slice(0, FIRST)
    np.testing.assert_allclose(
        found.restarts.log_likelihood[first], raced.restarts.log_likelihood[first], rtol=1e-9
    )
    with compilations() as names:
        jaxem.fit(FOUR, galaxies, key=jax.random.key(0), n_init=90, search="race")
    assert names == []


def test_under_jit_a_search_is_twenty_starts(galaxies):
    model = jaxem.Mixture(Gaussian("diag"), 2)
    found = jax.jit(lambda x: jaxem.fit(model, x, key=jax.random.key(0)))(galaxies)
    assert found.restarts.status.shape == (ROUND,)
    with pytest.raises(ValueError, match="leave it out under jit"):
        jax.jit(lambda x: jaxem.fit(model, x, key=jax.random.key(0), search="race"))(galaxies)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"n_init": "many"}, "n_init is 'many'; it must be one of 'auto', or a number of starts"),
        ({"n_init": 0}, "n_init"),
        ({"search": "walk"}, "search is 'walk'; it must be one of 'race', or None"),
    ],
)
def test_words_that_are_not_known_are_refused(galaxies, options, words):
    with pytest.raises(ValueError, match=words):
        jaxem.fit(FOUR, galaxies, key=jax.random.key(0), **options)


def test_a_race_from_parameters_or_of_a_source_is_refused(galaxies, raced, tmp_path):
    with pytest.raises(ValueError, match="init gives the parameters of one"):
        jaxem.fit(FOUR, galaxies, key=jax.random.key(0), init=raced.params, search="race")
    np.save(tmp_path / "x.npy", galaxies)
    source = jaxem.sources.npy(tmp_path / "x.npy")
    with pytest.raises(ValueError, match="leave it out for a source"):
        jaxem.fit(FOUR, source, key=jax.random.key(0), search="race", checkpoint=tmp_path / "c")


# ---- what a start may still gain


@pytest.mark.parametrize("rate", [0.3, 0.8, 0.95, 0.99, 0.999])
def test_a_start_whose_limit_is_above_the_best_is_never_given_up(rate):
    """Gains that shrink at one rate, as EM's do near an optimum."""
    seen, limit = [], np.array([1.0, -1.0])
    for until in race.rungs(10_000):
        seen.append(limit - 5 * rate**until)
        given_up = race.hopeless(seen, best=0.0)
        assert not given_up[0]
    assert given_up[1]


def test_a_start_that_rises_ever_faster_is_never_given_up():
    seen = [np.array([-100.0]), np.array([-99.0]), np.array([-97.5])]
    assert not race.hopeless(seen, best=0.0)
    assert race.hopeless([*seen, np.array([-97.4])], best=0.0)


def test_a_start_is_given_credit_for_four_times_its_last_gain():
    """Even where the gain before was ten times as large: its own projection would be a ninth."""
    at = np.array([-11.0, -1.0, 0.0])
    assert not race.hopeless([np.array([of]) for of in at], best=3.9)
    assert race.hopeless([np.array([of]) for of in at], best=4.1)


def test_nothing_is_given_up_before_three_looks_or_beside_nothing():
    flat = [np.zeros(2)] * 3
    assert not race.hopeless(flat[:2], best=1.0).any()
    assert not race.hopeless(flat, best=-np.inf).any()
    assert race.hopeless(flat, best=1.0).all()


# ---- optima


def outcomes(values, status=None, resolution=0.0):
    values = np.asarray(values, float)
    status = np.full(len(values), Status.CONVERGED) if status is None else np.asarray(status)
    margin = np.full(len(values), resolution)
    return SimpleNamespace(
        log_likelihood=values, log_posterior=values, status=status, resolution=margin
    )


def test_starts_within_a_millionth_are_at_one_optimum():
    found = optima.of(outcomes([-100.0, -90, -100.00005, -90.00001, -95]))
    assert found.count.tolist() == [2, 1, 2] and found.first.tolist() == [1, 4, 0]
    np.testing.assert_array_equal(found.log_likelihood, [-90, -95, -100])


def test_a_loose_tol_tells_fewer_optima_apart():
    found = optima.of(outcomes([-100.0, -90, -100.4, -90.2, -95], resolution=0.5))
    assert found.count.tolist() == [2, 1, 2] and found.first.tolist() == [1, 4, 0]
    np.testing.assert_array_equal(found.log_likelihood, [-90, -95, -100])


def test_starts_of_one_optimum_are_counted_as_one_whatever_tol():
    """Each start ends within tol a row of the optimum that it comes to with a tight one."""
    model, x = jaxem.Mixture(Gaussian("tied"), 2), datasets.load_faithful().x
    options = {
        "key": jax.random.key(0), "n_init": 20, "init": "random_from_data", "acceleration": None
    }  # fmt: skip
    exact = jaxem.fit(model, x, tol=1e-9, **options).restarts
    rough = jaxem.fit(model, x, tol=1e-4, **options).restarts
    assert exact.optima.count.tolist() == rough.optima.count.tolist()
    assert len(exact.optima) == 2 and np.sum(exact.optima.count) == 20
    assert exact.n_best == rough.n_best == int(exact.optima.count[0])
    np.testing.assert_allclose(rough.resolution, np.full(20, 1e-4 * 272))
    apart = rough._replace(resolution=np.zeros(20))  # a millionth alone tells more than there are
    assert len(apart.optima) > 2


def test_what_collapsed_failed_or_was_given_up_is_no_optimum():
    status = [Status.DEGENERATE, Status.NONFINITE, Status.GIVEN_UP, Status.CONVERGED]
    found = optima.of(outcomes([5.0, np.nan, -3, -2], status))
    assert found.log_likelihood.tolist() == [-2] and found.count.tolist() == [1]
    assert len(optima.of(outcomes([1.0, np.nan], status[:2]))) == 0


def test_the_best_is_an_optimum_even_where_it_ran_out_of_iterations():
    found = optima.of(outcomes([-1.0, -2], [Status.MAX_ITER, Status.CONVERGED]))
    assert found.log_likelihood.tolist() == [-1, -2]


def test_unseen_optima_are_those_of_boender_and_rinnooy_kan():
    """w (n - 1) / (n - w - 2) optima in all, one of w + 1 of the unseen ones being the best."""
    for n, w in ((20, 1), (60, 3), (240, 12)):
        values = -np.resize(np.arange(1.0, w + 1), n)
        expected = (w * (n - 1) / (n - w - 2) - w) / (w + 1)
        assert optima.unseen(outcomes(values), np.ones(n, bool)) == pytest.approx(expected)
    assert optima.unseen(outcomes([-1.0, -2, -3]), np.ones(3, bool)) == 1


@pytest.mark.slow
def test_the_optima_of_many_fits_are_those_of_one_at_a_time(galaxies):
    sets = np.stack([galaxies[:60], galaxies[-60:]])
    many = jaxem.fit_many(jaxem.Mixture(Gaussian("tied"), 2), sets, key=jax.random.key(0), n_init=4)
    with pytest.raises(ValueError, match=r"the starts of \(2,\) fits; take one"):
        many.restarts.optima  # noqa: B018
    assert len(many[0].restarts.optima) >= 1
    assert not np.any(many.restarts.moved)


# ---- moves


def test_a_move_merges_two_parts_and_divides_one():
    rng = np.random.default_rng(0)
    for row in moves.drawn(rng, np.eye(5) + 0.1, 200):
        divided = np.flatnonzero(row == -1)
        merged = [part for part in range(5) if np.sum(row == part) == 2]
        if len(divided) == 1:
            assert len(merged) == 1
            assert len(set(row)) == 4  # three parts that keep rows, and -1
        else:  # the merged part is the one that is divided
            assert len(divided) == 2 and not merged
        others = np.setdiff1d(np.arange(5), [*divided, *np.flatnonzero(np.isin(row, merged))])
        np.testing.assert_array_equal(row[others], others)


def test_parts_that_overlap_merge_more_often():
    overlap = np.diag([10.0, 10, 10, 10])
    overlap[0, 1] = overlap[1, 0] = 8
    drawn = moves.drawn(np.random.default_rng(0), overlap, 2000)
    together = np.mean(drawn[:, 0] == drawn[:, 1])
    assert 0.45 < together < 0.75  # half of the draws and a sixth of the others, all divisions


def test_moves_survive_parts_without_rows():
    overlap = np.zeros((3, 3))
    overlap[0, 0] = np.nan
    assert moves.drawn(np.random.default_rng(0), overlap, 5).shape == (5, 3)


@pytest.mark.slow
def test_the_overlap_is_that_of_the_responsibilities(galaxies, raced):
    job = planned(galaxies, 20, "race")
    padded = padded_components.with_absent(job.model, raced.params, 4)
    labels, overlap = moves.look(job, padded)
    shares = np.asarray(jaxem.predict_proba(FOUR, raced.params, jnp.asarray(galaxies)))
    np.testing.assert_allclose(overlap[:4, :4], shares.T @ shares, rtol=1e-9)
    np.testing.assert_array_equal(np.asarray(labels)[: len(galaxies)], shares.argmax(axis=1))
