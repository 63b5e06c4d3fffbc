"""A fit of rows in memory that is kept in a file, from which it goes on with the same bits."""

from collections.abc import Iterator
from typing import Any

import jax

from jaxem.core import checks
from jaxem.core.files import check_writable
from jaxem.fitting import launch, termination
from jaxem.fitting.bundles import Bundle
from jaxem.fitting.checkpoint import Checkpoint, about_fit, digest
from jaxem.fitting.plan import FitPlan

_SECONDS = 1.0  # between two looks at whether it is to be saved


def kept_in(job: FitPlan, checkpoint: Any) -> FitPlan:
    """The plan, whose `pieces` keep the fit in a file. Errors: OSError where it cannot be written;
    ValueError for values that are traced, and for rows over several processes."""
    if not checks.is_concrete(job.rows, job.prior, job.params, job.key, job.tol, job.max_iter):
        raise ValueError("checkpoint keeps numbers: leave it out under jit, vmap or grad")
    if job.rows.shards is not None and jax.process_count() > 1:
        raise ValueError(
            "a checkpoint of rows in memory is of one process; give several a source, such as "
            "jaxem.sources.npy(path), which each reads its share of"
        )
    check_writable(checkpoint)
    return job._replace(checkpoint=checkpoint)


def pieces(job: FitPlan, states: Bundle, seconds: float | None) -> Iterator[Bundle]:
    """As `launch.pieces`, and first the states that the file has."""
    with termination.awaited():
        checkpoint = Checkpoint(job.checkpoint, _about(job))
        kept = checkpoint.load(jax.device_get(states))
        if kept is not None:
            over = job.rows.shards
            states = kept.states if over is None else over.replicated(kept.states)
            yield states
        later = states
        for later in launch.pieces(job, states, job.max_iter, seconds or _SECONDS):
            if checkpoint.due or termination.asked():
                checkpoint.save(jax.device_get(later))
            termination.heed(checkpoint.path)
            yield later
        checkpoint.save(jax.device_get(later))


def _about(job: FitPlan) -> dict[str, str]:
    over = job.rows.shards
    return about_fit(job, digest(job.rows), f"{job.group} {1 if over is None else over.n}")
