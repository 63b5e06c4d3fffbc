"""Hidden Markov models: published fits, sequences of all forms, bad input."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jaxem
from jaxem import HMM, HMMParams, HMMPrior, datasets, families
from jaxem.core.dataset import as_dataset
from jaxem.inference import forward_backward
from jaxem.models import packing, transitions
from jaxem.reference.hidden_markov import over_paths
from laws.compare import close

COUNTS = datasets.load_earthquakes().x[:, 1]
POISSON = HMM(families.Poisson(), 2)
START = HMMParams(
    np.array([0.6, 0.4]),
    np.array([[0.8, 0.2], [0.3, 0.7]]),
    families.PoissonParams(np.array([[2.0], [6.0]])),
)


def drawn(b=42, t=5, seed=0):
    """(b, t, 1) counts of a chain that persists."""
    rng = np.random.default_rng(seed)
    z = np.zeros((b, t), int)
    z[:, 0] = rng.random(b) < 0.5
    for step in range(1, t):
        z[:, step] = np.where(rng.random(b) < 0.85, z[:, step - 1], 1 - z[:, step - 1])
    return rng.poisson(np.where(z, 8.0, 2.0))[..., None].astype(float)


def densities(params, x):
    """(t, k); 1 where nothing was observed."""
    rates = np.asarray(params.emissions.rates)[:, 0]
    seen = stats.poisson(rates[None]).pmf(np.nan_to_num(x))
    return np.where(np.isnan(x), 1.0, seen)


# ---- published


@pytest.mark.slow
@pytest.mark.parametrize("k, published", [(2, 342.3183), (3, 329.4603)])
def test_earthquakes_from_the_stationary_law(k, published):
    """Zucchini, MacDonald and Langrock (2016), Hidden Markov Models for Time Series."""
    model = HMM(families.Poisson(), k, initial="stationary")
    result = jaxem.fit(model, COUNTS, key=jax.random.key(0), n_init=12, tol=1e-9, max_iter=3000)
    assert result.converged
    np.testing.assert_allclose(-result.log_likelihood, published, atol=1e-4)
    assert int(result.n_free_parameters) == k * k
    law = np.asarray(result.params.initial)
    np.testing.assert_allclose(law @ np.asarray(result.params.transition), law, atol=1e-12)


@pytest.mark.slow
def test_a_free_initial_law_is_no_less_likely():
    """It ends at one state, and is worth two more parameters at most."""
    result = jaxem.fit(HMM(families.Poisson(), 3), COUNTS, key=jax.random.key(0), n_init=20,
                       tol=1e-9)  # fmt: skip
    assert result.converged and float(result.log_likelihood) > -329.4603
    assert int(result.n_free_parameters) == 2 + 6 + 3
    np.testing.assert_allclose(np.max(result.params.initial), 1.0, atol=1e-6)


# ---- structure


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["left-right", "cyclic", ((1, 1, 0), (0, 1, 1), (0, 0, 1))])
def test_what_is_ruled_out_stays_zero(kind):
    model = HMM(families.Poisson(), 3, transitions=kind)
    result = jaxem.fit(model, drawn(8, 30), key=jax.random.key(0), n_init=3)
    closed = ~transitions.mask(model.transitions, 3)
    np.testing.assert_array_equal(np.asarray(result.params.transition)[closed], 0.0)
    np.testing.assert_allclose(np.sum(result.params.transition, axis=1), 1.0)


def test_a_fixed_initial_law_is_kept():
    model = HMM(families.Poisson(), 2, initial="fixed")
    result = jaxem.em(model, START, drawn(), max_iter=20)
    np.testing.assert_allclose(result.params.initial, START.initial)
    assert int(result.n_free_parameters) == 2 + 2


@pytest.mark.slow
def test_priors_and_known_numbers():
    x = drawn()
    plain = jaxem.em(POISSON, START, x)
    sticky = jaxem.em(POISSON, START, x, prior=HMMPrior(sticky=100.0))
    diagonal = np.diag(np.asarray(sticky.params.transition))
    assert np.all(diagonal > np.diag(np.asarray(plain.params.transition)))
    assert float(sticky.log_posterior) < float(sticky.log_likelihood)
    fixed = HMMParams(None, None, families.PoissonParams([[2.0], [np.nan]]))
    known = jaxem.em(POISSON, START, x, fixed=fixed)
    assert float(known.params.emissions.rates[0, 0]) == 2.0
    assert int(known.n_free_parameters) == int(plain.n_free_parameters) - 1
    assert float(known.log_likelihood) <= float(plain.log_likelihood)


@pytest.mark.slow
def test_known_states_are_where_they_are_told():
    x = drawn(3, 12)
    states = np.full((3, 12), -1)
    states[0, :4] = [1, 0, 1, 0]
    result = jaxem.em(POISSON, START, x, labels=states, max_iter=5)
    assert np.isfinite(float(result.log_likelihood))
    expected = 0.0
    for own, given in zip(x, states, strict=True):
        allowed = (given[:, None] < 0) | (given[:, None] == np.arange(2))
        f = densities(START, own) * allowed
        expected += over_paths(START.initial, START.transition, f).log_likelihood
    none = jaxem.em(POISSON, START, x, labels=states, max_iter=0)
    np.testing.assert_allclose(none.log_likelihood, expected)


# ---- sequences


def test_every_form_of_sequences_is_the_same():
    """A list packed into lanes, a padded batch, and the sequences one by one."""
    rng = np.random.default_rng(5)
    parts = [rng.poisson(4.0, (n, 1)).astype(float) for n in (7, 3, 1, 12, 5)]
    batch = np.full((5, 12, 1), 99.0)
    for own, part in zip(batch, parts, strict=True):
        own[: len(part)] = part
    lengths = [len(part) for part in parts]
    weight = np.array([1.0, 2.0, 0.0, 1.0, 3.0])
    one_by_one = np.array([float(jaxem.log_prob(POISSON, START, part)) for part in parts])
    expected = [over_paths(START.initial, START.transition, densities(START, p)) for p in parts]
    np.testing.assert_allclose(one_by_one, [answer.log_likelihood for answer in expected])
    np.testing.assert_allclose(jaxem.log_prob(POISSON, START, parts), one_by_one)
    np.testing.assert_allclose(jaxem.log_prob(POISSON, START, batch, lengths), one_by_one)
    fits = [
        jaxem.em(POISSON, START, parts, weight, max_iter=10),
        jaxem.em(POISSON, START, batch, weight, lengths=lengths, max_iter=10),
    ]
    close(fits[0].params, fits[1].params, rtol=1e-9)
    first = jaxem.em(POISSON, START, parts, weight, max_iter=0).log_likelihood
    np.testing.assert_allclose(first, one_by_one @ weight)

    states = jaxem.smooth(POISSON, START, parts)
    paths, log_joint = jaxem.viterbi(POISSON, START, parts)
    for own, path, answer in zip(states, paths, expected, strict=True):
        np.testing.assert_allclose(own, answer.states, atol=1e-12)
        np.testing.assert_array_equal(path, answer.path)
    np.testing.assert_allclose(log_joint, [answer.log_joint for answer in expected])
    padded = jaxem.smooth(POISSON, START, batch, lengths)
    assert padded.shape == (5, 12, 2)
    np.testing.assert_allclose(padded[3], expected[3].states, atol=1e-12)
    np.testing.assert_array_equal(
        jaxem.predict(POISSON, START, parts[0]), expected[0].states.argmax(1)
    )


def test_packing_computes_few_more_steps_than_there_are():
    rng = np.random.default_rng(0)
    for lengths in (rng.integers(5, 2000, 200), np.array([10, 1]), np.array([1000] + [1] * 30)):
        where = packing._packed("list", lengths, 0)
        assert where.shape[0] * where.shape[1] <= 1.5 * lengths.sum()
        assert len(set(where.places)) == lengths.sum()


@pytest.mark.slow
def test_steps_that_were_not_observed_are_legal_anywhere():
    x = drawn(2, 9)
    x[0, 0], x[0, 4], x[1, 8] = np.nan, np.nan, np.nan
    expected = [
        over_paths(START.initial, START.transition, densities(START, own)).log_likelihood
        for own in x
    ]
    np.testing.assert_allclose(jaxem.log_prob(POISSON, START, x), expected)
    gaussian = HMM(families.Gaussian("full"), 2)
    rng = np.random.default_rng(0)
    y = rng.normal(size=(60, 2)) + 4 * (np.arange(60) // 15 % 2)[:, None]
    y[[0, 20, 59]] = np.nan
    result = jaxem.fit(gaussian, y, key=jax.random.key(0), n_init=4)
    assert result.converged
    assert jaxem.smooth(gaussian, result.params, y).shape == (60, 2)


BAD = {
    r"lengths\[1\] is 9; it must be from 1 to 5": (drawn(2, 5), [3, 9]),
    "give 2 whole numbers": (drawn(2, 5), [3]),
    "it is one sequence, and has no lengths": (drawn(2, 5)[0], [5]),
    "sequence 1 is empty": ([np.ones((3, 1)), np.ones((0, 1))], None),
    "an empty list": ([], None),
    "lengths are for a batch": ([np.ones((3, 1))], [3]),
    "not whole numbers from 0": (drawn(2, 5) + 0.5, None),
    "no step that was observed": (np.full((2, 5, 1), np.nan), None),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_sequences(message):
    x, lengths = BAD[message]
    with pytest.raises(ValueError, match=message):
        jaxem.em(POISSON, START, x, lengths=lengths)


def test_bad_specs_and_parameters():
    with pytest.raises(ValueError, match="must be one of 'free'"):
        HMM(families.Poisson(), 2, initial="any")
    with pytest.raises(ValueError, match="must be one of 'auto'"):
        HMM(families.Poisson(), 2, recursion="parallel")
    with pytest.raises(ValueError, match="must be one of 'full'"):
        HMM(families.Poisson(), 2, transitions="upper")
    with pytest.raises(ValueError, match="nowhere to go"):
        HMM(families.Poisson(), 2, transitions=((1, 1), (0, 0)))
    with pytest.raises(ValueError, match="row 1 of transition"):
        jaxem.em(POISSON, START._replace(transition=np.array([[0.5, 0.5], [0.7, 0.7]])), COUNTS)
    model = HMM(families.Poisson(), 2, transitions="left-right")
    with pytest.raises(ValueError, match="rules out"):
        jaxem.em(model, START, COUNTS)
    with pytest.raises(ValueError, match="have no order"):
        jaxem.em(jaxem.Mixture(families.Poisson(), 1), None, COUNTS, lengths=[3])


def test_what_may_not_be_meant_is_said_with_the_result():
    model = HMM(families.Poisson(), 2, transitions="left-right")
    params = START._replace(transition=np.array([[0.8, 0.2], [0.0, 1.0]]))
    text = str(jaxem.em(model, params, COUNTS, max_iter=1))
    assert "state 1 is never left" in text and "state 0 is never entered from another" in text
    stationary = HMM(families.Poisson(), 2, transitions="left-right", initial="stationary")
    assert "state 0 has none of the stationary law" in stationary.remarks
    assert HMM(families.Poisson(), 2, initial="stationary").remarks == ()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["one", "batch", "list"])
def test_long_sequences_in_blocks_of_time_are_the_same(form, monkeypatch):
    """Forty steps in blocks of eight, against forty at once; also where lengths are no multiple."""
    rng = np.random.default_rng(1)
    parts = [rng.poisson(4.0, (n, 1)).astype(float) for n in (38, 38, 21)]
    parts[0][8:11] = np.nan
    x = {"one": parts[0], "batch": np.stack(parts[:2]), "list": parts}[form]
    whole, total = jaxem.e_step(POISSON, START, x)
    smoothed = jaxem.smooth(POISSON, START, x)
    monkeypatch.setattr(forward_backward, "_LONG", 20)
    assert as_dataset(POISSON, x).rows.weight.shape[0] == 40
    jax.clear_caches()
    in_blocks, again = jaxem.e_step(POISSON, START, x)
    close(in_blocks, whole, rtol=1e-10)
    np.testing.assert_allclose(again, total)
    close(jaxem.smooth(POISSON, START, x), smoothed, rtol=1e-10)
    jax.clear_caches()


@pytest.mark.parametrize("kind", ["full", ((1, 1), (1, 1))])
def test_a_model_file_keeps_it(kind, tmp_path):
    model = HMM(families.Poisson(), 2, transitions=kind)
    jaxem.save(tmp_path / "m.safetensors", model, START, columns=("count",))
    again, params = jaxem.load(tmp_path / "m.safetensors")
    assert again == model and hash(again) == hash(model)
    close(params, START, rtol=0, atol=0)


@pytest.mark.slow
def test_numbers_of_states_are_compared():
    models = [HMM(families.Poisson(), k) for k in (1, 2, 3)]
    selection = jaxem.select(models, COUNTS, key=jax.random.key(0), n_init=8, criterion="bic")
    assert selection.model.n_states == 2
    one = selection.candidates[0].result
    mixture = jaxem.fit(
        jaxem.Mixture(families.Poisson(), 1), COUNTS, key=jax.random.key(0), n_init=1
    )
    np.testing.assert_allclose(one.log_likelihood, mixture.log_likelihood, rtol=1e-10)
    params = selection.best.params
    bic = jaxem.bic(selection.model, params, COUNTS)
    np.testing.assert_allclose(bic, selection.best.bic, rtol=1e-10)


@pytest.mark.slow
def test_a_left_right_chain_starts_in_the_order_of_time():
    """Five stages, whose order no start but one in 120 would hit by chance: most of 20 do."""
    rng = np.random.default_rng(0)
    levels = np.array([5.0, 40.0, 20.0, 90.0, 60.0])
    parts = [rng.poisson(np.repeat(levels, rng.integers(6, 9, 5))).astype(float) for _ in range(6)]
    model = HMM(families.Poisson(), 5, transitions="left-right")
    result = jaxem.fit(model, parts, key=jax.random.key(0), n_init=20)
    np.testing.assert_allclose(result.params.emissions.rates[:, 0], levels, rtol=0.2)
    assert int(result.restarts.n_best) >= 10


@pytest.mark.slow
def test_states_may_outnumber_the_values_that_are_seen():
    """Of yes and no in two rhythms: three states that differ in how long they stay."""
    rng = np.random.default_rng(0)
    quick, slow = np.tile([0, 1], 40), np.repeat(rng.permutation([0, 1] * 8), 10)
    x = np.concatenate([quick, slow, quick, slow]).astype(float)
    results = {
        k: jaxem.fit(HMM(families.Bernoulli(), k), x, key=jax.random.key(0), n_init=10)
        for k in (2, 4)
    }
    assert all(result.converged for result in results.values())
    assert float(results[4].bic) < float(results[2].bic)
    assert int(results[4].n_free_parameters) == 3 + 12 + 4


@pytest.mark.slow
def test_steps_that_were_not_observed_do_not_count_in_bic():
    x = np.array([1.0, np.nan, 5.0, np.nan, 2.0])
    p = 2 + 1 + 2
    expected = -2 * jaxem.log_prob(POISSON, START, x) + p * np.log(3)
    np.testing.assert_allclose(jaxem.bic(POISSON, START, x), expected)
    np.testing.assert_allclose(jaxem.em(POISSON, START, x, max_iter=0).bic, expected)


@pytest.mark.slow
def test_padding_counts_for_nothing():
    """Whatever stands in it, and also where a lane is filled up to whole blocks of time."""
    part = drawn(1, 5)[0]
    batch = np.zeros((2, 8, 1))
    batch[0, :5], batch[1] = part, 3.0
    alone = jaxem.log_prob(POISSON, START, part)
    found = jaxem.log_prob(POISSON, START, batch, [5, 8])
    np.testing.assert_allclose(found[0], alone)
    long = np.tile(part, (3277, 1))
    total = jaxem.log_likelihood(POISSON, START, long)
    np.testing.assert_allclose(jaxem.log_prob(POISSON, START, long), total, rtol=1e-12)


@pytest.mark.slow
def test_traced_parameters_of_any_form():
    parts = [drawn(1, n)[0] for n in (7, 3, 5)]
    batch = np.zeros((3, 15, 1))
    for own, part in zip(batch, parts, strict=True):
        own[: len(part)] = part
    each = [jaxem.log_prob(POISSON, START, part) for part in parts]
    params = jax.tree.map(jnp.asarray, START)
    for x, lengths in ((parts, None), (batch, [7, 3, 5])):
        found = jax.jit(lambda p, x=x, n=lengths: jaxem.log_prob(POISSON, p, x, n))(params)
        np.testing.assert_allclose(found, each)
        smoothed = jax.jit(lambda p, x=x, n=lengths: jaxem.smooth(POISSON, p, x, n))(params)
        np.testing.assert_allclose(smoothed[0][:7], jaxem.smooth(POISSON, START, parts[0]))


def test_known_states_must_be_aligned_and_possible():
    parts = [np.ones(3), np.ones(5)]
    with pytest.raises(ValueError, match="one for each step of each"):
        jaxem.em(POISSON, START, parts, labels=[np.zeros(5, int), np.zeros(3, int)])
    with pytest.raises(ValueError, match=r"give one for each step, \(2, 3\)"):
        jaxem.em(POISSON, START, np.ones((2, 3, 1)), labels=np.zeros(6, int))
    model = HMM(families.Poisson(), 2, transitions="left-right")
    params = START._replace(transition=np.array([[0.5, 0.5], [0.0, 1.0]]))
    with pytest.raises(ValueError, match="from state 1 to state 0 at step 2 of sequence 1"):
        jaxem.em(model, params, parts, labels=[[-1, 0, 1], [-1, 1, 0, -1, -1]])


def test_what_is_known_must_be_possible():
    model = HMM(families.Poisson(), 2, transitions="left-right")
    params = START._replace(transition=np.array([[0.5, 0.5], [0.0, 1.0]]))
    nan = np.nan
    for rows, message in (([[nan, nan], [0.3, nan]], "rules out"),
                          ([[nan, nan], [nan, 0.7]], "cannot make it add up")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            jaxem.em(model, params, COUNTS, fixed=HMMParams(None, np.array(rows), None))
    stationary = HMM(families.Poisson(), 2, initial="stationary")
    with pytest.raises(ValueError, match="stationary one"):
        jaxem.em(stationary, START, COUNTS, fixed=HMMParams(np.array([0.9, 0.1]), None, None))
    with pytest.raises(ValueError, match="2 sets of states that are never left"):
        HMM(families.Poisson(), 2, initial="stationary", transitions=((1, 0), (0, 1)))
    with pytest.raises(ValueError, match="no one stationary law"):
        jaxem.em(stationary, START._replace(transition=np.eye(2)), COUNTS)


def test_absent_states_are_legal_parameters():
    """As of a traced fit to fewer distinct steps than states."""
    x = np.array([1.0, 5.0, 5.0, 1.0, 1.0])
    model = HMM(families.Poisson(), 3)
    with_absent = HMMParams(
        np.array([0.6, 0.4, 0.0]),
        np.pad(START.transition, (0, 1)),
        families.PoissonParams(np.array([[2.0], [6.0], [3.0]])),
    )
    np.testing.assert_allclose(
        jaxem.log_prob(model, with_absent, x), jaxem.log_prob(POISSON, START, x)
    )
    with pytest.raises(ValueError, match="row 2 of transition"):
        jaxem.log_prob(model, with_absent._replace(initial=np.array([0.5, 0.4, 0.1])), x)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cyclic", ((1, 1), (0, 1))])
def test_models_of_two_sizes_keep_what_they_rule_out(kind):
    models = [HMM(families.Poisson(), 2, transitions=kind), HMM(families.Poisson(), 3)]
    first = jaxem.select(models, COUNTS, key=jax.random.key(0), n_init=2).candidates[0]
    alone = jaxem.fit(models[0], COUNTS, key=jax.random.key(0), n_init=2)
    np.testing.assert_allclose(first.result.log_likelihood, alone.log_likelihood)
    assert int(first.result.n_free_parameters) == int(alone.n_free_parameters)


@pytest.mark.slow
def test_icl_has_the_entropy_of_the_paths():

    parts = [np.array([1.0, 7.0, 3.0]), np.array([9.0])]
    model = HMM(families.Poisson(), 2)
    entropy = 0.0
    for part, weight in zip(parts, (2.0, 1.0), strict=True):
        f = densities(START, part[:, None])
        joint = []
        for z in product(range(2), repeat=len(part)):
            moves = [START.transition[z[i], z[i + 1]] for i in range(len(z) - 1)]
            seen = [f[t, state] for t, state in enumerate(z)]
            joint.append(START.initial[z[0]] * np.prod(moves) * np.prod(seen))
        p = np.array(joint) / np.sum(joint)
        entropy -= weight * np.sum(p * np.log(p))
    weight = [2.0, 1.0]
    difference = jaxem.icl(model, START, parts, weight) - jaxem.bic(model, START, parts, weight)
    np.testing.assert_allclose(difference, 2 * entropy)
    left_right = HMM(families.Poisson(), 2, transitions="left-right")
    zeros = START._replace(transition=np.array([[0.5, 0.5], [0.0, 1.0]]))
    assert np.isfinite(jaxem.icl(left_right, zeros, parts))


@pytest.mark.slow
def test_the_likelihood_has_slices_and_a_trace():
    cut = jaxem.likelihood_slice(
        POISSON, START, COUNTS, "transition[0, 1]", np.linspace(0.1, 0.5, 3)
    )
    for value, found in zip(cut.grid, cut.log_likelihood, strict=True):
        moved = np.array([[1 - value, value], START.transition[1]])
        expected = jaxem.log_prob(POISSON, START._replace(transition=moved), COUNTS)
        np.testing.assert_allclose(found, expected)
    trace = jaxem.em_trace(POISSON, START, COUNTS, n_iter=4)
    assert np.all(np.diff(trace.log_likelihood) > 0)
