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
        for option in item.options:
            if not option.strip():
                raise DataError(f"Item {item.identifier} has an empty option; every option needs text.")
        prompt = self.token_ids(text)
        whole = [self.token_ids(text + separator + option) for option in item.options]
        shared = min(common_prefix_length(prompt, sequence) for sequence in whole)
        options = tuple(tuple(sequence[shared:]) for sequence in whole)
        for option, tokens in zip(item.options, options, strict=True):
            if not tokens:
                raise DataError(f"Item {item.identifier}: the option {option!r} adds no token to the prompt.")
        return EncodedPrompt(tuple(prompt[:shared]), options)

    def encode_text(self, text: str) -> EncodedPrompt:
        """A text on its own, every token judged; behind the beginning-of-sequence token where there is one."""
        tokens = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        start = self.tokenizer.bos_token_id
        prompt, rest = ([start], tokens) if start is not None else (tokens[:1], tokens[1:])
        return EncodedPrompt(tuple(prompt), (tuple(rest),))


def common_prefix_length(first: list[int], second: list[int]) -> int:
    """How many leading tokens two sequences share."""
    length = 0
    for left, right in zip(first, second, strict=False):
        if left != right:
            break
        length += 1
    return length
