import jax

import jaxem
from jaxem import datasets, families, plot

jax.config.update("jax_enable_x64", True)
faithful = datasets.load_faithful()
model = jaxem.Mixture(families.Gaussian("full"), 2)
result = jaxem.fit(model, faithful.x, key=jax.random.key(0), n_init=20)

# %% jaxem.plot: likelihood_slice
weights = [0.01 * i for i in range(20, 60)]
found = jaxem.likelihood_slice(model, result.params, faithful.x, "weights[0]", weights)
ax = plot.likelihood_slice(found, "weights[0]")

# %% jaxem.plot: mixing_weights
axes = plot.mixing_weights(model, result.params, column=1, names=faithful.columns)

# %% jaxem.plot: starts
three = jaxem.Mixture(families.Gaussian("full"), 3)
ax = plot.starts(jaxem.fit(three, faithful.x, key=jax.random.key(0), n_init=20))

# %% jaxem.plot: uncertainty
ax = plot.uncertainty(model, result.params, faithful.x, names=faithful.columns)

# %% jaxem.plot: transition_matrix
chain = jaxem.HMM(families.Poisson(), n_states=2, names=("calm", "busy"))
counts = datasets.load_earthquakes().x[:, 1]
ax = plot.transition_matrix(chain, jaxem.fit(chain, counts, key=jax.random.key(0)).params)
