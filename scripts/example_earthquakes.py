"""A hidden Markov model of counts: major earthquakes a year, 1900 to 2006, with two to four states.

Prints what Zucchini, MacDonald and Langrock (2016), Hidden Markov Models for Time Series, have
beside ours: the chain starts in its stationary law. Then the decoded states of three.

Run it: python scripts/example_earthquakes.py
"""

import jax
import numpy as np

import jaxem
from jaxem import datasets
from jaxem.families import Poisson

PUBLISHED = {2: 342.3183, 3: 329.4603, 4: 327.8316}  # - log-likelihood


def main(largest: int = 4) -> dict[int, float]:
    jax.config.update("jax_enable_x64", True)
    years, counts = datasets.load_earthquakes().x.T
    ours = {}
    for k in range(2, largest + 1):
        model = jaxem.HMM(Poisson(), k, initial="stationary")
        result = jaxem.fit(
            model, counts, key=jax.random.key(0), n_init=50, tol=1e-10, max_iter=5000
        )
        ours[k] = -float(result.log_likelihood)
        rates = np.sort(np.asarray(result.params.emissions.rates)[:, 0])
        print(
            f"k = {k}: -log L published {PUBLISHED[k]:.4f}, ours {ours[k]:.4f}, "
            f"BIC {float(result.bic):.2f}, rates {', '.join(f'{rate:.3f}' for rate in rates)}"
        )
        if k == 3:
            three = model, result.params
    model, params = three
    path, log_joint = jaxem.viterbi(model, params, counts)
    print(f"\nmost likely path of three states, log p(z, x) {float(log_joint):.4f}")
    print(jaxem.occupancy(model, params, counts))
    rates, path = np.asarray(params.emissions.rates)[:, 0], np.asarray(path)
    ends = np.flatnonzero(np.diff(path, append=-1))
    for first, last in zip([0, *(ends[:-1] + 1)], ends, strict=True):
        print(f"{years[first]:.0f} to {years[last]:.0f}: {rates[path[last]]:.1f} a year")
    return ours


if __name__ == "__main__":
    main()
