"""A fit of sequences in a source is that of the same sequences in memory, but for rounding."""

import itertools

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jaxem
from jaxem import HMMParams, families, sources
from jaxem.core import lanes, pool, source
from jaxem.core.source import Share, joined
from jaxem.fitting import checkpoint, stream
from jaxem.sources import arrays
from laws.compare import close

KEY = jax.random.key(3)
RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(1, 40, 120)
N = int(LENGTHS.sum())
ENDS = np.cumsum(LENGTHS)[:-1]


def chain():
    """States that stay nine times of ten."""
    moves = RNG.random(N) < 0.1
    return np.cumsum(moves) % 2


STATE = chain()
X = RNG.normal(size=(N, 2)) + 3 * STATE[:, None]
COUNTS = RNG.poisson(np.where(STATE, 8.0, 2.0)).astype(float)[:, None]
SEQUENCES = np.split(X, ENDS)
WEIGHT = RNG.integers(0, 4, len(LENGTHS)).astype(float)
LABELS = np.split(np.where(np.arange(N) % 7 == 0, STATE, -1), ENDS)
DIAG = jaxem.HMM(families.Gaussian("diag"), 2)
OPTIONS = {"key": KEY, "n_init": 2, "max_iter": 20}


@pytest.fixture(autouse=True)
def large(monkeypatch):
    monkeypatch.setattr(source, "WHOLE", 1 << 10)
    monkeypatch.setattr(stream, "_PART", 1 << 13)


def cut(x, weight=None, labels=None, size=17, fingerprint=""):
    """A source that yields so many sequences at a time."""

    def batches():
        for at in range(0, len(x), size):
            own = slice(at, at + size)
            yield tuple(None if of is None else of[own] for of in (x, weight, labels))

    return sources.batches(batches, fingerprint, sequences=True)


HOLED = [np.where(RNG.random(own.shape) < 0.2, np.nan, own) for own in SEQUENCES]
CASES = {
    "diag": (DIAG, SEQUENCES, None, None),
    "weights_and_labels": (DIAG, SEQUENCES, WEIGHT, LABELS),
    "holes": (
        jaxem.HMM(families.Gaussian("full", missing=True), 2), HOLED, None, None
    ),
    "counts": (
        jaxem.HMM(families.Poisson(), 2, initial="stationary"), np.split(COUNTS, ENDS), None, None
    ),
    "blocks": (
        jaxem.HMM(families.Product({"a": families.Gaussian("diag"), "b": families.Poisson()}), 2),
        [{"a": a, "b": b} for a, b in zip(SEQUENCES, np.split(COUNTS, ENDS), strict=True)],
        None, None,
    ),
    "float32": (DIAG, [own.astype(np.float32) for own in SEQUENCES], None, None),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_streamed_fit_is_that_in_memory(name):
    model, x, weight, labels = CASES[name]
    rtol = 1e-4 if name == "float32" else 1e-7  # rounding moves where a fit stops
    expected = jaxem.fit(model, x, sample_weight=weight, labels=labels, **OPTIONS)
    found = jaxem.fit(model, cut(x, weight, labels), **OPTIONS)
    close(found.params, expected.params, rtol=rtol, atol=1e-9)
    close(found.log_likelihood, expected.log_likelihood, rtol=rtol / 100)
    assert found.provenance.n_rows == N and int(found.n_iter) == int(expected.n_iter)
    sums = [
        jaxem.e_step(model, expected.params, x, weight, None, labels),
        jaxem.e_step(model, expected.params, cut(x, weight, labels)),
    ]
    if name != "float32":  # sums that cancel are as good as their terms
        close(sums[1], sums[0], rtol=1e-12, atol=1e-9)
        close(sums[1][1], sums[0][1], rtol=1e-12)


def test_batches_change_nothing():
    """Lanes are filled in the order of the sequences, whatever they come in."""
    params = jaxem.fit(DIAG, SEQUENCES, **OPTIONS | {"max_iter": 1}).params
    expected = jaxem.e_step(DIAG, params, cut(SEQUENCES))
    for size in (1, 50, len(LENGTHS)):
        found = jaxem.e_step(DIAG, params, cut(SEQUENCES, size=size))
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_starts_look_at_some_of_many_sequences(monkeypatch):
    expected = jaxem.fit(DIAG, SEQUENCES, **OPTIONS)
    monkeypatch.setattr(pool, "POOL", 500)
    for weight in (None, WEIGHT + 1):
        expected = jaxem.fit(DIAG, SEQUENCES, sample_weight=weight, **OPTIONS)
        found = jaxem.fit(DIAG, cut(SEQUENCES, weight), **OPTIONS)
        close(found.log_likelihood, expected.log_likelihood, rtol=1e-7)


@pytest.mark.slow
def test_devices_share_the_lanes():
    mesh = jax.make_mesh((4,), ("rows",))
    expected = jaxem.fit(DIAG, cut(SEQUENCES), **OPTIONS)
    found = jaxem.fit(DIAG, cut(SEQUENCES), **OPTIONS, mesh=mesh)
    close(found.params, expected.params, rtol=1e-9)
    close(found.log_likelihood, expected.log_likelihood, rtol=1e-12)


@pytest.mark.slow
def test_a_sequence_that_is_longer_than_a_block_makes_lanes_longer():
    x = [*SEQUENCES[:9], X, *SEQUENCES[9:20]]
    params = jaxem.fit(DIAG, SEQUENCES, **OPTIONS | {"max_iter": 1}).params
    close(jaxem.e_step(DIAG, params, cut(x, size=3))[1], jaxem.e_step(DIAG, params, x)[1],
          rtol=1e-12)  # fmt: skip


# ---- files


@pytest.fixture
def files(tmp_path):
    """Sequences by name; some go on in the next file, and row groups end within most."""
    rng, names = np.random.default_rng(0), np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    table = pa.table(
        {
            "id": [f"s{i % 7}" for i in names],  # a name may come again
            "a": X[:, 0],
            "b": X[:, 1],
            "w": np.repeat(WEIGHT, LENGTHS),
            "state": np.concatenate(LABELS),
        }
    )
    ends = np.sort(rng.choice(np.arange(1, N), 2, replace=False))
    for number, (first, stop) in enumerate(itertools.pairwise([0, *ends, N])):
        part = table.slice(first, stop - first)
        pq.write_table(part, tmp_path / f"x-{number}.parquet", row_group_size=301)
    return tmp_path / "x-*.parquet"


def test_sequences_of_files_are_runs_of_a_column(files):
    given = {"sample_weight": "w", "labels": "state", "sequence": "id"}
    found = sources.parquet(files, ["a", "b"], **given)
    whole = joined(list(found.pieces()))
    np.testing.assert_array_equal(whole.lengths, LENGTHS)
    np.testing.assert_array_equal(whole.x, X)
    np.testing.assert_array_equal(whole.weight, WEIGHT)
    np.testing.assert_array_equal(whole.labels, np.concatenate(LABELS))
    assert sources.parquet(files, sample_weight="w", labels="state", sequence="id").names == (
        "a", "b"
    )  # fmt: skip
    for n in (1, 3, 200):
        cuts = found.cuts(n)
        assert set(cuts) <= {0, N, *ENDS} and cuts[0] == 0 and cuts[-1] == N
        parts = [Share(found, *map(int, own), found.names, "") for own in itertools.pairwise(cuts)]
        pieces = [piece for own in parts for piece in own.pieces()]
        np.testing.assert_array_equal(joined(pieces).lengths, LENGTHS)
        np.testing.assert_array_equal(joined(pieces).x, X)
        np.testing.assert_array_equal(joined(pieces).weight, WEIGHT)
    reader = sources.arrow(
        lambda: pa.RecordBatchReader.from_batches(
            pq.read_schema(found.paths[0]),
            (batch for path in found.paths for batch in pq.read_table(path).to_batches(40)),
        ),
        ["a", "b"], sequence="id",
    )  # fmt: skip
    np.testing.assert_array_equal(joined(list(reader.pieces())).lengths, LENGTHS)
    np.testing.assert_array_equal(joined(list(reader.pieces(int(ENDS[30])))).lengths, LENGTHS[31:])


def test_sequences_of_arrays_are_runs_of_another(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "_ROWS", 64)
    number = np.repeat(np.arange(len(LENGTHS)) % 7, LENGTHS)  # a number may come again
    each = {"x": X, "w": np.repeat(WEIGHT, LENGTHS), "known": np.concatenate(LABELS), "id": number}
    for name, values in each.items():
        np.save(tmp_path / f"{name}.npy", values)
    paths = [tmp_path / f"{name}.npy" for name in each]
    for found in (sources.npy(*paths), sources.npy(paths[0], *list(each.values())[1:])):
        whole = joined(list(found.pieces()))
        for own, expected in zip(
            (whole.x, whole.weight, whole.labels, whole.lengths),
            (X, WEIGHT, np.concatenate(LABELS), LENGTHS),
            strict=True,
        ):
            np.testing.assert_array_equal(own, expected)
        later = joined(list(found.pieces(int(ENDS[30]))))
        np.testing.assert_array_equal(later.lengths, LENGTHS[31:])
        cuts = found.cuts(5)
        assert set(cuts) <= {0, N, *ENDS} and cuts[0] == 0 and cuts[-1] == N
        assert np.max(np.abs(cuts - N * np.arange(6) / 5)) <= LENGTHS.max()
    with pytest.raises(ValueError, match=r"sequence has shape \(3,\), .* has 2"):
        sources.npy(paths[0], sequence=np.arange(3))


@pytest.mark.slow(but=("False-viterbi",))
@pytest.mark.parametrize("name", ["viterbi", "filter_states", "forecast"])
@pytest.mark.parametrize("small", [False, True])
def test_states_are_told_of_sources(name, small, tmp_path, monkeypatch):
    """End to end, as those of the list; of a source that is read whole too."""
    monkeypatch.setattr(source, "WHOLE", 1 << 26 if small else 1)
    monkeypatch.setattr(arrays, "_ROWS", 1300)
    np.save(tmp_path / "x.npy", X)
    found = sources.npy(tmp_path / "x.npy", sequence=np.repeat(np.arange(len(LENGTHS)), LENGTHS))
    params = HMMParams(
        np.array([0.5, 0.5]),
        np.array([[0.9, 0.1], [0.2, 0.8]]),
        families.GaussianParams(np.array([[0.0, 0], [3, 3]]), np.ones((2, 2))),
    )
    verb = getattr(jaxem, name)
    given = {"n_steps": 3} if name == "forecast" else {}
    expected = verb(DIAG, params, SEQUENCES, **given)
    if name == "viterbi":
        path, log_joint = verb(DIAG, params, found)
        np.testing.assert_array_equal(path, np.concatenate(expected[0]))
        close(log_joint, expected[1], rtol=1e-12)
        return
    own = np.concatenate(expected) if isinstance(expected, list) else expected
    close(verb(DIAG, params, found, **given), own, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_every_verb_takes_files_of_sequences(files):
    found = sources.parquet(files, ["a", "b"], sequence="id")
    result = jaxem.fit(DIAG, found, **OPTIONS)
    params = jaxem.em(DIAG, result.params, found).params
    close(params, jaxem.em(DIAG, result.params, SEQUENCES).params, rtol=1e-7)
    for verb in (jaxem.predict, jaxem.predict_proba, jaxem.smooth):
        expected = np.concatenate(verb(DIAG, params, SEQUENCES))
        close(verb(DIAG, params, found), expected, rtol=1e-9, atol=1e-12)
    for verb in (jaxem.log_prob, jaxem.log_likelihood, jaxem.aic, jaxem.bic, jaxem.icl):
        close(verb(DIAG, params, found), verb(DIAG, params, SEQUENCES), rtol=1e-11)
    for method in ("observed", "outer"):
        ends = (jaxem.standard_errors(DIAG, params, x, method=method) for x in (found, SEQUENCES))
        close(*ends, rtol=1e-6)


@pytest.mark.slow
def test_a_small_source_is_told_of_as_a_large_one(files, monkeypatch):
    params = jaxem.fit(DIAG, SEQUENCES, **OPTIONS | {"max_iter": 1}).params
    found = sources.parquet(files, ["a", "b"], sequence="id")
    large = jaxem.smooth(DIAG, params, found)
    monkeypatch.setattr(source, "WHOLE", 1 << 26)
    close(jaxem.smooth(DIAG, params, found), large, rtol=1e-9, atol=1e-12)
    close(jaxem.e_step(DIAG, params, found)[1], jaxem.e_step(DIAG, params, SEQUENCES)[1])


@pytest.mark.slow
def test_holes_of_sequences_are_filled():
    params = jaxem.fit(DIAG, SEQUENCES, **OPTIONS).params
    filled = jaxem.impute(DIAG, params, cut(HOLED))
    expected = np.concatenate(jaxem.impute(DIAG, params, HOLED))
    close(joined(list(filled.pieces())).x, expected, rtol=1e-9)


# ---- checkpoints, and what is wrong


class Killed(Exception):
    pass


def test_a_fit_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint.Checkpoint, "due", True)
    expected, path = jaxem.fit(DIAG, cut(SEQUENCES), **OPTIONS), tmp_path / "fit.ckpt"

    def killed_at(piece):
        count = itertools.count()

        def batches():
            for batch in cut(SEQUENCES).make():
                if next(count) == piece:
                    raise Killed
                yield batch

        return sources.batches(batches, "X", sequences=True)

    for piece in (12, 19, 31):
        with pytest.raises(Killed):
            jaxem.fit(DIAG, killed_at(piece), **OPTIONS, checkpoint=path)
    found = jaxem.fit(DIAG, killed_at(None), **OPTIONS, checkpoint=path)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)


def wrong(source, model=DIAG):
    with pytest.raises(ValueError) as error:
        jaxem.fit(model, source, **OPTIONS)
    return str(error.value)


def test_what_is_wrong_is_said(files, tmp_path):
    assert "tell which rows they are, such as by" in wrong(sources.parquet(files, ["a", "b"]))
    mixture = jaxem.Mixture(families.Gaussian("diag"), 2)
    assert "lengths are of sequences" in wrong(cut(SEQUENCES), mixture)
    assert "batch 0 is a ndarray; give a list of sequences" in wrong(
        sources.batches(lambda: [X], sequences=True)
    )
    holed = [*SEQUENCES[:50], np.full((3, 2), np.inf), *SEQUENCES[50:]]
    assert wrong(cut(holed)).startswith("batch 2: ")
    sizes = itertools.chain([120, 120], itertools.repeat(119))
    changing = sources.batches(lambda: [SEQUENCES[: next(sizes)]], sequences=True)
    assert "has not the sequences that it had when it was first read" in wrong(changing)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": [1, 1, None], "a": [1.0, 2.0, 3.0]}), path)
    assert "1 rows do not tell of which sequence" in wrong(sources.parquet(path, sequence="id"))
    pq.write_table(pa.table({"id": [1, 1], "a": [1.0, 2.0], "w": [1.0, 2.0]}), path)
    uneven = sources.parquet(path, sample_weight="w", sequence="id")
    assert "weights differ within a sequence" in wrong(uneven)
    with pytest.raises(ValueError, match="has no column group"):
        sources.parquet(path, sequence="group")
    with pytest.raises(ValueError, match="incremental EM are of rows"):
        jaxem.fit_online(DIAG, cut(SEQUENCES), key=KEY)


# ---- lanes


def test_lanes_hold_every_step_once_and_parts_are_full():
    rng = np.random.default_rng(1)
    for lengths in (rng.integers(1, 90, 500), np.full(64, 10), np.array([5, 3000, 5])):
        total, n = int(lengths.sum()), len(lengths)
        shape = lanes.n_steps(int(lengths.max()), total, n), 8
        begins = lanes.cut(lengths, shape)
        assert begins[0] == 0 and begins[-1] == n and np.all(np.diff(begins) > 0)
        for first, stop in itertools.pairwise(begins):
            own = lanes.placed(lengths[first:stop], shape)
            taken = np.zeros(shape, int)
            for length, lane, offset in zip(*own[:3], strict=True):
                taken[offset : offset + length, lane] += 1
            assert taken.max() == 1 and taken.sum() == lengths[first:stop].sum()
        if n > 3:
            assert total > 0.75 * np.prod(shape) * (len(begins) - 2)
