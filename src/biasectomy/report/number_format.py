"""The number format that a run computed in, as its record says it."""

from collections.abc import Mapping
from typing import Any

from biasectomy.reading.products import FORMATS

NUMBER_FORMAT = "number_format"  # in a record


def recorded_format(record: Mapping[str, Any]) -> str | None:
    """The number format of a run; None where its record does not say."""
    asked = (record.get("settings") or {}).get("dtype")
    return next((one for one in (_noted(record).get("chosen"), asked) if one in FORMATS), None)


def told_format(record: Mapping[str, Any]) -> str:
    """The same, and why it is that one where it was found by `--dtype auto`; empty where the record does not say."""
    chosen, because = recorded_format(record), _noted(record).get("because")
    if chosen is None or not because:
        return chosen or ""
    return f"{chosen}, found by --dtype auto: {because}"


def _noted(record: Mapping[str, Any]) -> Mapping[str, Any]:
    found = record.get(NUMBER_FORMAT)
    return found if isinstance(found, Mapping) else {}
