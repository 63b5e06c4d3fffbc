import jax
import numpy as np

import jaxem
from jaxem import datasets, families, plot

jax.config.update("jax_enable_x64", True)
faithful = datasets.load_faithful()
model = jaxem.Mixture(families.Gaussian("full"), 2)
result = jaxem.fit(model, faithful.x, key=jax.random.key(0), n_init=20)

# %% jaxem.plot: concomitant_weights
rng = np.random.default_rng(0)
age = rng.uniform(20, 80, 300)
size = np.where(rng.random(300) < 1 / (1 + np.exp((age - 50) / 8)), 0, 6) + rng.normal(size=300)
by_age = jaxem.Mixture(families.Gaussian("diag"), 2, concomitants=1)
params = jaxem.fit(by_age, (size, age), key=jax.random.key(0), n_init=5).params
ax = plot.concomitant_weights(by_age, params, age, names=["age"])

# %% jaxem.plot: likelihood_slice
weights = [0.01 * i for i in range(20, 60)]
found = jaxem.likelihood_slice(model, result.params, faithful.x, "weights[0]", weights)
ax = plot.likelihood_slice(found, "weights[0]")

# %% jaxem.plot: mixing_weights
axes = plot.mixing_weights(model, result.params, column=1, names=faithful.columns)

# %% jaxem.plot: regression
rng = np.random.default_rng(0)
dose = rng.uniform(0, 10, 300)
answer = np.where(rng.random(300) < 0.5, 2 + 0.9 * dose, 9 - 0.3 * dose) + rng.normal(0, 0.5, 300)
lines = jaxem.Mixture(families.LinearRegression(), 2)
params = jaxem.fit(lines, (dose, answer), key=jax.random.key(0), n_init=5).params
ax = plot.regression(lines, params, (dose, answer), names=["dose", "answer"])

# %% jaxem.plot: starts
three = jaxem.Mixture(families.Gaussian("full"), 3)
ax = plot.starts(jaxem.fit(three, faithful.x, key=jax.random.key(0), n_init=20))

# %% jaxem.plot: uncertainty
ax = plot.uncertainty(model, result.params, faithful.x, names=faithful.columns)

# %% jaxem.plot: transition_matrix
chain = jaxem.HMM(families.Poisson(), n_states=2, names=("calm", "busy"))
counts = datasets.load_earthquakes().x[:, 1]
ax = plot.transition_matrix(chain, jaxem.fit(chain, counts, key=jax.random.key(0)).params)
