"""Data that was read once: every verb takes a Dataset in the place of x."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core import checks, filled_rows, missing_patterns, placement, shards, tables
from jaxem.core.capabilities import describing, holes
from jaxem.core.capabilities.reading import reads_as
from jaxem.core.family import Family
from jaxem.core.inputs import owned
from jaxem.core.model import Model
from jaxem.core.rows import Rows, reordered
from jaxem.core.shards import Shards
from jaxem.core.source import WHOLE, Piece, Source, naming, sequences, whole


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Data that was read for a model, by `jaxem.read`: every verb takes it in the place of x.

    rows: on the device, in the order they came. given: what was read. layout: where its sequences
    lie in the rows; None for plain rows. weighted: whether sample weights were given.
    """

    model: Model
    rows: Rows
    given: Any
    layout: Any
    weighted: bool
    names: tuple[str, ...] | None  # of the columns of a frame
    dtype: str  # of what was given
    shards: Shards | None = None  # the devices that the rows are spread over
    memo: dict = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """How many rows, or steps of sequences."""
        return self.rows.weight.size if self.layout is None else int(self.layout.lengths.sum())

    @property
    def for_fit(self) -> Rows:
        """The rows in the order in which they are fitted fastest, filled up, over all devices."""
        return self.once(_for_fit, self.model.family)

    @property
    def for_starts(self) -> Rows:
        """The same on one device: the first of `for_fit`."""
        return self.once(_for_starts, self.model.family)

    @property
    def filled(self) -> Rows:
        """The rows filled up with rows of weight 0, so that programs fit other data too, over all
        devices."""
        return self.once(_filled)

    def of_starts(self, values: Any) -> Any:
        """(axes of the weight of `for_fit`) -> of `for_starts`."""
        if self.shards is None:
            return values
        shape = self.for_starts.weight.shape
        host = np.asarray(shards.gathered(values))
        return jax.device_put(host[tuple(slice(n) for n in shape)])

    def unfilled(self, values: Any) -> Any:
        """(axes of the filled rows' weight, ...) -> those of the rows."""
        return filled_rows.unfilled(shards.gathered(values), self.rows)

    def once(self, function: Callable[..., Any], *args: Hashable) -> Any:
        """function(data, *args), computed once and kept."""
        key = function, *args
        if key not in self.memo:
            self.memo[key] = function(self, *args)
        return self.memo[key]

    def arrange(self, values: Any) -> Any:
        """(axes of the rows' weight, ...) -> as the data came."""
        return values if self.layout is None else self.layout.arrange(values)

    def __len__(self) -> int:
        return self.n_rows

    def __repr__(self) -> str:
        what = "rows"
        if self.layout is not None:
            what = f"steps of {len(self.layout.lengths)} sequences"
        extra = [
            name
            for name, there in (
                ("weights", self.weighted),
                ("labels", self.rows.labels is not None),
            )
            if there
        ]
        more = f", with {' and '.join(extra)}" if extra else ""
        return (
            f"Dataset({self.n_rows} {what} in {self.rows.weight.dtype}{more}, for {self.model!r})"
        )


def read(
    model: Model,
    x: Any,
    sample_weight: Any = None,
    labels: Any = None,
    lengths: Any = None,
    mesh: Any = None,
) -> Dataset:
    """Read, check and copy data once: every verb takes the Dataset in the place of x.

    x, sample_weight, labels, lengths: as `fit` takes them. A Dataset serves every model that reads
    data in the same way, whatever its number of components and its covariances; pictures take it
    too. Later changes of x do not reach it.
    mesh: a `jax.make_mesh`, over all devices of which the rows, or sequences, are spread. An x that
    lies over several devices stays there.

    Errors: ValueError for bad input.
    """
    given = owned((tables.opened(x), sample_weight, labels, lengths))
    return as_dataset(model, *given, mesh=mesh)


def as_dataset(
    model: Model,
    x: Any,
    sample_weight: Any = None,
    labels: Any = None,
    lengths: Any = None,
    mesh: Any = None,
) -> Dataset:
    """x as a verb was given it; for as long as the verb runs it may be the caller's."""
    if not isinstance(model, Model):
        raise ValueError(f"model is {model!r}; give one, such as jaxem.Mixture(family, k)")
    over = None if mesh is None else shards.of_mesh(mesh)
    beside = sample_weight, labels, lengths
    if isinstance(x, Dataset):
        return _over(_serving(x, model, beside), over)
    if isinstance(x, Source):
        return _over(_of_source(x, model, beside), over)
    given = shards.automatic(tables.opened(x))
    with placement.on_host(over is not None):  # whence each device is sent its part
        rows, layout = model.read(given, *beside)
    names, dtype = (
        describing.given_names(model, given),
        tables.given_dtype(given, rows.weight.dtype),
    )
    over = shards.of_arrays(given) if over is None else over
    return Dataset(model, rows, given, layout, sample_weight is not None, names, dtype, over)


def _over(data: Dataset, over: Shards | None) -> Dataset:
    return data if over in (None, data.shards) else replace(data, shards=over, memo={})


def _of_source(source: Source, model: Model, beside: tuple) -> Dataset:
    """The Dataset of a small source; ValueError for another, which is read block by block."""
    refuse_beside(beside)
    found = whole(source)
    if found is None:
        raise ValueError(
            f"x is a source of more than {WHOLE >> 20} MB: fit, em, fit_online, e_step, "
            "log_likelihood, aic, bic, icl, standard_errors, parameter_covariance, "
            "confidence_intervals, log_prob, predict, predict_proba, viterbi, filter_states, "
            "forecast and impute read it block by block; give this verb rows in memory, such as "
            "some of them"
        )
    return replace(of_piece(model, found), names=source.names)


def of_piece(model: Model, piece: Piece, beside: bool = True) -> Dataset:
    """The rows of a source that lie together; beside: with their weights and labels."""
    x, labels = piece.x, piece.labels
    if piece.lengths is not None:
        x, labels = sequences(piece)
    with naming(piece):
        return as_dataset(model, x, *((piece.weight, labels) if beside else ()))


def refuse_beside(beside: tuple) -> None:
    """ValueError for what comes with a source, or with a Dataset, and was given again."""
    for name, value in zip(("sample_weight", "labels", "lengths"), beside, strict=True):
        if value is not None:
            raise ValueError(
                f"{name} of a source come with it: jaxem.sources.parquet(..., {name}=...)"
            )


def _serving(data: Dataset, model: Model, beside: tuple) -> Dataset:
    """The Dataset for another model; ValueError where that reads data in another way."""
    for name, value in zip(("sample_weight", "labels", "lengths"), beside, strict=True):
        if value is not None:
            raise ValueError(f"x is a Dataset, which has its {name}: give them to jaxem.read")
    if not alike(data, model):
        raise ValueError(f"x was read for {data.model!r}; for {model!r} read it again")
    return replace(data, model=model)


def as_given(x: Any) -> Any:
    """What a Dataset was read from; other data as they are."""
    return x.given if isinstance(x, Dataset) else x


def alike(data: Dataset, model: Model) -> bool:
    """Whether the model makes the same of what was read."""
    own = data.model
    if own == model:
        return True
    if type(own) is not type(model) or own.family is None:
        return False
    known = data.rows.labels is None or model.n_components >= own.n_components
    known = known and model.n_covariates == own.n_covariates
    return known and reads_as(own.family) == reads_as(model.family)


def _filled(data: Dataset) -> Rows:
    return shards.placed(data.once(_alone), data.shards)


def _alone(data: Dataset) -> Rows:
    return filled_rows.filled(data.rows)


def _for_fit(data: Dataset, family: Family | None) -> Rows:
    return shards.placed(data.once(_in_order, family), data.shards)


def _for_starts(data: Dataset, family: Family | None) -> Rows:
    """They may lie on the host, or on several devices: then on that where JAX computes."""
    rows = data.once(_in_order, family)
    if data.shards is None or not checks.is_concrete(rows):
        return rows
    return jax.tree.map(lambda leaf: jax.device_put(np.asarray(leaf)), rows)


def _in_order(data: Dataset, family: Family | None) -> Rows:
    """Host side: plain rows sorted by pattern of missing cells, in tiles where that pays."""
    rows = data.rows
    if family is None or data.layout is not None or not checks.is_concrete(rows.x):
        return data.once(_alone)
    patterns = missing_patterns.patterns(
        holes.missing_mask(family, block) for block in placement.blocks(rows.x)
    )
    if patterns is None:
        return data.once(_alone)
    index, real, tile_size = missing_patterns.by_pattern(patterns)
    shape = (-1, tile_size) if tile_size > 1 else (-1,)
    rows = reordered(rows, index.reshape(shape))
    return filled_rows.filled(rows._replace(weight=jnp.where(real.reshape(shape), rows.weight, 0)))


def with_rows(data: Dataset, rows: Rows) -> Dataset:
    """A Dataset with other rows, which have weights of their own."""
    return replace(data, rows=jax.tree.map(jnp.asarray, rows), weighted=False, memo={})
