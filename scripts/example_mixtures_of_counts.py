"""Poisson mixtures: major earthquakes a year, 1900 to 2006, with one to four rates.

Prints what Zucchini and MacDonald (2009), Hidden Markov Models for Time Series, table 1.2, have
beside ours.

Run it: python scripts/example_mixtures_of_counts.py
"""

import jax

import jaxem
from jaxem import datasets
from jaxem.families import Poisson

PUBLISHED = {1: 391.9189, 2: 360.3690, 3: 356.8489, 4: 356.7337}  # - log-likelihood


def main() -> dict[int, float]:
    jax.config.update("jax_enable_x64", True)
    counts = datasets.load_earthquakes().x[:, 1]
    ours = {}
    for k, published in PUBLISHED.items():
        model = jaxem.Mixture(Poisson(), k)
        result = jaxem.fit(model, counts, key=jax.random.key(0), n_init=12, tol=1e-10)
        ours[k] = -float(result.log_likelihood)
        rates = sorted(float(rate) for rate in result.params.components.rates[:, 0])
        print(
            f"k = {k}: -log L published {published:.4f}, ours {ours[k]:.4f}, "
            f"rates {', '.join(f'{rate:.3f}' for rate in rates)}"
        )
    return ours


if __name__ == "__main__":
    main()
