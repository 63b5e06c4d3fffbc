"""Hidden Markov models against hmmlearn and dynamax: an iteration, and many starts.

An iteration is Baum-Welch on diagonal Gaussian emissions in float64, from the same parameters. Each
program also says the log-likelihood, the posteriors and the decoded paths of those parameters, and
its ratio counts only where they are ours within 1e-8. hmmlearn's priors are off.
"""

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxem
from benchmarks.bench import Bench
from benchmarks.findings import Figure, Findings, Row
from benchmarks.same_end import Run, SameEnd
from benchmarks.timing import median_ratio, spread, timed
from jaxem.families import Gaussian, GaussianParams

SAME = 1e-8
TOLS = tuple(10.0**-power for power in range(-1, 11))


class Chain(NamedTuple):
    initial: np.ndarray  # (k,)
    transition: np.ndarray  # (k, k)
    means: np.ndarray  # (k, d)
    variances: np.ndarray  # (k, d)


class Said(NamedTuple):
    """Of given parameters, all sequences end to end."""

    log_likelihood: float
    posteriors: np.ndarray
    path: np.ndarray


class Program(NamedTuple):
    steps: Callable[[int], Any]  # fits with so many iterations
    say: Callable[[], Said]


def sequences(lengths: np.ndarray, k: int, d: int, apart: float = 2.0) -> list[np.ndarray]:
    """Of chains that stay with probability 0.8; standard normal about centres of that spread."""
    rng = np.random.default_rng(0)
    centres = apart * rng.standard_normal((k, d))
    found = []
    for n in lengths:
        moves = rng.random(n) > 0.8
        states = rng.integers(0, k, n)
        since = np.maximum.accumulate(np.where(moves, np.arange(n), 0))
        found.append(centres[states[since]] + rng.standard_normal((n, d)))
    return found


def start(x: list[np.ndarray], k: int) -> Chain:
    flat = np.concatenate(x)
    rows = np.random.default_rng(1).choice(len(flat), (k, 10))
    return Chain(
        np.full(k, 1 / k),
        np.full((k, k), 0.5 / k) + 0.5 * np.eye(k),
        flat[rows].mean(1),
        np.tile(flat.var(0), (k, 1)),
    )


def ours(x: list[np.ndarray], at: Chain) -> Program:
    model = jaxem.HMM(Gaussian("diag"), len(at.initial))
    emissions = GaussianParams(at.means, at.variances)
    params = jaxem.HMMParams(at.initial, at.transition, emissions)
    alike = len({len(of) for of in x}) == 1
    data = jax.device_put(np.stack(x)) if alike else x

    def steps(n: int) -> Any:
        return jaxem.em(model, params, data, tol=0, max_iter=n, acceleration=None)

    def say() -> Said:
        total = jaxem.log_likelihood(model, params, data)
        both = jaxem.smooth(model, params, data), jaxem.viterbi(model, params, data)[0]
        return Said(float(total), *(np.concatenate(list(map(np.asarray, of))) for of in both))

    return Program(steps, say)


def hmmlearns(x: list[np.ndarray], at: Chain) -> Program:
    flat, lengths = np.concatenate(x), [len(of) for of in x]

    def made(n: int) -> Any:
        estimator = gaussian_hmm(len(at.initial), n_iter=n, tol=-np.inf, init_params="")
        estimator.startprob_, estimator.transmat_ = at.initial, at.transition
        estimator.means_, estimator.covars_ = at.means, at.variances
        return estimator

    def say() -> Said:
        estimator = made(1)
        said = estimator.predict_proba(flat, lengths), estimator.predict(flat, lengths)
        return Said(estimator.score(flat, lengths), *said)

    return Program(lambda n: made(n).fit(flat, lengths), say)


def gaussian_hmm(k: int, **options: Any) -> Any:
    """hmmlearn's by maximum likelihood: its own priors are switched off."""
    from hmmlearn.hmm import GaussianHMM

    off = {"covars_prior": 0, "covars_weight": 0, "min_covar": 0, "means_weight": 0}
    return GaussianHMM(k, "diag", implementation="scaling", **off, **options)


def dynamaxs(x: list[np.ndarray], at: Chain) -> Program:
    """Equal lengths alone."""
    from dynamax.hidden_markov_model import DiagonalGaussianHMM

    k, d = at.means.shape
    data = jnp.asarray(np.stack(x))
    model = DiagonalGaussianHMM(k, d, 1.0, 1.0, emission_prior_mean_concentration=1e-12,
                                emission_prior_scale=1e-12)  # fmt: skip
    given = map(jnp.asarray, (at.initial, at.transition, at.means, np.sqrt(at.variances)))
    names = ("initial_probs", "transition_matrix", "emission_means", "emission_scale_diags")
    params, props = model.initialize(**dict(zip(names, given, strict=True)))

    def steps(n: int) -> Any:
        return model.fit_em(params, props, data, num_iters=n, verbose=False)[1]

    def say() -> Said:
        def of(one: Any) -> Any:
            smoothed = model.smoother(params, one).smoothed_probs
            return model.marginal_log_prob(params, one), smoothed, model.most_likely_states(
                params, one)  # fmt: skip

        totals, posteriors, paths = jax.jit(jax.vmap(of))(data)
        flat = np.asarray(posteriors).reshape(-1, k), np.asarray(paths).reshape(-1)
        return Said(float(jnp.sum(totals)), *flat)

    return Program(steps, say)


PEERS = {"hmmlearn": hmmlearns, "dynamax": dynamaxs}


@dataclass(frozen=True)
class Iteration:
    lengths: tuple[int, ...]  # of each sequence, or the least, the most and how many there are
    k: int = 5
    d: int = 4
    ragged: bool = False
    targets: dict[str, float] = field(default_factory=dict)  # of peers
    few_more: tuple[int, int] = (1, 11)
    rounds: int = 7
    budget_s: float = 90.0
    name: str = "hidden Markov iteration"

    def run(self, bench: Bench) -> Findings:
        lengths = self._lengths()
        x = sequences(lengths, self.k, self.d)
        at = start(x, self.k)
        programs = {"jaxem": ours(x, at)}
        programs |= {
            name: PEERS[name](x, at) for name in self.targets if importlib.util.find_spec(name)
        }
        said = {name: program.say() for name, program in programs.items()}
        times: dict[str, list[float]] = {name: [] for name in programs}
        few, more = self.few_more
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # dynamax donates buffers that a CPU cannot
            programs["jaxem"].steps(few)
            for _ in bench.clock.rounds(self.rounds, self.budget_s):
                for name, program in programs.items():
                    seconds = [timed(lambda n=n: program.steps(n))[0] for n in (few, more)]  # noqa: B023
                    times[name].append((seconds[1] - seconds[0]) / (more - few))
        sizes = {"n": int(lengths.sum()), "d": self.d, "k": self.k, "sequences": len(lengths)}
        rows, figures = [], []
        for name in programs:
            agrees = _same(said[name], said["jaxem"])
            ratio = median_ratio(times[name], times["jaxem"]) if agrees else None
            rows.append(Row(self.name, name, "s an iteration", sizes, "diag", "float64",
                            **spread(times[name]), ratio=ratio, agrees=agrees,
                            log_likelihood=said[name].log_likelihood))  # fmt: skip
            if name != "jaxem":
                what = f"{self._what()}, k={self.k} d={self.d}, float64: {name}'s time over jaxem's"
                figures.append(Figure(what, "x", ratio, self.targets[name]))
        return Findings(rows, figures)

    def _lengths(self) -> np.ndarray:
        if not self.ragged:
            return np.array(self.lengths)
        least, most, n = self.lengths
        return np.random.default_rng(2).integers(least, most, n)

    def _what(self) -> str:
        if self.ragged:
            least, most, n = self.lengths
            return f"HMM of {n} sequences of {least} to {most} steps"
        return f"HMM of {len(self.lengths)} sequences of {self.lengths[0]} steps"


def _same(a: Said, b: Said) -> bool:
    return bool(
        abs(a.log_likelihood - b.log_likelihood) <= SAME * abs(b.log_likelihood)
        and np.abs(a.posteriors - b.posteriors).max() <= SAME
        and np.array_equal(a.path, b.path)
    )


@dataclass(frozen=True)
class Starts:
    """So many starts, against hmmlearn run as often, to the same log-likelihood."""

    t: int = 1000
    k: int = 3
    d: int = 2
    starts: int = 100
    apart: float = 1.0
    within: float = 1e-6
    target: float | None = None  # of the second call
    rounds: int = 3
    budget_s: float = 120.0
    name: str = "hidden Markov starts"

    def run(self, bench: Bench) -> Findings:
        (x,) = sequences(np.array([self.t]), self.k, self.d, self.apart)
        programs: dict[str, Run] = {"jaxem": self._ours(x)}
        if importlib.util.find_spec("hmmlearn"):
            programs["hmmlearn"] = self._theirs(x)
        race = SameEnd(
            self.name,
            f"HMM, t={self.t} k={self.k} d={self.d}, {self.starts} starts",
            "diag",
            {"n": self.t, "d": self.d, "k": self.k, "starts": self.starts},
            TOLS, self.within, self.target, self.rounds, self.budget_s,
        )  # fmt: skip
        return race.findings(bench, programs, float)

    def _ours(self, x: np.ndarray) -> Callable[[float, int], float]:
        model = jaxem.HMM(Gaussian("diag"), self.k)

        def run(tol: float, seed: int) -> float:
            key = jax.random.key(seed)
            return float(jaxem.fit(model, x, key=key, n_init=self.starts, tol=tol).log_likelihood)

        return run

    def _theirs(self, x: np.ndarray) -> Callable[[float, int], float]:
        """From k-means labels, with another seed for each start, as its users do."""

        def one(tol: float, seed: int) -> float:
            estimator = gaussian_hmm(self.k, n_iter=1000, tol=tol, random_state=seed)
            return float(estimator.fit(x).score(x))

        def run(tol: float, seed: int) -> float:
            return max(one(tol, self.starts * seed + i) for i in range(self.starts))

        return run
