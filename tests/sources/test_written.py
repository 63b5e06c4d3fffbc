"""What is written of a source, whole or in shares, is what the verbs tell of rows in memory."""

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jaxem
from jaxem import HMMParams, families, sources
from jaxem.analysis import in_pieces
from jaxem.core import source
from jaxem.datasets import load_faithful
from laws.compare import close

KEY = jax.random.key(0)
X = load_faithful().x
MODEL = jaxem.Mixture(families.Gaussian("diag"), 2, names=("short", "long"))
PARAMS = jaxem.MixtureParams(
    np.array([0.4, 0.6]),
    families.GaussianParams(np.array([[2.0, 55.0], [4.3, 80.0]]), np.array([[0.1, 40], [0.2, 40]])),
)
LENGTHS = np.array([40, 3, 100, 1, 128])


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Sources are large, and gone through 90 rows at a time."""
    monkeypatch.setattr(source, "WHOLE", 1)
    monkeypatch.setattr(in_pieces, "_ROWS", 90)


@pytest.fixture
def file(tmp_path):
    table = pa.table({"eruptions": X[:, 0], "waiting": X[:, 1]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=50)
    return tmp_path / "x.parquet"


def written(own, path, **given):
    sources.to_parquet(own, path, **given)
    return pq.read_table(path)


def test_rows_are_written_beside_what_is_said_of_them(file, tmp_path):
    found = written(jaxem.annotate(MODEL, PARAMS, sources.parquet(file)), tmp_path / "out.parquet")
    assert found.column_names == [
        "eruptions", "waiting", "component", "short", "long", "log_density"
    ]  # fmt: skip
    np.testing.assert_array_equal(found["waiting"], X[:, 1])
    np.testing.assert_array_equal(found["component"], jaxem.predict(MODEL, PARAMS, X))
    assert found["component"].type == pa.int32()
    close(np.array(found["long"]), jaxem.predict_proba(MODEL, PARAMS, X)[:, 1], rtol=1e-12)
    close(np.array(found["log_density"]), jaxem.log_prob(MODEL, PARAMS, X), rtol=1e-12)
    alone = jaxem.annotate(MODEL, PARAMS, sources.parquet(file), keep=False)
    expected = found.drop_columns(["eruptions", "waiting"])
    assert written(alone, tmp_path / "alone.parquet").equals(expected)


def test_columns_without_names_and_names_that_are_taken(tmp_path):
    np.save(tmp_path / "x.npy", X)
    own = jaxem.annotate(MODEL, PARAMS, sources.npy(tmp_path / "x.npy"))
    assert own.column_names[:3] == ("column_1", "column_2", "component")
    pq.write_table(pa.table({"short": X[:, 0], "component": X[:, 1]}), tmp_path / "x.parquet")
    own = jaxem.annotate(MODEL, PARAMS, sources.parquet(tmp_path / "x.parquet"))
    assert own.column_names[:4] == ("short", "component", "component_", "short_")
    assert written(own, tmp_path / "out.parquet").column_names == list(own.column_names)


@pytest.mark.slow
def test_states_are_written_beside_the_steps(file, tmp_path):
    hmm = jaxem.HMM(families.Gaussian("diag"), 2)
    half = np.array([[0.7, 0.3], [0.4, 0.6]])
    params = HMMParams(np.array([0.5, 0.5]), half, PARAMS.components)
    np.save(tmp_path / "x.npy", X)
    number = np.repeat([3, 1, 3, 2, 5], LENGTHS)
    own = sources.npy(tmp_path / "x.npy", np.repeat(np.arange(5.0), LENGTHS), sequence=number)
    found = written(jaxem.annotate(hmm, params, own), tmp_path / "out.parquet")
    assert found.column_names[2:] == ["state", "state_0", "state_1", "sample_weight", "sequence"]
    x = np.split(X, np.cumsum(LENGTHS)[:-1])
    paths = np.concatenate(jaxem.viterbi(hmm, params, x)[0])
    np.testing.assert_array_equal(found["state"], paths)
    smoothed = np.concatenate(jaxem.smooth(hmm, params, x))
    close(np.array(found["state_1"]), smoothed[:, 1], rtol=1e-9)
    np.testing.assert_array_equal(found["sample_weight"], np.repeat(np.arange(5.0), LENGTHS))
    again = sources.parquet(tmp_path / "out.parquet", ["column_1", "column_2"], sequence="sequence")
    np.testing.assert_array_equal(
        np.concatenate([piece.lengths for piece in again.pieces()]), LENGTHS
    )


@pytest.mark.slow
def test_text_that_is_filled_is_written_as_text(tmp_path):
    rng = np.random.default_rng(0)
    kind = np.where(X[:, 0] < 3, "short", "long").astype(object)
    kind[rng.random(len(X)) < 0.2] = None
    waiting = np.where(rng.random(len(X)) < 0.2, np.nan, X[:, 1])
    table = pa.table({"kind": pa.array(kind, pa.string()), "waiting": waiting})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=50)
    columns = {"number": ["waiting"], "word": ["kind"]}
    own = sources.parquet(tmp_path / "x.parquet", columns, categories=["kind"])
    blocks = {"number": families.Gaussian("diag", missing=True), "word": families.Categorical((2,))}
    model = jaxem.Mixture(families.Product(blocks), 2)
    codes = np.array([np.nan if v is None else float(v == "short") for v in kind])[:, None]
    x = {"number": waiting[:, None], "word": codes}
    params = jaxem.fit(model, x, key=KEY, n_init=1, max_iter=5).params
    filled = jaxem.impute(model, params, x)
    found = written(jaxem.impute(model, params, own), tmp_path / "filled.parquet")
    close(np.array(found["waiting"]), filled["number"][:, 0], rtol=1e-9)
    expected = np.array(["long", "short"])[np.asarray(filled["word"][:, 0]).astype(int)]
    assert found["kind"].to_pylist() == expected.tolist()
    as_they_were = written(own, tmp_path / "same.parquet")
    assert as_they_were["kind"].to_pylist() == kind.tolist()
    noted = written(jaxem.annotate(model, params, own), tmp_path / "noted.parquet")
    assert noted["kind"].to_pylist() == kind.tolist()
    np.testing.assert_array_equal(noted["component"], jaxem.predict(model, params, x))


@pytest.mark.parametrize("n", [1, 3, 8])
def test_shares_together_are_the_whole(n, file, tmp_path):
    own = jaxem.annotate(MODEL, PARAMS, sources.parquet(file))
    whole = written(own, tmp_path / "out.parquet")
    for i in range(n):
        sources.to_parquet(own, tmp_path / "shares", share=(i, n))
    paths = sorted((tmp_path / "shares").iterdir())
    assert [path.name for path in paths] == [f"part-{i:05}-of-{n:05}.parquet" for i in range(n)]
    each = [pq.read_table(path) for path in paths]
    assert (0 in map(len, each)) == (n == 8)  # six row groups
    found = pa.concat_tables(each)
    assert found.schema == whole.schema
    for name in whole.column_names:
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-12)


def test_shares_are_cut_between_sequences(tmp_path):
    number = np.repeat(np.arange(5), LENGTHS)
    pq.write_table(pa.table({"id": number, "x": X[:, 0]}), tmp_path / "x.parquet")
    own = sources.parquet(tmp_path / "x.parquet", sequence="id")
    for i in range(3):
        sources.to_parquet(own, tmp_path / "shares", share=(i, 3))
    again = sources.parquet(tmp_path / "shares" / "*.parquet", sequence="sequence")
    np.testing.assert_array_equal(
        np.concatenate([piece.lengths for piece in again.pieces()]), LENGTHS
    )


def test_what_is_wrong_is_said(file, tmp_path):
    with pytest.raises(ValueError, match="source is a ndarray; give a source"):
        jaxem.annotate(MODEL, PARAMS, X)
    for share in ((2, 2), (-1, 2)):
        with pytest.raises(ValueError, match="with i from 0 to n - 1"):
            sources.to_parquet(sources.parquet(file), tmp_path / "shares", share=share)
    hmm = jaxem.HMM(families.Gaussian("diag"), 2)
    with pytest.raises(ValueError, match="tell which rows they are"):
        written(jaxem.annotate(hmm, PARAMS, sources.parquet(file)), tmp_path / "out.parquet")
