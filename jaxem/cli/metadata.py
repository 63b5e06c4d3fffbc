"""What is kept of a fit beside its parameters, as plain values, and how that reads."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxem.cli.progress import Run
from jaxem.core.status import Status
from jaxem.fitting.result import Result

_WORDS = {
    "log_likelihood": ("log-likelihood", "{log_likelihood:.6f}"),
    "log_posterior": ("log-posterior", "{log_posterior:.6f}"),
    "aic": ("AIC", "{aic:.4f}"),
    "bic": ("BIC", "{bic:.4f} (lower is better)"),
    "n_free_parameters": ("free parameters", "{n_free_parameters}"),
    "n_best": ("starts at the best", "{n_best} of {n_starts} (within 1e-6 relative, or tol)"),
    "n_optima": ("optima", "{n_optima}; expected number of better ones unseen: {unseen:.2g}"),
    "n_degenerate": ("degenerate starts", "{n_degenerate}"),
    "n_boundary": ("at the boundary", "{n_boundary} numbers, such as probabilities of 0"),
    "n_iter": ("iterations", "{n_iter}"),
    "seconds": ("seconds", "{seconds:.1f}"),
    "n_rows": ("rows", "{n_rows}"),
    "n_counted": ("rows that count", "{n_counted:g}"),
    "noise": ("rows that are noise", "{noise:.4g} of all"),
    "missing": ("missing cells", "{missing}"),
    "concomitants": ("weights depend on", "{concomitants}"),
    "n_sequences": ("sequences", "{n_sequences}"),
    "group_by": ("told apart by", "{group_by}"),
    "order_by": ("in the order of", "{order_by}"),
    "step": ("in steps of", "{step}"),
}
_WITHIN = ("n_starts", "unseen")  # shown within the words of another


def of(run: Run, about: str, seed: int) -> dict[str, Any]:
    """The notes of a model file."""
    result = run.result
    counted = float(result.total_weight)
    penalised = abs(result.log_posterior - result.log_likelihood) > 0
    return {
        "data": about,
        "n_rows": result.provenance.n_rows,
        **({"n_counted": counted} if counted < result.provenance.n_rows else {}),
        "log_likelihood": float(result.log_likelihood),
        **({"log_posterior": float(result.log_posterior)} if penalised else {}),
        "aic": float(result.aic),
        "bic": float(result.bic),
        **({"noise": float(result.params.noise.share)} if result.provenance.model.n_beside else {}),
        "n_free_parameters": int(result.n_free_parameters),
        "n_starts": run.n_starts,
        "n_best": int(result.restarts.n_best),
        "n_optima": len(result.restarts.optima),
        "unseen": result.restarts.unseen,
        "n_degenerate": count(result, Status.DEGENERATE),
        **({"n_boundary": len(result.boundary)} if result.boundary else {}),
        "n_iter": int(result.n_iter),
        "seed": seed,
        "dtype": str(result.dtype),
        "seconds": run.seconds,
        "status": ending(run),
    }


def words(notes: Mapping[str, Any]) -> dict[str, str]:
    """Names and values as people read them; what is not known to `of` stays as it is."""
    found = {}
    for name, value in notes.items():
        label, form = _WORDS.get(name, (name, ""))
        try:
            text = form.format_map(notes) if form else str(value)
        except (KeyError, TypeError, ValueError):  # a file may hold anything under these names
            text = str(value)
        if name not in _WITHIN:
            found[label] = text
    return found


def ending(run: Run) -> str:
    """The status in a word or two."""
    status = Status(int(run.result.status))
    if run.complete:
        return status.name
    # Starts that were on their way count as out of iterations.
    return "interrupted" if status == Status.MAX_ITER else f"{status.name}, interrupted"


def count(result: Result, status: Status) -> int:
    """How many starts ended so."""
    return int(np.sum(np.asarray(result.restarts.status) == status))
