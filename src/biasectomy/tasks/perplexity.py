"""Perplexity per word of neutral text: what a method costs in fluency.

exp(-sum of log P(paragraph) / number of words) over all paragraphs; per word, so that models with different
tokenizers compare. Of an encoder-decoder it is that of the second half of each paragraph, given the first. The two
texts give figures that cannot be compared with each other, so the text is part of the task's name; nor can figures
behind different prefix tokens, so the prefix is added to the metric's description when it is known. The packaged text
is short: 3,045 words in 60 paragraphs.
"""

import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from biasectomy.errors import DataError
from biasectomy.reading.questions import Question
from biasectomy.tasks.base import TASKS, Form, Item, Task, TaskFamily
from biasectomy.tasks.data_files import DataFile, data_file, data_folder_of
from biasectomy.tasks.metrics import Answers, Booleans, Floats, Metric

PACKAGED, WIKITEXT = "packaged", "wikitext2"
WIKITEXT_FILE = "wikitext2/wiki.test.raw"
REVISION = "1"
PARAGRAPHS = 60
SHORTEST = 200  # characters: shorter lines of WikiText are captions and remnants
LONGEST = 120  # words


def _columns(items: Sequence[Item], answers: Answers) -> tuple[Floats, Booleans]:
    shape = answers.choices.shape
    if not answers.log_likelihoods.size:
        return np.zeros((*shape, 3)), np.zeros(len(items), dtype=np.bool_)
    log_likelihoods = answers.log_likelihoods[..., 0]
    words = answers.words[..., 0].astype(np.float64)
    return np.stack([log_likelihoods, words, np.ones(shape)], axis=-1), np.ones(len(items), dtype=np.bool_)


def _combine(sums: Floats) -> Floats:
    return np.asarray(np.exp(-sums[..., 0] / sums[..., 1]).mean(axis=(-1, -2)))


PERPLEXITY = Metric(
    "perplexity",
    "Perplexity",
    "perplexity per word of neutral text",
    _columns,
    _combine,
    best=1.0,
    unit="per word",
    role="guard",
    undefined="no text was scored",
    ends=(1.0, np.inf),
)


def whole_text(instruction: str, item: Item) -> Question:
    """The paragraph as it is."""
    return Question(None, item.options)


def spaced(paragraphs: Sequence[str], number: int = PARAGRAPHS) -> list[str]:
    """At most so many paragraphs, evenly spaced."""
    number = min(number, len(paragraphs))
    return [paragraphs[index * len(paragraphs) // number] for index in range(number)]


def load(members: Sequence[str], data_folder: Path | None, instructions: Path | None) -> list[Task]:
    """See `of_texts`; no instruction is given, whatever the file of instructions says."""
    return of_texts("perplexity", (PERPLEXITY,), whole_text, members, data_folder)


def of_texts(
    family: str, metrics: tuple[Metric, ...], form: Form, members: Sequence[str], data_folder: Path | None
) -> list[Task]:
    """A family's task for each text; of no member, that of WikiText-2 where the data folder has it, else the packaged.

    Raises:
        SourceError: the file is missing or its checksum is wrong.
        DataError: the file is not UTF-8 or holds no paragraph.
    """
    if not members:
        folder = data_folder_of(data_folder)
        there = folder is not None and (folder / WIKITEXT_FILE).is_file()
        members = [WIKITEXT if there else PACKAGED]
    tasks = []
    for member in members:
        paragraphs, file = _wikitext(data_folder) if member == WIKITEXT else _packaged()
        name = f"{family}:{member}"
        items = tuple(
            Item(f"{name}/{number}", cluster=f"{name}/{number}", task=name, options=(paragraph,))
            for number, paragraph in enumerate(paragraphs)
        )
        tasks.append(Task(name, items, ("",), metrics, REVISION, form, sources=(file.source(),)))
    return tasks


def _packaged() -> tuple[list[str], DataFile]:
    raw = (resources.files("biasectomy") / "data" / "neutral.txt").read_bytes()
    paragraphs = [" ".join(paragraph.split()) for paragraph in raw.decode().split("\n\n")]
    return spaced(paragraphs), DataFile(
        "", "packaged neutral text", hashlib.sha256(raw).hexdigest(), "this package", True
    )


def _wikitext(data_folder: Path | None) -> tuple[list[str], DataFile]:
    """Lines that are no headings and not short, cut at a word end."""
    file = data_file(WIKITEXT_FILE, data_folder)
    lines = (line.strip() for line in file.text.split("\n"))
    paragraphs = [
        " ".join(line.split()[:LONGEST]) for line in lines if len(line) >= SHORTEST and not line.startswith("= ")
    ]
    if not paragraphs:
        raise DataError(f"{file.origin} holds no paragraph of {SHORTEST} characters or more.")
    return spaced(paragraphs), file


TASKS.register("perplexity")(
    TaskFamily(
        title="Perplexity per word of neutral text, which no method should raise",
        rows={PACKAGED: PARAGRAPHS, WIKITEXT: PARAGRAPHS},
        licence="Apache-2.0 (packaged), CC-BY-SA-3.0 (WikiText-2)",
        citation="Merity et al., Pointer Sentinel Mixture Models, ICLR 2017 (WikiText-2)",
        source="biasectomy; wikitext2 from the folder that BIASECTOMY_DATA names",
        load=load,
        bare=(),
    )
)
