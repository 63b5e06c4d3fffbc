import jax
import numpy as np

import jaxem
from jaxem import families

jax.config.update("jax_enable_x64", True)

# %% jaxem.families: Beta, BetaParams, BetaPrior
truth = families.BetaParams(means=np.array([[0.2], [0.7]]), sizes=np.array([[20.0], [10.0]]))
model = jaxem.Mixture(families.Beta(), 2)  # such as shares of a budget
shares, _ = jaxem.sample(model, jaxem.MixtureParams([0.4, 0.6], truth), jax.random.key(1), 300)
prior = jaxem.MixturePrior(components=families.BetaPrior(rows=1, mean=0.5, size=2))
result = jaxem.fit(model, shares, key=jax.random.key(0), n_init=5, prior=prior)
print(result.summary())

# %% jaxem.families: Exponential, ExponentialParams, ExponentialPrior
truth = families.ExponentialParams(rates=np.array([[2.0], [0.1]]))  # short and long waits
model = jaxem.Mixture(families.Exponential(), 2)
waits, _ = jaxem.sample(model, jaxem.MixtureParams([0.5, 0.5], truth), jax.random.key(1), 300)
prior = jaxem.MixturePrior(components=families.ExponentialPrior(shape=2, rate=1))
result = jaxem.fit(model, waits, key=jax.random.key(0), n_init=5, prior=prior)
print(result.params.components.rates)

# %% jaxem.families: Gamma, GammaParams, GammaPrior
truth = families.GammaParams(shapes=np.array([[9.0], [20.0]]), rates=np.array([[3.0], [2.0]]))
model = jaxem.Mixture(families.Gamma(), 2)  # such as weights of beans
grams, _ = jaxem.sample(model, jaxem.MixtureParams([0.3, 0.7], truth), jax.random.key(1), 300)
prior = jaxem.MixturePrior(components=families.GammaPrior(rows=1, mean=6, mean_log=1.7))
result = jaxem.fit(model, grams, key=jax.random.key(0), n_init=5, prior=prior)
print(result.params.components.shapes / result.params.components.rates)  # the means

# %% jaxem.families: InverseGaussian, InverseGaussianParams, InverseGaussianPrior
truth = families.InverseGaussianParams(np.array([[1.0], [8.0]]), np.array([[4.0], [60.0]]))
model = jaxem.Mixture(families.InverseGaussian(), 2)  # such as times to reach a threshold
times, _ = jaxem.sample(model, jaxem.MixtureParams([0.5, 0.5], truth), jax.random.key(1), 300)
prior = jaxem.MixturePrior(components=families.InverseGaussianPrior(rows=1, mean=3, shape=3))
result = jaxem.fit(model, times, key=jax.random.key(0), n_init=5, prior=prior)
print(result.summary())

# %% jaxem.families: LogNormal, LogNormalParams, LogNormalPrior
truth = families.LogNormalParams(medians=np.array([[800.0], [4000.0]]), scales=np.full((2, 1), 0.3))
model = jaxem.Mixture(families.LogNormal(), 2)  # such as incomes
incomes, _ = jaxem.sample(model, jaxem.MixtureParams([0.4, 0.6], truth), jax.random.key(1), 300)
prior = jaxem.MixturePrior(components=families.LogNormalPrior(rows=1, median=2000, scale=0.5))
result = jaxem.fit(model, incomes, key=jax.random.key(0), n_init=5, prior=prior)
print(result.params.components.medians)

# %% jaxem.families: Weibull, WeibullParams
truth = families.WeibullParams(shapes=np.array([[0.8], [6.0]]), scales=np.array([[2.0], [9.0]]))
model = jaxem.Mixture(families.Weibull(), 2)  # lifetimes: early failures, and wear
years, _ = jaxem.sample(model, jaxem.MixtureParams([0.3, 0.7], truth), jax.random.key(1), 300)
result = jaxem.fit(model, years, key=jax.random.key(0), n_init=5)
print(result.summary())
