"""The command line: `jaxem fit`, `jaxem demo`."""

import sys
from collections.abc import Sequence

_EXTRAS = ("typer", "rich", "pyarrow")  # what the extra `cli` installs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (None: the arguments of the process) and return its exit status.

    0 done and converged, 1 a fit did not converge, 2 bad input, 130 interrupted.
    """
    try:
        from jaxem.cli.app import run
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRAS:
            raise
        print(
            f"jaxem: the command line needs {missing}, which is not installed; "
            "run: pip install 'jaxem[cli]'",
            file=sys.stderr,
        )
        return 2
    return run(sys.argv[1:] if arguments is None else list(arguments))
