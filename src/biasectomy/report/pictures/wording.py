"""Figures in words and on axes, by their unit."""

import math

from biasectomy.measuring.results import MetricDescription
from biasectomy.report.figures import DECIMALS, USUAL, number

UNDEFINED = "undefined"
SHARE = "share"
SHOWN_UNITS = ("nats", "per word")  # those that a title does not tell


def figure(value: float, unit: str) -> str:
    """A figure as it stands beside its mark."""
    if not math.isfinite(value):
        return UNDEFINED
    return f"{100 * value:.1f} %" if unit == SHARE else number(value, decimals=DECIMALS.get(unit, USUAL))


def change(value: float, unit: str) -> str:
    """A difference as it stands beside its mark; of shares in points."""
    if not math.isfinite(value):
        return UNDEFINED
    if unit == SHARE:
        return number(100 * value, signed=True, decimals=1)
    return number(value, signed=True, decimals=DECIMALS.get(unit, USUAL))


def with_interval(value: float, low: float, high: float, unit: str, *, signed: bool = False) -> str:
    """A figure and its interval for a sentence."""
    told = change if signed else figure
    points = " points" if signed and unit == SHARE and math.isfinite(value) else ""
    if not math.isfinite(value):
        return UNDEFINED
    if not (math.isfinite(low) and math.isfinite(high)):
        return f"{told(value, unit)}{points} (no interval)"
    return f"{told(value, unit)}{points} ({told(low, unit)} to {told(high, unit)})"


def tick(value: float, unit: str, *, signed: bool = False) -> str:
    """A figure on an axis."""
    shown = float(f"{100 * value if unit == SHARE else value:.10g}") or 0.0  # never a negative nothing
    text = f"{shown:+g}" if signed and shown else f"{shown:,g}" if abs(shown) < 1e6 else f"{shown:.0e}"
    return text.replace("-", "\N{MINUS SIGN}") + (" %" if unit == SHARE and not signed else "")


def named(description: MetricDescription, task: str = "") -> str:
    """A metric's title with its unit, and with the task where that is not plain."""
    unit = f", {description.unit}" if description.unit in SHOWN_UNITS else ""
    member = task.partition(":")[2] or task
    return f"{description.title}{unit}" + (f" ({member})" if task else "")
