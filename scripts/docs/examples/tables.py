import jax
import numpy as np

import jaxem
from jaxem import datasets, families, sources

jax.config.update("jax_enable_x64", True)

# %% jaxem.datasets: Dataset, load_iris
iris = datasets.load_iris()  # a Dataset
print(iris.x.shape, iris.columns)
print(np.bincount(iris.labels), iris.origin)

# %% jaxem.datasets: load_galaxies
galaxies = datasets.load_galaxies()
model = jaxem.Mixture(families.Gaussian("tied"), 3)
result = jaxem.fit(model, galaxies.x, key=jax.random.key(0), n_init=5)
print(result.params.components.means)  # in 1000 km/s

# %% jaxem.sources: arrow
import pyarrow as pa

table = pa.table(dict(zip(("eruptions", "waiting"), datasets.load_faithful().x.T, strict=True)))
source = sources.arrow(lambda: table.to_reader(max_chunksize=100), columns=["eruptions", "waiting"])
model = jaxem.Mixture(families.Gaussian("full"), 2)
print(jaxem.fit(model, source, key=jax.random.key(0), n_init=5).params.weights)


# %% jaxem.sources: batches
def days():
    """Yields the rows of each of four days, the same at every call."""
    for day in range(4):
        rng = np.random.default_rng(day)
        yield rng.poisson(2 + 10 * (rng.random(100) < 0.5))[:, None].astype(float)


model = jaxem.Mixture(families.Poisson(), 2)
result = jaxem.fit(model, sources.batches(days), key=jax.random.key(0), n_init=5)
print(result.params.components.rates)

# %% jaxem.sources: Source, to_parquet
x = datasets.load_faithful().x.copy()
x[::5, 1] = np.nan  # holes
source = sources.batches(lambda: iter(np.array_split(x, 3)))  # a Source
model = jaxem.Mixture(families.Gaussian("full", missing=True), 2)
params = jaxem.fit(model, source, key=jax.random.key(0), n_init=5).params
sources.to_parquet(jaxem.impute(model, params, source), "filled.parquet")

import pyarrow.parquet

print(pyarrow.parquet.read_table("filled.parquet").shape)
