"""Mixtures of regressions: two lines through one cloud, and nobody knows which row is on which.

The design of Leisch (2004), J. Stat. Softw. 11(8), section 5: x uniform on 0..10, half of the rows
on y = 5 x, half on y = 15 + 10 x - x^2, errors of standard deviation 3. His 200 rows come with R's
flexmix and are not ours to copy: without a file they are drawn afresh, twenty times as many. Prints
the design beside what jaxem finds, and with the file the log-likelihood that he publishes.

Run it: python scripts/example_mixture_of_regressions.py [npreg.csv]
"""

import sys

import jax
import numpy as np

import jaxem
from jaxem.families import LinearRegression

DESIGN = ((0.0, 5.0, 0.0), (15.0, 10.0, -1.0))
PUBLISHED = -642.5452  # with error variances over n - p, a little below the maximum


def drawn(n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2004)
    x = rng.uniform(0, 10, n)
    mean = np.where(np.arange(n) < n // 2, 5 * x, 15 + 10 * x - x**2)
    return x, mean + 3 * rng.standard_normal(n)


def main(path: str | None = None) -> jaxem.Result:
    jax.config.update("jax_enable_x64", True)
    if path is None:
        x, y = drawn()
    else:
        table = np.genfromtxt(path, delimiter=",", names=True)
        x, y = table["x"], table["yn"]
    X = np.stack([x, x**2], axis=1)
    model = jaxem.Mixture(LinearRegression(), 2)
    result = jaxem.fit(model, (X, y), key=jax.random.key(0), n_init=50, tol=1e-10)
    print(result)
    if path is not None:
        print(f"log-likelihood  {PUBLISHED:.4f} published")
    b, scales = result.params.components
    order = np.argsort(np.asarray(b[:, 0]))
    print("\n             intercept         x       x^2   error scale")
    for i, k in enumerate(order):
        for name, line, scale in (("design", DESIGN[i], 3.0), ("ours", b[k], scales[k])):
            cells = "".join(f"{float(value):10.4f}" for value in line)
            print(f"{name:12}{cells}{float(scale):14.4f}")
    return result


if __name__ == "__main__":
    main(*sys.argv[1:2])
