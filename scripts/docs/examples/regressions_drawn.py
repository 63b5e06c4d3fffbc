import jax
import numpy as np

import jaxem
from jaxem import families, plot

jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(0)

# %% jaxem.plot: concomitant_weights
age = rng.uniform(20, 80, 300)
size = np.where(rng.random(300) < 1 / (1 + np.exp((age - 50) / 8)), 0, 6) + rng.normal(size=300)
by_age = jaxem.Mixture(families.Gaussian("diag"), 2, concomitants=1)
params = jaxem.fit(by_age, (size, age), key=jax.random.key(0), n_init=5).params
ax = plot.concomitant_weights(by_age, params, age, names=["age"])

# %% jaxem.plot: regression
dose = rng.uniform(0, 10, 300)
answer = np.where(rng.random(300) < 0.5, 2 + 0.9 * dose, 9 - 0.3 * dose) + rng.normal(0, 0.5, 300)
lines = jaxem.Mixture(families.LinearRegression(), 2)
params = jaxem.fit(lines, (dose, answer), key=jax.random.key(0), n_init=5).params
ax = plot.regression(lines, params, (dose, answer), names=["dose", "answer"])
