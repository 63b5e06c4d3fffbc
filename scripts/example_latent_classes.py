"""A latent class analysis: 1000 people, 5 questions of the Law School Admission Test, 2 classes.

Prints the published optimum (R's poLCA 1.6.0, the best of 100 repetitions) beside ours, the report,
and, where a file is named, draws the item profiles into it.

Run it: python scripts/example_latent_classes.py [profiles.png]
"""

import sys

import jax

import jaxem
from jaxem import datasets
from jaxem.families import Categorical

PUBLISHED = {"log-likelihood": -2467.405524, "G^2": 22.733925, "chi^2": 19.494726}


def main(picture: str | None = None) -> tuple[jaxem.Result, jaxem.LatentClasses]:
    jax.config.update("jax_enable_x64", True)
    lsat = datasets.load_lsat()
    model = jaxem.Mixture(Categorical(2), 2)
    result = jaxem.fit(model, lsat.x, key=jax.random.key(0), n_init=100, tol=1e-10)
    report = jaxem.latent_classes(model, result.params, lsat.x, columns=lsat.columns)
    ours = (float(result.log_likelihood), report.g2, report.chi2)
    for (name, published), own in zip(PUBLISHED.items(), ours, strict=True):
        print(f"{name:<15} published {published:.6f}, ours {own:.6f}")
    print(report)
    if picture:
        from jaxem import plot

        axes = plot.item_profiles(report)
        axes.figure.savefig(picture, dpi=120, bbox_inches="tight")
    return result, report


if __name__ == "__main__":
    main(*sys.argv[1:])
