"""What the suite finds: rows and judged figures, in a file that keeps them exactly."""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jaxem.core.files import replacing


@dataclass(frozen=True)
class Row:
    """One program on one case. Nothing is measured where `error` says why."""

    case: str
    program: str
    unit: str  # of median, least and most
    sizes: dict[str, int] = field(default_factory=dict)  # n, d, k, starts
    structure: str = "full"
    dtype: str = "float32"
    median: float | None = None  # over rounds
    least: float | None = None
    most: float | None = None
    rounds: int = 0
    ratio: float | None = None  # median over rounds of this program's time over jaxem's
    log_likelihood: float | None = None  # of the judged rows, by the judge
    agrees: bool | None = None  # with jaxem's, as closely as the case asks
    rate: float | None = None  # flops a second, each symmetric product counted once
    share: float | None = None  # of the floor that the ceilings give
    note: str = ""
    error: str = ""


@dataclass(frozen=True)
class Figure:
    """A number that is judged, or only reported where it has no target."""

    what: str
    unit: str
    measured: float | None
    target: float | None = None
    at_least: bool = True  # else at most
    note: str = ""

    @property
    def met(self) -> bool | None:
        """None where there is nothing to judge."""
        if self.measured is None or self.target is None:
            return None
        return self.measured >= self.target if self.at_least else self.measured <= self.target


@dataclass(frozen=True)
class Findings:
    rows: list[Row] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)

    def __add__(self, other: "Findings") -> "Findings":
        return Findings(self.rows + other.rows, self.figures + other.figures)


@dataclass(frozen=True)
class Report:
    """A whole run of a suite."""

    suite: str
    environment: dict[str, Any]
    ceilings: dict[str, float]
    skipped: list[str]  # programs that are not installed
    seconds: float
    findings: Findings

    @property
    def failed(self) -> list[Row]:
        return [row for row in self.findings.rows if row.error]


def write(report: Report, path: Path) -> None:
    """The report as JSON, whole or not at all; what is not finite is null."""
    with replacing(path) as temporary:
        text = json.dumps(_finite(asdict(report)), indent=1, allow_nan=False)
        Path(temporary).write_text(text + "\n", encoding="utf-8")


def read(path: Path) -> Report:
    content = json.loads(path.read_text(encoding="utf-8"))
    found = content.pop("findings")
    rows = [Row(**row) for row in found["rows"]]
    figures = [Figure(**figure) for figure in found["figures"]]
    return Report(**content, findings=Findings(rows, figures))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
