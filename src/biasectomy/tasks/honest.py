"""HONEST (Nozza et al. 2021): how often are sentences about people completed with a hurtful word?

Templates such as "the woman should work as a ..." are gone on from, and a lexicon says whether a completion holds one
of its words or phrases: one of several words counts as much as a single word. The score is the share of completions
that do. The lexicon of the paper is HurtLex, the user's own copy (see the judge `lexicon`). Templates of one person are
a cluster; some stand in the file twice, and count twice as in the paper.
"""

from collections.abc import Sequence
from pathlib import Path

from biasectomy.errors import DataError
from biasectomy.tasks.base import TASKS, Item, Task, TaskFamily
from biasectomy.tasks.checks import wrong_with_texts
from biasectomy.tasks.continuations import continued_task, judged_difference, judged_mean, with_continuations
from biasectomy.tasks.data_files import csv_rows, folder_file
from biasectomy.tasks.judges import find_judge
from biasectomy.tasks.metrics import Metric
from biasectomy.tasks.multiple_choice import Selector

MASK = "[M]"
FILES = {
    "binary": (
        "honest/binary_en_template.tsv", "31cc5a89729638975eaf0de3457ed87c6c7da67ef9058119f53d931f8e26727c", 810,
    ),
    "queer": (
        "honest/queer_nonqueer_en_template.tsv",
        "29fb950897942d26b99d1485a18739c8a22ceb9326a548fd14b17bc335191100",
        705,
    ),
}  # fmt: skip
VERSION = "1, MilaNLProc/honest@6efc7817cbeb36e61bba51a34bbce13ecc8af69f"
COLUMNS = ("template_masked", "identity", "number", "category", "type")
QUALITY = "hurtful"
GROUP = "group"
GROUPS = {"binary": ("female", "male"), "queer": ("queer", "nonqueer")}
NEW_TOKENS = 10


def _metrics(member: str) -> tuple[Metric, ...]:
    def of(group: str) -> Selector:
        return lambda item: item.labels[GROUP] == group

    one, other = GROUPS[member]
    described = "the share of completions that hold a hurtful word"
    found = [judged_mean("honest", ("HONEST", described), QUALITY, role="guard", unit="share")]
    for group in (one, other):
        words = f"HONEST, {group}", f"{described}, of {group} identities"
        found.append(judged_mean(f"honest_{group}", words, QUALITY, of(group), unit="share"))
    words = f"HONEST, {one} less {other}", f"{described}, of {one} less {other} identities"
    found.append(judged_difference("honest_difference", words, QUALITY, (of(one), of(other))))
    return tuple(found)


def parse(text: str, member: str, name: str) -> tuple[Item, ...]:
    """Items in the order of the file.

    Raises:
        DataError: there is none, or one cannot be used; names file and line.
    """
    items = []
    for number, (place, row) in enumerate(csv_rows(text, name, COLUMNS, delimiter="\t")):
        if (wrong := wrong_with_texts(row.items())) is not None:
            raise DataError(f"{place}: {wrong}.")
        before, mask, behind = row["template_masked"].partition(MASK)
        if not mask or not before.strip() or behind.strip(" ."):
            raise DataError(f"{place}: the template must end with {MASK}; found '{row['template_masked']}'.")
        group = _group(row["category"], member)
        if group is None:
            raise DataError(f"{place}: the category '{row['category']}' is neither {' nor '.join(GROUPS[member])}.")
        labels = {GROUP: group, "category": row["category"], "number": row["number"], "type": row["type"]}
        task = f"honest:{member}"
        items.append(Item(f"{task}/{number}", f"{task}/{row['identity']}", task, context=before.strip(), labels=labels))
    if not items:
        raise DataError(f"{name} holds no template.")
    return tuple(items)


def _group(category: str, member: str) -> str | None:
    return next((group for group in GROUPS[member] if category == group or category.startswith(f"{group}_")), None)


def load(members: Sequence[str], data_folder: Path | None, instructions: Path | None) -> list[Task]:
    """One task for each file; no instruction is given, whatever the file of instructions says.

    Raises:
        SourceError: a file or the lexicon is missing or damaged.
        DataError: the content of one cannot be used.
    """
    tasks = []
    for member in members:
        path, sha256, _ = FILES[member]
        file = folder_file(path, data_folder, f"HONEST's English templates ({path.rpartition('/')[2]})", sha256)
        task = continued_task(
            f"honest:{member}",
            parse(file.text, member, file.name),
            _metrics(member),
            VERSION,
            {QUALITY: find_judge("lexicon", data_folder)},
            file,
            (GROUP, "type"),
        )
        tasks.append(with_continuations(task, new_tokens=NEW_TOKENS))
    return tasks


TASKS.register("honest")(
    TaskFamily(
        title="HONEST: how often are sentences about people completed with a hurtful word?",
        rows={member: rows for member, (_, _, rows) in FILES.items()},
        licence="MIT (templates); HurtLex is CC-BY-NC-SA",
        citation="Nozza et al., HONEST: Measuring Hurtful Sentence Completion in Language Models, NAACL 2021",
        source="the folder that BIASECTOMY_DATA names",
        load=load,
        bare=("binary",),
    )
)
