"""The command line: `jaxem fit`, `predict`, `impute`, `test-k`, `fit-hmm`, `decode`, `show`, ..."""

import sys
from collections.abc import Sequence

from jaxem.cli import interrupts

# What the extra `cli` installs.
EXTRAS = ("typer", "rich", "platformdirs", "pyarrow", "safetensors", "matplotlib")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (None: the arguments of the process) and return its exit status.

    0 done and converged, 1 a fit did not converge, 2 bad input, 130 interrupted,
    143 ended by SIGTERM while the fit is kept in a file.
    """
    try:
        with interrupts.watched():
            from jaxem.cli import cache
            from jaxem.cli.app import run

            given = sys.argv[1:] if arguments is None else list(arguments)
            if arguments is None and "--distributed" not in given:  # which does so itself, later
                cache.use()
            return run(given)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in EXTRAS:
            raise
        needs = f"the command line needs {missing}, which is not installed"
        print(f"jaxem: {needs}; run: pip install 'jaxem[cli]'", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("jaxem: interrupted", file=sys.stderr)
        return 130
