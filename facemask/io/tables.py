"""Markdown tables from the files in `reports/`."""

from facemask.io.files import ROOT

REPORTS = ROOT / "reports"


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def between(share: float, low: float, high: float, *, strong: bool = False) -> str:
    """A share with its interval."""
    mark = "**" if strong else ""
    return f"{mark}{percent(share)}{mark} ({percent(low)} to {percent(high)})"
