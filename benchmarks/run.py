"""A suite from its first case to its last: what fails is a row, and the others go on."""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import jax

from benchmarks import ceilings, findings, machine, programs, table
from benchmarks.bench import Bench, Case, failure
from benchmarks.findings import Figure, Findings, Report
from benchmarks.suites import SUITES, Suite
from benchmarks.timing import Clock
from jaxem.core.files import check_writable, describe_os_errors, replacing


def carry_out(name: str, folder: Path) -> int:
    """Run a suite and write its report; -> the exit status."""
    suite = SUITES[name]
    trouble = cannot_run(suite, folder)
    if trouble:
        _say(f"python -m benchmarks: {trouble}")
        return 2
    path = folder / name
    report = run(suite, lambda report: findings.write(report, path.with_suffix(".json")))
    show(report, path)
    return 1 if report.failed else 0


def cannot_run(suite: Suite, folder: Path) -> str:
    """Why not, in one line; empty where the suite can run and its results can be written."""
    here = jax.default_backend()
    if suite.platform not in (None, here):
        remedy = "set JAX_PLATFORMS=cpu" if suite.platform == "cpu" else "install jaxem[cuda]"
        return (
            f"the {suite.name} suite needs a {suite.platform}; JAX's platform is {here}: {remedy}"
        )
    try:
        with describe_os_errors(str(folder), "cannot be written"):
            folder.mkdir(parents=True, exist_ok=True)
        check_writable(folder / f"{suite.name}.json")
    except OSError as error:
        return str(error)
    return ""


def run(suite: Suite, keep: Callable[[Report], None]) -> Report:
    """`keep` is called after each case: what was measured outlives what comes after it."""
    clock = Clock(suite.limit_s)
    with jax.enable_x64(True):
        found, skipped = programs.find(suite.programs)
        for line in skipped:
            _say(line)
        _say("ceilings")
        rates = ceilings.measure(suite.dtypes, suite.product_size, suite.copy_size)
        bench, environment, total = Bench(clock, rates, found), machine.environment(), Findings()
        for case in suite.cases:
            total += _one(case, bench)
            report = Report(suite.name, environment, rates, skipped, clock.spent, total)
            keep(report)
    return report


def show(report: Report, path: Path) -> None:
    """The table, printed and as a file, and the picture where it can be drawn."""
    text = table.markdown(report)
    with replacing(path.with_suffix(".md")) as temporary:
        Path(temporary).write_text(text, encoding="utf-8")
    print(text)
    drawing = path.with_suffix(".png")
    if not any(row.case.startswith("time against") for row in report.findings.rows):
        return  # all panels but one would be empty
    try:
        from benchmarks import picture
    except ModuleNotFoundError as error:
        drawing.unlink(missing_ok=True)  # it would be of another run
        _say(f"no picture: {str(error.name).partition('.')[0]} is not installed")
    else:
        picture.draw(report, drawing)


def _one(case: Case, bench: Bench) -> Findings:
    _say(f"{bench.clock.spent:6.0f} s  {case.name}")
    try:
        if bench.clock.is_over:
            raise TimeoutError("the time of the suite was spent before it")
        found = case.run(bench)
    except Exception as error:  # a suite that stops at the first trouble measures nothing
        traceback.print_exc(file=sys.stderr)
        found = Findings([failure(case, error)])
    for figure in found.figures:
        _say(f"          {_line(figure)}")
    return found


def _line(figure: Figure) -> str:
    measured = f"{table.short(figure.measured)} {figure.unit}"
    sign = "at least" if figure.at_least else "at most"
    target = "" if figure.target is None else f" ({sign} {table.short(figure.target)})"
    return f"{figure.what}: {measured}{target} {figure.note}".rstrip()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
