import jax
import numpy as np

import jaxem
from jaxem import datasets, families

jax.config.update("jax_enable_x64", True)

# %% jaxem: ConcomitantMixtureParams
rng = np.random.default_rng(0)
age = rng.uniform(20, 80, 300)
x = np.where(rng.random(300) < 1 / (1 + np.exp((age - 50) / 8)), 0, 6) + rng.normal(size=300)
model = jaxem.Mixture(families.Gaussian("diag"), 2, concomitants=1)  # weights depend on the age
result = jaxem.fit(model, (x[:, None], age[:, None]), key=jax.random.key(0), n_init=5)
weights, components, coefficients = result.params  # a ConcomitantMixtureParams
print(coefficients)  # (2, 2): intercept and slope of log w[k] / w[0]

# %% jaxem: NoisyConcomitantMixtureParams
rng = np.random.default_rng(0)
age = rng.uniform(20, 80, 300)
x = np.where(rng.random(300) < 1 / (1 + np.exp((age - 50) / 8)), 0, 6) + rng.normal(size=300)
x = np.where(rng.random(300) < 0.1, rng.uniform(-30, 30, 300), x)  # and a tenth anywhere
model = jaxem.Mixture(families.Gaussian("diag"), 2, noise=True, concomitants=1)
result = jaxem.fit(model, (x[:, None], age[:, None]), key=jax.random.key(0), n_init=5)
# A NoisyConcomitantMixtureParams.
print(result.params.noise.share, result.params.components.means.ravel())

# %% jaxem: Noise, NoisyMixtureParams
rng = np.random.default_rng(0)
x = np.concatenate([rng.normal(0, 1, (150, 2)), rng.uniform(-9, 9, (30, 2))])
model = jaxem.Mixture(families.Gaussian("full"), 1, noise=True)
result = jaxem.fit(model, x, key=jax.random.key(0), n_init=5)
share, low, high = result.params.noise  # of a NoisyMixtureParams, a Noise
print(f"{share:.3f} of the rows are noise, in the box from {low} to {high}")

# %% jaxem: HMMParams, HMMPrior
rates = families.PoissonParams(np.array([[2.0], [9.0]]))
transition = np.array([[0.9, 0.1], [0.2, 0.8]])
truth = jaxem.HMMParams(np.array([0.5, 0.5]), transition, rates)
model = jaxem.HMM(families.Poisson(), n_states=2)
counts, states = jaxem.sample(model, truth, jax.random.key(1), 200)  # one sequence
prior = jaxem.HMMPrior(sticky=5)  # states stay longer
result = jaxem.fit(model, counts, key=jax.random.key(0), n_init=5, prior=prior)
print(result.params.transition)

# %% jaxem: MixedColumns
import pandas

frame = pandas.DataFrame({"size": [3.1, 2.9, 7.2, None], "colour": ["red", None, "blue", "blue"]})
columns = jaxem.mixed_columns(frame)  # a MixedColumns
print(columns.family)
print(columns.levels)
print(columns.read(frame)["categories"])  # codes, and -1 for a hole

# %% jaxem: Dataset
x = datasets.load_faithful().x
model = jaxem.Mixture(families.Gaussian("full"), 2)
data = jaxem.read(model, x)  # a Dataset: checked, and on the device
result = jaxem.fit(model, data, key=jax.random.key(0), n_init=5)
labels = jaxem.predict(model, result.params, data)  # reads nothing again
print(np.bincount(labels))
