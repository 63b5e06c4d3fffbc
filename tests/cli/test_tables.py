import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet
import pytest

from jaxem.cli import tables

TEXT = b"length,wait time\n1.5,79\n2.5,54\n3.5,60\n"
COLUMNS = {"length": [1.5, 2.5, 3.5], "wait time": [79, 54, 60]}


def write_stream(table, path):
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def write_file(tmp_path, name):
    """The same small table in the kind of file that the name says."""
    path, table = tmp_path / name, pa.table(COLUMNS)
    writers = {
        "t.parquet": lambda: pyarrow.parquet.write_table(table, path),
        "t.pq": lambda: pyarrow.parquet.write_table(table, path),
        "t.feather": lambda: pyarrow.feather.write_feather(table, str(path)),
        "t.arrow": lambda: pyarrow.feather.write_feather(table, str(path)),
        "t.ipc": lambda: write_stream(table, path),
        "t.csv.gz": lambda: path.write_bytes(gzip.compress(TEXT)),
        "t.tsv": lambda: path.write_bytes(TEXT.replace(b",", b"\t")),
    }
    writers.get(name, lambda: path.write_bytes(TEXT))()
    return path


KINDS = "t.csv t.CSV t.txt t.data t t.csv.gz t.tsv t.parquet t.pq t.feather t.arrow t.ipc"


@pytest.mark.parametrize("name", KINDS.split())
def test_every_kind_of_file_gives_the_same_columns(tmp_path, name):
    table = tables.read(write_file(tmp_path, name))
    assert table.columns.to_pydict() == COLUMNS
    assert table.remarks == ()


BAD = {
    "empty.csv": (b"", "is empty"),
    "blank.csv": (b"\n\n", "is empty"),
    "header.csv": (b"a,b\n", "no rows"),
    "twice.csv": (b"a,b,a\n1,2,3\n", "columns of one name: a; rename"),
    "ragged.csv": (b"a,b\n1,2\n3\n", "not a CSV table .*check the file"),
    "binary.csv": (bytes(range(256)) * 20, "not text; save it as CSV"),
    "utf16.csv": (TEXT.decode().encode("utf-16"), "not text; save it as CSV in UTF-8"),
    "latin.csv": ("né,b\n1,2\n".encode("latin-1"), "not UTF-8; save it"),
    "junk.csv.gz": (b"no gzip", "cannot be read .*check the file"),
    "junk.parquet": (b"no parquet at all", "not a complete Parquet file .*write it again"),
    "empty.parquet": (b"", "not a complete Parquet file"),
    "junk.arrow": (b"no arrow at all", "not a complete Arrow or Feather file"),
    "empty.feather": (b"", "not a complete Arrow or Feather file"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_line_that_says_what_to_do(tmp_path, name):
    content, message = BAD[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        tables.read(path)
    assert "\n" not in str(caught.value)


def test_a_broken_parquet_file(tmp_path):
    path = write_file(tmp_path, "t.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="not a complete Parquet file"):
        tables.read(path)


@pytest.mark.parametrize("name", ["index.parquet", "index.feather"])
def test_the_index_of_a_pandas_frame_is_no_column(tmp_path, name):
    frame = pd.DataFrame({"a": [1.0, np.nan, 3.0, 4.5]}).dropna()
    table = pa.Table.from_pandas(frame)
    assert table.column_names == ["a", "__index_level_0__"]
    if name.endswith("parquet"):
        pa.parquet.write_table(table, tmp_path / name)
    else:
        pa.feather.write_feather(table, tmp_path / name)
    columns, cells, remarks = tables.read(tmp_path / name)
    assert columns.column_names == ["a"] and cells.column_names == table.column_names
    assert remarks == ("left out, the index of a pandas frame: __index_level_0__",)


def test_parquet_with_a_name_twice(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pyarrow.parquet.write_table(table, path)
    with pytest.raises(ValueError, match="columns of one name: a"):
        tables.read(path)


def test_no_file_a_folder_and_no_permission(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no such file; check the path"):
        tables.read(tmp_path / "absent.csv")
    with pytest.raises(ValueError, match="is a folder; give one of the files in it"):
        tables.read(tmp_path)

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(Path()), "is_dir", refuse)
    with pytest.raises(ValueError, match="may not be read; check its permissions"):
        tables.read(tmp_path / "t.csv")
