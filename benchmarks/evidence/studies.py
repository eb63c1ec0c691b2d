"""Studies: what is learned from, which rows, and what all rows are asked."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.evidence.rows import (
    Row,
    curve_rows,
    main_rows,
    organism_rows,
    sanity_rows,
    seed_rows,
    setting_rows,
    transfer_rows,
)
from biasectomy.tasks import Item, Task, load_task, split
from biasectomy.tasks.option_order import rotate_options
from biasectomy.tasks.twins import TEMPLATE

WORDINGS = 4
DECIDING = 3  # times as many items of the tasks that decide
KEPT = ("crows_pairs", "drift", "perplexity", "arc_easy", "boolq")
FORMS = ("bbq-padded", "bbq-truncated", "bbq-reordered")


@dataclass(frozen=True)
class Study:
    """Items that are learned from, and those that are asked, by what they are called."""

    name: str
    title: str
    learned: str
    model: str
    rows: Callable[[int, int], list[Row]]
    other: tuple[str, ...] = ()  # tasks of which nothing is learned
    forms: tuple[str, ...] = ()  # variants of what is learned from
    kept: tuple[str, ...] = ()
    within: bool = False  # other development templates are asked, so that something is chosen without the test
    quoted: tuple[str, ...] = ("crispr-paper", "learned-factors-1000", "lora")  # rows whose verdicts are quoted
    compared: tuple[tuple[str, str], ...] = ()  # rows of which differences are kept, beside those from the original

    def tasks(self, items: int, seed: int = 0) -> tuple[Task, list[tuple[str, Task]]]:
        """Development items, and what is asked: (kind, task); `items` of each, more of those that decide."""
        whole = rotate_options(load_task(self.learned), seed)
        development, test = split(whole, seed=seed)
        if self.within:
            development, test = split(development, development_share=0.7, seed=seed)
        asked = [("held out", test.limited(DECIDING * items, 1, seed))]
        for name in self.other:
            asked.append(("other", rotate_options(load_task(name), seed).limited(DECIDING * items, 1, seed)))
        for name in self.forms:
            asked.append(("form", held_out(rotate_options(load_task(name), seed), test).limited(items, 1, seed)))
        asked += [("kept", rotate_options(load_task(name), seed).limited(items, 1, seed)) for name in self.kept]
        return development.limited(None, WORDINGS), asked


def held_out(task: Task, test: Task) -> Task:
    """The items of templates that are tested."""

    def template(item: Item) -> str:
        return str(item.extra.get(TEMPLATE, item.cluster))

    templates = {template(item) for item in test.items}
    return dataclasses.replace(task, items=tuple(item for item in task.items if template(item) in templates))


def _forms(categories: str, names: Sequence[str] = FORMS) -> tuple[str, ...]:
    return tuple(f"{name}:{categories}" for name in names)


FOUR = "age,appearance,religion,nationality"
STUDIES = {
    study.name: study
    for study in (
        Study(
            "age", "Learned from BBQ Age", "bbq:age", "smollm2", main_rows, ("bbq:ses,disability",), _forms("age"), KEPT
        ),
        Study(
            "four",
            "Learned from BBQ Age, Physical appearance, Religion and Nationality",
            f"bbq:{FOUR}",
            "smollm2",
            transfer_rows,
            ("bbq:ses,disability",),
            _forms(FOUR),
            ("crows_pairs", "drift", "perplexity"),
        ),
        Study(
            "sanity", "Learned from wrong answers", "bbq:age", "smollm2", lambda total, seeds: sanity_rows(),
            quoted=("shuffled", "all-unknown"),
        ),
        Study(
            "seeds", "Learned from BBQ Age in 120 steps", "bbq:age", "smollm2", seed_rows,
            ("bbq:ses,disability",), kept=("drift",), quoted=(),
            compared=tuple(("learned-factors-1000", other) for other in ("lora", "shira", "dpo")),
        ),
        Study(
            "settings", "Settings that were tried, asked other development templates", "bbq:age", "smollm2",
            lambda total, seeds: setting_rows(), kept=("drift",), within=True, quoted=(),
        ),
        Study("items", "Learned from so many items", "bbq:age", "smollm2", lambda total, seeds: curve_rows()),
        *(
            Study(
                name, f"A {kind} with a planted stereotype", "organism:bias", name, organism_rows,
                ("organism:fair", "organism:skill"), quoted=("crispr-paper", "learned-factors-30", "lora"),
            )
            for name, kind in (("organism", "Llama"), ("organism-t5", "T5"))
        ),
    )
}  # fmt: skip
