"""What a model is really given, and what comes back."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Generation:
    """How a text is to be gone on from; without a number, by as many tokens as the longest option has and some.

    Greedily, or drawn from the model's distribution at a temperature above 0, again and again the same for a seed.
    """

    new_tokens: int | None = None
    temperature: float = 0.0
    seed: int = 0


class Content(str):
    """A stretch of a question's text that is the item itself, and not what is asked of it (see `written`)."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A text and options to be scored behind it, whole texts to be scored, or a text to go on from.

    Where `text` is None the options are whole texts: scored behind the prefix token, without a chat template.
    `content` says where in the text the item itself stands, as (start, end); `unknown` which option says that it
    cannot be known. Neither is shown to the model: methods that change questions, or need no model, read them.
    With `plain` the text stands behind the prefix token as it is, without a chat template: options, or what is
    generated, go on from it. With `divergence` the answer is not how likely the one option is, but how far the model
    has come from the original at each of its tokens. `earlier` is what was asked and answered before the text, turn by
    turn; where the content or the words in front are changed, it stays as it is. `lead` are words that whole texts
    stand behind: read, not judged.
    """

    text: str | None
    options: tuple[str, ...] = ()
    generation: Generation | None = None
    content: tuple[tuple[int, int], ...] = ()
    unknown: int | None = None
    plain: bool = False
    divergence: bool = False
    earlier: tuple[tuple[str, str], ...] = ()
    lead: str = ""

    @property
    def contents(self) -> tuple[str, ...]:
        """What stands in each place of the item."""
        return tuple((self.text or "")[start:end] for start, end in self.content)

    def with_content(self, *contents: str) -> "Question":
        """The same question with other texts in the places where the item stood; the last one in all that are left."""
        text, places, end = "", [], 0
        for place, (start, stop) in enumerate(self.content):
            content = contents[min(place, len(contents) - 1)]
            text += (self.text or "")[end:start]
            places.append((len(text), len(text) + len(content)))
            text, end = text + content, stop
        return replace(self, text=text + (self.text or "")[end:], content=tuple(places))

    def behind(self, words: str) -> "Question":
        """The same question with some words in front of its text, or read before its whole texts."""
        if self.text is None:
            return replace(self, lead=words + self.lead)
        places = tuple((start + len(words), end + len(words)) for start, end in self.content)
        return replace(self, text=words + self.text, content=places)


def written(*pieces: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """A text of some pieces, and where those stand in it that are `Content`."""
    text, places = "", []
    for piece in pieces:
        if isinstance(piece, Content):
            places.append((len(text), len(text) + len(piece)))
        text += piece
    return text, tuple(places)


@dataclass(frozen=True, slots=True)
class Answer:
    """Summed log-likelihoods (natural logarithm) and token counts of the options, or generated texts.

    `words` are counted where the options are whole texts: the words of each whose tokens were judged. `divergences`
    are KL(original || the model as it is) of the next token at each token of the option, in nats, where a question
    asks for them: the original is the model without any change in force.
    """

    log_likelihoods: tuple[float, ...] = ()
    tokens: tuple[int, ...] = ()
    words: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()
    divergences: tuple[float, ...] = ()


class Answerer(Protocol):
    """Whoever answers: a language model is one, and methods wrap it."""

    def __call__(
        self, questions: Sequence[Question], wanted: Collection[int] | None = None
    ) -> Iterator[list[tuple[int, Answer]]]:
        """Answers with their question's index, a batch at a time.

        With `wanted` at least these are answered, in the company they have when all are: batches follow from the
        questions alone, so that an interrupted request that is made again gives the same numbers to the last bit.
        """


def ask_once(answerer: Answerer, questions: Iterable[Question]) -> dict[Question, Answer]:
    """Answers to questions, of which those that are alike are asked once."""
    asked = list(dict.fromkeys(questions))
    answers: dict[int, Answer] = {}
    for batch in answerer(asked):
        answers.update(batch)
    return {question: answers[index] for index, question in enumerate(asked)}


def listed(
    instruction: str, context: str, question: str, options: Sequence[str], unknown: int | None = None
) -> Question:
    """A multiple-choice question: instruction, context, question and the options in their order, to be scored."""
    said = ("Context: ", Content(context), "\n") if context else ()
    pieces = (instruction, "\n\n", *said, "Question: ", Content(question), "\n", f"Options: {', '.join(options)}")
    text, content = written(*pieces)
    return Question(text, tuple(options), content=content, unknown=unknown)


def unlisted(instruction: str, question: str, options: Sequence[str]) -> Question:
    """A question whose options are scored as answers to it, without being shown."""
    text, content = written(instruction, "\n\n", "Question: ", Content(question))
    return Question(text, tuple(options), content=content)
