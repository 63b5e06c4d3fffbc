import jax
import numpy as np

import jaxem
from jaxem import families

jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(0)
age = rng.uniform(-1, 1, 400)
first = rng.random(400) < 0.5  # which of two groups, not seen by the fit

# %% jaxem.families: LinearRegression, LinearRegressionParams, LinearRegressionPrior
y = np.where(first, 1 + 3 * age, 2 - age) + rng.normal(0, 0.3, 400)
model = jaxem.Mixture(families.LinearRegression(), 2)
prior = jaxem.MixturePrior(components=families.LinearRegressionPrior(precision=0.01))
result = jaxem.fit(model, (age[:, None], y), key=jax.random.key(0), n_init=5, prior=prior)
coefficients, scales = result.params.components  # a LinearRegressionParams
print(coefficients)  # intercept and slope of each line

# %% jaxem.families: LogisticRegression, LogisticRegressionParams, RegressionPrior
X = np.stack([age, rng.normal(size=400), rng.normal(size=400)], axis=1)
log_odds = np.where(first, 8 * X[:, 0], 4 - 8 * X[:, 1])
y = (rng.random(400) < 1 / (1 + np.exp(-log_odds))).astype(float)
model = jaxem.Mixture(families.LogisticRegression(), 2)
prior = jaxem.MixturePrior(components=families.RegressionPrior(precision=0.01))
result = jaxem.fit(model, (X, y), key=jax.random.key(0), n_init=5, prior=prior)
found = result.params.components  # a LogisticRegressionParams
print(found.coefficients)  # of the log odds

# %% jaxem.families: PoissonRegression, PoissonRegressionParams, RegressionPrior
y = rng.poisson(np.exp(np.where(first, 1 + 2 * age, 3 - age)))
model = jaxem.Mixture(families.PoissonRegression(), 2)
prior = jaxem.MixturePrior(components=families.RegressionPrior(mean=0, precision=1))
result = jaxem.fit(model, (age[:, None], y), key=jax.random.key(0), n_init=5, prior=prior)
found = result.params.components  # a PoissonRegressionParams
print(np.exp(found.coefficients))  # rate at 0, and its factor for 1 more
