"""`--dtype auto`: the fastest number format whose answers are those of float32, as far as this model's items can show.

A format is tried if its products are faster than those of float32 on this device. Then the model as it is answers the
same items in both. The format is taken if the share of answers that differ stays under a percent with confidence (the
upper end of its Clopper-Pearson interval, which holds all questions for independent), and answers really came sooner.
"""

import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biasectomy.commands.opening import loaded, open_model
from biasectomy.commands.settings_shared import AUTO, ModelSettings
from biasectomy.errors import DataError, ModelError, ScoreError, SourceError
from biasectomy.files import read_json
from biasectomy.measuring.session import Session
from biasectomy.models.language_model import LanguageModel
from biasectomy.narration import heading, progress, say
from biasectomy.processes import Processes
from biasectomy.reading.products import ALIKE, FORMATS, FULL, Products, products
from biasectomy.report.number_format import NUMBER_FORMAT
from biasectomy.run_files import RECORD
from biasectomy.tasks import Task

FEW, LEVEL = 0.01, 0.95  # the share of answers that may differ, and the level of its interval
MOST, AT_ONCE = 1000, 100  # questions that are asked in both formats, at most and at once
PART = 4  # so many times as much is asked by a run that can afford them
UNDERFLOWS = "float16"  # gradients of a loss that is not scaled get lost in it


Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Asking:
    """What a run asks: the items that number formats may be tried on, and how many questions' time it takes.

    `fits` says whether gradients may be computed.
    """

    task: Task
    questions: float
    fits: bool = False


@dataclass(frozen=True)
class Flips:
    """How many answers in a number format differ from those in float32; `low` and `high` are of their share.

    Of `planned` questions no more are asked once too many answers differ; `questions` are those of them that were
    answered in one of the formats with one of their options. Seconds are those a question.
    """

    dtype: str
    planned: int
    questions: int = 0
    differ: int = 0
    low: float = math.nan
    high: float = math.nan
    seconds: float = math.nan
    float32_seconds: float = math.nan
    complete: bool = False  # whether all that was planned was asked
    refused: str = ""  # why it cannot be had at all

    @property
    def good(self) -> bool:
        """Whether the format may be taken."""
        return self.few and self.seconds * ALIKE < self.float32_seconds

    @property
    def few(self) -> bool:
        """Whether so few answers differ that their share is under a percent with confidence."""
        return self.complete and self.high < FEW

    def __str__(self) -> str:
        if self.refused:
            return f"{self.dtype} cannot be had: {self.refused}"
        first = "" if self.complete else "the first "
        share = f"{100 * self.differ / self.questions:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"
        said = f"{self.dtype} changes {self.differ:,} of {first}{self.questions:,} answers, {share}"
        if not self.few:
            return f"{said}; {most_flips(self.planned):,} of {self.planned:,} would do"
        quick = self.float32_seconds / self.seconds
        return f"{said}, and answers {quick:.1f} times as fast" + ("" if self.good else ", which is not faster")


def open_in_format(
    settings: ModelSettings,
    processes: Processes,
    given: LanguageModel | str | None,
    asking: Asking,
    folder: Path | None = None,
) -> tuple[LanguageModel, dict[str, Any]]:
    """The model of the settings in the number format they say, or which `auto` finds, with what a record says of it.

    Args:
        given: a loaded model, or a name, in place of that of the settings.
        folder: of the run; one that is resumed keeps its format.

    Raises:
        BiasectomyError: the model cannot be loaded; see the tree in `errors`.
    """
    if isinstance(given, LanguageModel):
        model = open_model(settings, processes, given)
        return model, {"chosen": str(model.model.dtype).removeprefix("torch.")}
    before = processes.once(lambda: _before(settings, folder))
    if settings.dtype != AUTO or before is not None:
        chosen = settings.dtype if before is None else str(before["chosen"])
        return open_model(settings, processes, given, dtype=chosen), before or {"chosen": chosen}
    model = open_model(settings, processes, given, dtype=FULL)
    rates = processes.once(lambda: products(model.model.device))
    heading("Number format")
    parts = _parts(asking, settings.seed)
    because, flips = _refused(settings, rates, asking, parts), list[Flips]()
    if not because:
        model, flips = _tried(model, settings, processes, _candidates(rates, asking), parts)
        because = ". ".join(map(str, flips))
    chosen = str(model.model.dtype).removeprefix("torch.")
    say(f"{because}. So it is {chosen}")
    return model, {
        "asked": AUTO,
        "chosen": chosen,
        "because": because,
        "products": rates.to_json(),
        "flips": [asdict(one) | {"level": LEVEL, "interval": "Clopper-Pearson"} for one in flips],
        "task": asking.task.name,
    }


def foreseen(settings: ModelSettings, rates: Products, asking: Asking) -> str:
    """What `auto` would do, for a forecast."""
    parts = _parts(asking, settings.seed)
    if because := _refused(settings, rates, asking, parts):
        return f"{because}: --dtype auto would be {FULL}"
    names = " and ".join((FULL, *_candidates(rates, asking)))
    return f"--dtype auto would first ask at most {_count(parts):,} questions in {names}"


def least_questions() -> int:
    """How many questions it takes at least: so many of which none differs."""
    return math.floor(math.log((1 - LEVEL) / 2) / math.log(1 - FEW)) + 1


def most_flips(questions: int) -> int:
    """How many answers may differ; -1 where the questions are too few to say anything."""
    differ = -1
    while differ < questions and interval(differ + 1, questions)[1] < FEW:
        differ += 1
    return differ


def interval(differ: int, questions: int) -> tuple[float, float]:
    """The Clopper-Pearson interval of a share."""
    from scipy.stats import binomtest

    found = binomtest(differ, questions).proportion_ci(LEVEL)
    return float(found.low), float(found.high)


def _before(settings: ModelSettings, folder: Path | None) -> dict[str, Any] | None:
    """What the record of the run that is resumed says; None where there is none."""
    if folder is None or not getattr(settings, "resume", False) or settings.dtype != AUTO:
        return None
    try:
        found = read_json(folder / RECORD)[NUMBER_FORMAT]
        return dict(found) if found["chosen"] in FORMATS else None
    except (SourceError, DataError, KeyError, TypeError):  # refused where the run is opened, if it must be
        return None


def _refused(settings: ModelSettings, rates: Products, asking: Asking, parts: list[Task]) -> str:
    """Why nothing is tried and float32 stays; empty where something is."""
    if settings.quantization is not None:
        return "A quantised model has its own number format"
    names = _candidates(rates, asking)
    if not names:
        return f"No other number format that could be used is faster on {rates.device}"
    if not any(len(item.options) > 1 for item in asking.task.items):
        return f"'{asking.task.name}' has no options, so that no answer can be another one"
    if _count(parts) < least_questions():
        return (
            f"{names[0]} could be faster, but it takes {least_questions():,} questions to tell that fewer than "
            f"{100 * FEW:g} % of the answers change, and a run of this size affords {_count(parts):,}"
        )
    return ""


def _candidates(rates: Products, asking: Asking) -> list[str]:
    return [name for name in rates.faster() if not (asking.fits and name == UNDERFLOWS)]


def _parts(asking: Asking, seed: int) -> list[Task]:
    """The questions that are asked in both formats, in parts each of which is spread over all items."""
    task = asking.task
    planned = int(min(MOST, len(task.items) * len(task.instructions), asking.questions // PART))
    if not planned:
        return []
    wordings = math.ceil(planned / len(task.items))
    some = task.limited(max(1, planned // wordings), wordings, seed)
    count = math.ceil(_count([some]) / AT_ONCE)
    return [replace(some, items=some.items[place::count]) for place in range(count)]


def _count(parts: list[Task]) -> int:
    return sum(len(one.items) * len(one.instructions) for one in parts)


def _tried(
    model: LanguageModel, settings: ModelSettings, processes: Processes, names: list[str], parts: list[Task]
) -> tuple[LanguageModel, list[Flips]]:
    """The model in the first format that is good, else as it is, and what each that was tried changed."""
    full, planned = _Answering(model, parts, processes), _count(parts)
    flips: list[Flips] = []
    for name in names:
        say(f"Asking at most {planned:,} questions in {FULL} and in {name}")
        other, refused = _loaded(model, settings, processes, name)
        if other is None:
            flips.append(Flips(name, planned, refused=refused))
            continue
        try:
            flips.append(_compared(full, _Answering(other, parts, processes), name, planned))
        except ScoreError as error:  # of several processes one alone would go on
            if processes.count > 1:
                raise
            flips.append(Flips(name, planned, refused=str(error).rstrip(".")))
        if flips[-1].good:
            return other, flips
    return model, flips


def _loaded(
    model: LanguageModel, settings: ModelSettings, processes: Processes, name: str
) -> tuple[LanguageModel | None, str]:
    """The same model in another format, or why there is none in one of the processes."""
    assert model.source is not None
    other, refused = None, ""
    try:
        other = loaded(settings, processes, model.source, name)
        other.batch_tokens = model.batch_tokens
    except ModelError as error:
        refused = str(error).rstrip(".")
    refused = next((one for one in processes.gather(refused) if one), "")
    return (None if refused else other), refused


class _Answering:
    """A model that answers parts of the questions, each once, and how long it took."""

    def __init__(self, model: LanguageModel, parts: list[Task], processes: Processes) -> None:
        self.parts, self._processes = parts, processes
        self._session = Session(processes=processes)
        self._answerer = self._session.answerer(model)
        self._found: list[tuple[Integers, float]] = []

    def choices(self, part: int) -> tuple[Integers, float]:
        """The choices of a part, below 0 where there is none, and the seconds they took."""
        while len(self._found) <= part:
            start = time.perf_counter()
            answers = self._session.ask(self.parts[len(self._found)], self._answerer)
            seconds = max(self._processes.gather(time.perf_counter() - start))
            self._found.append((answers.choices.reshape(-1), seconds))
        return self._found[part]


def _compared(full: _Answering, other: _Answering, name: str, planned: int) -> Flips:
    """Asks part by part, until all is asked or too many answers differ."""
    counts: list[tuple[int, int]] = []  # answers of a part, and those that differ
    times: list[tuple[int, float, float]] = []  # its questions, and seconds in the other format and in float32
    allowed = most_flips(planned)
    with progress(f"Comparing {name}", planned) as advance:
        for part in range(len(full.parts)):
            (first, full_seconds), (second, seconds) = full.choices(part), other.choices(part)
            counts.append((int(np.sum(np.maximum(first, second) >= 0)), int(np.sum(first != second))))
            times.append((len(first), seconds, full_seconds))
            advance(len(first))
            if sum(differ for _, differ in counts) > allowed:
                break
    answers, differ = (sum(column) for column in zip(*counts, strict=True))
    if not answers:
        return Flips(name, planned, refused="no question was answered with one of its options")
    count, *seconds_of = (sum(column) for column in zip(*(times[1:] or times), strict=True))  # the first warms up
    low, high = interval(differ, answers)
    seconds, full_seconds = (one / count for one in seconds_of)
    complete = len(counts) == len(full.parts)
    return Flips(name, planned, answers, differ, low, high, seconds, full_seconds, complete)
