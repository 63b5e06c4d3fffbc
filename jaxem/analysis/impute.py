"""Filling cells that were not observed, from what was observed of their rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxem.analysis import filling
from jaxem.analysis.in_pieces import cut
from jaxem.core import checks, emissions, remarks
from jaxem.core.capabilities import imputing
from jaxem.core.contracts import Model, Params, Prior
from jaxem.core.dataset import Dataset, refuse_beside
from jaxem.core.inputs import waits
from jaxem.core.source import Piece, Source, naming, sequences
from jaxem.fitting import identified
from jaxem.fitting.identified import Open


@waits
def impute(
    model: Model,
    params: Params,
    x: Any,
    *,
    key: Any = None,
    n_draws: int | None = None,
    lengths: Any = None,
    prior: Prior | None = None,
) -> Any:
    """x with its holes (NaN) filled by what is expected given the rest of the row.

    E[x_h | x_o] = sum_k P(k | x_o) E[x_h | x_o, k]

    For categories and 0/1 the likeliest value, for angles the mean direction; a mean of counts need
    not be whole. What was observed comes back bit for bit; a row of holes alone gets the mean of
    the mixture, a step of a sequence that of its smoothed states.
    key, n_draws: instead, tables drawn from the conditional distribution given the parameters, with
        a leading axis (n_draws, n, d): how uncertain a filled cell is, and what multiple imputation
        takes. They leave out that the parameters are estimates: draw those too (`bootstrap`) where
        that counts.
    x: as the model takes it; a model that was fitted to whole rows fills holes too. A frame comes
        back as one, its other columns as they were; of draws there is a list of frames. Of (x, Z),
        with covariates, x comes back alone. Of a source a source, whose rows are filled each time
        they are read: `jaxem.sources.to_parquet` writes it, and every verb takes it. Draws need
        rows in memory.
    prior: that of the fit, where it had one.

    A hole stays NaN, with a UserWarning, where no row of its component, of several rows that there
    are, has that column: what a fit to these rows says of it there is what its start made of it.
    Only a prior, or rows that have it, tell what to expect.
    Errors: ValueError for families that allow no missing cells (regressions, multinomials).
    Source: Little and Rubin (2002), Statistical Analysis with Missing Data, section 11.2.
    """
    if (key is None) != (n_draws is None):
        raise ValueError("give key and n_draws together: both for draws, none for expected values")
    if key is not None:
        checks.key(key)
        checks.whole(n_draws, "n_draws", least=1)
    imputing.imputes(emissions.with_holes(model).family).check_imputable()
    if isinstance(x, Source):
        if key is not None:
            raise ValueError("draws of a source do not fit into memory: give key and n_draws with "
                             "rows in memory, such as a piece of it")  # fmt: skip
        refuse_beside((None, None, lengths))
        return _filled(model, params, x, prior)
    data = filling.read(model, x, lengths)
    params = data.model.as_params(params, data.rows)
    found = filling.left_open(data, params, prior)
    _warn(found, data, data.names)
    return filling.completed(data, params, found, key, n_draws)


def _warn(found: Open, data: Dataset, names: Any) -> None:
    for remark in identified.remarks(found, data.rows, names):
        remarks.warn(f"{remark}; its holes stay NaN")


@dataclass(frozen=True, eq=False)
class Filled(Source):
    """The rows of a source, their holes filled when they are read. left_open: by all rows."""

    source: Source
    model: Model
    params: Params
    left_open: Open
    names: tuple[str, ...] | None
    fingerprint: str = ""  # another model fills in other numbers

    @property
    def levels(self) -> Mapping[str, tuple[str, ...]]:
        return self.source.levels

    @property
    def column_names(self) -> tuple[str, ...] | None:
        return self.source.column_names

    def pieces(self, first: int = 0) -> Iterator[Piece]:
        for piece in cut(self.source.pieces(first)):
            with naming(piece):
                data = _read(self.model, piece)
                params = data.model.as_params(self.params, data.rows)
                x = filling.completed(data, params, self.left_open)
            yield piece._replace(x=_end_to_end(x))

    def cuts(self, n: int) -> np.ndarray:
        return self.source.cuts(n)


def _filled(model: Model, params: Params, source: Source, prior: Prior | None) -> Filled:
    """Every row is read once, for what all of them leave open."""
    counts, data = [], None
    for piece in cut(source.pieces()):
        with naming(piece):
            data = _read(model, piece)
            counts += filling.counted(data, data.model.as_params(params, data.rows))
    if data is None:
        raise ValueError("the source has no rows; there is nothing to fill")
    found = filling.open_in_parts(data, counts, prior)
    _warn(found, data, source.names)
    return Filled(source, model, params, found, source.names)


def _read(model: Model, piece: Piece) -> Dataset:
    data = filling.read(model, piece.x if piece.lengths is None else sequences(piece)[0])
    if data.layout is not None and piece.lengths is None:
        raise ValueError(f"{model!r} is of sequences: tell which rows of the source they are")
    return data


def _end_to_end(x: Any) -> Any:
    """Of sequences, in a list."""
    return jax.tree.map(lambda *own: np.concatenate(own), *x) if isinstance(x, list) else x
