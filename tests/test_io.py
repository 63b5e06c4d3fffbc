"""Model files: every bit comes back, what is damaged is refused, and no file is half written."""

import dataclasses
import errno
import hashlib
import json
import os
import pickle
import resource
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from safetensors import safe_open

import jaxem
from jaxem import families, io, models
from jaxem.core import files
from jaxem.families.gaussian.structures import STRUCTURES

ROOT = Path(__file__).parent.parent
K, D = 2, 3
NAMES = ("length", "größe", "a,b")
as_root = pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")


def example(covariance="full", dtype=np.float64):
    rng = np.random.default_rng(0)
    root = rng.normal(size=(K, D, D))
    full = root @ root.transpose(0, 2, 1) + np.eye(D)
    full = (full + full.transpose(0, 2, 1)) / 2
    linked = np.asarray(STRUCTURES[covariance].pooled(jnp.asarray(full[0]), K))
    covariances = {
        "full": full,
        "tied": full[0],
        "diag": np.diagonal(full, axis1=1, axis2=2).copy(),
        "spherical": full[:, 0, 0],
    }
    means = np.array([[-0.0, 1e-310, 3.0], [5.0, 1 / 3, -7.0]])  # a zero's sign, a subnormal
    components = families.GaussianParams(means, covariances.get(covariance, linked))
    params = jaxem.MixtureParams(np.array([0.3, 0.7]), components)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), params)
    return jaxem.Mixture(families.Gaussian(covariance), K), params


def assert_same(loaded, saved):
    assert jax.tree.structure(loaded) == jax.tree.structure(saved)
    for one, other in zip(jax.tree.leaves(loaded), jax.tree.leaves(saved), strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


@pytest.fixture
def path(tmp_path):
    """A file with an example in it."""
    path = tmp_path / "model.safetensors"
    io.save(path, *example(), columns=NAMES, notes={"log_likelihood": -3.5, "status": "CONVERGED"})
    return path


def opened(path):
    """-> (jaxem's header, tensors), by safetensors alone."""
    with safe_open(path, framework="np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return json.loads(file.metadata()["jaxem"]), tensors


def seal(path, header, tensors):
    """Write a file with the checksum that the format asks for."""
    header = {name: value for name, value in header.items() if name != "checksum"}
    said = json.dumps(header, sort_keys=True).encode()
    for name in sorted(tensors):
        array = tensors[name]
        said += json.dumps([name, str(array.dtype), list(array.shape)]).encode() + array.tobytes()
    header["checksum"] = hashlib.sha256(said).hexdigest()
    path.write_bytes(safetensors.numpy.save(tensors, {"jaxem": json.dumps(header)}))


def refused(path):
    """The one line that is said of a file."""
    with pytest.raises(ValueError) as caught:
        io.load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


# ---- what comes back


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("covariance", STRUCTURES)
def test_every_bit_comes_back(tmp_path, covariance, dtype):
    model, params = example(covariance, dtype)
    io.save(tmp_path / "m", model, params)
    loaded_model, loaded = io.load(tmp_path / "m")
    assert loaded_model == model
    assert hash(loaded_model) == hash(model)
    assert repr(loaded_model) == repr(model)
    assert_same(loaded, params)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(loaded))
    assert io.read(tmp_path / "m").dtype == np.dtype(dtype).name


def test_arrays_of_any_order_and_plain_lists_come_back_as_they_are(tmp_path):
    model, params = example()
    covariances = np.asfortranarray(np.asarray(params.components.covariances, ">f4"))
    components = params.components._replace(covariances=covariances)
    io.save(tmp_path / "m", model, params._replace(weights=[0.3, 0.7], components=components))
    _, loaded = io.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.weights, params.weights)
    np.testing.assert_array_equal(loaded.components.covariances, covariances)
    assert loaded.components.covariances.dtype == np.float32


@pytest.mark.slow
def test_a_fresh_process_gives_equal_labels(path):
    x = np.random.default_rng(1).normal(size=(50, D)) * 5
    labels = np.asarray(jaxem.predict(*io.load(path), x))
    assert set(labels) == {0, 1}
    code = f"""
import jax, jaxem, numpy as np, sys
from jaxem import io
assert "safetensors" not in sys.modules
x = np.random.default_rng(1).normal(size=(50, {D})) * 5
for x64 in (True, False):
    with jax.enable_x64(x64):
        print(*jaxem.predict(*io.load({str(path)!r}), x))
"""
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert out.stdout.splitlines() == [" ".join(map(str, labels))] * 2, out.stderr


def test_without_x64_no_digit_is_lost(path):
    with jax.enable_x64(False):
        model, loaded = io.load(path)
        assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(loaded))
        assert all(leaf.flags.writeable for leaf in jax.tree.leaves(loaded))
        io.save(path, model, loaded)
    assert_same(io.load(path)[1], example()[1])


def test_columns_name_each_column_once(tmp_path):
    for columns in (NAMES[:1], (*NAMES, "more"), (NAMES[0],) * len(NAMES)):
        with pytest.raises(ValueError, match="name each once"):
            io.save(tmp_path / "m", *example(), columns=columns)
    assert not (tmp_path / "m").exists()


def test_columns_and_notes_come_back(tmp_path):
    notes = {
        "text": 'ä "\n\ud800', "whole": 10**20, "yes": True, "none": None, "third": 1 / 3,
        "numpy": np.float32(0.5), "jax": jnp.asarray(7), "nan": np.nan, "infinite": -np.inf,
    }  # fmt: skip
    io.save(tmp_path / "m", *example(), columns=list(NAMES), notes=notes)
    saved = io.read(tmp_path / "m")
    assert saved.columns == NAMES
    assert saved.notes == notes | {"numpy": 0.5, "jax": 7, "nan": None, "infinite": None}
    assert saved.notes["yes"] is True
    assert saved.versions["jaxem"] == jaxem.__version__
    io.save(tmp_path / "m", *example())
    assert io.read(tmp_path / "m")[2:4] == (None, {})


def test_the_format_is_the_documented_one(path, tmp_path):
    header, tensors = opened(path)
    fields = {"covariance": {"spec": "Full", "fields": {}}, "missing": False}
    gaussian = {"spec": "Gaussian", "fields": fields}
    assert header["format"] == 1
    assert set(header["versions"]) == {"jaxem", "jax", "numpy", "python"}
    fields = {
        "family": gaussian, "n_components": K, "noise": False, "concomitants": 0, "names": None,
    }  # fmt: skip
    assert header["model"] == {"spec": "Mixture", "fields": fields}
    assert header["params"]["type"] == "MixtureParams"
    assert header["params"]["fields"]["weights"] == "weights"
    assert set(tensors) == {"weights", "components.means", "components.covariances"}
    seal(tmp_path / "again", header, tensors)
    assert opened(tmp_path / "again")[0]["checksum"] == header["checksum"]
    io.save(tmp_path / "again", *example(), columns=NAMES, notes=header["notes"])
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_files_from_before_a_field_was_there_are_read(path, tmp_path):
    """It has its default."""
    header, tensors = opened(path)
    del header["model"]["fields"]["noise"]
    seal(tmp_path / "before", header, tensors)
    model, params = jaxem.load(tmp_path / "before")
    assert model == example()[0] and not model.noise
    jax.tree.map(np.testing.assert_array_equal, params, example()[1])


class ToyParams(NamedTuple):
    means: dict
    parts: tuple


@dataclasses.dataclass(frozen=True, repr=False)
class Toy(families.Gaussian):
    """A family of the future: specs and parameters in tuples and dicts."""

    parts: tuple = ()
    scale: float = 0.1

    def like_x(self, params):
        return jax.ShapeDtypeStruct((1, D), np.dtype(np.float64))

    def as_params(self, params, x, k):
        return params


def toy():
    inner = (("a.b", families.Gaussian("diag")), ("c", families.Gaussian("tied")))
    means = {"a.b": np.arange(2.0), "a": {"b": np.ones((1, 2), np.float32)}}
    params = ToyParams(means, (np.array(True), (), np.array([[3]], np.int8)))
    return jaxem.Mixture(Toy("full", parts=inner), K), jaxem.MixtureParams(
        np.array([0.5, 0.5]), params
    )


def test_a_new_family_needs_its_export_alone(tmp_path, monkeypatch):
    model, params = toy()
    with pytest.raises(ValueError, match=r"^model\.family is a Toy"):
        io.save(tmp_path / "m", model, params)
    monkeypatch.setattr(families, "Toy", Toy, raising=False)
    with pytest.raises(ValueError, match=r"^components is a ToyParams"):
        io.save(tmp_path / "m", model, params)
    assert os.listdir(tmp_path) == []
    monkeypatch.setattr(families, "ToyParams", ToyParams, raising=False)
    io.save(tmp_path / "m", model, params)
    loaded_model, loaded = io.load(tmp_path / "m")
    assert loaded_model == model
    assert hash(loaded_model) == hash(model)
    assert_same(loaded, params)
    assert list(loaded.components.means) == list(params.components.means)
    monkeypatch.undo()
    assert "'Toy'" in refused(tmp_path / "m")


def test_no_two_exported_classes_share_a_name():
    exported = [*vars(models).values(), *vars(families).values(), *map(type, STRUCTURES.values())]
    classes = {value for value in exported if isinstance(value, type)}
    assert len({kind.__name__ for kind in classes}) == len(classes)


# ---- the door of save


def test_save_refuses_what_is_no_model_with_its_parameters(tmp_path):
    model, params = example()
    other, other_params = example("diag")
    bad = params._replace(weights=np.array([np.nan, 0.5]))
    for given in ((model, other_params), (other, params), (model, params.components), (model, bad)):
        with pytest.raises(ValueError):
            io.save(tmp_path / "m", *given)
    with pytest.raises(ValueError, match="give a model"):
        io.save(tmp_path / "m", "full", params)
    with pytest.raises(ValueError, match="outside jit"):
        jax.jit(lambda p: io.save(tmp_path / "m", model, p))(params)
    with pytest.raises(ValueError, match="dtype"):
        io.save(tmp_path / "m", model, params._replace(weights=np.longdouble([0.3, 0.7])))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "bad", [{"columns": "abc"}, {"columns": (1, 2)}, {"notes": {"a": [1]}}, {"notes": {1: 2}}]
)
def test_save_refuses_columns_and_notes_of_other_kinds(tmp_path, bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        io.save(tmp_path / "m", *example(), **bad)


def test_a_missing_package_is_named(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for call in (lambda: io.load(path), lambda: io.save(path, *example())):
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'jaxem\[io\]'"):
            call()


# ---- what is refused


def corrupted(rng, good):
    """A few bytes changed, lost, put in, cut off or swapped; as often in the header as anywhere."""
    data = bytearray(good)
    end = len(data) if rng.random() < 0.5 else 8 + int.from_bytes(good[:8], "little")
    kind, n = int(rng.integers(7)), int(rng.integers(1, 9))
    i, j = (int(place) for place in rng.integers(end - 32, size=2))
    if kind == 0:
        data[i] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        data[i : i + n] = rng.bytes(n)
    elif kind == 2:
        del data[i : i + n]
    elif kind == 3:
        data[i:i] = rng.bytes(n)
    elif kind == 4:
        del data[i:]
    elif kind == 5:
        data[i : i + n], data[j : j + n] = data[j : j + n], data[i : i + n]
    else:
        data[i : i + 1] = rng.choice(list(b'{}[]",:\\0129eE-.tnN ')).astype(np.uint8).tobytes()
    return bytes(data)


def test_a_thousand_corruptions(path):
    model, params = example()
    rng, good, n_refused = np.random.default_rng(0), path.read_bytes(), 0
    with open(path, "rb+", buffering=0) as file:
        for _ in range(1000):
            file.seek(0)
            file.truncate(file.write(corrupted(rng, good)))
            try:
                loaded_model, loaded = io.load(path)
            except ValueError as error:
                assert str(error).startswith(f"{path}: ")
                assert "\n" not in str(error)
                n_refused += 1
            else:
                assert loaded_model == model
                assert_same(loaded, params)
    assert n_refused > 900


CHANGES = {
    "format": 0,
    "versions": {"jaxem": "9"},
    "model": {"spec": "Mixture", "fields": {}},
    "params": None,
    "columns": ["x", "y", "z"],
    "levels": {"x": ["a"]},
    "dtype": "float32",
    "notes": {},
    "checksum": "0" * 64,
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_of_the_header_is_under_the_checksum(path, field):
    good, tensors = opened(path)
    assert set(CHANGES) == set(good)
    without = {name: value for name, value in good.items() if name != field}
    for header in (good | {field: CHANGES[field]}, good | {field: []}, without):
        path.write_bytes(safetensors.numpy.save(tensors, {"jaxem": json.dumps(header)}))
        assert "copy or save it again" in refused(path)


def test_every_tensor_is_under_the_checksum(path):
    header, good = opened(path)
    weights = good["weights"]
    for changed in (
        good | {"weights": weights[::-1].copy()},
        good | {"weights": weights[None]},
        good | {"weights": weights.view(np.int64)},
        good | {"another": weights},
        {name.replace("means", "mean"): array for name, array in good.items()},
    ):
        path.write_bytes(safetensors.numpy.save(changed, {"jaxem": json.dumps(header)}))
        assert "checksum" in refused(path)


def nested(depth):
    return json.loads("[" * depth + "]" * depth)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": {"spec": "Wishart", "fields": {}}}, "'Wishart'"),
        ({"model": {"spec": "os.system", "fields": {"command": "true"}}}, "'os.system'"),
        ({"model": {"spec": ["Mixture"], "fields": {}}}, "unhashable"),
        ({"model": {"spec": "Gaussian", "fields": {}}}, "no model"),
        ({"model": {"spec": "Mixture", "fields": {"k": 1}}}, "argument"),
        ({"model": {"spec": "Mixture"}}, "'fields'"),
        ({"model": nested(400)}, ""),
        ({"params": "weights"}, ""),
        (
            {"params": {"type": "GaussianParams", "fields": {"means": "no", "covariances": "no"}}},
            "",
        ),
        ({"columns": "abc"}, "columns"),
        ({"notes": {"a": []}}, "notes"),
    ],
)
def test_a_sealed_file_that_makes_no_sense(path, change, said):
    header, tensors = opened(path)
    seal(path, header | change, tensors)
    text = refused(path)
    assert said in text
    assert "upgrade jaxem" in text


def test_sealed_parameters_that_do_not_fit(path):
    header, tensors = opened(path)
    for changed in (
        {"weights": np.array([0.2, 0.3, 0.5])},
        {"weights": np.array([0.3, np.nan])},
        {"components.means": tensors["components.means"].T.copy()},
        {"unused": np.zeros(1)},
        {name: array.astype(np.int64) for name, array in tensors.items()},
    ):
        seal(path, header, tensors | changed)
        assert "upgrade jaxem" in refused(path)
    seal(path, header, tensors)
    assert_same(io.load(path)[1], example()[1])


def test_a_later_format_says_which_jaxem_wrote_it(path):
    header, tensors = opened(path)
    seal(path, header | {"format": 2, "versions": {"jaxem": "7.5"}, "new": [1]}, tensors)
    assert refused(path) == (
        f"{path}: it was written by jaxem 7.5 with format 2; this is jaxem {jaxem.__version__}, "
        "which reads format 1: upgrade jaxem"
    )


@pytest.mark.parametrize(
    "content",
    [
        safetensors.numpy.save({"weight": np.zeros(3)}),
        safetensors.numpy.save({"weight": np.zeros(3)}, {"format": "pt"}),
        pickle.dumps({"weights": np.zeros(3)}),
        b"eruptions,waiting\n3.6,79\n",
        b"\0" * 1000,
    ],
    ids=["safetensors", "safetensors with metadata", "pickle", "text", "zeros"],
)
def test_foreign_files(path, content):
    path.write_bytes(content)
    assert "is no model file" in refused(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x10",
        b"\0" * 8 + b"{}",
        b"\xff" * 8 + b"{}",
        (2**40).to_bytes(8, "little") + b"{}",
        (99_999_999).to_bytes(8, "little") + b"{}",
        (20_000).to_bytes(8, "little") + b'{"a":' + b"[" * 19_995,
        (8).to_bytes(8, "little") + b'{"a":"\xff"}',
        (20).to_bytes(8, "little") + b'{"__metadata__": 12}',
    ],
)
def test_files_that_end_too_soon_or_lie_about_their_length(path, content):
    path.write_bytes(content)
    assert "copy or save it again" in refused(path)


def test_what_cannot_be_read_keeps_its_kind_of_error(tmp_path, path):
    for given, kind in (
        (tmp_path / "none", FileNotFoundError),
        (tmp_path, IsADirectoryError),
        (path / "below", NotADirectoryError),
    ):
        with pytest.raises(kind, match=f"^{given}: cannot be read: .*; ") as caught:
            io.load(given)
        assert caught.value.errno in (errno.ENOENT, errno.EISDIR, errno.ENOTDIR)


@as_root
def test_a_file_without_permission(path):
    path.chmod(0)
    with pytest.raises(PermissionError, match=f"^{path}: cannot be read: permission denied"):
        io.load(path)


# ---- writing whole


def fails(number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_a_full_disk_leaves_the_old_file_whole(path, monkeypatch, call):
    old = path.read_bytes()
    monkeypatch.setattr(os, call, fails(errno.ENOSPC))
    with pytest.raises(OSError, match=f"^{path}: cannot be written: the disk is full") as caught:
        io.save(path, *example("diag"))
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes() == old


def test_a_file_that_the_system_cuts_short_is_never_seen(path):
    old, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match=f"^{path}: cannot be written: ") as caught:
            io.save(path, *example("diag"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes() == old


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device")
def test_a_device_that_is_full():
    with pytest.raises(OSError, match=r"^/dev/full: cannot be written: the disk is full"):
        io.save("/dev/full", *example())
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_a_pipe_is_written_and_stays_a_pipe(tmp_path, path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    files.check_writable(pipe)
    io.save(pipe, *example(), columns=NAMES, notes=io.read(path).notes)
    reader.join(10)
    assert read == [path.read_bytes()]
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)


def test_an_interrupted_writer_leaves_the_old_file(path):
    old = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), files.replacing(path) as temporary:
        Path(temporary).write_text("half")
        assert Path(temporary).parent == path.parent
        assert Path(temporary).name.startswith(".")
        assert Path(temporary).suffix == path.suffix
        raise KeyboardInterrupt
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes() == old


def test_permissions_are_those_of_the_old_file_or_of_any_new_one(path, tmp_path):
    (tmp_path / "usual").touch()
    usual = stat.S_IMODE(os.stat(tmp_path / "usual").st_mode)
    assert stat.S_IMODE(path.stat().st_mode) == usual
    path.chmod(0o640)
    io.save(path, *example())
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "real", tmp_path / "link"
    link.symlink_to(target)
    for covariance in ("full", "diag"):  # first the file is not there yet
        io.save(link, *example(covariance))
        assert link.is_symlink()
        assert io.load(target)[0] == example(covariance)[0]
    assert os.listdir(target.parent) == ["real"]
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop: cannot be written: "):
        io.save(tmp_path / "loop", *example())


def test_where_nothing_can_be_written(tmp_path, path):
    before = sorted(tmp_path.iterdir())
    for given, kind in (
        (tmp_path / "no" / "m", FileNotFoundError),
        (tmp_path, IsADirectoryError),
        (path / "below", NotADirectoryError),
        (tmp_path / ("long" * 100), OSError),
    ):
        for call in (files.check_writable, lambda to: io.save(to, *example())):
            with pytest.raises(kind, match=f"^{given}: cannot be written: .*; ") as caught:
                call(given)
            assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


@as_root
def test_where_permission_is_missing(path):
    old = path.read_bytes()
    for folder_mode, mode, given in (
        (0o500, 0o600, path),
        (0o500, 0o600, path.with_name("m")),
        (0o700, 0o400, path),
    ):
        path.chmod(mode)
        path.parent.chmod(folder_mode)
        for call in (files.check_writable, lambda to: io.save(to, *example())):
            with pytest.raises(PermissionError, match=f"^{given}: cannot be written: permission"):
                call(given)
        path.parent.chmod(0o700)
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes() == old


def test_check_writable_leaves_nothing_behind(tmp_path, path):
    old = path.stat()
    files.check_writable(path)
    files.check_writable(tmp_path / "new")
    files.check_writable("new-beside-the-tests")
    assert os.listdir(tmp_path) == [path.name]
    assert path.stat() == old
    assert not os.path.exists("new-beside-the-tests")
