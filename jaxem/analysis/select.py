"""Choosing between models: fit all of them from many starts, and compare by a criterion."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Unpack

import numpy as np

from jaxem.analysis import criteria, grid
from jaxem.analysis.predict import likeliest
from jaxem.core import checks, framed, remarks, text_tables
from jaxem.core.column_table import ColumnTable
from jaxem.core.contracts import Model
from jaxem.core.dataset import Dataset, alike, as_dataset
from jaxem.core.inputs import waits
from jaxem.core.status import Status
from jaxem.fitting import starts
from jaxem.fitting.ahead import compiled_ahead
from jaxem.fitting.driver import noted, uncut
from jaxem.fitting.options import FitOptions, Options, Starts
from jaxem.fitting.padded_components import padded
from jaxem.fitting.plan import FitPlan, prepare
from jaxem.fitting.restarts import Moves
from jaxem.fitting.result import Result
from jaxem.models.mixture import Mixture

CRITERIA = ("aic", "bic", "icl")
_LINES = 20  # of a printout; more candidates are a table


class Candidate(NamedTuple):
    """One model of a selection, fitted: a row of its table."""

    model: Model
    result: Result
    aic: float
    bic: float
    icl: float

    @property
    def status(self) -> Status:
        return Status(int(self.result.status))


class Selection(NamedTuple):
    """The candidates in the order given, and the place of the best of them."""

    candidates: tuple[Candidate, ...]
    criterion: str
    index: int

    @property
    def best(self) -> Result:
        """The fit that is lowest in the criterion."""
        return self.candidates[self.index].result

    @property
    def model(self) -> Model:
        """The model of the best fit."""
        return self.candidates[self.index].model

    def __str__(self) -> str:
        """A line for each candidate; of many the `table` of the criterion alone."""
        if len(self.candidates) > _LINES:
            best = self.candidates[self.index]
            said = f"* lowest {self.criterion.upper()}, of {best.model!r}: {best.status.name}"
            return "\n".join([*text_tables.lines(self.table), said])
        head = ("", "model", "log-likelihood", "free", "AIC", "BIC", "ICL", "status")
        rows = [head, *(_cells(c, i == self.index) for i, c in enumerate(self.candidates))]
        left = (0, 1, len(head) - 1)
        return "\n".join([*text_tables.lines(rows, left), f"* lowest {self.criterion.upper()}"])

    def __repr__(self) -> str:
        return str(self)

    def summary(self) -> Any:
        """The candidates, a row each, in a frame where the data came in one.

            selection.summary().sort_values("bic")  # of pandas

        Columns: "model", "n_components", "log_likelihood", "n_free_parameters", "aic", "bic",
        "icl", "status". Of data in no frame a dict of such columns, which prints as a table.
        """
        names = "model", "n_components", "log_likelihood", "n_free_parameters"
        rows = [
            (
                repr(c.model),
                c.model.n_components,
                float(c.result.log_likelihood),
                int(c.result.n_free_parameters),
                c.aic,
                c.bic,
                c.icl,
                c.status.name,
            )
            for c in self.candidates
        ]
        columns = zip((*names, *CRITERIA, "status"), zip(*rows, strict=True), strict=True)
        table = {name: np.array(values) for name, values in columns}
        backend = self.best.provenance.backend
        return ColumnTable(table) if backend is None else framed.made(backend, table)

    @property
    def table(self) -> list[tuple[str, ...]]:
        """The criterion as text: a row for each kind of model, a column for each k, a head above.

        The best has a star; where a fit is no regular optimum its status stands in its place.
        """
        ks = sorted({c.model.n_components for c in self.candidates})
        kinds: dict[Model, dict[int, str]] = {}
        for i, c in enumerate(self.candidates):
            kinds.setdefault(_kind(c.model), {})[c.model.n_components] = self._cell(i)
        head = (self.criterion.upper(), *(f"k = {k}" for k in ks))
        return [
            head,
            *((_name(kind), *(own.get(k, "") for k in ks)) for kind, own in kinds.items()),
        ]

    def _cell(self, index: int) -> str:
        candidate = self.candidates[index]
        if not candidate.status.converged:
            return candidate.status.name
        value = getattr(candidate, self.criterion)
        return f"{'*' if index == self.index else ''}{float(value):.2f}"


def _name(kind: Model) -> str:
    """Its family; of another model than a mixture all that it is."""
    return repr(kind.family) if isinstance(kind, Mixture) else repr(kind)


def _cells(candidate: Candidate, best: bool) -> tuple[str, ...]:
    model, result, *values = candidate
    figures = [f"{float(value):.4f}" for value in (result.log_likelihood, *values)]
    free = str(int(result.n_free_parameters))
    mark, status = "*" if best else "", candidate.status.name
    return (mark, repr(model), figures[0], free, *figures[1:], status)


@waits
def select(
    models: Any = None,
    x: Any = None,
    *,
    key: Any,
    family: Any = None,
    covariance: Any = None,
    n_components: Any = None,
    n_init: Any = 20,
    criterion: str = "bic",
    init: Any = "portfolio",
    sample_weight: Any = None,
    labels: Any = None,
    lengths: Any = None,
    mesh: Any = None,
    **options: Unpack[FitOptions],
) -> Selection:
    """Fit every model from `n_init` starts, and take the lowest in `criterion`.

    models: specs, such as [Mixture(Gaussian(c), k) for c in ("full", "tied") for k in range(1, 9)].
        Those that differ in their number of components alone share one compilation, and each has
        further starts, which divide a component of the best fit with fewer.
    family, covariance, n_components: in the place of models, mixtures of "gaussian" or "student-t"
        with each of these structures ("all" for the fourteen of mclust), or of another family, with
        each of these numbers of components: the table of mclust is
        select(x=x, family="gaussian", covariance="all", n_components=range(1, 10), key=key).
    n_init: "auto" searches for each model as `fit` does, at most 240 starts; its moves divide
        components too, so that no further starts do.
    criterion: "bic", "aic" or "icl"; lower is better (mclust prints the opposite sign).
    The other options are those of `fit`; every model gets the same key.

    A fit that is DEGENERATE or NONFINITE never wins over a regular one, whatever its criterion.
    Errors: ValueError for bad input, before anything is fitted.
    """
    checks.one_of(criterion, CRITERIA, "criterion")
    models = _models(models, family, covariance, n_components)
    if x is None:
        raise ValueError("x is missing: give the rows, select(models, x, key=key)")
    given = sample_weight, labels, lengths, mesh
    jobs = plan(models, x, starts.begin(init, key, n_init, None), Options(**options), given)
    results: dict[int, Result] = {}
    with compiled_ahead(jobs) as ready:
        for i in sorted(range(len(jobs)), key=lambda i: jobs[i].provenance.model.n_components):
            ready(jobs[i])
            results[i] = uncut(divided(jobs[i], list(results.values())))
    chosen = compare(jobs, [results[i] for i in range(len(jobs))], criterion)
    best, found = noted(jobs[chosen.index], chosen.best)
    for remark in found:
        remarks.warn(remark)
    candidates = list(chosen.candidates)
    candidates[chosen.index] = candidates[chosen.index]._replace(result=best)
    return chosen._replace(candidates=tuple(candidates))


def _models(models: Any, *of: Any) -> Any:
    """Those that are given, or described by family, covariance and n_components."""
    if models is None:
        return grid.mixtures(*of)
    if any(value is not None for value in of):
        raise ValueError("give models, or family, covariance and n_components, not both")
    return models


def plan(
    models: Any, x: Any, begin: Starts, options: Options, beside: tuple = (None, None, None, None)
) -> list[FitPlan]:
    """A checked fit for each model, to be run as it is or in pieces.

    beside: sample_weight, labels, lengths and mesh. Models that differ in their number of parts
    alone share the room they are compiled for: that of the largest. Each has starts to spare for
    `divided`. Data is read once for all that read it alike.
    """
    models = list(models)
    if not models:
        raise ValueError("models is empty; give at least one, such as jaxem.Mixture(family, k)")
    if not isinstance(begin.init, str):
        raise ValueError(f"init is {begin.init!r}; parameters fit one model only: name a method")
    kinds = _kinds(models)
    read: list[Dataset] = []

    def data_of(model: Model) -> Dataset:
        least = model.with_n_components(min(kinds[_kind(model)]))
        there = [data for data in read if alike(data, least)]
        if not there:
            read.append(as_dataset(least, x, *beside))
            there = read[-1:]
        return as_dataset(model, there[0])

    def job(model: Model) -> FitPlan:
        n_parts = kinds[_kind(model)]
        divides = len(set(n_parts)) > 1 and begin.search is None  # a search has moves of its own
        n_split = max(n_parts) - 1 if divides else 0
        return prepare(data_of(model), options, begin._replace(n_split=n_split), max(n_parts))

    return [job(model) for model in models]


def divided(job: FitPlan, results: Sequence[Result]) -> FitPlan:
    """The plan with its last starts split from the best fit so far with fewer components.

    Each of them divides one part of that fit, the heaviest first: there the new parts begin, in
    what a k-means start would do with its rows alone. A search from k to k + 1 parts so misses
    fewer optima than starts from nothing do (split moves: Ueda et al. 2000, Neural Comput. 12).
    """
    if not job.n_split:
        return job
    model = job.provenance.model
    kind = model.with_n_components(1)
    smaller = [
        result
        for result in results
        if result.provenance.model.with_n_components(1) == kind
        and result.provenance.model.n_components < model.n_components
    ]
    if not smaller:
        return job
    nearest = max(smaller, key=lambda result: result.provenance.model.n_components)
    labels = likeliest(job.model, padded(job.model, nearest), job.rows, job.block_size)
    labels = job.data.of_starts(labels)
    heaviest = np.argsort(-np.asarray(nearest.health.count), kind="stable")
    moves: Any = job.moves  # made by the plan of starts that divide
    kept: Any = np.full(moves.kept.shape, -1, np.int32)
    for start, part in enumerate(np.resize(heaviest, job.n_split), job.n_starts - job.n_split):
        kept[start] = np.where(np.arange(kept.shape[1]) == part, -1, np.arange(kept.shape[1]))
    return job._replace(moves=Moves(labels, kept))


def _kinds(models: Sequence[Any]) -> dict[Model, list[int]]:
    """The numbers of components of each kind of model; a kind is its model with one component.

    A model that does not grow is a kind of its own.
    """
    kinds: dict[Model, list[int]] = {}
    for model in models:
        if not isinstance(model, Model):
            raise ValueError(
                f"models holds {model!r}; give specs, such as jaxem.Mixture(family, k)"
            )
        kinds.setdefault(_kind(model), []).append(model.n_components)
    return kinds


def _kind(model: Model) -> Model:
    return model.with_n_components(1) if model.nested_in_k else model


def compare(
    jobs: Sequence[FitPlan], results: Sequence[Result], criterion: str = "bic"
) -> Selection:
    """The selection between fits that are done, one for each job."""
    checks.one_of(criterion, CRITERIA, "criterion")
    candidates = tuple(_candidate(*pair) for pair in zip(jobs, results, strict=True))
    index = lowest([getattr(c, criterion) for c in candidates], [c.status for c in candidates])
    return Selection(candidates, criterion, index)


def lowest(values: Sequence[float], status: Sequence[int]) -> int:
    """Index of the lowest criterion among the regular fits, else among the degenerate ones."""
    rank = {Status.DEGENERATE: 1, Status.NONFINITE: 2}
    order = [
        (not np.isfinite(value), rank.get(Status(int(ending)), 0), value)
        for value, ending in zip(values, status, strict=True)
    ]
    return min(range(len(order)), key=lambda i: order[i][: 2 if order[i][0] else 3])


def _candidate(job: FitPlan, result: Result) -> Candidate:
    entropy = criteria.entropy(job.model, padded(job.model, result), job.rows, job.block_size)
    aic, bic = float(result.aic), float(result.bic)
    return Candidate(result.provenance.model, result, aic, bic, bic + 2 * float(entropy))
