"""What a model says of each row of a source, as another source: too much to hold, it is written."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from jaxem.analysis import decode, predict
from jaxem.analysis.in_pieces import cut
from jaxem.core import names
from jaxem.core.contracts import Model, Params
from jaxem.core.dataset import Dataset, of_piece
from jaxem.core.inputs import owned
from jaxem.core.source import Piece, Source, numbered


def annotate(model: Model, params: Params, source: Any, *, keep: bool = True) -> Source:
    """A source of the same rows with what the model says of them, such as to be written:

        sources.to_parquet(jaxem.annotate(model, params, source), "annotated.parquet")

    Columns, after those of the source: component, as `predict` has it; the probability of each,
    called as the components are, component_0, component_1, ...; log_density, as `log_prob` has it.
    Of an HMM state, of the likeliest path of each sequence, and the probability of each state.
    A name that is taken gets an underscore.

    keep: with the columns of the source. Rows are read, and told of, when the result is.
    Errors: ValueError where source is none; for rows and params that disagree when they are read.
    """
    if not isinstance(source, Source):
        raise ValueError(
            f"source is a {type(source).__name__}; give a source, such as jaxem.sources.npy(path); "
            "of rows in memory predict, predict_proba and log_prob tell"
        )
    return Annotated(model, owned(params), source, keep, None, "")


@dataclass(frozen=True, eq=False)
class Annotated(Source):
    """keep: whether the columns of the source come too."""

    model: Model
    params: Params
    source: Source
    keep: bool
    names: tuple[str, ...] | None
    fingerprint: str

    @property
    def levels(self) -> Mapping[str, tuple[str, ...]]:
        return self.source.levels if self.keep else {}

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        found = [*self._given()] if self.keep else []
        for name in _said(self.model):
            while name in found:
                name += "_"
            found.append(name)
        return tuple(found)

    def _given(self) -> Sequence[str]:
        known = self.source.column_names
        return numbered(next(self.source.pieces()).x) if known is None else known

    def pieces(self, first: int = 0) -> Iterator[Piece]:
        for piece in cut(self.source.pieces(first)):
            data = of_piece(self.model, piece, beside=False)
            if data.layout is not None and piece.lengths is None:
                raise ValueError(f"{self.model!r} is of sequences: tell which rows they are")
            own = _of_rows(data, self.params)
            yield piece._replace(x=(piece.x, own) if self.keep else own)

    def cuts(self, n: int) -> np.ndarray:
        return self.source.cuts(n)


def _said(model: Model) -> tuple[str, ...]:
    alone = (model.part, *names.of_parts(model))
    return alone if model.part == "state" else (*alone, "log_density")


def _of_rows(data: Dataset, params: Params) -> tuple[np.ndarray, ...]:
    """Arrays of these columns."""
    model = data.model
    if data.layout is not None:
        path, shares = decode.viterbi(model, params, data)[0], predict.smooth(model, params, data)
        own = [np.concatenate(path), np.concatenate(shares)]
    else:
        verbs = predict.predict, predict.predict_proba, predict.log_prob
        own = [np.asarray(verb(model, params, data)) for verb in verbs]
    return tuple(of.reshape(len(of), -1) for of in own)
