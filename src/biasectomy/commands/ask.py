"""`ask`: one's own questions, answered by the original and as a run's method leaves it; nothing asked is kept."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from biasectomy.commands.cards import made_in
from biasectomy.commands.opening import check_neuron_set, open_model
from biasectomy.commands.settings_loading import command_in
from biasectomy.commands.settings_runs import AskSettings
from biasectomy.errors import DataError, RunError, SettingsError, UnknownNameError
from biasectomy.methods import METHODS
from biasectomy.methods.original import NAME as ORIGINAL
from biasectomy.models.language_model import LanguageModel
from biasectomy.narration import warn
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.reading.questions import Answer, Generation, Question, ask_once, listed
from biasectomy.report.finished import FinishedRun
from biasectomy.report.number_format import recorded_format
from biasectomy.tasks.answer_rules import SCORES

FIELDS = ("question", "options", "context", "instruction")
AS_MEASURED = ("prompt", "prefix", "dtype")  # settings that are those of the run unless they are given


@dataclass(frozen=True)
class Asked:
    """A question of one's own, perhaps with options and a context."""

    question: str
    options: tuple[str, ...] = ()
    context: str = ""
    instruction: str | None = None

    @classmethod
    def read(cls, line: str, place: str) -> "Asked":
        """That of a line: `question? | option | option`, or a JSON object; a bar in a text is written `\\\\|`.

        Raises:
            DataError: it is not one; names `place`.
        """
        if line.lstrip().startswith("{"):
            return cls._of_json(line, place)
        pieces = [piece.replace("\0", "|").strip() for piece in line.replace("\\|", "\0").split("|")]
        return cls(pieces[0], tuple(pieces[1:]))._checked(place)

    @classmethod
    def _of_json(cls, line: str, place: str) -> "Asked":
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            raise DataError(
                f'{place}: not valid JSON; an example is {{"question": "Who?", "options": ["A", "B"]}}.'
            ) from None
        if strange := next((name for name in found if name not in FIELDS), None):
            raise DataError(f"{place}: {UnknownNameError('field', strange, FIELDS)}")
        options = found.get("options") or []
        texts = [found.get("question"), found.get("context") or "", found.get("instruction") or ""]
        if not isinstance(options, list) or not all(isinstance(text, str) for text in (*texts, *options)):
            raise DataError(f"{place}: 'question', 'context' and 'instruction' are texts, 'options' a list of texts.")
        asked = cls(found["question"], tuple(options), found.get("context") or "", found.get("instruction"))
        return asked._checked(place)

    def _checked(self, place: str) -> "Asked":
        if not self.question.strip() or not all(option.strip() for option in self.options):
            raise DataError(f"{place}: the question or an option is empty.")
        if len(self.options) == 1 or len(set(self.options)) < len(self.options):
            raise DataError(f"{place}: options are two or more, each another; one behind each bar: question? | a | b.")
        return self


@dataclass(frozen=True)
class Said:
    """What one model says: a text it writes, and the share of each option's probability, which sum to 1."""

    text: str
    probabilities: tuple[float, ...] = ()


@dataclass(frozen=True)
class Answered:
    """A question with what both say."""

    asked: Asked
    original: Said
    edited: Said

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes."""
        return {name: value for name, value in asdict(self.asked).items() if value} | {
            ORIGINAL: asdict(self.original),
            "edited": asdict(self.edited),
        }


@dataclass(frozen=True)
class Pair:
    """The original and the edited model, to be asked the same.

    `title` is the method's, `rule` how options are compared: "sum" or "mean" of their log-likelihoods.
    """

    title: str
    rule: str
    original: Callable[[list[Question]], dict[Question, Answer]]
    edited: Callable[[list[Question]], dict[Question, Answer]]
    instruction: str
    new_tokens: int

    def ask(self, asked: Asked) -> Answered:
        """What both say to a question: the text each writes greedily and, of options, how likely each is.

        Raises:
            DataError: the question cannot be put into the model's tokens or template.
        """
        if asked.options:
            instruction = self.instruction if asked.instruction is None else asked.instruction
            text = (listed(instruction, asked.context, asked.question, asked.options).text or "").lstrip()
        else:
            text = "\n\n".join(part for part in (asked.instruction, asked.context, asked.question) if part)
        written = Question(text, (), Generation(self.new_tokens))
        scored = [Question(text, asked.options)] if asked.options else []
        return Answered(asked, *(self._said(who([written, *scored])) for who in (self.original, self.edited)))

    def _said(self, answers: dict[Question, Answer]) -> Said:
        text, *scored = answers.values()
        return Said(text.texts[0].strip(), *(shares(SCORES[self.rule](one)) for one in scored))


def shares(scores: tuple[float, ...]) -> tuple[float, ...]:
    """Probabilities of options among each other, from their log-likelihoods."""
    values = np.exp(np.array(scores) - max(scores))
    return tuple(float(one) for one in values / values.sum())


@contextlib.contextmanager
def opened(settings: AskSettings) -> Iterator[Pair]:
    """A block in which a run's original and what its method makes of it can be asked.

    Raises:
        RunError: the folder holds no finished run, or no model that the method changed.
        SettingsError, UnknownNameError: it is not clear, or not known, which method is meant.
        BiasectomyError: the model cannot be loaded; see the tree in `errors`.
    """
    run = FinishedRun.read(settings.run)
    recorded: dict[str, Any] = run.record.get("settings") or {}
    method = _method(run, settings)
    neurons = run.neuron_sets.get(method)
    checkpoint = _checkpoint(run, method) if neurons is None else None
    as_measured = recorded | {"dtype": recorded_format(run.record) or settings.dtype}
    own = {name: as_measured[name] for name in AS_MEASURED if name in as_measured}
    own = {name: value for name, value in own.items() if name not in settings.model_fields_set}
    name = settings.model or str((run.record.get("model") or {}).get("name") or recorded.get("model"))
    settings = settings.model_copy(update=own | {"model": name})
    original = open_model(settings)
    edited = original if checkpoint is None else open_model(settings, given=checkpoint)
    _warn(run, original, neurons)
    rule = next((one.get("answer_rule") for one in run.record.get("tasks") or ()), "sum")
    yield Pair(
        run.results.title(method),
        rule if rule in SCORES else "sum",
        lambda questions: ask_once(original, questions),
        lambda questions: _under(edited, neurons, questions),
        settings.instruction,
        settings.new_tokens,
    )


def _under(model: LanguageModel, neurons: NeuronSet | None, questions: list[Question]) -> dict[Question, Answer]:
    with model.edited(neurons):
        return ask_once(model, questions)


def _method(run: FinishedRun, settings: AskSettings) -> str:
    """The method that is asked: the one named, that of `mitigate`, or the only one that edits neurons.

    Raises:
        UnknownNameError: the run has no such method.
        SettingsError: several could be meant.
    """
    names = [name for name in run.results.costs or run.results.titles if name != ORIGINAL]
    if settings.method is not None:
        if settings.method not in names:
            raise UnknownNameError(f"method in '{settings.run}'", settings.method, names)
        return settings.method
    fitted = (run.record.get("settings") or {}).get("method")
    if fitted in names:
        return str(fitted)
    editing = [name for name in names if name in run.neuron_sets] or names
    if len(editing) == 1:
        return editing[0]
    if not editing:
        raise RunError(
            f"'{settings.run}' measured the original alone, so there is nothing edited to ask; a run of 'mitigate' or "
            "'compare', or of 'evaluate --neurons', has something."
        )
    raise SettingsError(f"'{settings.run}' has several methods; say which: --method {'|'.join(editing)}.")


def _checkpoint(run: FinishedRun, method: str) -> str:
    """The folder with what a method made that sets no factors of neurons.

    Raises:
        RunError: there is none; says why, and what would be right.
    """
    made = made_in(run)
    own = command_in(str(run.record["command"])) == "mitigate" and run.record["settings"].get("method") == method
    if made is not None and own and made[1] == "checkpoint":
        return str(made[0])
    title = run.results.title(method)
    if method in METHODS and not METHODS[method].profile.checkpoint:
        raise RunError(
            f"{title} changes how a model is asked or what is made of its answers, not the model: there is no edited "
            f"model to ask. 'biasectomy evaluate' and 'compare --methods {method}' measure it."
        )
    raise RunError(
        f"'{run.folder}' keeps no model of {title}; 'biasectomy mitigate --method {method}' writes one, which can be "
        "asked."
    )


def _warn(run: FinishedRun, original: LanguageModel, neurons: NeuronSet | None) -> None:
    """Says where what is asked is not what was measured."""
    if neurons is not None:
        check_neuron_set(neurons, original)
        if all(one.factor == 1 for one in neurons):
            warn("The run changes no neuron: both columns are the same model.")
        return
    found_in, here = (run.record.get("model") or {}).get("fingerprint"), original.description()["fingerprint"]
    if found_in and found_in != here:
        warn(f"The run was made of other weights than those of '{original.name}'.")
