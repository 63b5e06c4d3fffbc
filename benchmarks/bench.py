"""What a case is handed, and what it hands back."""

from dataclasses import dataclass
from typing import Protocol

from benchmarks.findings import Findings, Row
from benchmarks.programs import Program
from benchmarks.timing import Clock


@dataclass(frozen=True)
class Bench:
    """The machine and the programs of one run."""

    clock: Clock
    ceilings: dict[str, float]
    programs: dict[str, Program]  # those that are installed


class Case(Protocol):
    """One question at one size; a frozen dataclass."""

    @property
    def name(self) -> str: ...

    def run(self, bench: Bench) -> Findings: ...


def failure(case: Case, error: Exception, program: str = "jaxem") -> Row:
    """The row of what did not come to its end."""
    text = " ".join(str(error).split())[:300]
    said = f"{type(error).__name__}: {text}"
    return Row(case=case.name, program=program, unit="", note=repr(case), error=said)
