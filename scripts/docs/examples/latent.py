import jax
import numpy as np

import jaxem
from jaxem import datasets, families

jax.config.update("jax_enable_x64", True)

# %% jaxem: LatentClasses
lsat = datasets.load_lsat()
model = jaxem.Mixture(families.Categorical(2), 2)
params = jaxem.fit(model, lsat.x, key=jax.random.key(0), n_init=5).params
report = jaxem.latent_classes(model, params, lsat.x, columns=lsat.columns)  # a LatentClasses
print(report)

# %% jaxem: Occupancy
counts = datasets.load_earthquakes().x[:, 1]
chain = jaxem.HMM(families.Poisson(), n_states=2)
params = jaxem.fit(chain, counts, key=jax.random.key(0), n_init=5).params
occupancy = jaxem.occupancy(chain, params, counts)  # an Occupancy
print(occupancy.shares)
print(occupancy.dwell_times)  # expected years of a stay

# %% jaxem: varimax
rng = np.random.default_rng(0)
words, numbers = rng.normal(size=(2, 300))  # two abilities, behind six marks
marks = np.stack([words, words, words + numbers, numbers, numbers, numbers], axis=1)
marks += rng.normal(0, 0.5, marks.shape)
model = jaxem.Mixture(families.FactorAnalyzer(n_factors=2), 1)
params = jaxem.fit(model, marks, key=jax.random.key(0), n_init=5).params
rotated = jaxem.varimax(model, params)  # the same density
print(rotated.components.loadings[0].round(2))  # (6, 2)

# %% jaxem: promax, Oblique
rng = np.random.default_rng(0)
words, numbers = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 300).T  # correlated
marks = np.stack([words, words, words, numbers, numbers, numbers], axis=1)
marks += rng.normal(0, 0.5, marks.shape)
model = jaxem.Mixture(families.FactorAnalyzer(n_factors=2), 1)
params = jaxem.fit(model, marks, key=jax.random.key(0), n_init=5).params
oblique = jaxem.promax(model, params)  # an Oblique
print(oblique.loadings[0].round(2))
print(oblique.correlations[0].round(2))  # of the two factors
