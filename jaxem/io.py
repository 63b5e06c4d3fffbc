"""Model files: a model, its parameters and what is known of the fit, in one safetensors file.

The arrays are its tensors, named by their path in the parameters ("weights", "components.means").
The entry "jaxem" of its metadata is JSON, without NaN and infinities:

    format    1
    versions  of jaxem, jax, numpy and python when it was saved
    model     {"spec": "Mixture", "fields": {"family": {"spec": "Gaussian", ...}, ...}}
    params    {"type": "MixtureParams", "fields": {"weights": "weights", ...}}: names of tensors
    columns   names of the columns of x, or null
    levels    {column: names of its categories, in the order of their codes}
    dtype     the widest float of the parameters
    notes     plain facts of the fit
    checksum  sha256 of the others, as json.dumps sorts them, and of all tensors (`_checksum`)

A file brings no code: names of classes are looked up among those that jaxem exports.
"""

import hashlib
import json
import math
import os
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxem
from jaxem import families, models
from jaxem.core import checks, emissions, json_tree
from jaxem.core.contracts import Model, Params
from jaxem.core.files import describe_os_errors, replacing
from jaxem.families.gaussian.structures import STRUCTURES

FORMAT = 1

_PLAIN = (str, bool, int, float, type(None))


class Saved(NamedTuple):
    """What a model file holds; versions: of jaxem, jax, numpy and python when it was saved."""

    model: Model
    params: Params
    columns: tuple[str, ...] | None
    levels: dict[str, tuple[str, ...]]
    notes: dict[str, Any]
    versions: dict[str, str]
    dtype: str


def save(
    path: str | os.PathLike,
    model: Any,
    params: Params,
    *,
    columns: Any = None,
    levels: Any = None,
    notes: Any = None,
) -> None:
    """Write a model and its parameters to a file, whole or not at all; needs safetensors.

    params: kept bit for bit, in the dtypes they have. columns: the names of the columns of x, one
    for each number of a row; those of concomitants may follow. levels: {column: names of its
    categories}, in the order of the codes. notes: str -> str, number, bool or None; a number that
    is not finite is kept as None.
    Errors: ValueError when the parameters do not fit the model, or have no values (inside jit);
    OSError, of its usual kinds, when the disk refuses: a file that was there is then unchanged.
    """
    library = _safetensors()
    if not isinstance(model, Model):
        raise ValueError(f"model is {model!r}; give a model, such as jaxem.Mixture(family, 3)")
    if not checks.is_concrete(params, notes):
        raise ValueError("params have no values yet; call save outside jit, vmap and grad")
    model.as_params(params, None)
    _check_columns(columns, model, params)
    tensors: dict[str, np.ndarray] = {}
    header = {
        "format": FORMAT,
        "versions": {
            "jaxem": jaxem.__version__,
            "jax": jax.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "model": json_tree.encode(model, _plain, _exported(), "model"),
        "params": json_tree.encode(
            params, lambda leaf, name: _store(leaf, name, tensors), _exported()
        ),
        "columns": _columns(columns),
        "levels": _levels(levels),
        "dtype": _widest(tensors),
        "notes": _notes(notes),
    }
    header["checksum"] = _checksum(header, tensors)
    data = library.numpy.save(tensors, {"jaxem": json.dumps(header, allow_nan=False)})
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(data)


def load(path: str | os.PathLike) -> tuple[Model, Params]:
    """The model and the parameters in a file that `save` wrote; `jaxem.io.read` gives all of it.

    The parameters have the dtypes and the bits that were saved. They are JAX arrays; but where x64
    is off and the file holds float64, they stay NumPy arrays, so that no digit is lost: the
    functions of jaxem take both.
    Errors: ValueError for a file that is damaged, foreign or of a later format; OSError, of its
    usual kinds, when there is no such file or it cannot be read.
    """
    saved = read(path)
    return saved.model, saved.params


def read(path: str | os.PathLike) -> Saved:
    """All that is in a model file; `load` says what the parameters are, and the errors."""
    path = os.fsdecode(path)
    header, tensors = _contents(path)
    mine, theirs = jaxem.__version__, header["versions"]["jaxem"]
    with _malformed(
        f"{path}: it was written by jaxem {theirs}; this is jaxem {mine}, which cannot read it",
        "upgrade jaxem, or save the model again",
    ):
        dtype = _widest(tensors)
        saved = Saved(
            model=json_tree.decode(header["model"], _plain, _exported()),
            params=json_tree.decode(
                header["params"], lambda name: _array(tensors.pop(name)), _exported()
            ),
            columns=_columns(header["columns"]),
            levels=_levels(header.get("levels")),
            notes=_notes(header["notes"]),
            versions={name: str(version) for name, version in header["versions"].items()},
            dtype=dtype,
        )
        if not isinstance(saved.model, Model) or tensors:
            raise ValueError(f"it holds no model, or {len(tensors)} tensors too many")
        saved.model.as_params(saved.params, None)
        _check_columns(saved.columns, saved.model, saved.params)
    return saved


# ---- the file


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise ModuleNotFoundError(
            "model files need the package safetensors: pip install 'jaxem[io]'"
        ) from None
    return safetensors


def _contents(path: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """-> (jaxem's own header, the tensors); what is no model file is not read to its end."""
    library, foreign = _safetensors(), "give a file that jaxem.save, or jaxem fit -o, wrote"
    with describe_os_errors(path, "cannot be read"), open(path, "rb") as start:
        head = start.read(9)
    if len(head) == 9 and head[8:] != b"{":
        raise ValueError(f"{path}: is no model file (it is not safetensors); {foreign}")
    with _undamaged(path):
        file = library.safe_open(path, framework="np")
        metadata = file.metadata() or {}
    if "jaxem" not in metadata:
        raise ValueError(f"{path}: is no model file (safetensors of something else); {foreign}")
    with _undamaged(path):
        header = json.loads(metadata["jaxem"])
        number, theirs = header["format"], header["versions"]["jaxem"]
        newer = number > FORMAT
    if newer:
        raise ValueError(
            f"{path}: it was written by jaxem {theirs} with format {number}; this is jaxem "
            f"{jaxem.__version__}, which reads format {FORMAT}: upgrade jaxem"
        )
    with _undamaged(path):
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if header["checksum"] != _checksum(header, tensors):
            raise ValueError("its checksum is wrong")
    return header, tensors


def _checksum(header: dict[str, Any], tensors: dict[str, np.ndarray]) -> str:
    """Of the header but the checksum, and of each tensor's name, dtype, shape and bytes."""
    others = {name: value for name, value in header.items() if name != "checksum"}
    digest = hashlib.sha256(json.dumps(others, sort_keys=True, allow_nan=False).encode())
    for name, array in sorted(tensors.items()):
        digest.update(json.dumps([name, array.dtype.name, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _undamaged(path: str) -> AbstractContextManager:
    return _malformed(f"{path}: is damaged or cut short", "copy or save it again")


@contextmanager
def _malformed(what: str, remedy: str) -> Iterator[None]:
    """Turn whatever Python raises on malformed content into a one-line ValueError."""
    raised = ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError
    try:
        yield
    except (*raised, _safetensors().SafetensorError) as e:
        reason = " ".join(str(e).split())
        raise ValueError(f"{what} ({reason}); {remedy}") from None


# ---- what it holds


def _exported() -> dict[str, type]:
    """The classes that a file may name: specs and values of models, families and structures."""
    exported = [*vars(models).values(), *vars(families).values(), *map(type, STRUCTURES.values())]
    classes = {value.__name__: value for value in exported if isinstance(value, type)}
    return {
        n: kind
        for n, kind in classes.items()
        if json_tree.is_spec(kind) or json_tree.is_value(kind)
    }


def _plain(value: Any, name: str = "") -> Any:
    if not isinstance(value, _PLAIN):
        raise ValueError(f"{name} is {value!r}, which a model file cannot hold")
    return value


def _store(leaf: Any, name: str, tensors: dict[str, np.ndarray]) -> str:
    """Put a leaf among the tensors; return the name it has there."""
    array = np.asarray(leaf)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise ValueError(f"{name} has dtype {array.dtype}, which a model file cannot hold; cast it")
    while name in tensors:  # where a key of a dict has a dot
        name += "'"
    tensors[name] = np.asarray(array, array.dtype.newbyteorder("="), order="C")
    return name


def _array(array: np.ndarray) -> Any:
    """On the device, unless digits would be lost there."""
    lossless = jax.dtypes.canonicalize_dtype(array.dtype) == array.dtype
    return jnp.asarray(array) if lossless else array


def _widest(tensors: dict[str, np.ndarray]) -> str:
    return np.result_type(*(t.dtype for t in tensors.values() if t.dtype.kind == "f")).name


def _columns(columns: Any) -> tuple[str, ...] | None:
    if columns is None:
        return None
    if isinstance(columns, str) or not all(isinstance(name, str) for name in columns):
        raise ValueError(f"columns is {columns!r}; give a tuple of names")
    return tuple(columns)


def _check_columns(columns: Any, model: Model, params: Params) -> None:
    """ValueError unless there is a name for each column of x, or of x and of the covariates."""
    names = _columns(columns)
    if names is None:
        return
    row = jax.tree.leaves(emissions.like_x(model, params))
    d = sum(leaf.shape[1] if leaf.ndim == 2 else 1 for leaf in row)
    p = model.n_covariates
    if len(set(names)) != len(names) or len(names) not in (d, d + p):
        beside = f" and {p} covariates" if p else ""
        raise ValueError(
            f"columns is {columns!r}; the model is of {d} columns{beside}: name each once"
        )


def _levels(levels: Any) -> dict[str, tuple[str, ...]]:
    return {str(name): _columns(own) or () for name, own in (levels or {}).items()}


def _notes(notes: Any) -> dict[str, Any]:
    """As plain Python values; None for a number that is not finite: JSON has no word for it."""
    plain = {}
    for name, value in (notes or {}).items():
        if isinstance(value, np.generic | np.ndarray | jax.Array) and np.ndim(value) == 0:
            value = np.asarray(value).item()
        if not isinstance(name, str) or not isinstance(value, _PLAIN):
            raise ValueError(
                f"notes has {name!r}: {value!r}; give str -> str, number, bool or None"
            )
        plain[name] = None if isinstance(value, float) and not math.isfinite(value) else value
    return plain
