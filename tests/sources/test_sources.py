"""Files as sources: their rows in order from any row on, and what is wrong with them."""

import os

import jax
import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

import jaxem
from jaxem import families, sources
from jaxem.cli import tables
from jaxem.core.source import Piece, Share, exact, joined
from jaxem.sources import parquet_files

N = 1000
X = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
WEIGHT = np.random.default_rng(1).integers(0, 4, N)
LABELS = np.arange(N) % 3 - 1


def table(x, weight=None, labels=None):
    columns = {f"c{j}": x[:, j] for j in range(x.shape[1])}
    if weight is not None:
        columns |= {"w": weight, "known": labels}
    return pa.table(columns)


@pytest.fixture
def folder(tmp_path):
    """Three files, of row groups of 70 rows."""
    for number, (first, stop) in enumerate([(0, 400), (400, 410), (410, N)]):
        own = slice(first, stop)
        part = table(X[own], WEIGHT[own], LABELS[own])
        pq.write_table(part, tmp_path / f"part-{number}.parquet", row_group_size=70)
    return tmp_path


def made(kind, folder):
    beside = {"sample_weight": "w", "labels": "known"}
    if kind == "parquet":
        return sources.parquet(folder / "*.parquet", **beside)
    if kind == "arrow":
        dataset = pyarrow.dataset.dataset(sorted(folder.glob("*.parquet")))
        return sources.arrow(lambda: dataset.scanner(batch_size=33).to_reader(), **beside)
    if kind == "npy":
        for name, values in (("x", X), ("w", WEIGHT), ("known", LABELS)):
            np.save(folder / f"{name}.npy", values)
        return sources.npy(folder / "x.npy", folder / "w.npy", folder / "known.npy")
    return sources.batches(
        lambda: ((X[i : i + 90], WEIGHT[i : i + 90], LABELS[i : i + 90]) for i in range(0, N, 90))
    )


@pytest.mark.parametrize("n_pieces", [2, 3, 7])
def test_what_is_put_together_goes_to_a_cpu_without_another_copy(n_pieces):
    pieces = np.array_split(X, n_pieces)
    together = joined([Piece(of, None, None, "") for of in pieces]).x
    np.testing.assert_array_equal(together, X)
    assert together.dtype == X.dtype
    there = jax.device_put(together)
    assert there.unsafe_buffer_pointer() == together.ctypes.data


@pytest.mark.parametrize("kind", ["parquet", "arrow", "npy", "batches"])
def test_rows_come_in_order_from_any_row_on(kind, folder):
    source = made(kind, folder)
    for first in (0, 1, 69, 70, 399, 400, 405, 410, 873, N - 1):
        found = joined(list(source.pieces(first)))
        assert found.x.dtype == np.float32
        np.testing.assert_array_equal(found.x, X[first:])
        np.testing.assert_array_equal(found.weight, WEIGHT[first:])
        np.testing.assert_array_equal(found.labels, LABELS[first:])
    sizes = [piece.n_rows for piece in exact(source.pieces(), iter([300, 5, 600, 600]))]
    assert sizes == [300, 5, 600, 95]


def test_columns_are_chosen_in_the_form_of_x(folder):
    path = folder / "part-0.parquet"
    (table_of,) = sources.parquet(path, columns=["c2", "c0"]).pieces()
    np.testing.assert_array_equal(table_of.x, X[:400, [2, 0]])
    assert sources.parquet(path, columns=["c2", "c0"]).names == ("c2", "c0")
    (pair,) = sources.parquet(path, columns=(["c0", "c1"], "c2")).pieces()
    np.testing.assert_array_equal(pair.x[0], X[:400, :2])
    np.testing.assert_array_equal(pair.x[1], X[:400, 2:])
    (parts,) = sources.parquet(path, columns={"a": ["c0"], "b": "w"}).pieces()
    assert parts.x["a"].shape == parts.x["b"].shape == (400, 1)


@pytest.mark.parametrize("read", ["source", "command line"])
def test_of_a_file_little_is_held_at_a_time(read, tmp_path, monkeypatch):
    """Whatever its rows: each column has a buffer, and the batch that is read."""
    monkeypatch.setattr(parquet_files, "_BATCH", 2_000_000)
    monkeypatch.setattr(tables, "_ROWS", 100_000)
    n, path = 3_000_000, tmp_path / "x.parquet"
    values = np.random.default_rng(0).random((n, 2), np.float32)
    pq.write_table(table(values), path, row_group_size=n // 10)
    pieces = sources.parquet(path).pieces() if read == "source" else tables.parts(path)
    before, held, n_rows = pa.total_allocated_bytes(), 0, 0
    for piece in pieces:
        n_rows += piece.n_rows if read == "source" else piece.cells.num_rows
        held = max(held, pa.total_allocated_bytes() - before)
    assert n_rows == n
    assert 0 < held < path.stat().st_size / 2


def test_numbers_are_widened_and_null_is_nan(tmp_path):
    pq.write_table(pa.table({"a": pa.array([1, None], pa.int16())}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"a": pa.array([0.5], pa.float32())}), tmp_path / "1.parquet")
    found = joined(list(sources.parquet(tmp_path / "*.parquet").pieces()))
    np.testing.assert_array_equal(found.x, np.array([[1.0], [np.nan], [0.5]]))
    assert found.x.dtype == np.float64


@pytest.mark.slow
def test_a_fit_takes_files(folder):
    model = jaxem.Mixture(families.Gaussian("diag"), 2)
    options = {"key": jaxem_key(), "n_init": 2}
    found = jaxem.fit(model, made("parquet", folder), **options)
    expected = jaxem.fit(model, X, sample_weight=WEIGHT, labels=LABELS, **options)
    assert float(found.log_likelihood) == float(expected.log_likelihood)
    assert found.provenance.columns == ("c0", "c1", "c2")


def jaxem_key():
    import jax

    return jax.random.key(0)


# ---- what is wrong with them


def test_files_that_differ_are_both_named(tmp_path):
    first, other = tmp_path / "0.parquet", tmp_path / "1.parquet"
    pq.write_table(pa.table({"a": [1.0], "b": [2.0]}), first)
    pq.write_table(pa.table({"a": [1.0]}), other)
    with pytest.raises(ValueError, match=r"1\.parquet has no column b, which .*0\.parquet has"):
        sources.parquet([first, other])
    pq.write_table(pa.table({"a": [1.0], "b": ["x"]}), other)
    text = r"column b is of numbers in .*0\.parquet, and of text in .*1\.parquet"
    with pytest.raises(ValueError, match=text):
        sources.parquet([first, other])
    with pytest.raises(ValueError, match="columns that are not numeric: b"):
        sources.parquet(other)
    with pytest.raises(ValueError, match="has no column z; it has a, b"):
        sources.parquet(first, columns=["z"])


def test_files_that_cannot_be_read_are_named(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match=r"no.parquet: there is no such file"):
        sources.parquet(tmp_path / "no.parquet")
    path = folder / "part-2.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    with pytest.raises(ValueError, match=r"part-2\.parquet is no Parquet file, or is cut short"):
        sources.parquet(folder / "*.parquet")
    path.write_bytes(whole)
    source = sources.parquet(folder / "*.parquet")
    path.write_bytes(whole[:200] + bytes(200) + whole[400:])
    with pytest.raises(ValueError, match=r"part-2\.parquet is damaged"):
        list(source.pieces())
    (tmp_path / "a.npy").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"a\.npy is no file of np\.save"):
        sources.npy(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.array(["text"]))
    with pytest.raises(ValueError, match="a source is one of numbers"):
        sources.npy(tmp_path / "b.npy")
    with pytest.raises(ValueError, match="give a function"):
        sources.batches([X])
    with pytest.raises(ValueError, match="give a function"):
        sources.arrow(table(X))


def test_a_changed_file_has_another_fingerprint(folder):
    before = sources.parquet(folder / "*.parquet").fingerprint
    assert sources.parquet(folder / "*.parquet").fingerprint == before
    assert sources.parquet(folder / "*.parquet", columns=["c0"]).fingerprint != before
    pq.write_table(table(X[:10], WEIGHT[:10], LABELS[:10]), folder / "part-1.parquet")
    assert sources.parquet(folder / "*.parquet").fingerprint != before


def test_files_that_become_others_are_named(folder):
    """Beyond the end of a file that is mapped into memory a read would kill the process."""
    source = sources.parquet(folder / "*.parquet", columns=["c0", "c1"])
    kept = (folder / "part-1.parquet").read_bytes()
    for change, said in (
        ({"c0": X[:10, 0], "c1": ["x"] * 10}, "has no numbers any more in the columns c1"),
        ({"c0": X[:10, 0], "c2": X[:10, 0]}, "has no numbers any more in the columns c1"),
        ({"c0": X[:9, 0], "c1": X[:9, 0]}, "had 10 rows when it was first read, and now has 9"),
    ):
        pq.write_table(pa.table(change), folder / "part-1.parquet")
        with pytest.raises(ValueError, match=rf"part-1\.parquet {said}"):
            list(source.pieces())
    (folder / "part-1.parquet").write_bytes(kept)
    assert len(joined(list(source.pieces())).x) == N
    source = made("npy", folder)
    os.truncate(folder / "w.npy", 4000)
    with pytest.raises(ValueError, match=r"w\.npy was cut short after it was opened"):
        list(source.pieces())
    os.remove(folder / "w.npy")
    with pytest.raises(OSError, match=r"w\.npy: cannot be read: there is no such file"):
        list(source.pieces())
    np.save(folder / "flat.npy", X[:, 0])
    source = sources.npy(folder / "flat.npy", WEIGHT)
    os.truncate(folder / "flat.npy", 400)
    with pytest.raises(ValueError, match=r"flat\.npy was cut short"):
        list(source.pieces())


# ---- shares


@pytest.mark.slow(but=("parquet",))
@pytest.mark.parametrize("kind", ["parquet", "arrow", "npy", "batches"])
def test_shares_are_all_rows_once(kind, folder):
    source = made(kind, folder)
    for n in (1, 3, 40):
        cuts = source.cuts(n)
        assert len(cuts) == n + 1 and cuts[0] == 0 and cuts[-1] == N and np.all(np.diff(cuts) >= 0)
        shares = [Share(source, *map(int, cuts[i : i + 2]), source.names, "") for i in range(n)]
        for share, begin, end in zip(shares, cuts[:-1], cuts[1:], strict=True):
            pieces = list(share.pieces())
            assert sum(piece.n_rows for piece in pieces) == end - begin
            if pieces:
                np.testing.assert_array_equal(joined(pieces).x, X[begin:end])
                np.testing.assert_array_equal(joined(pieces).weight, WEIGHT[begin:end])
            assert sum(piece.n_rows for piece in share.pieces(5)) == max(0, end - begin - 5)


def test_shares_of_parquet_files_end_with_row_groups_and_have_as_many_bytes(tmp_path):
    """Rows of the second file are of ten columns, those of the first of one that repeats."""
    rng, names = np.random.default_rng(0), [f"c{j}" for j in range(10)]
    for number, x in enumerate((np.zeros((1000, 10)), rng.normal(size=(1000, 10)))):
        own = pa.table({name: x[:, j] for j, name in enumerate(names)})
        pq.write_table(own, tmp_path / f"{number}.parquet", row_group_size=100)
    cuts = sources.parquet(tmp_path / "*.parquet").cuts(2)
    assert cuts[1] % 100 == 0 and 1300 <= cuts[1] <= 1600
    one = sources.parquet(tmp_path / "0.parquet")
    assert sorted(np.diff(sources.parquet(tmp_path / "0.parquet").cuts(11)))[0] == 0
    assert one.cuts(1).tolist() == [0, 1000]
