"""What the caller does with the inputs once a verb has returned changes nothing of its answer."""

import copy
import inspect

import jax
import numpy as np
import pytest

import jaxem
from jaxem.core.dataset import as_dataset
from jaxem.families import Categorical, Gaussian, GaussianParams, Poisson
from laws.compare import cases

KEY = jax.random.key(0)
MODEL = jaxem.Mixture(Gaussian("full"), 2)
HOLES = jaxem.Mixture(Gaussian("full", missing=True), 2)
CHAIN = jaxem.HMM(Gaussian("full"), 2)
CLASSES = jaxem.Mixture(Categorical(2), 1)
FEW, MANY = 120, 200_000


def aligned(array):
    """A copy at an address that is a multiple of 64, on which JAX computes where it lies."""
    array = np.asarray(array)
    room = np.empty(array.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    out = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    out[...] = array
    return out


def mixture(k=2):
    means = np.arange(2.0 * k).reshape(k, 2)
    return jaxem.MixtureParams(np.full(k, 1 / k), GaussianParams(means, np.stack([np.eye(2)] * k)))


def given(n):
    """All that a verb may be given, in arrays of the host."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, n)
    x = rng.normal(size=(n, 2)) + 5.0 * label[:, None]
    holes = np.where(rng.random((n, 2)) < 0.1, np.nan, x)
    weight = rng.integers(1, 3, n).astype(float)
    chain = jaxem.HMMParams(np.full(2, 0.5), np.full((2, 2), 0.5), mixture().components)
    return dict(
        x=x, holes=holes, weight=weight, params=mixture(), chain=chain, label=label,
        steps=x.reshape(4, -1, 2), lengths=np.full(4, n // 4), grid=np.linspace(0, 1, 8),
        fixed=jaxem.MixtureParams(None, GaussianParams(np.array([[0.0, 0], [np.nan] * 2]), None)),
        prior=jaxem.MixturePrior(weights=np.full(2, 2.0)), point=np.array(1.5),
        codes=label[:, None], shares=jaxem.MixtureParams(
            np.ones(1), jaxem.families.CategoricalParams((np.array([[0.4, 0.6]]),))
        ),
        maximum=jaxem.MixtureParams(np.ones(1), GaussianParams(
            x.mean(0)[None], np.cov(x.T, bias=True)[None]
        )),
        tails=jaxem.MixtureParams(np.full(2, 0.5), jaxem.families.StudentTParams(
            *mixture().components, np.full(2, 5.0)
        )),
        by_covariates=jaxem.ConcomitantMixtureParams(
            *mixture(), np.array([[0.0, 0, 0], [0.1, 0.5, -0.5]])
        ),
        factors=jaxem.MixtureParams(np.ones(1), jaxem.families.FactorAnalyzerParams(
            np.zeros((1, 2)), np.full((1, 2, 1), 0.5), np.ones((1, 2))
        )),
        sums=jax.tree.map(np.asarray, jaxem.e_step(MODEL, mixture(), x[:FEW])[0]),
    )  # fmt: skip


ONE = jaxem.Mixture(Gaussian("full"), 1)
TAILS = jaxem.Mixture(jaxem.families.StudentT("full"), 2)
FACTORS = jaxem.Mixture(jaxem.families.FactorAnalyzer(1), 1)
BY_COVARIATES = jaxem.Mixture(jaxem.families.Gaussian("full"), 2, concomitants=2)
VERBS = {
    "fit": (MANY, lambda a: jaxem.fit(MODEL, a["x"], key=KEY, n_init=2, max_iter=3)),
    "fit with all": (FEW, lambda a: jaxem.fit(
        MODEL, a["x"], key=KEY, n_init=2, max_iter=3, sample_weight=a["weight"], fixed=a["fixed"],
        labels=a["label"], prior=a["prior"])),
    "fit from params": (MANY, lambda a: jaxem.fit(
        MODEL, a["x"], key=KEY, init=a["params"], max_iter=0)),
    "fit of chains": (MANY, lambda a: jaxem.fit(
        CHAIN, a["steps"], key=KEY, n_init=1, max_iter=1, lengths=a["lengths"])),
    "em": (FEW, lambda a: jaxem.em(MODEL, a["params"], a["x"], a["weight"], max_iter=2)),
    "em that stays": (FEW, lambda a: jaxem.em(MODEL, a["params"], a["x"], max_iter=0)),
    "e_step": (MANY, lambda a: jaxem.e_step(MODEL, a["params"], a["x"], a["weight"])),
    "m_step": (FEW, lambda a: jaxem.m_step(MODEL, a["params"], a["sums"], a["prior"])),
    "fit_many": (FEW, lambda a: jaxem.fit_many(MODEL, a["steps"], key=KEY, n_init=1, max_iter=2)),
    "fit_online": (FEW, lambda a: jaxem.fit_online(
        MODEL, jaxem.sources.batches(lambda: [a["x"]]), key=KEY, init=a["params"])),
    "fit_incremental": (FEW, lambda a: jaxem.fit_incremental(
        MODEL, jaxem.sources.batches(lambda: [a["x"]]), key=KEY, init=a["params"], n_passes=2)),
    "annotate": (FEW, lambda a: [piece.x for piece in jaxem.annotate(
        MODEL, a["params"], jaxem.sources.batches(lambda: [a["x"]]), keep=False).pieces()]),
    "log_prob": (MANY, lambda a: jaxem.log_prob(MODEL, a["params"], a["x"])),
    "log_prob of chains": (MANY, lambda a: jaxem.log_prob(CHAIN, a["chain"], a["steps"])),
    "predict": (MANY, lambda a: jaxem.predict(MODEL, a["params"], a["x"])),
    "predict_proba": (MANY, lambda a: jaxem.predict_proba(MODEL, a["params"], a["x"])),
    "smooth": (MANY, lambda a: jaxem.smooth(CHAIN, a["chain"], a["steps"], a["lengths"])),
    "viterbi": (MANY, lambda a: jaxem.viterbi(CHAIN, a["chain"], a["steps"])),
    "filter_states": (MANY, lambda a: jaxem.filter_states(CHAIN, a["chain"], a["steps"])),
    "forecast": (FEW, lambda a: jaxem.forecast(CHAIN, a["chain"], a["steps"], 2)),
    "sample_paths": (FEW, lambda a: jaxem.sample_paths(CHAIN, a["chain"], a["steps"], key=KEY)),
    "occupancy": (FEW, lambda a: jaxem.occupancy(CHAIN, a["chain"], a["steps"])),
    "impute": (MANY, lambda a: jaxem.impute(HOLES, a["params"], a["holes"])),
    "impute without holes": (FEW, lambda a: jaxem.impute(HOLES, a["params"], a["x"])),
    "conditional": (FEW, lambda a: jaxem.conditional(MODEL, a["params"], {0: a["point"]})[1]),
    "moments": (FEW, lambda a: jaxem.moments(MODEL, a["params"])),
    "sample": (FEW, lambda a: jaxem.sample(MODEL, a["params"], KEY, FEW)),
    "n_free_parameters": (FEW, lambda a: jaxem.n_free_parameters(MODEL, a["params"], a["fixed"])),
    "aic": (MANY, lambda a: jaxem.aic(MODEL, a["params"], a["x"], a["weight"])),
    "bic": (MANY, lambda a: jaxem.bic(MODEL, a["params"], a["x"], a["weight"])),
    "icl": (MANY, lambda a: jaxem.icl(MODEL, a["params"], a["x"], a["weight"])),
    "log_likelihood": (MANY, lambda a: jaxem.log_likelihood(MODEL, a["params"], a["x"])),
    "complete_log_likelihood": (MANY, lambda a: jaxem.complete_log_likelihood(
        MODEL, a["params"], a["x"], a["label"])),
    "likelihood_slice": (FEW, lambda a: jaxem.likelihood_slice(
        MODEL, a["params"], a["x"], "weights[0]", a["grid"])),
    "em_trace": (FEW, lambda a: jaxem.em_trace(MODEL, a["params"], a["x"], 2)),
    "compare_optima": (FEW, lambda a: jaxem.compare_optima(
        jaxem.fit(MODEL, a["x"], key=KEY, n_init=2, max_iter=3), a["x"])),
    "select": (FEW, lambda a: jaxem.select([ONE, MODEL], a["x"], key=KEY, n_init=1, max_iter=2)),
    "standard_errors": (FEW, lambda a: jaxem.standard_errors(ONE, a["maximum"], a["x"])),
    "parameter_covariance": (FEW, lambda a: jaxem.parameter_covariance(
        ONE, a["maximum"], a["x"]).matrix),
    "confidence_intervals": (FEW, lambda a: jaxem.confidence_intervals(ONE, a["maximum"], a["x"])),
    "bootstrap": (FEW, lambda a: jaxem.bootstrap(
        MODEL, a["params"], a["x"], key=KEY, n_boot=2, max_iter=2)),
    "diagnose": (FEW, lambda a: jaxem.diagnose(MODEL, a["params"], a["x"], a["weight"])),
    "trimmed_weights": (MANY, lambda a: jaxem.trimmed_weights(
        MODEL, a["params"], a["x"], 0.1, a["weight"])),
    "merge_components": (FEW, lambda a: jaxem.merge_components(
        MODEL, a["params"], a["x"], a["weight"])),
    "outlier_weights": (MANY, lambda a: jaxem.outlier_weights(TAILS, a["tails"], a["x"])),
    "factor_scores": (MANY, lambda a: jaxem.factor_scores(FACTORS, a["factors"], a["x"])),
    "communalities": (FEW, lambda a: jaxem.communalities(FACTORS, a["factors"])),
    "varimax": (FEW, lambda a: jaxem.varimax(FACTORS, a["factors"])),
    "promax": (FEW, lambda a: jaxem.promax(FACTORS, a["factors"])),
    "concomitant_weights": (MANY, lambda a: jaxem.concomitant_weights(
        BY_COVARIATES, a["by_covariates"], a["x"])),
    "latent_classes": (FEW, lambda a: jaxem.latent_classes(CLASSES, a["shares"], a["codes"])),
    "lr_test": (FEW, lambda a: jaxem.lr_test(
        ONE, a["x"], key=KEY, n_boot=2, n_init=1, max_iter=2).replicates),
    "lr_tests": (FEW, lambda a: jaxem.lr_tests(
        [ONE, MODEL], a["x"], key=KEY, n_boot=2, n_init=1, max_iter=2)),
}  # fmt: skip
WITHOUT_ARRAYS = {"save", "load", "mixed_columns"}  # of a file, or names and values alone
COPIES = {"read"}  # see test_dataset.py


def test_every_public_verb_is_here():
    public = {name for name, value in vars(jaxem).items() if inspect.isfunction(value)}
    assert public - WITHOUT_ARRAYS - COPIES <= set(VERBS)


def numbers(answer):
    if inspect.isgenerator(answer):  # asked for after the inputs have changed
        answer = [test.replicates for test in answer]
    leaves = [leaf for leaf in jax.tree.leaves(answer) if isinstance(leaf, jax.Array | np.ndarray)]
    return [np.array(leaf) for leaf in leaves]


def overwrite(tree):
    for leaf in jax.tree.leaves(tree):
        leaf[...] = 1


SLOW = {
    "fit of chains", "lr_test", "impute", "standard_errors", "fit_online", "fit with all",
    "fit_many", "fit from params", "sample_paths", "bootstrap", "occupancy", "select",
    "conditional", "diagnose", "trimmed_weights", "viterbi", "smooth", "parameter_covariance",
    "fit_incremental", "lr_tests", "confidence_intervals", "filter_states", "compare_optima",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", cases(VERBS, SLOW))
def test_inputs_may_change_as_soon_as_a_verb_returns(name):
    n, verb = VERBS[name]
    inputs = given(n)
    expected = numbers(verb(copy.deepcopy(inputs)))
    assert expected
    for _ in range(2):
        own = jax.tree.map(aligned, inputs)
        answer = verb(own)
        overwrite(own)
        for got, want in zip(numbers(answer), expected, strict=True):
            np.testing.assert_array_equal(got, want)


def test_gradients_are_of_the_rows_that_were_given():
    inputs = given(MANY)

    def gradient(x):
        return jax.grad(lambda p: jaxem.log_likelihood(MODEL, p, x))(inputs["params"])

    expected = numbers(gradient(inputs["x"].copy()))
    x = aligned(inputs["x"])
    answer = gradient(x)
    overwrite(x)
    for got, want in zip(numbers(answer), expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_rows_of_the_device_and_of_files_are_not_copied(tmp_path):
    x = given(FEW)["x"]
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert jaxem.core.inputs.owned(mapped) is mapped
    own = jax.device_put(x)
    rows = as_dataset(MODEL, own).rows
    assert rows.x is own
    host = aligned(x)
    there = as_dataset(MODEL, host).rows.x
    assert there.unsafe_buffer_pointer() == host.ctypes.data  # on the CPU


def test_exposures_and_blocks():
    """Data in parts is waited for like an array."""
    model = jaxem.Mixture(Poisson(exposure=True), 1)
    params = jaxem.MixtureParams(np.ones(1), jaxem.families.PoissonParams(np.full((1, 1), 2.0)))
    counts, exposure = np.full((MANY, 1), 3.0), np.ones(MANY)
    expected = np.asarray(jaxem.log_prob(model, params, (counts, exposure)))
    own = aligned(counts), aligned(exposure)
    answer = jaxem.log_prob(model, params, own)
    overwrite(own)
    np.testing.assert_array_equal(answer, expected)
