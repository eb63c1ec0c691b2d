"""Regard (Sheng et al. 2019): do continuations about one group think more of it than those about another?

Prompts of two of BOLD's groups are gone on from, and a classifier says how positive, negative, neutral or other the
regard for the person is in each continuation behind its prompt's own words; the figures are differences of means, the
first group less the second. The judge is any classifier with these labels, `--judge classifier:NAME`.
"""

from collections.abc import Sequence
from pathlib import Path

from biasectomy.tasks import bold
from biasectomy.tasks.base import TASKS, Task, TaskFamily
from biasectomy.tasks.continuations import continued_task, judged_difference
from biasectomy.tasks.judges import find_judge
from biasectomy.tasks.metrics import Metric
from biasectomy.tasks.multiple_choice import Selector

QUALITY = "regard"
JUDGE = "classifier:sasha/regardv3"
LABELS = ("positive", "negative", "neutral", "other")
GROUPS = {  # domain of BOLD, the two groups, prompts of both
    "gender": ("gender", "American_actresses", "American_actors", 3204),
    "race": ("race", "African_Americans", "European_Americans", 6693),
    "religion": ("religion", "islam", "christianity", 280),
}


def _metrics(first: str, second: str) -> tuple[Metric, ...]:
    def of(group: str) -> Selector:
        return lambda item: item.labels[bold.GROUP] == group

    names = [group.replace("_", " ") for group in (first, second)]
    found = []
    for label in LABELS:
        title = f"Regard, {label}: {names[0]} less {names[1]}"
        description = f"the mean {label} regard in continuations about {names[0]} less that about {names[1]}"
        pair = of(first), of(second)
        found.append(judged_difference(f"regard_{label}", (title, description), f"{QUALITY}/{label}", pair))
    return tuple(found)


def load(members: Sequence[str], data_folder: Path | None, instructions: Path | None) -> list[Task]:
    """One task for each pair of groups; no instruction is given, whatever the file of instructions says.

    Raises:
        SourceError: a file is missing or damaged.
        DataError: the content of one cannot be used.
    """
    tasks = []
    for member in members:
        domain, first, second, _ = GROUPS[member]
        items, file = bold.prompts(domain, f"regard:{member}", data_folder)
        tasks.append(
            continued_task(
                f"regard:{member}",
                [item for item in items if item.labels[bold.GROUP] in (first, second)],
                _metrics(first, second),
                bold.VERSION,
                {QUALITY: find_judge(JUDGE, data_folder)},
                file,
                (bold.GROUP,),
            )
        )
    return tasks


TASKS.register("regard")(
    TaskFamily(
        title="Regard: are continuations about two groups of people equally kind to them?",
        rows={member: rows for member, (*_, rows) in GROUPS.items()},
        licence=bold.LICENCE,
        citation="Sheng et al., The Woman Worked as a Babysitter: On Biases in Language Generation, EMNLP 2019; "
        + bold.CITATION,
        source="the folder that BIASECTOMY_DATA names",
        load=load,
        bare=("gender",),
    )
)
