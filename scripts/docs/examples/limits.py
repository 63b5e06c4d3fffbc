import jax
import numpy as np

import jaxem
from jaxem import families

jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(0)

# %% jaxem.families: BinnedNormal, BinnedNormalParams
edges = (float("-inf"), 2, 3, 4, 5, 6, float("inf"))
counts = np.array([12, 64, 20, 33, 71, 24])  # rows in each bin, and no more is known of them
model = jaxem.Mixture(families.BinnedNormal(edges), 2)
start = families.BinnedNormalParams(np.array([[2.0], [5.0]]), np.ones((2, 1)))
bins = np.arange(6)
result = jaxem.em(model, jaxem.MixtureParams([0.5, 0.5], start), bins, sample_weight=counts)
print(result.params.components)

# %% jaxem.families: CensoredExponential
lives = rng.exponential(np.where(rng.random(300) < 0.5, 1.0, 12.0))
seen = np.minimum(lives, 10)  # the study ends after 10 years
went_on = (lives > 10).astype(float)
model = jaxem.Mixture(families.CensoredExponential(), 2)
result = jaxem.fit(model, (seen[:, None], went_on[:, None]), key=jax.random.key(0), n_init=5)
print(1 / result.params.components.rates)  # mean lives

# %% jaxem.families: CensoredNormal, CensoredNormalParams
level = np.where(rng.random(300) < 0.5, rng.normal(2, 1, 300), rng.normal(7, 1, 300))
below = level < 1  # the instrument sees nothing below 1
x, side = np.maximum(level, 1), -below.astype(float)
model = jaxem.Mixture(families.CensoredNormal(), 2)
result = jaxem.fit(model, (x[:, None], side[:, None]), key=jax.random.key(0), n_init=5)
print(result.params.components)  # a CensoredNormalParams

# %% jaxem.families: TruncatedExponential, TruncatedExponentialParams, TruncatedExponentialPrior
truth = families.TruncatedExponentialParams(np.array([[4.0], [-1.0]]))  # falls, and rises
model = jaxem.Mixture(families.TruncatedExponential(low=0, high=2), 2)
x, _ = jaxem.sample(model, jaxem.MixtureParams([0.5, 0.5], truth), jax.random.key(1), 500)
prior = jaxem.MixturePrior(components=families.TruncatedExponentialPrior(rows=1, mean=1))
result = jaxem.fit(model, x, key=jax.random.key(0), n_init=5, prior=prior)
print(result.params.components.rates)

# %% jaxem.families: TruncatedNormal, TruncatedNormalParams
truth = families.TruncatedNormalParams(np.array([[1.0], [6.0]]), np.array([[1.0], [1.5]]))
model = jaxem.Mixture(families.TruncatedNormal(low=0), 2)  # no row is seen below 0
x, _ = jaxem.sample(model, jaxem.MixtureParams([0.4, 0.6], truth), jax.random.key(1), 500)
result = jaxem.fit(model, x, key=jax.random.key(0), n_init=5)
print(result.summary())
