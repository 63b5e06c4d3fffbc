"""A fit of a source is that of the table in memory, bit for bit, and goes on after it was cut."""

import itertools
import os

import jax
import numpy as np
import pytest

import jaxem
from jaxem import families, sources
from jaxem.core import filled_rows, pool, source
from jaxem.fitting import checkpoint, stream
from laws.compare import close

KEY = jax.random.key(3)
N = 5003
RNG = np.random.default_rng(0)
GROUP = np.arange(N) % 3
X = RNG.normal(size=(N, 4)) + 3 * GROUP[:, None]
COUNTS = RNG.poisson(np.array([2.0, 9.0, 4.0])[GROUP][:, None] * np.ones(2)).astype(float)
WEIGHT = RNG.integers(0, 4, N).astype(float)
LABELS = np.where(np.arange(N) % 9 == 0, GROUP, -1)
FULL = jaxem.Mixture(families.Gaussian("full"), 3)
DIAG = jaxem.Mixture(families.Gaussian("diag"), 3)


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """5003 rows count as many: read in parts of a few blocks, with a pool of their own."""
    monkeypatch.setattr(source, "WHOLE", 1 << 10)
    monkeypatch.setattr(stream, "_PART", 1 << 15)
    monkeypatch.setattr(pool, "POOL", 2000)
    monkeypatch.setattr(filled_rows, "_MOST", 0)


def cut(x, weight=None, labels=None, size=777):
    """A source that yields so many rows at a time."""

    def own(tree, at):
        return jax.tree.map(lambda leaf: leaf[at : at + size], tree)

    def batches():
        for at in range(0, jax.tree.leaves(x)[0].shape[0], size):
            yield own(x, at), own(weight, at), own(labels, at)

    return sources.batches(batches)


def assert_same_bits(found, expected):
    for (path, a), b in zip(
        jax.tree.leaves_with_path(found), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_array_equal(a, b, err_msg=jax.tree_util.keystr(path))


OPTIONS = {"key": KEY, "n_init": 2, "max_iter": 12, "block_size": 256}
CASES = {
    "full_float32": (FULL, X.astype(np.float32), WEIGHT, LABELS, {}),
    "tied_with_prior": (
        jaxem.Mixture(families.Gaussian("tied"), 3), X, None, None, {"reg_covar": 0.1}
    ),
    "diag_plain_em": (DIAG, X, None, None, {"acceleration": None}),
    "noise": (jaxem.Mixture(families.Gaussian("diag"), 3, noise=True), X, WEIGHT, None, {}),
    "counts": (jaxem.Mixture(families.Poisson(), 3), COUNTS, WEIGHT + 1, None, {}),
    "categories": (
        jaxem.Mixture(families.Categorical(12), 2), np.minimum(COUNTS, 11), None, None, {}
    ),
    "lines": (jaxem.Mixture(families.LinearRegression(), 2), (X, X.sum(1) * GROUP), None, None, {}),
    "blocks": (
        jaxem.Mixture(
            families.Product({"a": families.Gaussian("diag"), "b": families.Poisson()}), 2
        ),
        {"a": X, "b": COUNTS}, None, None, {},
    ),
}  # fmt: skip


@pytest.mark.slow(
    but=(
        "categories",
        "diag_plain_em",
    )
)
@pytest.mark.parametrize("name", CASES)
def test_a_streamed_fit_has_the_bits_of_one_in_memory(name):
    model, x, weight, labels, more = CASES[name]
    expected = jaxem.fit(model, x, sample_weight=weight, labels=labels, **OPTIONS, **more)
    found = jaxem.fit(model, cut(x, weight, labels), **OPTIONS, **more)
    assert_same_bits(found, expected)
    assert found.provenance.n_rows == N and str(found) == str(expected)


@pytest.mark.slow
def test_batches_and_parts_change_nothing(monkeypatch):
    expected = jaxem.fit(DIAG, cut(X), **OPTIONS)
    assert_same_bits(jaxem.fit(DIAG, cut(X, size=31), **OPTIONS), expected)
    monkeypatch.setattr(stream, "_PART", 1 << 17)
    assert_same_bits(jaxem.fit(DIAG, cut(X, size=N), **OPTIONS), expected)


@pytest.mark.slow
def test_far_from_each_other_groups_take_the_form_that_loses_no_digits():
    far = (X + 1e5 * GROUP[:, None]).astype(np.float32)
    expected = jaxem.fit(FULL, far, **OPTIONS)
    assert_same_bits(jaxem.fit(FULL, cut(far), **OPTIONS), expected)
    assert np.all(np.asarray(expected.restarts.log_likelihood) > -30 * N)


@pytest.mark.slow
def test_cells_that_are_missing_are_holes():
    """Rows in the order they come, where those in memory are sorted by pattern."""
    holed = np.where(RNG.random(X.shape) < 0.1, np.nan, X)
    model = jaxem.Mixture(families.Gaussian("full", missing=True), 3)
    start = jaxem.fit(DIAG, X, **OPTIONS).params
    start = start._replace(
        components=families.GaussianParams(
            start.components.means, np.eye(4) * np.asarray(start.components.covariances)[:, None]
        )
    )
    expected, found = (jaxem.em(model, start, x, max_iter=8) for x in (holed, cut(holed)))
    close(found.params, expected.params, rtol=1e-9, atol=1e-12)
    close(found.log_likelihood, expected.log_likelihood, rtol=1e-12)


@pytest.mark.slow
def test_one_reading_serves_all_starts():
    readings = 0

    def batches():
        nonlocal readings
        readings += 1
        yield X

    found = jaxem.fit(DIAG, sources.batches(batches), **OPTIONS | {"n_init": 5})
    small, look = 1, 1  # whether it is small is asked once
    assert readings == small + look + int(np.max(found.restarts.n_iter)) + 1


@pytest.mark.slow
def test_em_goes_on_from_parameters():
    start = jaxem.fit(DIAG, X, **OPTIONS | {"max_iter": 2}).params
    options = {"max_iter": 6, "block_size": 256}
    assert_same_bits(jaxem.em(DIAG, start, cut(X), **options), jaxem.em(DIAG, start, X, **options))


def test_rows_are_looked_at_piece_by_piece():
    params = jaxem.fit(DIAG, X, **OPTIONS).params
    for verb in (jaxem.log_prob, jaxem.predict, jaxem.predict_proba):
        close(verb(DIAG, params, cut(X)), verb(DIAG, params, X), rtol=1e-12)
    found = jaxem.log_likelihood(DIAG, params, cut(X, WEIGHT))
    close(found, jaxem.log_likelihood(DIAG, params, X, WEIGHT), rtol=1e-12)


def test_a_small_source_serves_every_verb(monkeypatch):
    monkeypatch.setattr(source, "WHOLE", 1 << 20)
    params = jaxem.fit(DIAG, X, **OPTIONS).params
    assert_same_bits(jaxem.fit(DIAG, cut(X), **OPTIONS).params, params)
    assert float(jaxem.bic(DIAG, params, cut(X))) == float(jaxem.bic(DIAG, params, X))


# ---- what goes wrong


def wrong(source_or_x, model=DIAG, **more):
    with pytest.raises(ValueError) as caught:
        jaxem.fit(model, source_or_x, **OPTIONS, **more)
    return str(caught.value)


def test_what_is_wrong_is_said_with_its_place():
    bad = X.copy()
    bad[3000, 2] = np.nan
    assert wrong(cut(bad)).startswith("batch 3: x has 1 NaN or infinite values, in columns: 2 (1)")
    assert "batch 0: sample_weight has" in wrong(cut(X, -WEIGHT))
    assert "no rows" in wrong(sources.batches(list))
    assert "no rows of positive weight" in wrong(cut(X, 0 * WEIGHT))
    assert "sample_weight of a source come" in wrong(cut(X), sample_weight=WEIGHT)
    assert "sequences" in wrong(cut(X), jaxem.HMM(families.Gaussian("diag"), 2))
    far = jaxem.Mixture(families.LinearRegression(), 2)
    assert "batch 0: regressors lie so far from 0" in wrong(cut((X + 1e9, X.sum(1))), far)


def test_a_source_that_changes_is_seen():
    sizes = itertools.chain([N, N], itertools.repeat(N - 10))
    changing = sources.batches(lambda: [X[: next(sizes)]])
    assert "had 5,003 rows when it was first read, and now has 4,993" in wrong(changing)


# ---- checkpoints


class Killed(Exception):
    pass


def killed_at(piece):
    """A source that fails at a piece, counted over all readings; None: never."""
    count = itertools.count()

    def batches():
        for at in range(0, N, 500):
            if next(count) == piece:
                raise Killed
            yield X[at : at + 500]

    return sources.batches(batches, fingerprint="X")


@pytest.fixture
def always_due(monkeypatch):
    monkeypatch.setattr(checkpoint.Checkpoint, "due", True)


@pytest.mark.slow
def test_a_fit_goes_on_where_it_was(tmp_path, always_due):
    """A reading has 11 pieces: cut in the first pass, within one, and between two."""
    expected = jaxem.fit(DIAG, killed_at(None), **OPTIONS)
    path = tmp_path / "fit.ckpt"
    for piece in (16, 28, 50):
        with pytest.raises(Killed):
            jaxem.fit(DIAG, killed_at(piece), **OPTIONS, checkpoint=path)
    assert path.exists() and os.path.exists(f"{path}.previous")
    n_read = 0

    def counted():
        nonlocal n_read
        for batch in killed_at(None).make():
            n_read += 1
            yield batch

    found = jaxem.fit(DIAG, sources.batches(counted, "X"), **OPTIONS, checkpoint=path)
    assert_same_bits(found, expected)
    passes = int(np.max(found.restarts.n_iter)) + 1
    assert 11 < n_read < 11 * passes  # some of them were made before
    assert_same_bits(jaxem.fit(DIAG, killed_at(None), **OPTIONS, checkpoint=path), expected)


@pytest.mark.slow
def test_a_fit_goes_on_before_rows_of_weight_0(tmp_path, always_due):
    """What was summed is kept where nothing is left to add."""
    weight = np.where(np.arange(N) < 1500, 1.0, 0.0)

    def source(dies):
        count = itertools.count()

        def batches():
            for at in range(0, N, 500):
                if next(count) == dies:
                    raise Killed
                yield X[at : at + 500], weight[at : at + 500], None

        return sources.batches(batches, fingerprint="X")

    expected = jaxem.fit(DIAG, source(None), **OPTIONS)
    path = tmp_path / "fit.ckpt"
    with pytest.raises(Killed):
        jaxem.fit(DIAG, source(20), **OPTIONS, checkpoint=path)
    found = jaxem.fit(DIAG, source(None), **OPTIONS, checkpoint=path)
    assert_same_bits(found, expected)


def test_a_damaged_checkpoint_is_replaced_by_the_one_before(tmp_path, always_due):
    expected = jaxem.fit(DIAG, killed_at(None), **OPTIONS)
    path = tmp_path / "fit.ckpt"
    with pytest.raises(Killed):
        jaxem.fit(DIAG, killed_at(60), **OPTIONS, checkpoint=path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert_same_bits(jaxem.fit(DIAG, killed_at(None), **OPTIONS, checkpoint=path), expected)
    for name in (path, f"{path}.previous"):
        with open(name, "wb") as file:
            file.write(whole[:100])
    assert "is damaged; delete it" in wrong(killed_at(None), checkpoint=path)


@pytest.mark.slow
def test_a_checkpoint_of_another_fit_is_refused(tmp_path):
    path = tmp_path / "fit.ckpt"
    jaxem.fit(DIAG, killed_at(None), **OPTIONS, checkpoint=path)
    assert "differs in model" in wrong(killed_at(None), FULL, checkpoint=path)
    other = sources.batches(cut(X).make, fingerprint="another")
    assert "differs in data" in wrong(other, checkpoint=path)
    assert "give the source a fingerprint=" in wrong(cut(X), checkpoint=path)
    with pytest.raises(ValueError, match="differs in key and starts"):
        jaxem.fit(DIAG, killed_at(None), **OPTIONS | {"n_init": 3}, checkpoint=path)
    longer = jaxem.fit(DIAG, killed_at(None), **OPTIONS | {"max_iter": 40}, checkpoint=path)
    assert longer.converged
