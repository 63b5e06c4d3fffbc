"""A table of mixed columns: 200 crabs, five sizes in mm, and their sex.

The sizes are blocks of a Gaussian, the sex is yes or no; the species is held back and compared with
the components that are found. Sizes grow together with age: dividing by the carapace width leaves
the shape, as Ripley (1996), Pattern Recognition and Neural Networks, section 9.1, does with these
crabs, whose two species Campbell and Mahon (1974) told apart.

Run it: python scripts/example_mixed_columns.py
"""

import jax
import numpy as np

import jaxem
from jaxem import datasets
from jaxem.families import Bernoulli, Gaussian, Product

KINDS = ("blue female", "blue male", "orange female", "orange male")


def main() -> tuple[jaxem.Result, np.ndarray]:
    """-> (the fit of four components, the table of species and sex by component)."""
    jax.config.update("jax_enable_x64", True)
    crabs = datasets.load_crabs()
    width = crabs.columns.index("CW")
    sizes = np.log(crabs.x[:, 1:])
    shape = np.delete(sizes - sizes[:, width - 1 : width], width - 1, axis=1)
    table = {"male": crabs.x[:, :1], "shape": shape}
    family = Product({"male": Bernoulli(), "shape": Gaussian("full")})
    models = [jaxem.Mixture(family, k) for k in range(1, 7)]
    selection = jaxem.select(models, table, key=jax.random.key(0), n_init=100)
    print(selection, "\n")
    result = selection.candidates[3].result
    labels = np.asarray(jaxem.predict(result.provenance.model, result.params, table))
    kinds = 2 * crabs.labels + crabs.x[:, 0].astype(int)
    counts = np.array([np.bincount(labels[kinds == kind], minlength=4) for kind in range(4)])
    print("published species and sex, by component")
    for name, row in zip(KINDS, counts, strict=True):
        print(f"{name:16}{row}")
    print(f"{counts.max(1).sum()} of {len(labels)} crabs are with the others of their kind")
    return result, counts


if __name__ == "__main__":
    main()
