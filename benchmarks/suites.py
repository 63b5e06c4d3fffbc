"""The cases of each suite, and how long it may take."""

from dataclasses import dataclass
from typing import Any

from benchmarks import hidden_markov, missing, optima, processes, refits, streams
from benchmarks.acceleration import Acceleration, Slow
from benchmarks.accelerator import Fits, Fused, Right
from benchmarks.bench import Case
from benchmarks.columns import Columns
from benchmarks.compilation import Compilation
from benchmarks.coverage import Coverage
from benchmarks.gradients import Gradients
from benchmarks.growth import Growth
from benchmarks.iteration import Iteration
from benchmarks.latency import Command, Latency
from benchmarks.latent_classes import LatentClasses
from benchmarks.launch import Launch
from benchmarks.many_starts import ManyStarts
from benchmarks.memory import Memory
from benchmarks.searching import Searching
from benchmarks.start_rules import StartRules
from benchmarks.starting import Starting
from benchmarks.structures import AgainstMclust, Structures


@dataclass(frozen=True)
class Suite:
    name: str
    platform: str | None  # of JAX; None is any
    programs: tuple[str, ...]
    dtypes: tuple[str, ...]  # whose products are measured
    product_size: int
    copy_size: int  # numbers of 4 bytes
    cases: tuple[Case, ...]
    limit_s: float | None = None  # no case begins after it


PEERS = ("scikit-learn", "gmmx", "pomegranate")
SKLEARN = ("scikit-learn",)
MAIN = (100_000, 30, 30)  # n, d, k

DOUBLE: dict[str, Any] = {
    "dtypes": ("float64",),
    "product_size": 3072,
    "copy_size": 1 << 27,
}

QUICK = Suite(
    name="quick",
    platform=None,
    programs=("jaxem", *PEERS),
    dtypes=("float32", "float64"),
    product_size=256,
    copy_size=1 << 20,
    cases=(
        Iteration(10_000, 3, 3, targets={"scikit-learn": 1}, peers=PEERS, share=50, steps=(1, 11),
                  rounds=1),
        Growth(Iteration(10_000, 3, 3, peers=SKLEARN, steps=(1, 11), rounds=1), "n",
               (10_000, 20_000), 10_000, 25),
        Starting(10_000, 3, 3, target=2, rounds=1),
        Memory(10_000, 3, 3, target=300),
        Compilation(10_000, 3, 3, rounds=1),
        Columns("counts", (1000, 2000), rounds=1, linear_within=25),
        LatentClasses(n=100, items=3, levels=2, k=2, starts=2, target=20, rounds=1),
        hidden_markov.Iteration((30,) * 4, k=2, d=1, targets={"hmmlearn": 2.5, "dynamax": 3},
                                rounds=1),
        missing.Iteration(2000, 3, 2, patterns=4, rounds=1),
        Latency("hmm", rounds=1),
        missing.HeldOut("iris", shares=(0.2,), repetitions=1, most=1),
        AgainstMclust(150, 3, structures=("VEV",), starts=2, rounds=1),
        Structures(500, 3, 2, structures=("EII", "EVE"), rounds=1),
        hidden_markov.Starts(t=60, k=2, d=1, starts=2, target=10, rounds=1),
        Acceleration(n=500, sets=(Slow("1-D, overlapping", 1, 2, 2, 1.0),), most=50,
                     target_median=2.5, target_least=0.9, rounds=2),
        ManyStarts(n=200, starts=2, withins=(1e-6,), counts=(2,), target_first=5,
                   target_second=30, target_cores=85, rounds=1),
        Right(1e-4, n=400, models=("full", "chain, associative")),
        *(Fits(what, 2000, 3, 2, starts=2, sets=2 if what == "many sets" else 1, steps=(1, 3),
               rounds=1) for what in ("full", "many sets")),
        Gradients(n=200, starts=(1,), rows=0, rounds=1),
        Coverage(sets=4, n=100, methods=("observed",)),
        refits.Refits(n=100, n_boot=8, tried=4, target=30, rounds=1),
        refits.ManySets(sets=4, n=100, starts=2, tried=2, target=15, rounds=1),
        refits.BootstrapCoverage(sets=2, n=100, n_boot=8, least=92, most=98),
        refits.Tests(most=1, n_boot=4, starts=1, target=60),
    ),
)  # fmt: skip

CPU = Suite(
    name="cpu",
    platform="cpu",
    programs=("jaxem", *PEERS),
    dtypes=("float32", "float64"),
    product_size=3072,
    copy_size=1 << 27,
    cases=(
        Memory(10_000_000, 8, 32, target=300),  # first: the parent process is still small
        Memory(1_000_000, 4, 4, "counts", target=300),
        Memory(1_000_000, 11, 4, "mixed columns", target=300),
        Iteration(*MAIN, targets={"scikit-learn": 8, "gmmx": 4, "pomegranate": 4}, budget_s=90),
        Iteration(*MAIN, dtype="float64", targets={"scikit-learn": 9}, budget_s=90),
        Iteration(*MAIN, structure="diag", targets={"scikit-learn": 4}, peers=("gmmx",)),
        Iteration(*MAIN, structure="tied", targets={"scikit-learn": 12}),
        Iteration(*MAIN, structure="spherical", targets={"scikit-learn": 6}),
        Iteration(1_000_000, 2, 10, targets={"scikit-learn": 12}),
        Iteration(200_000, 64, 64, share=50),
        ManyStarts(target_first=5, target_second=30, target_cores=85, counts=(1, 10, 100)),
        Acceleration(target_median=2.5, target_least=0.9),
        Growth(Iteration(100_000, 8, 16, peers=SKLEARN, budget_s=60), "n",
               (100_000, 1_000_000, 10_000_000), 1_000_000, 25),
        Growth(Iteration(100_000, 8, 16, peers=SKLEARN, budget_s=30), "k", (2, 8, 32), 32),
        Growth(Iteration(100_000, 8, 16, peers=SKLEARN, budget_s=30), "d", (2, 8, 32), 32),
        Starting(1_000_000, 8, 16, target=2),
        Compilation(*MAIN),
        LatentClasses(target=20),
        Columns("counts", linear_within=25),
        Columns("mixed columns", linear_within=25),
    ),
)  # fmt: skip

SEQUENCES = Suite(
    name="sequences",
    platform="cpu",
    programs=("jaxem",),
    **DOUBLE,
    cases=(
        Memory(1_000_000, 1, 3, "one sequence", target=500),
        # dynamax compiles at every fit: its steps are many, to be told from that.
        hidden_markov.Iteration((1000,) * 100, targets={"hmmlearn": 2.5, "dynamax": 3},
                                few_more=(1, 61)),
        hidden_markov.Iteration((5, 2000, 200), ragged=True, targets={"hmmlearn": 2.5}),
        hidden_markov.Starts(target=10),
    ),
)  # fmt: skip

MISSING = Suite(
    name="missing",
    platform="cpu",
    programs=("jaxem", "scikit-learn"),
    **DOUBLE,
    cases=(
        Memory(100_000, 20, 5, "missing cells", target=300),
        Memory(1_000_000, 20, 5, "missing cells", target=300),
        missing.Iteration(100_000, 20, 5, patterns=50, target=2),
        missing.Iteration(100_000, 20, 5, patterns=None, target=15),
        missing.Iteration(1_000_000, 20, 5, patterns=50, target=2),
        missing.Iteration(1_000_000, 20, 5, patterns=None, target=15),
        missing.Iteration(100_000, 20, 5, patterns=50, structure="tied"),
        missing.Iteration(100_000, 20, 5, patterns=None, structure="diag"),
    ),
)  # fmt: skip

IMPUTATION = Suite(
    name="imputation",
    platform="cpu",
    programs=("jaxem", "scikit-learn"),
    dtypes=("float64",),
    product_size=256,
    copy_size=1 << 20,
    cases=tuple(missing.HeldOut(table, target=1.02) for table in ("wine", "diabetes", "iris")),
)

INTERVALS = Suite(
    name="intervals",
    platform="cpu",
    programs=("jaxem",),
    dtypes=("float64",),
    product_size=256,
    copy_size=1 << 20,
    cases=(Coverage(least=92, most=98),),
)

GRADIENTS = Suite(
    name="gradients",
    platform="cpu",
    programs=("jaxem",),
    **DOUBLE,
    cases=(Gradients(target_time=3, target_memory=1.2),),
)

REFITS = Suite(
    name="refits",
    platform="cpu",
    programs=("jaxem", *SKLEARN),
    **DOUBLE,
    cases=(
        refits.Tests(target=60),
        refits.Refits(target=30),
        refits.ManySets(target=15),
        refits.BootstrapCoverage(least=92, most=98),
    ),
)

LATENCY = Suite(
    name="latency",
    platform="cpu",
    programs=("jaxem", *SKLEARN),
    **DOUBLE,
    cases=(
        Latency("fit", "scikit-learn", target=1.2),
        Latency("hmm", "hmmlearn", target=2),
        Latency("errors faithful", target=3),
        Latency("errors iris", target=3),
        Latency("bootstrap", target=4),
        Latency("table", "mclust", target=40, target_again=20),
        Latency("grid", "scikit-learn", of_peer=True),
        Command(("fit", "flowers.csv", "--components", "1:4", "--covariance", "all"), target=8,
                target_again=3),
        Command(("fit", "flowers.csv", "--components", "1:9", "--covariance", "all"), target=20,
                target_again=12),
        Command(("--help",)),
    ),
)  # fmt: skip

STRUCTURES = Suite(
    name="structures",
    platform="cpu",
    programs=("jaxem",),
    dtypes=("float32", "float64"),
    product_size=3072,
    copy_size=1 << 27,
    cases=(
        AgainstMclust(150, 3, target=5),
        Structures(*MAIN, target=1.3),
        AgainstMclust(5000, 5, 8, structures=("VVV", "VEV"), target=5),
        AgainstMclust(100_000, 5, 10, structures=("VVV",), starts=1, target=5),
    ),
)  # fmt: skip

STREAMS = Suite(
    name="streams",
    platform="cpu",
    programs=("jaxem",),
    dtypes=("float32",),
    product_size=3072,
    copy_size=1 << 27,
    cases=(
        streams.Rate(10_000_000, 30, 30, target=80, budget_s=600),
        streams.Rate(400_000, 30, 30, starts=20, target=80, steps=(0, 1)),
        streams.Sums(10**9, 2, 2, target=1e-6),
        streams.Online(10_000_000, 10, 4, target=1e-3),
        streams.FewPasses(8000, 2, 3, apart=1.0),
        streams.FewPasses(8000, 5, 8, apart=3.0),
        processes.WeakScaling(800_000, 30, 10, target=90),
        streams.Peak((10_000_000, 100_000_000), 8, 4, target=1.1),
        streams.Peak((10_000_000, 100_000_000), 8, 4, target=1.1, kept=True),
    ),
)

SEARCH = Suite(
    name="search",
    platform="cpu",
    programs=("jaxem", *SKLEARN),
    **DOUBLE,
    cases=(
        Searching("faithful, k 2"),
        Searching("iris, k 2"),
        Searching("earthquakes, 3 states"),
        Searching("galaxies, k 5, tied"),
        Searching("lsat, k 3", n_init=100),
        Searching("iris, k 3"),
        Searching("galaxies, k 4", least=3),
        Searching("faithful, k 3", least=3),
        Searching("faithful, k 3, VVE", least=3),
        Searching("faithful, k 3, EVV", least=3),
        Searching("iris, k 4", least=3),
        Searching("earthquakes, 4 states", least=3, n_init=600, keys=8),
    ),
)

STARTS = Suite(
    name="starts",
    platform=None,
    programs=("jaxem",),
    **DOUBLE,
    cases=tuple(StartRules(name) for name in optima.names()),
)

# Most valuable first: a run that is cut counts. Budgets bound the rounds; data, compiling and
# judging come on top of them.
ON_TORCH = ("scikit-learn on torch", "plain torch", "tgmm")
GPU = Suite(
    name="gpu",
    platform="gpu",
    programs=("jaxem", "scikit-learn", "gmmx", *ON_TORCH),
    dtypes=("float32",),
    product_size=8192,
    copy_size=1 << 28,
    limit_s=400.0,
    cases=(
        Right(1e-4),
        Iteration(2_000_000, 64, 32, share=60, steps=(1, 21), budget_s=10),
        Launch(counts=(1, 100, 1000), target=20, budget_s=20),
        Fits("chains, sequential", 100_000, 4, 5),
        Fits("chains, associative", 100_000, 4, 5, target=1e-3),
        Iteration(1_000_000, 128, 64, "diag", share=45, steps=(1, 21), budget_s=10),
        Iteration(1_000_000, 64, 32, "tied", steps=(1, 21), budget_s=10),
        Fused(2_000_000, 64, 32),
        Fused(100_000, 30, 30),
        Fits("holes by rows", 100_000, 20, 5),
        Fits("many sets", 5000, 8, 4, starts=20, sets=2000),
        Fits("full", 100_000, 128, 4, starts=20),
        Iteration(*MAIN, peers=("scikit-learn", "gmmx", *ON_TORCH), budget_s=30, rounds=3),
        Gradients(rows=0, budget_s=10),
        Iteration(1_000_000, 128, 1024, "diag", share=50, steps=(1, 21), budget_s=20),
        Iteration(2_000_000, 64, 32, peers=ON_TORCH, steps=(1, 11), budget_s=20, rounds=3),
        Growth(Iteration(100_000, 8, 16, steps=(1, 31), budget_s=5), "n",
               (100_000, 1_000_000, 10_000_000), 0),
        Growth(Iteration(1_000_000, 16, 16, steps=(1, 31), budget_s=5), "k", (4, 32, 256), 0),
        Growth(Iteration(1_000_000, 16, 16, steps=(1, 31), budget_s=5), "d", (4, 16, 64), 0),
        Compilation(*MAIN, rounds=1),
    ),
)  # fmt: skip

SUITES = {
    suite.name: suite
    for suite in (
        QUICK,
        CPU,
        SEQUENCES,
        MISSING,
        IMPUTATION,
        INTERVALS,
        GRADIENTS,
        REFITS,
        LATENCY,
        STRUCTURES,
        STREAMS,
        SEARCH,
        STARTS,
        GPU,
    )
}
