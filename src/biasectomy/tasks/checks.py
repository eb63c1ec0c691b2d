"""What the items of any task must be, wherever they come from."""

from collections.abc import Iterable

from biasectomy.errors import DataError
from biasectomy.tasks.base import Item, Task


def check_task(task: Task) -> None:
    """Refuses a task that cannot be asked or judged.

    Raises:
        DataError: there is nothing to ask, an item stands there twice, or one is not usable; names it.
    """
    for what, found in (("item", task.items), ("instruction", task.instructions)):
        if not found:
            raise DataError(f"'{task.name}' has no {what}; at least one is needed.")
    seen: set[str] = set()
    for item in task.items:
        if item.identifier in seen:
            raise DataError(
                f"Item {item.identifier} of '{task.name}' stands there twice; every item needs its own name."
            )
        seen.add(item.identifier)
        if (wrong := wrong_with(item)) is not None:
            raise DataError(f"Item {item.identifier}: {wrong}.")


def wrong_with(item: Item) -> str | None:
    """What makes an item unusable, in words that go on from its name; None where it is usable."""
    for role in ("gold", "target", "unknown"):
        index = getattr(item, role)
        if index is not None and (isinstance(index, bool) or index not in range(len(item.options))):
            return f"its {role} option is number {index}, and it has {len(item.options)} (counted from 0)"
    texts = {"context": item.context, "question": item.question}
    texts |= {f"option {number}": text for number, text in enumerate(item.options)}
    return wrong_with_texts(texts.items()) or _wrong_with_options(item)


def wrong_with_texts(texts: Iterable[tuple[str, object]]) -> str | None:
    """The first of some named texts that is none, or that no tokenizer could read; None where all can be."""
    for name, text in texts:
        if not isinstance(text, str):
            return f"its {name} is not text but {type(text).__name__}"
        try:
            text.encode()
        except UnicodeEncodeError:
            return f"its {name} is no Unicode text (it holds half of a surrogate pair)"
        if "\0" in text:
            return f"its {name} holds a NUL character"
    return None


def _wrong_with_options(item: Item) -> str | None:
    if (blank := next((number for number, text in enumerate(item.options) if not text.strip()), None)) is not None:
        return f"its option {blank} is blank"
    if len(set(item.options)) < len(item.options):
        twice = next(text for text in item.options if item.options.count(text) > 1)
        return f"two of its options are the same, '{twice}'"
    return None
