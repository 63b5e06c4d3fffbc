"""What is done with a model file: predict, sample, show."""

import io as streams
import re
import subprocess
import sys

import jax
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest

import jaxem
from jaxem import io
from jaxem.cli import main
from jaxem.datasets import load_faithful

NAMES = ("eruptions", "waiting time")
X = load_faithful().x


def write(path, columns):
    pyarrow.csv.write_csv(pa.table(columns), path)
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A table, and the model that `jaxem fit` made of it."""
    folder = tmp_path_factory.mktemp("files")
    table = write(folder / "t.csv", {"what": ["x"] * len(X), **dict(zip(NAMES, X.T, strict=True))})
    model = str(folder / "m.safetensors")
    options = ["--components", "2", "--starts", "4", "--seed", "3", "-o", model]
    assert main(["fit", table, *options]) == 0
    return table, model


@pytest.fixture
def table(files):
    return files[0]


@pytest.fixture
def model(files):
    return files[1]


def printed(capsys):
    return pyarrow.csv.read_csv(streams.BytesIO(capsys.readouterr().out.encode()))


def expected(path):
    """What Python says of the rows."""
    arguments = (*jaxem.load(path), X)
    shares = np.asarray(jaxem.predict_proba(*arguments))
    return {
        "label": np.asarray(jaxem.predict(*arguments)),
        "probability_0": shares[:, 0],
        "probability_1": shares[:, 1],
        "log_density": np.asarray(jaxem.log_prob(*arguments)),
    }


def same(table, columns):
    assert table.column_names == list(columns)
    for name, values in columns.items():
        np.testing.assert_array_equal(table[name].to_numpy(), values)


@pytest.mark.slow
def test_the_model_file_is_the_fit_by_falling_weight(model):
    result = jaxem.fit(jaxem.Mixture(jaxem.families.Gaussian("full"), 2), X,
                       key=jax.random.key(3), n_init=4)  # fmt: skip
    saved = io.read(model)
    assert saved.model == result.provenance.model and saved.columns == NAMES
    order = np.argsort(-np.asarray(result.params.weights))
    np.testing.assert_array_equal(saved.params.weights, result.params.weights[order])
    for ours, theirs in zip(saved.params.components, result.params.components, strict=True):
        np.testing.assert_array_equal(ours, theirs[order])
    assert saved.notes["log_likelihood"] == float(result.log_likelihood)
    assert saved.notes["bic"] == float(result.bic)
    assert saved.notes["status"] == "CONVERGED" and saved.notes["seed"] == 3


def test_predict_prints_what_python_says(table, model, capsys):
    assert main(["predict", model, table]) == 0
    same(printed(capsys), expected(model))


READERS = {
    "csv": pyarrow.csv.read_csv,
    "tsv": lambda path: pyarrow.csv.read_csv(
        path, parse_options=pyarrow.csv.ParseOptions(delimiter="\t")
    ),
    "parquet": pyarrow.parquet.read_table,
    "arrow": pyarrow.feather.read_table,
    "feather": pyarrow.feather.read_table,
}


@pytest.mark.parametrize("kind", READERS)
def test_predict_writes_every_kind_of_file(kind, table, model, tmp_path, capsys):
    out = tmp_path / f"out.{kind}"
    assert main(["predict", model, table, "-o", str(out)]) == 0
    assert capsys.readouterr() == ("", "")
    same(READERS[kind](str(out)), expected(model))


def test_columns_are_found_by_name_and_kept_on_request(model, tmp_path, capsys):
    columns = {"label": ["a"] * len(X), NAMES[1]: X[:, 1], "more": X[:, 0], NAMES[0]: X[:, 0]}
    path = write(tmp_path / "other.csv", columns)
    assert main(["predict", model, path, "--keep"]) == 0
    found = expected(model)
    same(printed(capsys), columns | {"label_": found.pop("label"), **found})


def test_files_without_a_header_match_by_position(tmp_path, capsys):
    path, model = tmp_path / "t.csv", str(tmp_path / "m.safetensors")
    np.savetxt(path, X, delimiter=",")
    options = ["--components", "2", "--starts", "4", "--seed", "3", "-o", model]
    assert main(["fit", str(path), "--no-header", *options]) == 0
    assert "column_2" in capsys.readouterr().out
    assert main(["predict", model, str(path), "--no-header"]) == 0
    same(printed(capsys), expected(model))


def test_a_model_that_knows_no_names(table, model, tmp_path, capsys):
    path = str(tmp_path / "nameless.safetensors")
    jaxem.save(path, *jaxem.load(model))
    assert main(["predict", path, table]) == 0
    same(printed(capsys), expected(model))
    assert main(["sample", path, "-n", "5"]) == 0
    assert printed(capsys).column_names == ["column_1", "column_2", "label"]


@pytest.mark.slow
def test_a_float32_model_stays_one(table, tmp_path, capsys):
    path = str(tmp_path / "m.safetensors")
    options = ["--components", "2", "--starts", "4", "--dtype", "float32"]
    assert main(["fit", table, *options, "-o", path]) == 0
    assert io.read(path).dtype == "float32"
    out = tmp_path / "out.parquet"
    assert main(["predict", path, table, "-o", str(out)]) == 0
    assert pyarrow.parquet.read_table(out)["log_density"].type == pa.float32()
    with jax.enable_x64(False):
        labels = np.asarray(jaxem.predict(*jaxem.load(path), X))
    np.testing.assert_array_equal(pyarrow.parquet.read_table(out)["label"].to_numpy(), labels)


def test_sample_prints_what_python_draws(model, capsys):
    assert main(["sample", model, "-n", "7", "--seed", "5"]) == 0
    x, labels = jaxem.sample(*jaxem.load(model), jax.random.key(5), 7)
    x = np.asarray(x)
    same(printed(capsys), {NAMES[0]: x[:, 0], NAMES[1]: x[:, 1], "label": np.asarray(labels)})


def test_show_says_what_fit_said(table, model, capsys):
    """The same table and the same facts, but for the seconds."""
    options = ["--components", "2", "--starts", "4", "--seed", "3"]
    assert main(["fit", table, *options]) == 0
    fitted = capsys.readouterr().out
    assert main(["show", model]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{model}: 2 components, full covariance\n")

    def facts(text):
        lines = (line.rstrip() for line in text.splitlines()[1:])
        return [re.sub(r"  +", "  ", line) for line in lines if line and line[:7] != "seconds"]

    assert facts(shown)[:-1] == facts(fitted)
    assert f"written by  jaxem {jaxem.__version__}, jax {jax.__version__}" in facts(shown)[-1]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["show", "sample"])
def test_a_reader_that_goes_away_is_no_trouble(command, model):
    process = subprocess.Popen(
        [sys.executable, "-m", "jaxem.cli", command, model],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 0 and err == b""


def test_show_of_a_file_that_python_wrote(model, tmp_path, capsys):
    path = str(tmp_path / "m.safetensors")
    notes = {"author": "I", "bic": "low", "n_best": 3}
    jaxem.save(path, *jaxem.load(model), notes=notes)
    assert main(["show", path]) == 0
    text = re.sub(r"  +", "  ", capsys.readouterr().out)
    assert "author  I\n" in re.sub(r" +\n", "\n", text)
    assert "BIC  low" in text and "starts at the best  3" in text


def truncated(content):
    return content[: len(content) // 2]


def flipped(content):
    return content[:-1] + bytes([content[-1] ^ 1])


def foreign(_):
    return b"eruptions,waiting\n1,2\n3,4\n"


def newer(content):
    return content.replace(rb"\"format\": 1", rb"\"format\": 9")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncated, "is damaged or cut short"),
        (flipped, "is damaged or cut short"),
        (foreign, "is no model file"),
        (newer, "format 9; .* upgrade jaxem"),
    ],
)
def test_a_bad_model_file_is_one_line(damage, message, table, model, tmp_path, capsys):
    path = tmp_path / "bad.safetensors"
    with open(model, "rb") as file:
        path.write_bytes(damage(file.read()))
    for arguments in (["predict", str(path), table], ["sample", str(path)], ["show", str(path)]):
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1
        assert re.match(f"jaxem: {re.escape(str(path))}: .*{message}", err)


BAD_TABLES = {
    "no column 'waiting time'; did you mean 'wating time'": {"eruptions": X[:, 0],
                                                             "wating time": X[:, 1]},
    "no column 'eruptions'": {"what": ["x"] * len(X)},
    "no numbers in the columns eruptions": {"eruptions": ["x"] * len(X), "waiting time": X[:, 1]},
    r"1 missing cell, in columns: eruptions \(1\); drop those": {
        "eruptions": [None, *X[1:, 0]], "waiting time": X[:, 1]
    },
}  # fmt: skip


@pytest.mark.parametrize("message", BAD_TABLES)
def test_a_table_that_does_not_match_is_one_line(message, model, tmp_path, capsys):
    path, old = write(tmp_path / "t.csv", BAD_TABLES[message]), tmp_path / "out.csv"
    old.write_text("old")
    assert main(["predict", model, path, "-o", str(old)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert re.search(f"{re.escape(path)}: has {message}", err)
    assert old.read_text() == "old"


BAD_OUTPUTS = {
    "{folder}/out.xlsx": ".xlsx files cannot be written; give one of .csv",
    "{folder}/out": "has no extension; give one of .csv",
    "{folder}/no/out.csv": "no such file or folder",
    "{table}": "--output is the input",
}


@pytest.mark.parametrize("path", BAD_OUTPUTS)
def test_a_bad_output_is_said_before_anything_is_read(path, table, tmp_path, capsys):
    path = path.format(folder=tmp_path, table=table)
    message = next(
        m for p, m in BAD_OUTPUTS.items() if p.format(folder=tmp_path, table=table) == path
    )
    with open(table) as file:
        before = file.read()
    assert main(["predict", table, table, "-o", path]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and message in err
    with open(table) as file:
        assert file.read() == before
    assert list(tmp_path.iterdir()) == []
