"""Peak memory of a first fit beyond the data, with compilation, in a fresh process for each n.

What does not grow from line to line does not depend on n; weights take 4 bytes a row.
"""

import argparse
import subprocess
import sys

import jax
import numpy as np

import jaxem
from benchmarks.harness import peak_memory_mb
from jaxem.families import Gaussian

D, K = 8, 16


def measure(n: int) -> None:
    rng = np.random.default_rng(0)
    x = jax.device_put(rng.standard_normal((n, D), np.float32))
    model = jaxem.Mixture(Gaussian("full"), K)
    peak = peak_memory_mb(lambda: jaxem.fit(model, x, key=jax.random.key(0), n_init=2, max_iter=2))
    print(f"n={n} d={D} k={K} float32: data {x.nbytes / 1e6:.0f} MB, beyond it {peak:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int)
    n = parser.parse_args().n
    if n is not None:
        measure(n)
        return
    for size in (250_000, 1_000_000, 4_000_000):
        subprocess.run([sys.executable, "-m", "benchmarks.memory", "--n", str(size)], check=True)


if __name__ == "__main__":
    main()
