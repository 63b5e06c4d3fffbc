"""A report as Markdown: figures first, then a table for each case."""

from benchmarks.findings import Figure, Report, Row


def markdown(report: Report) -> str:
    parts = [_heading(report), _figures(report.findings.figures)]
    cases = dict.fromkeys(row.case for row in report.findings.rows if not row.error)
    for case in cases:
        rows = [row for row in report.findings.rows if row.case == case and not row.error]
        parts.append(f"## {case[0].upper()}{case[1:]}\n\n{_rows(rows)}")
    if report.failed:
        lines = (f"- {row.program}: {row.error}, in {row.note}" for row in report.failed)
        parts.append("## Failed\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def short(value: float | None) -> str:
    """Three digits, whole numbers from a hundred on."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _heading(report: Report) -> str:
    facts = report.environment
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    memory = f", {facts['memory_gb']} GB" if facts["memory_gb"] else ""
    ceilings = ", ".join(
        f"{name} {rate / 1e9:,.0f} {'GB/s' if name == 'copy' else 'GFLOP/s'}"
        for name, rate in report.ceilings.items()
    )
    lines = [
        f"# Benchmarks: the {report.suite} suite",
        "",
        f"- {facts['date']}, commit {facts['commit'] or 'unknown'}, {report.seconds:.0f} s in all",
        f"- {facts['machine']}, {facts['cores']} cores{memory}; device: {facts['device']}; "
        f"{facts['system']}",
        f"- Python {facts['python']}, {versions}",
        f"- ceilings measured in this run: {ceilings}",
        *(f"- {line}" for line in report.skipped),
    ]
    if report.suite == "quick":
        lines.append("- the quick suite tries the machinery: its sizes say nothing about speed")
    return "\n".join(lines)


def _figures(figures: list[Figure]) -> str:
    lines = ["| figure | target | measured | met |", "|---|---|---|---|"]
    for figure in figures:
        sign = "at least" if figure.at_least else "at most"
        target = "-" if figure.target is None else f"{sign} {_with_unit(figure.target, figure)}"
        measured = "-" if figure.measured is None else _with_unit(figure.measured, figure)
        measured += f" ({figure.note})" if figure.note else ""
        met = {True: "yes", False: "no", None: "-"}[figure.met]
        lines.append(f"| {figure.what} | {target} | {measured} | {met} |")
    return "\n".join(lines)


def _with_unit(value: float, figure: Figure) -> str:
    number = short(value)
    if figure.unit in ("x", "%", ""):
        return f"{number} {figure.unit}".strip()
    return f"{number} {figure.unit}"


def _rows(rows: list[Row]) -> str:
    """Medians, with the least and the most of the rounds."""
    lines = [
        "| program | data | dtype | median | least to most | over jaxem's | GFLOP/s | of the floor "
        "| log-likelihood | |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        sizes = " ".join(f"{name}={size:,}" for name, size in row.sizes.items())
        seen = "-" if row.log_likelihood is None else f"{row.log_likelihood:.4f}"
        cells = (
            row.program,
            f"{row.structure}, {sizes}" if sizes else row.structure,
            row.dtype,
            f"{short(row.median)} {row.unit}",
            f"{short(row.least)} to {short(row.most)}",
            "-" if row.ratio is None else short(row.ratio),
            "-" if row.rate is None else short(row.rate / 1e9),
            "-" if row.share is None else f"{short(100 * row.share)} %",
            seen,
            row.note,
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
