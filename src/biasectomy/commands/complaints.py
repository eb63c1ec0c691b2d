"""What is wrong with a setting, in one sentence that says what would be right."""

import difflib
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from biasectomy.errors import SettingsError, UnknownNameError


def explained(
    kind: type[BaseModel], error: ValidationError, labels: Mapping[str, str], prefix: str = ""
) -> SettingsError:
    """The first complaint of a validation.

    Args:
        kind: the model that was to be made.
        error: what was found.
        labels: what the user calls each setting, by prefix and field.
        prefix: of the model's fields, such as "crispr.".
    """
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        return UnknownNameError("setting", prefix + name, labels)
    label = labels.get(prefix + name, name)
    if first["type"] == "missing":
        return SettingsError(f"{label} is missing; {_lower(kind.model_fields[name].description or 'give it')}")
    return SettingsError(f"{label} is '{first['input']}'; it must be {_what_would_be_right(kind, name, first)}.")


def choices(annotation: Any) -> list[str]:
    """The values a field may have, where its type lists them; None besides them does not count."""
    kinds = [annotation, *get_args(annotation)]
    return [str(choice) for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]


def _what_would_be_right(kind: type[BaseModel], name: str, problem: Mapping[str, Any]) -> str:
    context = problem.get("ctx", {})
    known = choices(kind.model_fields[name].annotation)
    if known:
        near = difflib.get_close_matches(str(problem["input"]).lower(), known, n=1, cutoff=0.5)
        return f"one of {', '.join(known)}" + (f" (did you mean '{near[0]}'?)" if near else "")
    match problem["type"]:
        case "value_error":
            return str(context["error"])
        case "string_pattern_mismatch":
            return "one of auto, cpu, mps, cuda, cuda:1, xpu"
        case "string_too_short" | "too_short":
            return "a name"
        case "greater_than_equal":
            return f"at least {_number(context['ge'])}"
        case "greater_than":
            return f"more than {_number(context['gt'])}"
        case "less_than_equal":
            return f"at most {_number(context['le'])}"
        case "less_than":
            return f"less than {_number(context['lt'])}"
        case kind_of_problem:
            kinds = {"int": "a whole number", "float": "a number", "finite": "a number", "bool": "true or false"}
            kinds |= {"path": "a path", "string": "text"}
            return kinds.get(kind_of_problem.split("_")[0], _lower(problem["msg"]))


def _number(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
