"""The programs that are compared, one a file. Each takes the same start through the same steps."""

import importlib
from collections.abc import Callable
from typing import Protocol

from benchmarks.data import Parameters, Problem

Fit = Callable[[int], Parameters]  # the parameters after so many M-steps from the start


class Program(Protocol):
    name: str

    def refuses(self, problem: Problem) -> str:
        """Why it cannot fit this problem; empty where it can."""
        ...

    def fitter(self, problem: Problem) -> Fit:
        """Ready to be timed: the data is where the program wants it."""
        ...


MODULES = {
    "jaxem": "jaxem_",
    "scikit-learn": "scikit_learn",
    "gmmx": "gmmx_",
    "pomegranate": "pomegranate_",
    "scikit-learn on torch": "torch_",
    "plain torch": "torch_plain",
    "tgmm": "tgmm_",
}


def find(names: tuple[str, ...]) -> tuple[dict[str, Program], list[str]]:
    """-> (the programs that are installed, a line for each that is not)."""
    programs, skipped = {}, []
    for name in names:
        try:
            module = importlib.import_module(f"benchmarks.programs.{MODULES[name]}")
        except ModuleNotFoundError as error:
            package = str(error.name).partition(".")[0]
            if package in ("benchmarks", "jaxem"):
                raise
            skipped.append(f"{name}: skipped, {package} is not installed")
        else:
            programs[name] = module.PROGRAM
    return programs, skipped
