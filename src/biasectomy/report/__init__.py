"""The report of a run: one Markdown page that puts the verdict first."""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from biasectomy.report.figures import is_number, metric_name, result_tables

if TYPE_CHECKING:
    from biasectomy.measuring.results import Results

__all__ = ["render_markdown"]

SHOWN_NEURONS = 20


def render_markdown(results: "Results", record: Mapping[str, Any], neurons: Sequence[Mapping[str, Any]]) -> str:
    """The report as Markdown; parts that the record does not have are left out.

    Args:
        results: figures, differences and verdict.
        record: what the run noted: `command`, `settings`, `items`, `model`, `search`, `chosen`, `versions`, ...
        neurons: the chosen neurons, best first: `module`, `unit`, `score`, `factor`, and perhaps `kind` and `layer`.
    """
    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.ChainableUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    environment.filters |= {"figure": _figure, "cell": _cell, "table": _table, "count": _count}
    source = resources.files("biasectomy.report").joinpath("report.md.jinja").read_text(encoding="utf-8")
    text = environment.from_string(source).render(
        results=results,
        record=record,
        settings=record.get("settings") or {},
        tables=result_tables(results),
        neurons=list(neurons[:SHOWN_NEURONS]),
        neuron_count=len(neurons),
        groups=_groups(neurons),
        abstention=[metric_name(name) for name in ("unknown_ambiguous", "unknown_disambiguated")],
    )
    return text.rstrip() + "\n"


def _groups(neurons: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, str]]:
    """Neurons counted by kind, with the layers they are in."""
    kinds = Counter(str(neuron.get("kind") or str(neuron["module"]).rsplit(".", 1)[-1]) for neuron in neurons)
    found = []
    for kind, number in kinds.most_common():
        of_kind = [one for one in neurons if str(one.get("kind") or str(one["module"]).rsplit(".", 1)[-1]) == kind]
        layers = Counter(layer for one in of_kind if (layer := _layer(one)) is not None)
        found.append((kind, number, ", ".join(f"{layer} ({times})" for layer, times in sorted(layers.items()))))
    return found


def _layer(neuron: Mapping[str, Any]) -> int | None:
    if neuron.get("layer") is not None:
        return int(neuron["layer"])
    return next((int(part) for part in str(neuron["module"]).split(".") if part.isdigit()), None)


def _figure(value: Any, digits: int = 2) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "n/a" if value is None else _cell(value)
    if not is_number(value):
        return "n/a"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _table(rows: Sequence[Sequence[Any]], header: Sequence[str], left: int = 1) -> str:
    """A Markdown table; columns after the first `left` are aligned to the right."""
    rule = [":--" if index < left else "--:" for index in range(len(header))]
    return "\n".join(f"| {' | '.join(map(_cell, cells))} |" for cells in (header, rule, *rows))
