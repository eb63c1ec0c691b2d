"""The TOML file that describes a task of a user's own, and everything that is wrong with it."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from biasectomy.errors import UnknownNameError
from biasectomy.tasks.base import TASKS
from biasectomy.tasks.checks import wrong_with_texts
from biasectomy.tasks.multiple_choice import LIKELIHOOD_OR_TEXT
from biasectomy.tasks.option_order import FIXED, ROTATE
from biasectomy.tasks.own_items import ACCURACY, BALANCED, CONTINUED, EVEN, LISTED, UNLISTED, WHOLE_TEXTS
from biasectomy.tasks.wordings import LONGEST

TEXTS = ("name", "title", "version", "licence", "citation", "items", "form", "goal", "option-order")
LISTS = ("instructions", "answer-rules", "spread")
KEYS = (*TEXTS, *LISTS)
REQUIRED = ("name", "items", "form", "goal")
CHOICES = {  # of keys with a few values
    "form": (LISTED, UNLISTED, WHOLE_TEXTS, CONTINUED),
    "goal": (ACCURACY, EVEN, BALANCED),
    "option-order": (ROTATE, FIXED),
}
INSTRUCTED = (LISTED, UNLISTED)  # forms that begin with an instruction
RULES = {form: LIKELIHOOD_OR_TEXT if form == LISTED else LIKELIHOOD_OR_TEXT[:2] for form in CHOICES["form"]}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Description(NamedTuple):
    """The values that can be used, by key, and all that is wrong with the others."""

    values: Mapping[str, Any]
    defects: tuple[str, ...]


def parse(text: str, name: str) -> Description:
    """The description of a task, from the text of its file.

    Args:
        name: of the file, for what is said of it.
    """
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of too many digits is a ValueError too
        return Description({}, (f"{name}: not valid TOML ({error}).",))
    wrong = [(key, one) for key, value in values.items() for one in _wrong_with_value(key, value)]
    usable = {key: value for key, value in values.items() if key not in dict(wrong)}
    wrong += [(key, f"the key '{key}' is missing") for key in REQUIRED if key not in values]
    wrong += _wrong_together(usable, values)
    defects = (f"{place(name, text, key)}: {one}{'' if one.endswith(('.', '?')) else '.'}" for key, one in wrong)
    return Description(usable, tuple(defects))


def place(name: str, text: str, key: str) -> str:
    """A file's name, and the line in which a key of it stands, if it does."""
    found = re.search(rf"""^[ \t]*\[*[ \t]*["']?{re.escape(key)}["']?[ \t]*[=.\]]""", text, re.MULTILINE)
    return f"{name}, line {text[: found.start()].count(chr(10)) + 1}" if found else name


def _wrong_with_value(key: str, value: object) -> Iterator[str]:
    """What is wrong with a value, whatever the others are."""
    if key not in KEYS:
        yield str(UnknownNameError("key of a task", key, KEYS))
    elif key in LISTS and (not isinstance(value, list) or not value):
        yield f'\'{key}\' must be a list of texts, ["...", "..."], and not an empty one'
    elif isinstance(value, list) and key in LISTS:
        yield from _wrong_with_entries(key, value)
    elif (wrong := wrong_with_texts([(f"'{key}'", value)])) is not None or not isinstance(value, str):
        yield f"{wrong}; it must be a text in quotation marks"
    elif not value.strip() and key not in ("licence", "citation"):
        yield f"'{key}' is blank"
    elif key == "name":
        yield from _wrong_with_name(value)
    elif key in CHOICES and value not in CHOICES[key]:
        yield str(UnknownNameError(key.replace("-", " "), value, CHOICES[key]))


def _wrong_with_name(name: str) -> Iterator[str]:
    if not NAME.fullmatch(name):
        yield f"the name '{name}' must be of letters, digits, '-' and '_', at most 64 of them"
    elif name.lower() in TASKS:
        yield f"'{name}' is the name of a task that is there already; yours needs another"


def _wrong_with_entries(key: str, entries: Iterable[object]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for number, entry in enumerate(entries, start=1):
        if (wrong := wrong_with_texts([(f"entry {number}", entry)])) is not None or not isinstance(entry, str):
            yield f"of '{key}' {wrong}"
        elif not entry.strip() or len(entry) > LONGEST:
            yield f"entry {number} of '{key}' has {len(entry.strip()):,} characters; it must have 1 to {LONGEST:,}"
        elif (first := seen.setdefault(entry.strip(), number)) != number:
            yield f"the entries {first} and {number} of '{key}' are the same, '{entry.strip()}'"


def _wrong_together(usable: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with usable values beside each other: a key, and words that go on from its place."""
    if (form := usable.get("form")) is None:
        return
    if usable.get("goal") == BALANCED and form != LISTED:
        yield "goal", f"the goal '{BALANCED}' is for questions that show their options: the form must be '{LISTED}'"
    if form in INSTRUCTED and "instructions" not in values:
        yield "instructions", f"the key 'instructions' is missing; the form '{form}' needs at least one"
    for key, idle in (("instructions", form not in INSTRUCTED), ("option-order", form != LISTED)):
        if idle and key in values:
            yield key, f"'{key}' changes nothing where the form is '{form}'; leave it out"
    for rule in usable.get("answer-rules", ()):
        if rule not in RULES[form]:
            yield "answer-rules", str(UnknownNameError(f"answer rule of the form '{form}'", rule, RULES[form]))
