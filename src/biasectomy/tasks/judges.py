"""Judges: what turns generated texts into numbers, after the texts are stored."""

from collections.abc import Sequence
from typing import Protocol

from biasectomy.registry import Registry, described


class Judge(Protocol):
    """A lexicon, a classifier, a rule."""

    def __call__(self, texts: Sequence[str]) -> Sequence[float]:
        """One number for each text."""


JUDGES: Registry[Judge] = Registry("judge")


def describe_judges() -> list[dict[str, str]]:
    """Name and first sentence of every judge."""
    return [{"name": name, "description": described(JUDGES[name])} for name in JUDGES]
