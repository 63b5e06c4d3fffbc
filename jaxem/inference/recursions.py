"""The two ways to go through time, behind the same functions, and which of them is taken.

On a CPU step by step. An accelerator waits about as long for the kernels of one step as for those
of a round of scans: a hundred lanes of a thousand steps and five states, compiled for an H100, are
some 12,000 launches an iteration step by step, and 150 by scans. Those do k^3 work for each step of
each lane, which decides where there are many states or lanes.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax

from jaxem.inference import associative, forward_backward, viterbi
from jaxem.inference.forward_backward import block_length

AUTO = "auto"
_WORK = 1 << 20  # lanes k^3 up to which scans take less time than a step's kernels, about
_NUMBERS = 1 << 27  # steps lanes k^3 up to which memory holds what scans make


class Recursion(NamedTuple):
    """smooth -> Posterior; log_filter -> (log c[t], log alpha[t]); viterbi -> (path, terms)."""

    smooth: Callable
    log_filter: Callable
    viterbi: Callable


RECURSIONS = {
    "sequential": Recursion(forward_backward.smooth, forward_backward.log_filter, viterbi.viterbi),
    "associative": Recursion(associative.smooth, associative.log_filter, associative.viterbi),
}
# Of several paths that are equally likely, steps follow one.
_SCANS = RECURSIONS["associative"]._replace(viterbi=viterbi.viterbi)


def on_accelerator() -> bool:
    return jax.default_backend() != "cpu"


def by_scans(name: str, k: int, steps: int, lanes: int) -> bool:
    """Whether the recursion of that name is associative; "auto" depends on the shapes."""
    if name != AUTO:
        return name == "associative"
    work = lanes * k**3
    return on_accelerator() and work <= _WORK and steps * work <= _NUMBERS


def of(name: str, k: int, steps: int, lanes: int) -> Recursion:
    if name != AUTO:
        return RECURSIONS[name]
    return _SCANS if by_scans(name, k, steps, lanes) else RECURSIONS["sequential"]


def numbers_per_lane(name: str, k: int, steps: int, lanes: int, each: int) -> int:
    """About how many numbers an E-step makes of each lane, `each` of them of each step's x."""
    if by_scans(name, k, steps, lanes):
        return steps * (each + 6 * k + 4 * k**2 + k**3 // 2)
    return block_length(steps) * (each + 6 * k)
