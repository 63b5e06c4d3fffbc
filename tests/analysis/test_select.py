import jax
import numpy as np
import pandas
import pytest

import jaxem
from jaxem import Status, datasets
from jaxem.analysis.grid import mixtures as mixtures_of
from jaxem.analysis.select import compare, divided, lowest, plan
from jaxem.families import Gaussian, Poisson
from jaxem.fitting import driver as fitting
from jaxem.fitting.options import Options, Starts
from jaxem.fitting.starts import begin

STRUCTURES = ("full", "tied", "diag", "spherical")
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def x():
    return datasets.load_faithful().x


def mixtures(structures, ks):
    return [jaxem.Mixture(Gaussian(c), k) for c in structures for k in ks]


# R's mclust 6.0.0, best of many starts: log-likelihoods of VVV, EEE, VVI and VII
BEST = {
    ("full", 2): -1130.26396018, ("full", 3): -1114.43987290,
    ("tied", 2): -1140.18675944, ("tied", 3): -1126.31592782,
    ("diag", 2): -1147.80635254, ("diag", 3): -1127.00751919,
    ("spherical", 2): -1709.52928218, ("spherical", 3): -1637.43441800,
}  # fmt: skip
FREE = {"full": 6, "tied": 3, "diag": 5, "spherical": 4}  # parameters a further component brings


@pytest.mark.slow
def test_the_model_that_mclust_chooses_of_iris():
    """Mclust(iris[, 1:4]) by R's mclust 6.0.0: VEV with 2 groups, BIC 561.7285."""
    iris = datasets.load_iris().x
    selection = jaxem.select(
        x=iris, family="gaussian", covariance=["VVV", "VEV"], n_components=(2, 3), key=KEY
    )
    assert selection.model == jaxem.Mixture(Gaussian("VEV"), 2)
    np.testing.assert_allclose(float(selection.best.bic), 561.7285, atol=1e-4)
    assert selection.table[0] == ("BIC", "k = 2", "k = 3")
    assert selection.table[2] == ("Gaussian('VEV')", "*561.73", "562.55")


def test_all_is_the_fourteen_of_mclust_and_a_family_is_itself():
    every = mixtures_of("gaussian", "all", range(1, 10))
    assert len(every) == len(set(every)) == 14 * 9
    assert mixtures_of(Poisson(), None, 3) == [jaxem.Mixture(Poisson(), 3)]
    assert mixtures_of("gaussian", "tied", [2]) == [jaxem.Mixture(Gaussian("tied"), 2)]


@pytest.mark.parametrize(
    "described, words",
    [
        ({"family": "gamma"}, "family is 'gamma'; it must be one of 'gaussian'"),
        ({"family": "gaussian", "n_components": 2}, "covariance is missing"),
        ({"family": "gaussian", "covariance": "all"}, "n_components says how many"),
        ({"family": Poisson(), "covariance": "all", "n_components": 2}, "has its own"),
        ({"family": "gaussian", "covariance": "VVX", "n_components": 2}, "covariance is 'VVX'"),
        ({"models": [], "family": "gaussian"}, "not both"),
        ({"models": [jaxem.Mixture(Poisson(), 2)], "x": None}, "x is missing"),
    ],
)
def test_descriptions_that_say_too_little_or_too_much_are_refused(x, described, words):
    with pytest.raises(ValueError, match=words):
        jaxem.select(**{"x": x, "key": KEY, **described})


@pytest.mark.slow
def test_many_candidates_print_as_a_table_with_failures_in_words(x):
    one = jaxem.select(mixtures(("tied",), (1, 2)), x, key=KEY, n_init=2)
    failed = one.candidates[0].result._replace(status=np.int32(Status.DEGENERATE))
    many = tuple(
        c._replace(model=model, result=failed if i == 3 else c.result)
        for i, (model, c) in enumerate(
            zip(mixtures(STRUCTURES, range(1, 7)), 12 * one.candidates, strict=True)
        )
    )
    text = str(one._replace(candidates=many, index=1))
    lines = text.splitlines()
    assert len(lines) == 1 + 4 + 1
    assert lines[0].split() == ["BIC", *(word for k in range(1, 7) for word in ("k", "=", str(k)))]
    assert "DEGENERATE" in lines[1] and text.count("DEGENERATE") == 1
    assert f"*{one.candidates[1].bic:.2f}" in lines[1]
    assert lines[-1].startswith("* lowest BIC, of Mixture(family=Gaussian('full'), n_components=2)")


@pytest.mark.slow
def test_faithful_by_bic(x):
    selection = jaxem.select(mixtures(STRUCTURES, range(1, 10)), x, key=KEY, n_init=10)
    assert selection.model == jaxem.Mixture(Gaussian("tied"), 3)
    assert selection.best.converged
    free_of_one = {"full": 5, "tied": 5, "diag": 4, "spherical": 3}
    for candidate in selection.candidates:
        structure, k = candidate.model.family.covariance.name, candidate.model.n_components
        free = free_of_one[structure] + (k - 1) * FREE[structure]
        assert int(candidate.result.n_free_parameters) == free
        assert candidate.result.params.components.means.shape == (k, 2)
        assert candidate.bic >= selection.best.bic
        if (structure, k) in BEST:
            best = -2 * BEST[structure, k] + free * np.log(272)
            np.testing.assert_allclose(candidate.bic, best, rtol=1e-6)


@pytest.mark.slow
def test_every_candidate_is_the_fit_alone_with_further_starts(x):
    models = mixtures(("tied",), (1, 2))
    selection = jaxem.select(models, x, key=KEY, n_init=3, criterion="icl")
    for model, candidate in zip(models, selection.candidates, strict=True):
        alone = jaxem.fit(model, x, key=KEY, n_init=3)
        assert candidate.model == model and candidate.result.provenance == alone.provenance
        found = candidate.result.restarts.log_likelihood
        np.testing.assert_allclose(found[:3], alone.restarts.log_likelihood, rtol=1e-9)
        assert len(found) == 4  # one that divides the only component of k = 1
        assert candidate.result.log_likelihood >= alone.log_likelihood - 1e-6
        for name in ("aic", "bic", "icl"):
            expected = getattr(jaxem, name)(model, candidate.result.params, x)
            np.testing.assert_allclose(getattr(candidate, name), expected, rtol=1e-10)


@pytest.mark.slow
def test_each_candidate_may_be_searched(x):
    """By rounds, whose moves divide components: no further starts do."""
    models = mixtures(("tied",), (2, 3))
    selection = jaxem.select(models, x, key=KEY, n_init="auto")
    for candidate in selection.candidates:
        restarts = candidate.result.restarts
        best = BEST["tied", candidate.model.n_components]
        np.testing.assert_allclose(float(candidate.result.log_likelihood), best, rtol=1e-8)
        assert 20 <= len(restarts.status) <= 240
        assert len(restarts.status) == 240 or restarts.unseen <= 0.06
    assert [
        job.n_split for job in plan(models, x, begin("portfolio", KEY, "auto", None), Options())
    ] == [0, 0]


@pytest.mark.slow
def test_dividing_starts_begin_in_the_component_they_divide(x):
    """From the best of two components, new ones begin among the rows of either, the other stays."""
    jobs = plan(mixtures(("full",), (2, 3)), x, Starts("portfolio", KEY, 2), Options())
    two = fitting.finish(jobs[0], fitting.advance(jobs[0], fitting.start(jobs[0]), 1000))
    job = divided(jobs[1], [two])
    assert divided(jobs[0], [two]) is jobs[0]
    params = fitting.start(job).tree.params
    labels = np.asarray(jaxem.predict(two.provenance.model, two.params, x))
    heaviest = int(np.argmax(two.params.weights))
    for i, part in ((2, heaviest), (3, 1 - heaviest)):
        means = np.asarray(params.components.means[i])
        kept = x[labels != part].mean(0)
        np.testing.assert_allclose(means[1 - part], kept, atol=0.5 * x.std(0).max())
        new = np.linalg.norm((means[[part, 2]] - x[labels == part].mean(0)) / x.std(0), axis=1)
        assert np.all(new < 1)
    plain = fitting.start(jobs[1]).tree.params
    for ours, theirs in zip(jax.tree.leaves(params), jax.tree.leaves(plain), strict=True):
        np.testing.assert_array_equal(ours[:2], theirs[:2])


@pytest.mark.slow
def test_a_component_more_is_never_worse(x):
    """What one component fewer reached is where dividing starts begin."""
    selection = jaxem.select(mixtures(("full",), range(1, 7)), x, key=KEY, n_init=2)
    heights = [float(c.result.log_likelihood) for c in selection.candidates]
    assert np.all(np.diff(heights) > 0)


@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["aic", "bic", "icl"])
def test_the_lowest_of_the_regular_fits_wins(criterion, x):
    jobs = plan(mixtures(("full",), (1, 2)), x, Starts("portfolio", KEY, 3), Options())
    results = [fitting.finish(j, fitting.advance(j, fitting.start(j), j.max_iter)) for j in jobs]
    assert compare(jobs, results, criterion).index == 1
    collapsed = results[1]._replace(status=jax.numpy.int32(Status.DEGENERATE))
    assert compare(jobs, [results[0], collapsed], criterion).index == 0
    poisoned = results[0]._replace(status=jax.numpy.int32(Status.NONFINITE))
    assert compare(jobs, [poisoned, collapsed], criterion).index == 1


def test_a_fit_without_a_criterion_never_wins():
    """Regular before degenerate, and what is not a number behind all of them."""
    good, bad = Status.CONVERGED, Status.DEGENERATE
    nan = float("nan")
    assert lowest([nan, 5.0, 7.0], [bad, bad, bad]) == 1
    assert lowest([nan, 9.0, 5.0, 7.0], [good, good, bad, good]) == 3
    assert lowest([3.0, 2.0], [Status.NONFINITE, bad]) == 1
    assert lowest([nan, nan], [bad, good]) == 1


@pytest.mark.slow
def test_one_compilation_serves_every_k(x):
    """Another k within the room of the first sweep compiles nothing."""
    options = {"key": KEY, "n_init": 3}
    jaxem.select(mixtures(("full",), (1, 2, 4)), x, **options)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: compiled.append(event) if "backend_compile" in event else None
    )
    jaxem.select(mixtures(("full",), (3, 4)), x, **options)
    jax.monitoring.clear_event_listeners()
    assert compiled == []


def test_the_table_reads(x):
    text = str(jaxem.select(mixtures(("full",), (1, 2)), x, key=KEY, n_init=3)).splitlines()
    assert text[0].split() == ["model", "log-likelihood", "free", "AIC", "BIC", "ICL", "status"]
    assert text[1].startswith("   Mixture(family=Gaussian('full'), n_components=1)")
    assert text[2].startswith("*  Mixture(family=Gaussian('full'), n_components=2)")
    assert text[2].split()[3:7:2] == ["-1130.2640", "2282.5279"]
    assert text[3] == "* lowest BIC"


def test_bad_input(x):
    models = mixtures(("full",), (1, 2))
    for wrong, message in (
        (dict(models=[]), "models is empty"),
        (dict(models=[models[0], Gaussian("full")]), "models holds Gaussian"),
        (dict(criterion="bicc"), "criterion is 'bicc'; it must be one of 'aic', 'bic', 'icl'"),
        (dict(init=None), "init is None"),
        (dict(models=mixtures(("full",), (1, 273))), "use at most"),
        (dict(labels=np.full(272, 1)), r"outside -1..0"),
        (dict(key=None), "^key is None"),
    ):
        with pytest.raises(ValueError, match=message):
            jaxem.select(**{"models": models, "x": x, "key": KEY, **wrong})


def test_the_summary_is_a_row_for_each_candidate(x):
    candidates = mixtures(("full", "diag"), (1, 2))
    frame = pandas.DataFrame(x, columns=["eruptions", "waiting"])
    selection = jaxem.select(candidates, frame, key=KEY, n_init=2)
    found = selection.summary()
    assert isinstance(found, pandas.DataFrame) and len(found) == 4
    assert found["bic"].tolist() == [c.bic for c in selection.candidates]
    assert found["model"][found["bic"].idxmin()] == repr(selection.model)
    plain = jaxem.select(candidates, x, key=KEY, n_init=2).summary()
    pandas.testing.assert_frame_equal(pandas.DataFrame(plain), found, check_dtype=False)
    assert "CONVERGED" in str(plain)
