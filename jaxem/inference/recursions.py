"""The two ways to go through time, behind the same functions."""

from collections.abc import Callable
from typing import NamedTuple

from jaxem.inference import associative, forward_backward, viterbi


class Recursion(NamedTuple):
    """smooth -> Posterior; log_filter -> (log c[t], log alpha[t]); viterbi -> (path, terms)."""

    smooth: Callable
    log_filter: Callable
    viterbi: Callable


RECURSIONS = {
    "sequential": Recursion(forward_backward.smooth, forward_backward.log_filter, viterbi.viterbi),
    "associative": Recursion(associative.smooth, associative.log_filter, associative.viterbi),
}
