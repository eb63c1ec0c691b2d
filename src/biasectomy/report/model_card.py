"""The model card of what a run made: ours in front, the original's below, metadata merged."""

import math
import shlex
from collections.abc import Iterator
from importlib import resources
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from biasectomy.errors import DataError
from biasectomy.measuring.results import DifferenceRow, MetricRow
from biasectomy.methods import METHODS
from biasectomy.methods.original import NAME as ORIGINAL
from biasectomy.methods.random_neurons import NAME as CONTROL
from biasectomy.registry import described
from biasectomy.report.card_metadata import Form, Subject, card_data, parsed, read_card
from biasectomy.report.figures import DECIMALS, USUAL, Cell, format_figure
from biasectomy.report.number_format import told_format

if TYPE_CHECKING:  # slow to import
    from huggingface_hub import ModelCard

FOLDER, BASE = "path/to/this/folder", "path/to/the/original"  # stand for wherever the models will be
CHANGES: dict[Form, str] = {
    "checkpoint": "Only weights are changed: it loads and runs as any other checkpoint of `transformers`.",
    "adapter": "It is an adapter of `peft` beside the original, whose weights stay as they are.",
}
SEPARATOR = "\n\n---\n\n"


def model_card(subject: Subject, stored: str = "") -> "ModelCard":
    """The card, as the hub's class reads it back.

    Args:
        subject: what it is about.
        stored: how the weights are stored, in words.

    Raises:
        DataError: the hub's class does not read the figures that were written.
    """
    own, own_text, unread = read_card(subject.original.card)
    data = card_data(subject, own)
    text = _text(subject, own, stored)
    if own_text:
        remark = f" Its metadata could not be read ({unread}) and is not among that of this card." if unread else ""
        text += (
            f"{SEPARATOR}# The original's card: {subject.original.name}\n\n"
            f"What follows was written of the original; its figures are not those of this model.{remark}\n\n{own_text}"
        )
    card = parsed(f"---\n{data.to_yaml()}\n---\n\n{text.rstrip()}\n")
    if card.data.get("eval_results") != data.eval_results:
        raise DataError("the hub's class does not read the figures of the card as they were written")
    return card


def _text(subject: Subject, own: dict[str, Any], stored: str) -> str:
    import jinja2

    results, record, original = subject.results, subject.run.record, subject.original
    settings: dict[str, Any] = record.get("settings") or {}
    neurons = subject.run.neuron_sets.get(subject.method)
    title, items = results.title(subject.method), record.get("items") or {}
    aim = next(iter(results.goals.items()), None)
    footnotes: list[str] = []
    table = "\n".join(_table(subject, footnotes))
    context = {
        "title": f"{original.name.rpartition('/')[2]}, changed by {title.lower()}",
        "what": f"This is {_linked(subject)} after {title.lower()}"
        + (f" set the factors of {len(neurons):,} neurons" if neurons is not None else "")
        + f". {CHANGES[subject.form]}",
        "verdict": results.verdict,
        "loading": _loading(subject),
        ORIGINAL: _linked(subject),
        "made_of": original.made_of,
        "fingerprint": (record.get("model") or {}).get("fingerprint"),
        "method": f"{title} (`{subject.method}`)",
        "says": described(METHODS[subject.method]) if subject.method in METHODS else "",
        "versions": record.get("versions") or {},
        "settings": settings,
        "number_format": told_format(record),
        "stored": stored,
        "fitted_to": aim
        and f"{items.get('development', 0):,} development items of `{aim[0]}`, towards "
        f"{results.description(aim[1]).description}; none of them is among those measured on",
        "measured_on": "; ".join(_measured(subject)),
        "asked": list(_asked(subject)),
        "table": table,
        "level": f"{100 * results.interval.get('level', 0.95):g}",
        "control": results.title(CONTROL) if _has_control(subject) else "",
        "footnotes": footnotes,
        "notes": {task: note for task, note in results.notes.items() if task in {row.task for row in subject.rows}},
        "abstention": [one.title for one in results.described.values() if one.role == "abstention"],
        "undoing": list(_undoing(subject)),
        "licence": _licence(subject, own),
        "command": _without_folders(str(record.get("command") or "")),
    }
    environment = jinja2.Environment(
        undefined=jinja2.ChainableUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    source = resources.files("biasectomy.report").joinpath("model_card.md.jinja").read_text(encoding="utf-8")
    return environment.from_string(source).render(context).rstrip()


def _linked(subject: Subject) -> str:
    original = subject.original
    return f"[{original.hub_id}](https://huggingface.co/{original.hub_id})" if original.hub_id else original.name


def _loading(subject: Subject) -> str:
    kind = "AutoModelForSeq2SeqLM" if subject.encoder_decoder else "AutoModelForCausalLM"
    if subject.form == "checkpoint":
        return (
            f"from transformers import {kind}, AutoTokenizer\n\n"
            f'model = {kind}.from_pretrained("{FOLDER}")\ntokenizer = AutoTokenizer.from_pretrained("{FOLDER}")'
        )
    return (
        f"from peft import PeftModel\nfrom transformers import {kind}\n\n"
        f'original = {kind}.from_pretrained("{_original_name(subject)}")\n'
        f'model = PeftModel.from_pretrained(original, "{FOLDER}")'
    )


def _original_name(subject: Subject) -> str:
    """What loads the original elsewhere; of one that only lies in somebody's folder, a stand-in."""
    return subject.original.hub_id or BASE


def _measured(subject: Subject) -> Iterator[str]:
    rows = {row.task: row for row in sorted(subject.rows, key=lambda row: row.items)}  # the one with most items stays
    for task in dict.fromkeys(row.task for row in subject.rows):
        row = rows[task]
        yield f"`{task}` ({row.split}): {row.items:,} items" + (
            f" of {row.clusters:,} templates" if row.clusters != row.items else ""
        )


def _asked(subject: Subject) -> Iterator[str]:
    record = subject.run.record
    prompt, settings = record.get("prompt") or {}, record.get("settings") or {}
    rule = settings.get("prompt", "auto")
    if prompt.get("format") == "chat":
        yield (
            f"Template: questions went through the model's own chat template (`--prompt {rule}`), as one turn of the "
            "user and without a system message of ours. A template that prints the date was told 1 January 2024."
        )
        thinking = {
            "off": "off (`enable_thinking=False`)",
            "begun": "the template begins a thought by itself, so answers stand inside one",
            "none": "the template has no switch for it; none was asked for",
        }
        known = (record.get("chat_template") or {}).get("thinking", "")
        yield f"Thinking mode: {thinking.get(known, 'off, where the template has a switch (`enable_thinking=False`)')}."
    else:
        behind = "" if subject.encoder_decoder else ", followed by `Answer:`"
        yield f"Template: none; questions were plain text{behind} (`--prompt {rule}`)."
        yield "Thinking mode: none; there is no template to switch it."
    if subject.encoder_decoder:
        yield "Prefix token: none; the encoder reads the beginning of a whole text, and the rest is judged."
    else:
        prefix = prompt.get("prefix") or {}
        token = f"`{prefix['text']}`" if prefix.get("text") else "none"
        yield f"Prefix token, in front of texts without a template: {token} (`--prefix {prefix.get('rule', 'auto')}`)."
    rules = {one["name"]: one.get("answer_rule") for one in record.get("tasks") or ()}
    if rules:
        first, answer_rule = next(iter(rules.items()))
        wordings = subject.results.settings.get("instruction_count")
        under = f", under {wordings:,} instruction{'s' if wordings != 1 else ''}" if wordings else ""
        order = ", with options turned" if settings.get("option_order") == "rotate" else ""
        yield f"Answers to `{first}` were read by the rule `{answer_rule}`{under}{order}."


def _has_control(subject: Subject) -> bool:
    return subject.method != CONTROL and any(row.against == CONTROL for row in subject.results.differences)


def _table(subject: Subject, footnotes: list[str]) -> Iterator[str]:
    """Lines of a table in Markdown: the figures with a role, before and after."""
    results = subject.results
    methods = [ORIGINAL, subject.method, *([CONTROL] if _has_control(subject) else [])]
    heads = ["Task", "Figure", "Best", results.title(ORIGINAL), "This model", "Change"]
    heads += [results.title(CONTROL)] if _has_control(subject) else []
    yield f"| {' | '.join(heads)} |"
    yield f"| {' | '.join([':--', ':--', *['--:'] * (len(heads) - 2)])} |"

    def cell(row: MetricRow | DifferenceRow | None, decimals: int, signed: bool = False) -> str:
        if row is None:
            return ""
        mark = ""
        if not math.isfinite(row.low) and row.reason:
            footnotes.extend([] if row.reason in footnotes else [row.reason])
            mark = f" ({footnotes.index(row.reason) + 1})"
        found: Cell = format_figure(row, signed=signed, mark=mark, decimals=decimals)
        return f"{found.value} {found.interval}".rstrip()

    for row in subject.rows:
        about = results.description(row.metric)
        decimals = DECIMALS.get(about.unit, USUAL)
        where = {"task": row.task, "split": row.split}
        figures = [cell(results.find(one, row.metric, **where), decimals) for one in methods]
        change = cell(results.find_difference(row.method, ORIGINAL, row.metric, **where), decimals, signed=True)
        best = "" if about.best is None else f"{about.best:g}"
        cells = [f"`{row.task}`", about.title, best, *figures[:2], change, *figures[2:]]
        yield f"| {' | '.join(one.replace('|', chr(92) + '|') for one in cells)} |"


def _undoing(subject: Subject) -> Iterator[str]:
    neurons = subject.run.neuron_sets.get(subject.method)
    original = subject.original.short_name or _original_name(subject)  # the very weights the neurons were found in
    if subject.form == "adapter":
        yield "The original is beside it, untouched: `model.unload()`, or do not load the adapter."
    if neurons is None:
        if subject.form == "checkpoint":
            yield f"The change is all over the weights and has no strength to turn down: take {_linked(subject)} again."
        return
    if not len(neurons):
        yield "There is nothing to undo: no neuron was changed."
        return
    factors = [one.factor for one in neurons]
    removed = factors.count(0.0)
    gone = f"; {removed:,} with the factor 0, which these weights no longer hold" if removed else ""
    yield (
        f"`neurons.json` lists the {len(neurons):,} neurons ({neurons.definition}) with the factor of each, "
        f"{min(factors):.2f} to {max(factors):.2f}{gone}. With the original and that file any part of the change can "
        "be had: strength 1 is this model, 0 the original, 0.5 half the way."
    )
    yield f"```sh\nbiasectomy apply neurons.json {original} --strength 0.5 --out half-way\n```"
    yield (
        f'```python\nimport biasectomy\n\nmodel = biasectomy.load("{original}")\n'
        'neurons = biasectomy.NeuronSet.load("neurons.json")\n'
        "with model.edited(neurons.with_strength(0.5)):\n    ...  # answers half the way\n```"
    )


def _licence(subject: Subject, own: dict[str, Any]) -> str:
    found = own.get("license_name") or own.get("license") or subject.original.licence
    files = ", ".join(f"`{path.name}`" for path in subject.original.licences)
    copied = f" Its terms are kept here: {files}." if files else ""
    if not found:
        return (
            f"That of the original, which this model is a change of. Its card names none: find out before you share it."
            f"{copied}"
        )
    return f"That of the original, {found}, under which this change of it is passed on.{copied}"


def _without_folders(command: str) -> str:
    """A command in which folders of one machine are not named."""

    def short(word: str) -> str:
        return ",".join(PurePath(one).name if PurePath(one).is_absolute() else one for one in word.split(","))

    return shlex.join(short(word) for word in shlex.split(command))
