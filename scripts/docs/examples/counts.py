import jax
import numpy as np

import jaxem
from jaxem import families

jax.config.update("jax_enable_x64", True)

# %% jaxem.families: Bernoulli, BernoulliParams, BernoulliPrior
truth = families.BernoulliParams(np.array([[0.9, 0.8, 0.7], [0.2, 0.1, 0.3]]))  # of a yes, by item
model = jaxem.Mixture(families.Bernoulli(), 2)
answers, _ = jaxem.sample(model, jaxem.MixtureParams([0.6, 0.4], truth), jax.random.key(1), 400)
prior = jaxem.MixturePrior(components=families.BernoulliPrior(2, 2))  # keeps away from 0 and 1
result = jaxem.fit(model, answers, key=jax.random.key(0), n_init=5, prior=prior)
print(result.summary())

# %% jaxem.families: Binomial, BinomialParams, BinomialPrior
truth = families.BinomialParams(np.array([[0.15], [0.6]]))  # of a seed that sprouts
model = jaxem.Mixture(families.Binomial(n_trials=20), 2)  # 20 seeds in each pot
sprouts, _ = jaxem.sample(model, jaxem.MixtureParams([0.5, 0.5], truth), jax.random.key(1), 200)
prior = jaxem.MixturePrior(components=families.BinomialPrior(2, 2))
result = jaxem.fit(model, sprouts, key=jax.random.key(0), n_init=5, prior=prior)
print(result.params.components.probabilities)

# %% jaxem.families: Categorical, CategoricalParams, CategoricalPrior
colour, size = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]), np.array([[0.9, 0.1], [0.3, 0.7]])
truth = families.CategoricalParams((colour, size))  # a table for each column
model = jaxem.Mixture(families.Categorical((3, 2)), 2)
codes, _ = jaxem.sample(model, jaxem.MixtureParams([0.5, 0.5], truth), jax.random.key(1), 500)
prior = jaxem.MixturePrior(components=families.CategoricalPrior(2))
result = jaxem.fit(model, codes, key=jax.random.key(0), n_init=5, prior=prior)
print(result.params.components.probabilities[0])

# %% jaxem.families: Multinomial, MultinomialParams, MultinomialPrior
truth = families.MultinomialParams(np.array([[0.6, 0.3, 0.1], [0.1, 0.3, 0.6]]))  # words of topics
model = jaxem.Mixture(families.Multinomial(n_trials=30), 2)  # 30 words in each text
words, _ = jaxem.sample(model, jaxem.MixtureParams([0.5, 0.5], truth), jax.random.key(1), 100)
prior = jaxem.MixturePrior(components=families.MultinomialPrior(1.5))
result = jaxem.fit(model, words, key=jax.random.key(0), n_init=5, prior=prior)
print(result.params.components.probabilities)

# %% jaxem.families: NegativeBinomial, NegativeBinomialParams
truth = families.NegativeBinomialParams(np.array([[3.0], [40.0]]), np.array([[2.0], [8.0]]))
model = jaxem.Mixture(families.NegativeBinomial(), 2)  # counts that vary more than Poisson's
visits, _ = jaxem.sample(model, jaxem.MixtureParams([0.7, 0.3], truth), jax.random.key(1), 500)
result = jaxem.fit(model, visits, key=jax.random.key(0), n_init=5)
print(result.summary())

# %% jaxem.families: Poisson, PoissonParams, PoissonPrior
truth = families.PoissonParams(np.array([[2.0], [9.0]]))  # calls an hour, by night and by day
model = jaxem.Mixture(families.Poisson(), 2)
calls, _ = jaxem.sample(model, jaxem.MixtureParams([0.4, 0.6], truth), jax.random.key(1), 300)
prior = jaxem.MixturePrior(components=families.PoissonPrior(shape=2, rate=0.2))
result = jaxem.fit(model, calls, key=jax.random.key(0), n_init=5, prior=prior)
print(result.params.components.rates)

# %% jaxem.families: ZeroInflatedPoisson, ZeroInflatedPoissonParams, ZeroInflatedPoissonPrior
truth = families.ZeroInflatedPoissonParams(np.array([[0.6], [0.1]]), np.array([[2.0], [12.0]]))
model = jaxem.Mixture(families.ZeroInflatedPoisson(), 2)  # many zeros that are no counts
fish, _ = jaxem.sample(model, jaxem.MixtureParams([0.5, 0.5], truth), jax.random.key(1), 500)
prior = jaxem.MixturePrior(components=families.ZeroInflatedPoissonPrior(1, 1, 2))
result = jaxem.fit(model, fish, key=jax.random.key(0), n_init=5, prior=prior)
print(result.summary())
