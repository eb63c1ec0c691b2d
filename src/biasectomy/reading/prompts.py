"""From a question to tokens: what the model reads and which continuations are judged."""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from biasectomy.errors import DataError, ModelError
from biasectomy.reading.chat_templates import ChatTemplate
from biasectomy.reading.prefixes import PrefixRule, choose_prefix
from biasectomy.reading.questions import Question

PromptKind = Literal["auto", "chat", "plain"]

Continuations = tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]  # tokens of the prompt, and of each option
Turns = Sequence[tuple[str, str]]  # what was asked and what was answered
ANSWER = "\nAnswer:"  # behind a question in plain text
SPARE_TOKENS = 8  # generated beyond the longest option, for a full stop or an end-of-turn token


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """Token ids of one prompt and of every option behind it.

    `prompt` is what all options share; `options[c]` are the tokens whose log-probabilities are
    summed for option c. Where a tokenizer merges the end of the prompt with the start of an option,
    the shared part is shorter and the merged token belongs to the option. `words` counts those of whole texts that
    are judged; `new_tokens` is how many tokens are to be generated, 0 where options are scored; `sampled` is the
    temperature and the seed of what is not generated greedily.
    """

    prompt: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]
    words: tuple[int, ...] = ()
    new_tokens: int = 0
    sampled: tuple[float, int] | None = None


class PromptFormat:
    """The model's chat template where it has one, plain text otherwise.

    `prefix` is the token in front of whole texts; None where the model reads them in another way.

    Raises:
        ModelError: `kind` is "chat" and the tokenizer has no chat template; or that it has cannot be used; or it names
            no such token as `prefix` asks for.
    """

    def __init__(
        self,
        tokenizer: Any,
        kind: PromptKind = "auto",
        model_name: str = "the model",
        prefix: PrefixRule | None = "auto",
    ) -> None:
        has_template = bool(getattr(tokenizer, "chat_template", None))
        if kind == "chat" and not has_template:
            raise ModelError(f"{model_name} has no chat template; use --prompt plain (or auto).")
        self.tokenizer = tokenizer
        template = _template(tokenizer, model_name, needed=kind != "plain") if has_template else None
        self.template = template if kind != "plain" else None
        self.prefix = None if prefix is None else choose_prefix(tokenizer, prefix, template, model_name)

    @property
    def chat(self) -> bool:
        """Whether the chat template is used."""
        return self.template is not None

    @property
    def name(self) -> str:
        """ "chat" or "plain"."""
        return "chat" if self.chat else "plain"

    @property
    def conditioning(self) -> str:
        """What whole texts are scored behind, in words."""
        return str(self.prefix)

    def text(self, user_text: str, earlier: Turns = ()) -> str:
        """The whole prompt as text, behind what was asked and answered earlier, up to where the answer begins."""
        if self.template is not None:
            return self.template.render(user_text, earlier)
        return f"{_plain_turns(earlier)}{user_text}{ANSWER}"

    def sayable(self, text: str) -> str:
        """A text that the model wrote, without what would end its turn if it were said to it."""
        return text if self.template is None else self.template.without_control_tokens(text)

    def token_ids(self, text: str) -> list[int]:
        """Tokens of a text; a plain text gets the tokenizer's own special tokens, a chat text has them already."""
        return self._tokens_of([text])[0]

    def _tokens_of(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of several texts: one call for all, which is what a call costs that matters."""
        return [list(found) for found in self.tokenizer(list(texts), add_special_tokens=not self.chat)["input_ids"]]

    def encode(self, question: Question) -> EncodedPrompt:
        """Tokens of a question.

        Raises:
            DataError: there is neither an option nor a text to go on from, an option is empty or adds no token of its
                own to the prompt, or a text cannot be put into tokens or into the chat template.
        """
        _refuse_unusable(question)
        if question.text is None:
            return self._whole_texts(question.options, question.lead)
        if question.plain:
            prompt, options = self._plain_continuations(question.text, question.options)
        else:
            if self.template is not None:
                for text in (question.text, *question.options, *itertools.chain(*question.earlier)):
                    self.template.refuse_control_tokens(text)
            prompt, options = self._continuations(self.text(question.text, question.earlier), question.options)
        if question.generation is None:
            return EncodedPrompt(prompt, options)
        generation, longest = question.generation, max(map(len, options), default=0)
        sampled = (generation.temperature, generation.seed) if generation.temperature else None
        return EncodedPrompt(
            prompt, options, new_tokens=generation.new_tokens or longest + SPARE_TOKENS, sampled=sampled
        )

    def _continuations(self, text: str, options: Sequence[str]) -> Continuations:
        """Tokens that all options share, and those of each option."""
        return _shared("" if self.chat else " ", text, options, self._tokens_of)

    def _plain_continuations(self, text: str, options: Sequence[str]) -> Continuations:
        """The same of a text that stands behind the prefix as it is."""
        prefix = [self.prefix.token] if self.prefix is not None and self.prefix.token is not None else []

        def tokens(texts: Sequence[str]) -> list[list[int]]:
            return [
                prefix + list(found) for found in self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
            ]

        shared, own = _shared(" ", text, options, tokens)
        if not shared:
            raise DataError(f"'{text}' has no token in front of its options; use --prefix bos or eos.")
        return shared, own

    def _whole_texts(self, texts: Sequence[str], lead: str) -> EncodedPrompt:
        """Every token of every text is judged behind the prefix; without one, every token but the first.

        What leads has tokens of its own, so that those that are judged do not depend on it.
        """
        read = tuple(self.tokenizer(lead, add_special_tokens=False)["input_ids"]) if lead else ()
        tokens = [tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
        words = tuple(len(text.split()) for text in texts)
        if self.prefix is not None and self.prefix.token is not None:
            return EncodedPrompt((self.prefix.token, *read), tuple(tokens), words)
        if len({sequence[:1] for sequence in tokens}) > 1:
            raise DataError(
                "The texts begin with different tokens, and the first token is not judged where none stands in front; "
                "use --prefix bos or eos."
            )
        first = tokens[0][:1]
        for text, sequence in zip(texts, tokens, strict=True):
            if len(sequence) < 2:
                raise DataError(
                    f"'{text}' is a single token, which is not judged where none stands in front; "
                    "use --prefix bos or eos."
                )
        begun = len(self.tokenizer.decode(first).split())
        own = tuple(sequence[1:] for sequence in tokens)
        return EncodedPrompt(read + first, own, tuple(one - begun for one in words))


class EncoderDecoderFormat(PromptFormat):
    """The prompt is the encoder's input; an option is a label of the decoder, ended as the family trains it.

    `decoder_start` is the token in front of every label. A label begins with the tokenizer's own first special
    token only where that is not the decoder's start itself (BART).
    """

    def __init__(self, tokenizer: Any, kind: PromptKind, model_name: str, decoder_start: int) -> None:
        super().__init__(tokenizer, kind, model_name, None)
        self.decoder_start = decoder_start

    @property
    def conditioning(self) -> str:
        """What whole texts are scored behind, in words."""
        return "given the beginning"

    def text(self, user_text: str, earlier: Turns = ()) -> str:
        """The whole input as text; the answer is not begun there, so a plain one ends with the options."""
        return super().text(user_text, earlier).removesuffix("" if self.chat else ANSWER)

    def _continuations(self, text: str, options: Sequence[str]) -> Continuations:
        """Input tokens, and each option's label tokens with the end of sequence."""
        return tuple(self.token_ids(text)), tuple(self.label(option) for option in options)

    def _plain_continuations(self, text: str, options: Sequence[str]) -> Continuations:
        """The same of a text that is the input as it is."""
        return tuple(self.tokenizer(text)["input_ids"]), tuple(self.label(option) for option in options)

    def label(self, text: str) -> tuple[int, ...]:
        """Label tokens of a text."""
        plain = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        special = list(self.tokenizer(text)["input_ids"])
        start = special[:1] if special[:1] != plain[:1] and special[0] != self.decoder_start else []
        end = self.tokenizer.eos_token_id
        return (*start, *plain, *([end] if end is not None else []))

    def _whole_texts(self, texts: Sequence[str], lead: str) -> EncodedPrompt:
        """The words that all texts begin with are the input, at most half of the shortest; the rest are labels."""
        words = [text.split() for text in texts]
        half = min(map(len, words)) // 2
        shared = min(common_prefix_length(words[0], other) for other in words)
        given = words[0][: min(half, shared)]
        judged = [" ".join(one[len(given) :]) for one in words]
        labels = tuple(self.label(text) for text in judged)
        return EncodedPrompt(
            tuple(self.token_ids(lead + " ".join(given))), labels, tuple(len(text.split()) for text in judged)
        )


def prompt_format(
    tokenizer: Any,
    config: Any,
    kind: PromptKind = "auto",
    model_name: str = "the model",
    prefix: PrefixRule = "auto",
) -> PromptFormat:
    """The format that fits a model's configuration.

    Raises:
        ModelError: see `PromptFormat`; or an encoder-decoder has no start token, or was given a prefix.
        UnknownNameError: there is no such rule for the prefix.
    """
    if not getattr(config, "is_encoder_decoder", False):
        return PromptFormat(tokenizer, kind, model_name, prefix)
    if prefix != "auto":
        raise ModelError(
            f"{model_name} is an encoder-decoder, which reads the beginning of a text with its encoder and puts no "
            "token of choice in front of the rest; leave --prefix out."
        )
    start = getattr(config, "decoder_start_token_id", None)
    if start is None:  # T5Gemma keeps it with its decoder
        start = getattr(getattr(config, "decoder", config), "bos_token_id", None)
    if start is None:
        raise ModelError(f"{model_name} is an encoder-decoder whose configuration names no token to start with.")
    return EncoderDecoderFormat(tokenizer, kind, model_name, start)


def _template(tokenizer: Any, model_name: str, *, needed: bool) -> ChatTemplate | None:
    """The chat template; one that is only looked at for its turn markers need not work."""
    try:
        return ChatTemplate(tokenizer, model_name)
    except ModelError:
        if needed:
            raise
        return None


def _plain_turns(turns: Turns) -> str:
    """Turns as they stand in a plain text, in front of what comes next."""
    return "".join(f"{asked}{ANSWER} {answered}\n\n" for asked, answered in turns)


def _refuse_unusable(question: Question) -> None:
    for text in (question.lead, question.text or "", *question.options, *itertools.chain(*question.earlier)):
        if (half := re.search("[\ud800-\udfff]", text)) is not None:
            raise DataError(
                f"The text holds U+{ord(half[0]):04X}, half of a surrogate pair, which cannot be put into tokens; "
                "take it out or write the whole character."
            )
    for option in question.options:
        if not option.strip():
            raise DataError("An option is empty; every option needs text.")
    if not question.options and (question.text is None or question.generation is None):
        raise DataError("There is no option to be scored, and no text to go on from.")


def _shared(
    separator: str, text: str, options: Sequence[str], tokens: Callable[[Sequence[str]], Sequence[Sequence[int]]]
) -> Continuations:
    """Tokens that a text shares with all of its options, and what each option has behind them."""
    prompt, *whole = tokens([text, *(text + separator + option for option in options)])
    shared = min((common_prefix_length(prompt, sequence) for sequence in whole), default=len(prompt))
    found = tuple(tuple(sequence[shared:]) for sequence in whole)
    for option, own in zip(options, found, strict=True):
        if not own:
            raise DataError(f"The option {option!r} adds no token to the prompt.")
    return tuple(prompt[:shared]), found


def common_prefix_length(first: Sequence[Any], second: Sequence[Any]) -> int:
    """How many leading entries two sequences share."""
    length = 0
    for left, right in zip(first, second, strict=False):
        if left != right:
            break
        length += 1
    return length
