"""What a fit returns, and how it reads."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from jaxem.core import checks, html_tables, parameters, placement
from jaxem.core.contracts import Model
from jaxem.core.names import name, of_parts
from jaxem.core.status import CONVERGED, FitError, Status, tally
from jaxem.fitting import frequencies
from jaxem.fitting.outcome import Outcome
from jaxem.fitting.restarts import Restarts
from jaxem.fitting.summary import summary

_COLLAPSED = (Status.DEGENERATE, Status.CONSTRAINED)
_NAME = 16  # letters of a printed line that are its name


@jax.tree_util.register_static
@dataclass(frozen=True)
class Provenance:
    """What a result is about; static, so that a result goes through jit and vmap."""

    model: Model
    n_rows: int
    n_columns: int
    columns: tuple[str, ...] | None
    data_dtype: str
    remarks: tuple[str, ...] = ()
    backend: str | None = None  # of narwhals, for the frame that the data came in


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """A fit: the best start, and all of them in `restarts`.

    Fits of many data sets, by `fit_many` or `fit` under `vmap`, are one Result whose arrays have a
    leading axis: `len(results)`, `results[i]` is the fit of set i, `results[4:8]` and
    `results[results.converged]` are those of several. (A tuple would be indexed by its fields.)

    log_likelihood: natural log with every constant, summed over rows by weight, of exactly these
        parameters, without the prior.
    log_posterior: the objective climbed: log-likelihood plus log prior (up to its normalising
        constant) and the reg_covar term; equal to log_likelihood without a prior.
    status: a `jaxem.Status` as int32; n_iter: M-steps, one that was refused included.
    total_weight: sum of the weights of informative rows, N of BIC; rows of NaN alone are none.
    health, collapsed: count and variance ratio of each component, and which of them are why the
        status is DEGENERATE, or are at the bound of a CONSTRAINED one; after a step that was
        refused, those that it led to.
    """

    # Of any type: JAX puts placeholders into trees too, through the constructor.
    params: Any
    log_likelihood: Any  # (*batch)
    log_posterior: Any  # (*batch)
    n_iter: Any  # (*batch)
    status: Any  # (*batch)
    health: Any  # a `Health`
    collapsed: Any  # (*batch, k)
    total_weight: Any  # (*batch)
    n_free_parameters: Any  # (*batch)
    restarts: Any  # a `Restarts`
    provenance: Provenance = field(metadata={"static": True})

    def _replace(self, **fields: Any) -> "Result":
        """As that of a NamedTuple."""
        return replace(self, **fields)

    def __len__(self) -> int:
        """How many fits; TypeError for one."""
        return len(self.status)

    def __getitem__(self, index: Any) -> "Result":
        """The fits at an index, slice or mask of the leading axis."""
        len(self)  # one fit has none
        return jax.tree.map(lambda leaf: leaf[index], self)

    def __iter__(self) -> Iterator["Result"]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return True

    @property
    def converged(self) -> Any:
        """Whether the status is CONVERGED or PRECISION."""
        return (self.status == Status.CONVERGED) | (self.status == Status.PRECISION)

    @property
    def dtype(self) -> np.dtype:
        """The dtype that the fit was computed in."""
        return np.dtype(self.log_likelihood.dtype)

    @property
    def aic(self) -> Any:
        """-2 log-likelihood + 2 p; lower is better."""
        return -2 * self.log_likelihood + 2 * self.n_free_parameters.astype(self.dtype)

    @property
    def bic(self) -> Any:
        """-2 log-likelihood + p log(total weight); lower is better (mclust's sign is reversed)."""
        p, log = self.n_free_parameters.astype(self.dtype), placement.numpy_of(self.status).log
        with np.errstate(divide="ignore", invalid="ignore"):  # of no rows
            return -2 * self.log_likelihood + p * log(self.total_weight)

    @property
    def boundary(self) -> tuple[str, ...]:
        """Numbers at the end of their range, such as "components.probabilities[0][2, 1]".

        Probabilities of 0 or 1 and rates of 0, each within 1e-6: legal optima, for which standard
        errors mean nothing. A prior is the remedy.
        """
        model, params = self.provenance.model, jax.device_get(self.params)  # nothing compiles
        marks = parameters.at_boundary(model.constraints, params, model.active(params))
        return tuple(
            name(path, at)
            for path, leaf in jax.tree.leaves_with_path(marks)
            for at in np.argwhere(np.asarray(leaf))
        )

    def summary(self, names: Any = None, levels: Any = None) -> Any:
        """The components, or states, a row each, in a frame where the data came in one.

            print(result.summary())
            result.summary(names=("short", "long")).set_index("component")  # of pandas

        Columns: what they are called; "weight", by which components fall, or of states "initial"
        and "to ..."; then the numbers of each column of the data, such as "eruptions mean" and
        "eruptions std. deviation". Of data in no frame a dict of such columns, which prints as a
        table. With noise weights are shares of the rows that are none. Where weights depend
        on covariates, "... log odds" are those against component 0.
        names: of the components as they are numbered, in place of the model's own.
        levels: what the categories of columns are called, {"smoker": ("no", "yes")}.
        Errors: ValueError for several fits, under jit, and for names of another number.
        """
        if np.ndim(self.status):
            raise ValueError(f"these are {np.size(self.status)} fits; take one, results[i]")
        model, about = self.provenance.model, self.provenance
        if names is not None:
            spec: Any = model
            model = replace(spec, names=names)
        return summary(model, self.params, about.columns, about.backend, levels)

    def raise_for_status(self) -> None:
        """FitError unless the fit converged; the text says what to do."""
        if not np.all(self.converged):
            raise FitError(self.explanation())

    def explanation(self) -> str:
        """What the status means, and which components are behind it."""
        if np.ndim(self.status):
            bad = int(np.sum(~np.asarray(self.converged)))
            return f"{bad} of {np.size(self.status)} fits did not converge; look at .status"
        status = Status(int(self.status))
        text = f"{status.name}: {status.message}"
        parts = [text, *(self._collapsed() if status in _COLLAPSED else [])]
        return "; ".join(parts)

    def _collapsed(self) -> list[str]:
        """Which components are behind the status, a line for each."""
        count, ratio = (np.asarray(leaf, float) for leaf in self.health)
        weight = float(np.sum(count))
        if not weight > 0:
            return [
                "no start has a likelihood: look for columns that are constant or duplicated, and "
                "for fewer rows than columns"
            ]
        parts, called = [], of_parts(self.provenance.model, between=" ")
        for i in np.flatnonzero(np.asarray(self.collapsed)):
            rows = f"{count[i]:.3g} of {weight:.6g} rows"
            if int(self.status) == Status.CONSTRAINED:
                parts.append(f"{called[i]} has {rows} and is at the bound")
            elif ratio[i] <= 0 and count[i] > 0.02 * weight and count[i] >= 3:
                parts.append(
                    f"{called[i]} ({rows}) is singular: a point mass of equal rows, "
                    "or columns that are constant or duplicated within it"
                )
            else:
                parts.append(f"{called[i]} has {rows} and variance ratio {ratio[i]:.2g}")
        return parts + frequencies.told(weight, self.provenance.n_rows, len(count))

    def __str__(self) -> str:
        if not checks.is_concrete(self):
            return f"a traced fit of {self.provenance.model!r}"
        if np.ndim(self.status):
            return "\n".join(self._lines_of_many())
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """The same in a notebook."""
        title, *lines = str(self).split("\n")
        return html_tables.table(title, [(line[:_NAME].strip(), line[_NAME:]) for line in lines])

    def _lines_of_many(self) -> list[str]:
        status = np.ravel(self.status)
        values = np.ravel(self.log_likelihood)[np.isin(status, CONVERGED)]
        lines = [
            f"{status.size} fits of {self.provenance.model!r}",
            f"status          {tally(status)}",
        ]
        if values.size:
            low, middle, high = np.quantile(values, [0, 0.5, 1])
            lines.append(
                f"log-likelihood  {low:.6f} to {high:.6f}, median {middle:.6f}, of those converged"
            )
        mean, most = np.mean(self.n_iter), np.max(self.n_iter)
        return [*lines, f"iterations      {mean:.1f} on average, {most} at most"]

    def _search(self) -> list[str]:
        """What several starts tell about optima that none of them came to."""
        restarts = self.restarts
        others = len(restarts.optima) - 1
        if np.size(restarts.status) == 1 or others < 0:
            return []
        given_up = int(np.sum(np.asarray(restarts.status) == Status.GIVEN_UP))
        told = [f"{others} other{'' if others == 1 else 's'} seen"]
        told += [f"{given_up} starts given up under the best"] if given_up else []
        return [
            f"optima          {'; '.join(told)}; "
            f"expected number of better ones unseen: {restarts.unseen:.2g}"
        ]

    def _lines(self) -> list[str]:
        about, restarts = self.provenance, self.restarts
        status = Status(int(self.status))
        n_starts = np.size(restarts.status)
        n_degenerate = int(np.sum(np.asarray(restarts.status) == Status.DEGENERATE))
        n_failed = int(np.sum(np.asarray(restarts.status) == Status.NONFINITE))
        lines = [
            f"{about.model!r} on {about.n_rows} rows, {about.n_columns} "
            f"column{'s' if about.n_columns > 1 else ''}",
            f"status          {self.explanation()}"
            if not status.converged
            else f"status          {status.name}",
            f"log-likelihood  {float(self.log_likelihood):.6f}",
            f"BIC             {float(self.bic):.4f}   AIC {float(self.aic):.4f}   "
            f"({int(self.n_free_parameters)} free parameters)",
            f"iterations      {int(self.n_iter)}",
            f"starts          {int(restarts.n_best)} of {n_starts} reached the best regular "
            f"optimum; {n_degenerate} degenerate, {n_failed} not finite",
            *self._search(),
            f"dtype           {self.dtype}",
        ]
        if about.data_dtype != str(self.dtype):
            lines[-1] += (
                f" (the data is {about.data_dtype}; for float64 call "
                "jax.config.update('jax_enable_x64', True) first)"
            )
        lines += [f"note            {remark}" for remark in about.remarks]
        boundary = self.boundary
        if boundary:
            shown = ", ".join(boundary[:4]) + (", ..." if len(boundary) > 4 else "")
            lines.append(f"at the boundary {len(boundary)}: {shown}")
        return lines


def gathered(best: Outcome, restarts: Restarts, provenance: Provenance) -> Result:
    """The result of a fit that is judged."""
    return Result(
        params=best.params,
        log_likelihood=best.log_likelihood,
        log_posterior=best.log_posterior,
        n_iter=best.n_iter,
        status=best.status,
        health=best.health,
        collapsed=best.collapsed,
        total_weight=best.total_weight,
        n_free_parameters=best.n_free_parameters,
        restarts=restarts,
        provenance=provenance,
    )
