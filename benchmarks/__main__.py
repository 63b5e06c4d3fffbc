"""python -m benchmarks --suite NAME [--out DIR]; the names are those of `benchmarks.suites`.

Writes SUITE.json, SUITE.md and, of times against sizes, SUITE.png. Exit status: 0, 1 where a case
failed, 2 where the suite cannot run here.
"""

import argparse
import os
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Benchmarks of jaxem."
    )
    parser.add_argument(
        "--suite",
        choices=(
            "quick",
            "cpu",
            "sequences",
            "missing",
            "imputation",
            "intervals",
            "gradients",
            "refits",
            "latency",
            "structures",
            "streams",
            "search",
            "starts",
            "gpu",
        ),
        required=True,
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    given = parser.parse_args(arguments)
    if given.suite == "gpu":
        # Read when the libraries are first imported: scikit-learn takes torch's arrays only with
        # the one, and jax leaves memory of the GPU to torch only with the other.
        os.environ.setdefault("SCIPY_ARRAY_API", "1")
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    from benchmarks.run import carry_out

    return carry_out(given.suite, given.out)


if __name__ == "__main__":
    sys.exit(main())
