"""Devices that are not the one CPU: what is chosen for an accelerator, programs for other
platforms, and data that lie on a second device."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax
from plans import planned

import jaxem
from jaxem import families, sources
from jaxem.analysis import predict
from jaxem.core import placement, source
from jaxem.core.dataset import as_dataset
from jaxem.core.rows import Rows
from jaxem.fitting import restarts, sizes, steps
from jaxem.fitting.execution import Execution
from jaxem.fitting.options import acceleration
from jaxem.inference import recursions
from laws.compare import close

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(60, 5)) + 3 * (np.arange(60) % 2)[:, None]
HOLED = np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, X)
COUNTS = np.random.default_rng(2).poisson(np.repeat([[2.0], [9.0]], 30, 0)).astype(float)
FULL = jaxem.Mixture(families.Gaussian("full"), 2)
CHAIN = jaxem.HMM(families.Poisson(), 2)
OPTIONS = {"n_init": 3, "tol": 1e-9}


@pytest.fixture
def as_if_on_an_accelerator(monkeypatch):
    """Runs what is for an accelerator: choices of sizes, and branches of compiled programs."""

    def other(*args, default, **branches):
        return default(*args)

    def force():
        monkeypatch.setattr(sizes, "on_cpu", lambda rows=None: False)
        monkeypatch.setattr(lax, "platform_dependent", other)
        monkeypatch.setattr(recursions, "on_accelerator", lambda: True)
        jax.clear_caches()

    yield force
    jax.clear_caches()


# ---- choices

FITS = {
    "starts_side_by_side": lambda: jaxem.fit(FULL, X, key=KEY, **OPTIONS),
    "blocks": lambda: jaxem.fit(FULL, X, key=KEY, block_size=16, **OPTIONS),
    "holes": lambda: jaxem.fit(
        jaxem.Mixture(families.Gaussian("full", missing=True), 2), HOLED, key=KEY, **OPTIONS
    ),
    "chain": lambda: jaxem.fit(CHAIN, COUNTS, key=KEY, **OPTIONS),
    "many_data_sets": lambda: jaxem.fit_many(
        FULL, np.stack([X, X[::-1] + 1.0, 2 * X]), key=KEY, **OPTIONS
    ),
}


@pytest.mark.slow(but=("starts_side_by_side",))
@pytest.mark.parametrize("name", FITS)
def test_what_is_chosen_for_an_accelerator_gives_the_same(name, as_if_on_an_accelerator):
    expected = FITS[name]()
    as_if_on_an_accelerator()
    found = FITS[name]()
    np.testing.assert_array_equal(found.status, expected.status)
    np.testing.assert_allclose(found.restarts.log_likelihood, expected.restarts.log_likelihood)
    close(found.params, expected.params, rtol=1e-7, atol=1e-9)


@pytest.mark.slow
def test_a_source_is_fitted_alike_on_an_accelerator(as_if_on_an_accelerator, monkeypatch):
    monkeypatch.setattr(source, "WHOLE", 1)
    halves = sources.batches(lambda: [X[:25], X[25:]])
    expected = jaxem.fit(FULL, halves, key=KEY, block_size=16, **OPTIONS)
    as_if_on_an_accelerator()
    found = jaxem.fit(FULL, halves, key=KEY, block_size=16, **OPTIONS)
    np.testing.assert_array_equal(found.restarts.status, expected.restarts.status)
    close(found.params, expected.params, rtol=1e-7, atol=1e-9)


@pytest.mark.slow
def test_a_gradient_through_blocks_is_the_same(as_if_on_an_accelerator):
    params = jaxem.fit(FULL, X, key=KEY, n_init=1, tol=1e-9).params

    def slope():
        def scaled(s):
            return jaxem.em(FULL, params, X * s, tol=1e-9, block_size=16).log_likelihood

        return jax.grad(scaled)(1.0), jax.vmap(scaled)(jnp.array([1.0, 2.0]))

    expected = slope()
    as_if_on_an_accelerator()
    close(slope(), expected, rtol=1e-7, atol=1e-9)


def test_an_accelerator_is_given_all_at_once(as_if_on_an_accelerator):
    rows = as_dataset(FULL, X).rows
    on_a_cpu = sizes.chunk_size(FULL, rows, 5, 60), sizes.lanes(rows, 3)
    assert on_a_cpu == (1, 1) and sizes.n_threads(FULL, rows, 5) > 1
    as_if_on_an_accelerator()
    job = planned(FULL, X, key=KEY, n_init=5)
    assert (job.chunk, job.n_threads, job.block_size) == (5, 1, job.rows.n_units)
    assert sizes.lanes(rows, 3) == sizes.sets_a_group(FULL, rows, 3, 5, 60) == 3


LARGE = {
    "tied": (1_000_000, 64, 32, 1),
    "full": (2_000_000, 64, 32, 1),
    "diag": (1_000_000, 128, 1024, 1),
    "full of many columns, and starts": (100_000, 256, 2, 100),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_data_make_no_large_temporaries(name, as_if_on_an_accelerator):
    """Of two forms of a density the one that is not taken has its memory set aside too."""
    as_if_on_an_accelerator()
    n, d, k, r = LARGE[name]
    model = jaxem.Mixture(families.Gaussian(name.split()[0]), k)
    x, weight = (jax.ShapeDtypeStruct(shape, np.float32) for shape in ((n, d), (n,)))
    rows = Rows(x, weight, None)
    block = sizes.block_size(model, rows)
    chunk = sizes.chunk_size(model, rows, r, block)
    execution = Execution(model, block, chunk, acceleration("squarem"))
    number = jax.ShapeDtypeStruct((), np.float32)
    key, whole = jax.eval_shape(lambda: KEY), jax.ShapeDtypeStruct((), np.int32)
    begin = restarts.Begin(*(jax.ShapeDtypeStruct((r,), np.int32),) * 2, None)
    states = restarts.start.full.eval_shape(execution, rows, None, key, begin, None, whole)
    traced = restarts.advance.full.trace(execution, rows, None, states, number, whole)
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    found = {
        np.prod([int(m) for m in of.split("x") if m], dtype=int)
        for of in re.findall(r"tensor<((?:\d+x)+)f32>", text)
    }
    assert block < n and 4 * max(found - {n * d}) <= 2 * sizes._BUSY


def test_sums_of_holes_have_one_order_on_an_accelerator():
    """Atomic additions of floats, which a scatter is there, give other bits each time."""
    model = jaxem.Mixture(families.Gaussian("full", missing=True), 2)
    rows = as_dataset(model, HOLED).for_fit
    assert not rows.x.tiled
    params = jax.eval_shape(lambda: jaxem.core.model._start(model, rows))
    traced = steps._e_step.full.trace(model, params, rows, None, rows.n_units)
    text = {
        platform: traced.lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda")
    }
    assert "stablehlo.scatter" in text["cpu"] and "stablehlo.scatter" not in text["cuda"]


# ---- checks


def lines_of(rng, link):
    """(X, y) of a regression with two groups."""
    X = rng.normal(size=(4000, 2))
    return X, link(rng, X @ np.array([0.5, -0.3]) + 2.0 * (np.arange(4000) % 2))


N, BLOCK = 4000, 64
MANY = np.random.default_rng(3).normal(size=(N, 5)) + 3 * (np.arange(N) % 2)[:, None]
WEIGHT = np.random.default_rng(4).integers(0, 3, N).astype(float)
GAPS = np.where(np.random.default_rng(5).random(MANY.shape) < 0.1, np.nan, MANY)
EVENTS = np.random.default_rng(6).poisson(np.repeat([2.0, 9.0], N // 2)).astype(float)[:, None]
HOLES = families.Gaussian("full", missing=True)
READ = {
    "full": (families.Gaussian("full"), MANY),
    "holes": (HOLES, GAPS),
    "tied_values": (families.Gaussian("tied"), MANY),
    "counts": (families.Poisson(), EVENTS),
    "categories": (families.Categorical(3), EVENTS % 3),
    "angles": (families.VonMises(), MANY),
    "lines": (
        families.LinearRegression(),
        lines_of(np.random.default_rng(7), lambda rng, at: at + rng.normal(size=N)),
    ),
    "far_lines": (families.LinearRegression(), (MANY + 3e9, MANY.sum(1))),
    "odds": (
        families.LogisticRegression(),
        lines_of(np.random.default_rng(8), lambda rng, at: (rng.random(N) < 0.5) * 1.0),
    ),
    "blocks": (families.Product({"a": HOLES, "b": families.Poisson()}), {"a": GAPS, "b": EVENTS}),
}


@pytest.fixture
def put_on_an_accelerator(monkeypatch):
    """Arrays are taken to lie there; -> how many numbers each had that came to the host."""
    found = []

    def watched(function):
        def of(tree, *args, **kwargs):
            for leaf in jax.tree.leaves(tree):
                if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.floating):
                    found.append(leaf.size)
            return function(tree, *args, **kwargs)

        return of

    def put(tree):
        on_device = jax.tree.map(jnp.asarray, tree)
        for library, name in ((np, "asarray"), (np, "array"), (jax, "device_get")):
            monkeypatch.setattr(library, name, watched(getattr(library, name)))
        monkeypatch.setattr(
            placement, "lies_on_host", lambda array: not isinstance(array, jax.Array)
        )
        monkeypatch.setattr(placement, "_BLOCK", BLOCK)
        monkeypatch.setattr(placement, "FEW", BLOCK)
        return on_device, found

    return put


def same_part(whole, like):
    """Without what fills rows up on a CPU."""
    return whole[tuple(slice(n) for n in like.shape)]


@pytest.mark.parametrize("kind", [jaxem.Mixture, jaxem.HMM])
@pytest.mark.parametrize("name", READ)
def test_rows_on_an_accelerator_are_read_and_checked_there(name, kind, put_on_an_accelerator):
    """But for a block of them, in which are as many distinct rows as components."""
    family, x = READ[name]
    given = {"x": x, "sample_weight": WEIGHT, "labels": np.arange(N) % 3 - 1}
    given = given if kind is jaxem.Mixture else {"x": x}
    expected = planned(kind(family, 2), **given, key=KEY)
    on_device, copied = put_on_an_accelerator(given)
    found = planned(kind(family, 2), **on_device, key=KEY)
    assert max(copied, default=0) <= BLOCK * 6
    close(found.rows, jax.tree.map(same_part, expected.rows, found.rows))
    assert found.provenance.remarks == expected.provenance.remarks


BAD = {
    "nan": (families.Gaussian("full"), {"x": np.where(MANY > 4, np.nan, MANY)}),
    "infinite": (HOLES, {"x": np.where(MANY > 4, np.inf, GAPS)}),
    "never_observed": (HOLES, {"x": np.where(np.arange(5) == 2, np.nan, MANY)}),
    "spread": (families.Gaussian("full"), {"x": 1e200 * MANY}),
    "counts": (families.Poisson(), {"x": EVENTS - 3}),
    "responses": (families.LogisticRegression(), {"x": (MANY, 2 * (EVENTS[:, 0] % 2))}),
    "few_rows": (families.Gaussian("full"), {"x": np.ones((N, 1))}),
    "negative_weight": (families.Poisson(), {"x": EVENTS, "sample_weight": WEIGHT - 1}),
    "nan_weight": (
        families.Poisson(),
        {"x": EVENTS, "sample_weight": np.where(WEIGHT > 1, np.nan, 1)},
    ),
    "no_weight": (families.Poisson(), {"x": EVENTS, "sample_weight": 0 * WEIGHT}),
    "labels": (families.Poisson(), {"x": EVENTS, "labels": np.arange(N) % 4}),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_named_alike_on_an_accelerator(name, put_on_an_accelerator):
    family, given = BAD[name]
    with pytest.raises(ValueError) as expected:
        planned(jaxem.Mixture(family, 2), **given, key=KEY)
    on_device, _ = put_on_an_accelerator(given)
    with pytest.raises(ValueError) as found:
        planned(jaxem.Mixture(family, 2), **on_device, key=KEY)
    assert str(found.value) == str(expected.value)


@pytest.mark.filterwarnings("ignore:the rows")
def test_what_lines_leave_open_is_seen_on_an_accelerator(put_on_an_accelerator):
    X = np.column_stack([MANY, MANY[:, 0] - 2 * MANY[:, 1], np.ones(N)])
    model, x = jaxem.Mixture(families.LinearRegression(), 2), (X, MANY.sum(1))
    expected = planned(model, x, key=KEY).provenance.remarks
    on_device, _ = put_on_an_accelerator(x)
    assert len(expected) == 2
    assert planned(model, on_device, key=KEY).provenance.remarks == expected


# ---- programs for other platforms


def programs(model, x):
    """The functions that a fit compiles, with their arguments."""
    job = planned(model, x, key=KEY, n_init=2)
    begin = restarts.Begin(np.arange(2, dtype=np.int32), job.methods, None)
    begin = job.rows, job.prior, job.key, begin, None, job.n_active
    own = job.execution
    states = jax.eval_shape(lambda *of: restarts.start(own, *of), *begin)
    params = jax.eval_shape(lambda s: jax.tree.map(lambda leaf: leaf[0], s.tree.params), states)
    sums, _ = jax.eval_shape(
        lambda p, rows: steps._e_step(model, p, rows, None, job.block_size), params, job.rows
    )
    return (
        (restarts.start.full, (own, *begin)),
        (restarts.advance.full, (own, job.rows, job.prior, states, job.tol, job.max_iter)),
        (restarts.finish.full, (own, job.rows, job.prior, states, job.thresholds, job.n_starts)),
        (steps._e_step.full, (model, params, job.rows, None, job.block_size)),
        (steps._m_step.full, (model, params, sums, None)),
        (predict._of_rows.full, (model, params, job.rows, job.block_size, "probabilities")),
    )  # fmt: skip


@pytest.mark.slow(but=("holes",))
@pytest.mark.parametrize(
    ("model", "x"),
    [
        (FULL, X),
        (jaxem.Mixture(families.Gaussian("full", missing=True), 2), HOLED),
        (jaxem.HMM(families.Gaussian("full"), 2), X.reshape(6, 10, 5)),
    ],
    ids=["full", "holes", "chain"],
)
def test_programs_are_exported_for_every_platform(model, x):
    for function, args in programs(model, x):
        found = export.export(function, platforms=("cpu", "cuda", "tpu"))(*args)
        assert found.platforms == ("cpu", "cuda", "tpu")


PLACED = READ | {
    name: (families.Gaussian(name), MANY) for name in ("diag", "spherical")
} | {"holes_apart": (families.Gaussian("diag", missing=True), GAPS)}  # fmt: skip


@pytest.mark.slow(but=("tied_values-HMM",))
@pytest.mark.parametrize("kind", [jaxem.Mixture, jaxem.HMM])
@pytest.mark.parametrize("name", PLACED)
def test_steps_of_an_accelerator_lose_no_digits(name, kind, as_if_on_an_accelerator):
    """Products of float32 are at highest precision, which is not an accelerator's default; there
    is no float64, which is slow there, and nothing that waits for the host."""
    as_if_on_an_accelerator()
    family, x = PLACED[name]
    model = kind(family, 2)
    single = jax.tree.map(lambda leaf: np.asarray(leaf[:200], np.float32), x)
    rows = as_dataset(model, single).for_fit
    params = jax.eval_shape(lambda: jaxem.core.model._start(model, rows))

    def step(rows, params, size):
        sums = steps._e_step.full(model, params, rows, None, size)[0]
        return steps._m_step.full(model, params, sums, None)

    for size in {rows.n_units, 1 + rows.n_units // 2}:
        traced = jax.jit(step, static_argnums=2).trace(rows, params, size)
        text = traced.lower(lowering_platforms=("cuda", "tpu")).as_text()
        products = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
        careless = [line for line in products if "precision = [HIGHEST, HIGHEST]" not in line]
        assert products and not careless
        assert "callback" not in text and "xf64" not in text  # but for constants


# ---- a second device


@pytest.mark.slow
def test_data_on_a_second_device_are_fitted_there():
    second = jax.devices()[1]
    x = jax.device_put(jnp.asarray(X), second)
    expected, found = (jaxem.fit(FULL, data, key=KEY, **OPTIONS) for data in (X, x))
    close(found.params, expected.params)
    here = found.params, found.log_likelihood, jaxem.predict_proba(FULL, found.params, x)
    assert {device for leaf in jax.tree.leaves(here) for device in leaf.devices()} == {second}
