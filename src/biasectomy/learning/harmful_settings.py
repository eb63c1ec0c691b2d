"""Which harmful texts are learned from, and which of their words count: the options, and the texts they choose."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from biasectomy.errors import DataError, SettingsError
from biasectomy.learning.settings import BudgetedSettings
from biasectomy.options import Options

if TYPE_CHECKING:  # `--help` needs nothing of this
    from biasectomy.tasks.harmful_texts import HarmfulTexts

FEWEST = 5  # texts: some are learned from, and one in five tells how it went


class HarmfulSettings(Options):
    """Options of methods that learn from hate speech against a group."""

    group: str = Field(
        "Women", description="Whom the hate speech is against, as HateXplain names targets: Women, Islam, Jewish, ..."
    )
    tokens: Literal["rationale", "lexicon", "all"] = Field(
        "rationale",
        description="Which tokens of a text count: those of the words that annotators marked, those of words in a "
        "lexicon, or all.",
    )
    lexicon: str = Field(
        "", description="For 'lexicon': a file with an entry a line (or HurtLex's own), or words joined by commas."
    )
    kind: Literal["full", "frozen-layers", "peft"] = Field(
        "full", description="What is trained: all weights, those of the last blocks, or LoRA on the down projections."
    )
    blocks: int = Field(2, ge=1, description="Last blocks of each stack that frozen-layers trains.")
    rank: int = Field(8, ge=1, description="Rank of LoRA.")
    steps: int = Field(100, ge=1, description="Steps of training, at most.")
    items_a_step: int = Field(8, ge=1, description="Texts, or items, in a step.")
    rate: float | None = Field(
        None, gt=0, le=1, description="Rate of the first step (Adam). [default: by kind: 0.00002, 0.00005, 0.001]"
    )

    @property
    def part(self) -> BudgetedSettings:
        """What is trained, as `trained_part` takes it."""
        return BudgetedSettings(kind=self.kind, blocks=self.blocks, rank=self.rank)


def check(settings: HarmfulSettings) -> None:
    """Refuses what cannot be, before any file is read.

    Raises:
        UnknownNameError: there is no such group.
        SettingsError: a lexicon is wanted and none is named, or the other way round.
    """
    from biasectomy.tasks.harmful_texts import checked_group

    checked_group(settings.group)
    if (settings.tokens == "lexicon") != bool(settings.lexicon):
        raise SettingsError("'tokens lexicon' and a lexicon (a file, or words joined by commas) belong together.")


def selected_texts(settings: HarmfulSettings, data_folder: Path | None) -> "HarmfulTexts":
    """The texts that settings name, with the harmful words that they ask for; those without any are left out.

    Raises:
        SourceError, DataError: the data or the lexicon are not there, cannot be read, or hold too little.
    """
    from biasectomy.tasks.harmful_texts import marked_by, texts_against
    from biasectomy.tasks.judge_lexicon import Lexicon, words_of

    check(settings)
    found = texts_against(settings.group, data_folder)
    texts = found.texts
    if settings.tokens == "all":
        texts = tuple(replace(one, harmful=(True,) * len(one.words)) for one in texts)
    elif settings.tokens == "lexicon":
        if set(settings.lexicon) & set("/\\.#"):  # a file
            entries = Lexicon.make(settings.lexicon, data_folder).entries
        else:
            entries = frozenset(words for entry in settings.lexicon.split(",") if (words := words_of(entry)))
        texts = tuple(marked_by(one, entries) for one in texts)
    texts = tuple(one for one in texts if any(one.harmful))
    if len(texts) < FEWEST:
        raise DataError(
            f"Only {len(texts)} of {len(found.texts)} hateful posts against '{settings.group}' have a harmful word by "
            f"'{settings.tokens}', and {FEWEST} are needed; another group, or other tokens, would be right."
        )
    return replace(found, texts=texts)
