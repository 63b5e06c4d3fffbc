"""How many starts to run as lanes of one vmapped loop: seconds by chunk size, for several shapes.

Prints, for each case, the median time of all starts for each chunk over that of chunks of one.
"""

import statistics
from dataclasses import replace

import jax
import numpy as np

import jaxem
from benchmarks.timing import timed
from jaxem.core.dataset import as_dataset
from jaxem.families import Gaussian
from jaxem.fitting import driver as fitting
from jaxem.fitting.options import Options, Starts
from jaxem.fitting.plan import prepare

STARTS = 100
CASES = ((150, 4, 3), (272, 2, 3), (1000, 1, 2), (5000, 1, 2))
CHUNKS = (1, 2, 10, 50, 100)


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(0)
    for n, d, k in CASES:
        x = rng.normal(size=(n, d)) + 4.0 * rng.integers(0, k, n)[:, None]
        model = jaxem.Mixture(Gaussian("full"), k)
        begin = Starts("portfolio", jax.random.key(0), STARTS)
        job = prepare(as_dataset(model, x), Options(), begin)
        seconds = {}
        for chunk in CHUNKS:
            execution = replace(job.execution, chunk=chunk)
            cut = job._replace(execution=execution, n_threads=1)
            state = fitting.start(job)
            timed(lambda: fitting.advance(cut, state, 1000))  # noqa: B023
            runs = [timed(lambda: fitting.advance(cut, state, 1000))[0] for _ in range(5)]  # noqa: B023
            seconds[chunk] = statistics.median(runs)
        ratios = "   ".join(f"{c}: {seconds[c] / seconds[1]:.2f}" for c in CHUNKS)
        print(f"n={n} d={d} k={k}   {seconds[1]:.3f} s one by one   relative to that   {ratios}")


if __name__ == "__main__":
    main()
