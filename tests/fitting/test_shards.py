"""Rows over several devices give what one device gives, by one sum over devices an iteration."""

import itertools
import re

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxem
from jaxem import families, sources
from jaxem.core import shards, source
from jaxem.core.dataset import as_dataset
from jaxem.fitting import (
    checkpoint,
    driver,
    one_reading,
    pass_programs,
    plan,
    restarts,
    sizes,
    stream,
    streamed_sums,
)
from jaxem.fitting.options import Options, Starts
from laws.compare import close
from laws.family_cases import FAMILY_CASES
from laws.model_cases import MODEL_CASES

KEY = jax.random.key(5)
RNG = np.random.default_rng(2)
N = 541  # no multiple of the devices
GROUP = np.arange(N) % 3
X = RNG.normal(size=(N, 3)) * (1 + GROUP[:, None]) + 4 * GROUP[:, None]
WEIGHT = RNG.integers(0, 3, N).astype(float)
LABELS = np.where(np.arange(N) % 9 == 0, GROUP, -1)
FULL = jaxem.Mixture(families.Gaussian("full"), 3)
OPTIONS = {"key": KEY, "n_init": 3}
QUICK = (
    "full", "full_with_holes", "VVE", "student_t", "factor_analyzer", "beta", "von_mises_fisher",
    "censored_normal", "binned_normal", "poisson", "categorical", "linear_regression", "product",
)  # fmt: skip
COLLECTIVE = re.compile(
    r" (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\("
)


@pytest.fixture(scope="module", params=[2, 4], ids=["two", "four"])
def mesh(request):
    return mesh_of(request.param)


def mesh_of(n, **more):
    return jax.make_mesh((n,), ("rows",), devices=jax.devices()[:n], **more)


def spread(x, mesh):
    return jax.device_put(x, NamedSharding(mesh, PartitionSpec("rows")))


@pytest.mark.slow(but=QUICK)
@pytest.mark.parametrize("name", FAMILY_CASES)
def test_sums_of_every_family_are_those_of_one_device(name):
    case = FAMILY_CASES[name]()
    x = case.x.values if getattr(case.family, "missing", False) else case.x
    params = jaxem.MixtureParams(np.array([0.2, 0.3, 0.5]), case.params)
    beside = {"sample_weight": 1.0 + np.arange(48) % 3, "labels": np.arange(48) % 4 - 1}
    given = jaxem.Mixture(case.family, 3), params, np.asarray(x) if hasattr(x, "ndim") else x
    expected = jaxem.e_step(*given, **beside)
    close(jaxem.e_step(*given, **beside, mesh=mesh_of(4)), expected, rtol=1e-12, atol=1e-11)


@pytest.mark.slow(but=("mixture_of_gaussians",))
@pytest.mark.parametrize("name", MODEL_CASES)
def test_every_model_takes_the_same_steps(name):
    case = MODEL_CASES[name]()
    x = case.draw(KEY)
    given = {"max_iter": 4, **case.of_data}
    expected = jaxem.em(case.model, case.params, x, **given)
    found = jaxem.em(case.model, case.params, x, **given, mesh=mesh_of(4))
    np.testing.assert_allclose(found.log_likelihood, expected.log_likelihood, rtol=1e-12)
    close(found.params, expected.params, rtol=1e-11, atol=1e-12)
    assert (found.status, found.n_iter) == (expected.status, expected.n_iter)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"sample_weight": WEIGHT, "labels": LABELS},
        {"reg_covar": 0.1, "block_size": 50, "acceleration": None, "max_iter": 30},
    ],
    ids=["plain", "weights_and_labels", "prior_and_blocks"],
)
def test_a_fit_is_that_of_one_device(mesh, more):
    expected = jaxem.fit(FULL, X, **OPTIONS, **more)
    found = jaxem.fit(FULL, X, **OPTIONS, **more, mesh=mesh)
    np.testing.assert_allclose(found.log_likelihood, expected.log_likelihood, rtol=1e-12)
    close(found.params, expected.params, rtol=1e-8, atol=1e-8)
    for of in ("n_iter", "status"):
        np.testing.assert_array_equal(
            getattr(found.restarts, of), getattr(expected.restarts, of), err_msg=of
        )
    assert str(found) == str(expected)
    assert {len(leaf.devices()) for leaf in jax.tree.leaves(found) if hasattr(leaf, "devices")} == {
        1
    }


@pytest.mark.slow
def test_holes_and_sequences_are_spread_too():
    mesh = mesh_of(2)
    holed = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
    mixture = jaxem.Mixture(families.Gaussian("full", missing=True), 3)
    chain = jaxem.HMM(families.Gaussian("diag"), 3)
    for model, x in ((mixture, holed), (chain, X[:540].reshape(9, 60, 3))):
        expected, found = (
            jaxem.fit(model, x, key=KEY, n_init=2, max_iter=15, mesh=of) for of in (None, mesh)
        )
        close(found.restarts.log_likelihood, expected.restarts.log_likelihood, rtol=1e-11)
        np.testing.assert_array_equal(found.restarts.n_iter, expected.restarts.n_iter)


@pytest.mark.slow
@pytest.mark.parametrize("on_cpu", [True, False])
def test_starts_side_by_side_as_on_an_accelerator(monkeypatch, on_cpu):
    expected = jaxem.fit(FULL, X, **OPTIONS)
    monkeypatch.setattr(sizes, "chunk_size", lambda *_: 3)
    monkeypatch.setattr(sizes, "on_cpu", lambda rows=None: on_cpu)
    found = jaxem.fit(FULL, X, **OPTIONS, mesh=mesh_of(2))
    close(found.restarts.log_likelihood, expected.restarts.log_likelihood, rtol=1e-12)
    np.testing.assert_array_equal(found.restarts.n_iter, expected.restarts.n_iter)


def test_fewer_rows_than_devices():
    x = np.array([1.0, 2.0, 4.0])
    one = jaxem.Mixture(families.Gaussian("diag"), 1)
    found = jaxem.fit(one, x, **OPTIONS, mesh=mesh_of(4))
    np.testing.assert_allclose(found.params.components.means[0, 0], 7 / 3)
    np.testing.assert_allclose(found.params.components.covariances[0, 0], np.var(x))


MODELS = {
    "full": (FULL, X),
    "holes": (
        jaxem.Mixture(families.Gaussian("full", missing=True), 2),
        np.where(X > 9, np.nan, X),
    ),
    "chain": (jaxem.HMM(families.Gaussian("diag"), 2), X[:540].reshape(9, 60, 3)),
    "dict": (
        jaxem.Mixture(
            families.Product({"a": families.Gaussian("tied"), "b": families.Gamma()}), 2
        ),
        {"a": X, "b": np.exp(X / 9)},
    ),
}  # fmt: skip


@pytest.mark.slow(but=("full",))
@pytest.mark.parametrize("name", MODELS)
def test_an_iteration_asks_other_devices_once(name):
    model, x = MODELS[name]
    data = as_dataset(model, x, mesh=mesh_of(4))
    job = plan.prepare(
        data, Options(reg_covar=0.1 if name == "full" else 0.0), Starts("portfolio", KEY, 2)
    )
    states = driver.start(job)
    lowered = restarts.advance.lower(
        job.execution, job.rows, job.prior, states, job.tol, np.int32(9)
    )
    calls = COLLECTIVE.findall(lowered.compile().as_text())
    assert calls == ["all-reduce"]


# ---- other verbs


@pytest.mark.slow
def test_every_verb_takes_rows_that_are_spread():
    mesh = mesh_of(4)
    params = jaxem.fit(FULL, X, **OPTIONS).params
    data = jaxem.read(FULL, X, mesh=mesh)
    verbs = jaxem.predict, jaxem.predict_proba, jaxem.log_prob, jaxem.log_likelihood
    for verb in verbs:
        expected = verb(FULL, params, X)
        close(verb(FULL, params, data), expected, rtol=1e-12)
        close(verb(FULL, params, X, mesh=mesh), expected, rtol=1e-12)
    for method in ("observed", "louis", "outer"):
        expected, found = (jaxem.standard_errors(FULL, params, x, method=method) for x in (X, data))
        close(found, expected, rtol=1e-9)
    for verb in (jaxem.bic, jaxem.icl):
        close(verb(FULL, params, data), verb(FULL, params, X), rtol=1e-12)


@pytest.mark.slow
def test_states_are_decoded_on_all_devices():
    model, x = MODELS["chain"]
    params = jaxem.fit(model, x, key=KEY, n_init=2).params
    data = jaxem.read(model, x, mesh=mesh_of(4))
    for verb in (jaxem.viterbi, jaxem.smooth, jaxem.filter_states):
        close(verb(model, params, data), verb(model, params, x), rtol=1e-9)


@pytest.mark.slow
def test_a_sweep_divides_the_same_components():
    models = [jaxem.Mixture(families.Gaussian("diag"), k) for k in (1, 2, 3)]
    expected, found = (jaxem.select(models, X, **OPTIONS, mesh=mesh) for mesh in (None, mesh_of(4)))
    for a, b in zip(found.candidates, expected.candidates, strict=True):
        close(a.result.restarts.log_likelihood, b.result.restarts.log_likelihood, rtol=1e-10)
    assert found.index == expected.index


# ---- where rows lie


@pytest.mark.slow
def test_rows_that_are_spread_stay_where_they_are():
    x = spread(X[:540], mesh_of(4))
    expected = jaxem.fit(FULL, X[:540], **OPTIONS)
    close(jaxem.fit(FULL, x, **OPTIONS).params, expected.params, rtol=1e-9)
    assert jaxem.read(FULL, x).for_fit.x.sharding.is_equivalent_to(x.sharding, 2)
    assert len(jaxem.log_prob(FULL, expected.params, x).devices()) == 4


@pytest.mark.slow
def test_derivatives_of_a_fit_are_those_on_one_device():
    params = jaxem.fit(FULL, X, **OPTIONS).params
    mesh = mesh_of(4, axis_types=(AxisType.Auto,))

    def slope(x, mesh):
        return jax.grad(
            lambda x: jaxem.em(FULL, params, x, mesh=mesh).params.components.means.sum()
        )(x)

    expected = slope(X[:540], None)
    assert np.abs(expected).max() > 1e-4
    close(slope(X[:540], mesh), expected, rtol=1e-8, atol=1e-10)
    found = slope(spread(X[:540], mesh), mesh)
    close(found, expected, rtol=1e-8, atol=1e-10)
    assert len(found.devices()) == 4


@pytest.mark.slow
def test_inside_jit_as_outside():
    def of(x):
        return jaxem.fit(FULL, x, **OPTIONS, mesh=mesh_of(4)).log_likelihood

    np.testing.assert_allclose(jax.jit(of)(X), of(X), rtol=1e-12)


def test_what_does_not_go_with_devices_says_so():
    with pytest.raises(ValueError, match=r"mesh is 4; give one, such as jax\.make_mesh"):
        jaxem.fit(FULL, X, **OPTIONS, mesh=4)
    x = spread(X[:540], mesh_of(4))
    with pytest.raises(ValueError, match="traced, over a mesh of explicit axes"):
        jax.jit(lambda x: jaxem.fit(FULL, x, **OPTIONS).log_likelihood)(x)


# ---- sources


@pytest.fixture
def parts(monkeypatch):
    """541 rows are read in parts of a few blocks."""
    monkeypatch.setattr(source, "WHOLE", 1 << 10)
    monkeypatch.setattr(stream, "_PART", 1 << 11)


def rows_of(x=X, fails=None):
    """A source; fails: at which batch, counted over all readings."""
    count = itertools.count()

    def batches():
        for at in range(0, N, 99):
            if next(count) == fails:
                raise KeyError
            yield x[at : at + 99], WEIGHT[at : at + 99], LABELS[at : at + 99]

    return sources.batches(batches, fingerprint="X")


@pytest.mark.slow
@pytest.mark.parametrize(
    "more", [{}, {"reg_covar": 0.1, "acceleration": None}], ids=["plain", "prior"]
)
def test_a_source_is_fitted_by_all_devices(mesh, parts, more):
    given = {**OPTIONS, "block_size": 16, "max_iter": 30, **more}
    expected = jaxem.fit(FULL, rows_of(), **given)
    found = jaxem.fit(FULL, rows_of(), **given, mesh=mesh)
    close(found.restarts.log_likelihood, expected.restarts.log_likelihood, rtol=1e-12)
    close(found.params, expected.params, rtol=1e-9, atol=1e-9)
    for of in ("n_iter", "status"):
        np.testing.assert_array_equal(getattr(found.restarts, of), getattr(expected.restarts, of))
    em, on_all = (jaxem.em(FULL, found.params, rows_of(), mesh=of) for of in (None, mesh))
    close(on_all.log_likelihood, em.log_likelihood, rtol=1e-12)


@pytest.mark.slow
def test_a_source_on_all_devices_needs_no_digits_it_has_not(parts):
    """Groups far from each other take the form that loses none; a small source is read whole."""
    far = (X + 1e5 * GROUP[:, None]).astype(np.float32)
    given = {**OPTIONS, "block_size": 16, "max_iter": 9}
    expected, found = (jaxem.fit(FULL, rows_of(far), **given, mesh=of) for of in (None, mesh_of(4)))
    close(found.restarts.log_likelihood, expected.restarts.log_likelihood, rtol=1e-6)
    e_step, on_all = (
        jaxem.e_step(FULL, found.params, rows_of(far), mesh=of) for of in (None, mesh_of(2))
    )
    close(on_all[1], e_step[1], rtol=1e-6)


@pytest.mark.slow
def test_a_checkpoint_is_of_so_many_devices(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint.Checkpoint, "due", True)
    given = {**OPTIONS, "block_size": 16, "max_iter": 12, "mesh": mesh_of(4)}
    expected = jaxem.fit(FULL, rows_of(), **given)
    path = tmp_path / "fit.ckpt"
    for fails in (9, 16, 40):
        with pytest.raises(KeyError):
            jaxem.fit(FULL, rows_of(fails=fails), **given, checkpoint=path)
    found = jaxem.fit(FULL, rows_of(), **given, checkpoint=path)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="it differs in options"):
        jaxem.fit(FULL, rows_of(), **{**given, "mesh": mesh_of(2)}, checkpoint=path)


@pytest.mark.slow
def test_a_pass_asks_other_devices_once(parts):
    """Each adds up its own blocks; only at the end of a pass are these sums added."""
    seen = streamed_sums.opened(FULL, rows_of(), mesh=mesh_of(4))
    (part, *_) = seen.stream.parts(seen.execution)
    params = jaxem.fit(FULL, X, **OPTIONS).params
    one = jax.tree.map(lambda leaf: leaf[None], params)
    prepared, _ = pass_programs.prepare(seen.execution, one, None)
    group = one_reading.Group(np.zeros(1, int), prepared, False)
    _, (sums,) = one_reading._begun(seen.execution, [group], part.rows)
    zero = np.int32(0)
    added = pass_programs.add.lower(
        seen.execution, False, prepared, part.rows, zero, np.int32(part.n_blocks), sums
    )
    total = shards.total.lower(part.rows.shards, sums)
    found = [len(COLLECTIVE.findall(of.compile().as_text())) for of in (added, total)]
    assert found == [0, 1]
