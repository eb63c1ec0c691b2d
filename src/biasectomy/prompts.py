"""From an instruction and an item to tokens: what the model reads and which continuations are judged."""

from dataclasses import dataclass
from typing import Any, Literal

from biasectomy.errors import DataError, ModelError
from biasectomy.tasks.base import Item

PromptKind = Literal["auto", "chat", "plain"]

# Chat templates may print today's date; a fixed one keeps a run the same tomorrow.
FIXED_TEMPLATE_SETTINGS = {"date_string": "01 Jan 2024", "enable_thinking": False}


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """Token ids of one prompt and of every option behind it.

    `prompt` is what all options share; `options[c]` are the tokens whose log-probabilities are
    summed for option c. Where a tokenizer merges the end of the prompt with the start of an option,
    the shared part is shorter and the merged token belongs to the option.
    """

    prompt: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]


def item_text(instruction: str, item: Item) -> str:
    """What the user says: instruction, context, question and the options in the item's order."""
    lines = [instruction, ""]
    if item.context:
        lines.append(f"Context: {item.context}")
    lines += [f"Question: {item.question}", f"Options: {', '.join(item.options)}"]
    return "\n".join(lines)


class PromptFormat:
    """The model's chat template where it has one, plain text otherwise.

    Raises:
        ModelError: `kind` is "chat" and the tokenizer has no chat template.
    """

    def __init__(self, tokenizer: Any, kind: PromptKind = "auto", model_name: str = "the model") -> None:
        has_template = bool(getattr(tokenizer, "chat_template", None))
        if kind == "chat" and not has_template:
            raise ModelError(f"{model_name} has no chat template; use --prompt plain (or auto).")
        self.tokenizer = tokenizer
        self.chat = has_template and kind != "plain"

    @property
    def name(self) -> str:
        """ "chat" or "plain"."""
        return "chat" if self.chat else "plain"

    def text(self, user_text: str) -> str:
        """The whole prompt as text, up to where the answer begins."""
        if not self.chat:
            return f"{user_text}\nAnswer:"
        rendered = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": user_text}],
            tokenize=False,
            add_generation_prompt=True,
            **FIXED_TEMPLATE_SETTINGS,
        )
        return str(rendered)

    def token_ids(self, text: str) -> list[int]:
        """Tokens of a text; a plain text gets the tokenizer's own special tokens, a chat text has them already."""
        return list(self.tokenizer(text, add_special_tokens=not self.chat)["input_ids"])

    def encode(self, instruction: str, item: Item) -> EncodedPrompt:
        """Tokens of one item under one instruction.

        Raises:
            DataError: an option is empty or adds no token of its own to the prompt.
        """
        text = self.text(item_text(instruction, item))
        separator = "" if self.chat else " "
        _refuse_empty(item)
        prompt = self.token_ids(text)
        whole = [self.token_ids(text + separator + option) for option in item.options]
        shared = min(common_prefix_length(prompt, sequence) for sequence in whole)
        options = tuple(tuple(sequence[shared:]) for sequence in whole)
        for option, tokens in zip(item.options, options, strict=True):
            if not tokens:
                raise DataError(f"Item {item.identifier}: the option {option!r} adds no token to the prompt.")
        return EncodedPrompt(tuple(prompt[:shared]), options)

    def judged_text(self, text: str) -> str:
        """The part of a text on its own whose tokens are judged: all of it."""
        return text

    def encode_text(self, text: str) -> EncodedPrompt:
        """A text on its own, every token judged; behind the beginning-of-sequence token where there is one."""
        tokens = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        start = self.tokenizer.bos_token_id
        prompt, rest = ([start], tokens) if start is not None else (tokens[:1], tokens[1:])
        return EncodedPrompt(tuple(prompt), (tuple(rest),))


class EncoderDecoderFormat(PromptFormat):
    """The prompt is the encoder's input; an option is a label of the decoder, ended as the family trains it.

    `decoder_start` is the token in front of every label. A label begins with the tokenizer's own first special
    token only where that is not the decoder's start itself (BART).
    """

    def __init__(self, tokenizer: Any, kind: PromptKind, model_name: str, decoder_start: int) -> None:
        super().__init__(tokenizer, kind, model_name)
        self.decoder_start = decoder_start

    def text(self, user_text: str) -> str:
        """The whole input as text; the answer is not begun there, so a plain one ends with the options."""
        return super().text(user_text) if self.chat else user_text

    def encode(self, instruction: str, item: Item) -> EncodedPrompt:
        """Input tokens, and each option's label tokens with the end of sequence.

        Raises:
            DataError: an option is empty.
        """
        _refuse_empty(item)
        prompt = self.token_ids(self.text(item_text(instruction, item)))
        return EncodedPrompt(tuple(prompt), tuple(self.label(option) for option in item.options))

    def label(self, text: str) -> tuple[int, ...]:
        """Label tokens of a text."""
        plain = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        special = list(self.tokenizer(text)["input_ids"])
        start = special[:1] if special[:1] != plain[:1] and special[0] != self.decoder_start else []
        end = self.tokenizer.eos_token_id
        return (*start, *plain, *([end] if end is not None else []))

    def judged_text(self, text: str) -> str:
        """The second half of a text's words: the first half is what the encoder reads."""
        words = text.split()
        return " ".join(words[len(words) // 2 :])

    def encode_text(self, text: str) -> EncodedPrompt:
        """The first half of a text as input, the second half as label."""
        words = text.split()
        given = " ".join(words[: len(words) // 2])
        return EncodedPrompt(tuple(self.token_ids(given)), (self.label(self.judged_text(text)),))


def prompt_format(
    tokenizer: Any, config: Any, kind: PromptKind = "auto", model_name: str = "the model"
) -> PromptFormat:
    """The format that fits a model's configuration.

    Raises:
        ModelError: "chat" is asked for and there is no template, or an encoder-decoder has no start token.
    """
    if not getattr(config, "is_encoder_decoder", False):
        return PromptFormat(tokenizer, kind, model_name)
    start = getattr(config, "decoder_start_token_id", None)
    if start is None:  # T5Gemma keeps it with its decoder
        start = getattr(getattr(config, "decoder", config), "bos_token_id", None)
    if start is None:
        raise ModelError(f"{model_name} is an encoder-decoder whose configuration names no token to start with.")
    return EncoderDecoderFormat(tokenizer, kind, model_name, start)


def _refuse_empty(item: Item) -> None:
    for option in item.options:
        if not option.strip():
            raise DataError(f"Item {item.identifier} has an empty option; every option needs text.")


def common_prefix_length(first: list[int], second: list[int]) -> int:
    """How many leading tokens two sequences share."""
    length = 0
    for left, right in zip(first, second, strict=False):
        if left != right:
            break
        length += 1
    return length
