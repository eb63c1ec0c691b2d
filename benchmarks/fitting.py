"""How a time grows: the exponent of a power law."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Growth:
    """seconds = constant x size ** exponent, fitted by least squares on logarithms."""

    exponent: float
    standard_error: float  # of the exponent; NaN for two points
    constant: float

    def at(self, size: float) -> float:
        """Fitted seconds."""
        return self.constant * math.pow(size, self.exponent)


def fit_growth(sizes: Sequence[float], seconds: Sequence[float]) -> Growth:
    """Fits a power law to at least two points."""
    x, y = np.log(np.asarray(sizes, dtype=float)), np.log(np.asarray(seconds, dtype=float))
    spread = float(((x - x.mean()) ** 2).sum())
    exponent = float(((x - x.mean()) * (y - y.mean())).sum()) / spread
    residuals = y - y.mean() - exponent * (x - x.mean())
    freedom = len(x) - 2
    error = math.sqrt(float((residuals**2).sum()) / freedom / spread) if freedom > 0 else math.nan
    return Growth(exponent, error, math.exp(float(y.mean()) - exponent * float(x.mean())))
