"""The token in front of whole texts.

The first token of a text can only be judged behind another, and it matters behind which: a turn marker of chats makes a
text improbable that an end-of-text token, behind which texts stand in training, does not.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from biasectomy.errors import ModelError, UnknownNameError
from biasectomy.reading.chat_templates import ChatTemplate

PrefixRule = Literal["auto", "bos", "eos", "none"]
# Special tokens that separate documents in training, of GPT-2, Qwen and SmolLM; Llama 3; Llama 2; Gemma; DeepSeek.
END_OF_TEXT = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<\uff5cend\u2581of\u2581sentence\uff5c>")


@dataclass(frozen=True, slots=True)
class Prefix:
    """A token, its text, and the rule that chose it; None and empty where there is none."""

    rule: PrefixRule
    token: int | None = None
    text: str = ""

    def __str__(self) -> str:
        return f"behind `{self.text}`" if self.text else "behind no token"


def choose_prefix(tokenizer: Any, rule: PrefixRule, template: ChatTemplate | None, model_name: str) -> Prefix:
    """The prefix by a rule.

    "auto" is the beginning-of-sequence token unless the chat template puts it between turns; then the end-of-text
    token, by its usual names; then the end-of-sequence token unless that stands between turns as well; then none.
    "bos" is the choice of lm-evaluation-harness: the beginning-of-sequence token, else the end-of-sequence token.
    "eos" is the end-of-sequence token, whatever it is used for.

    Raises:
        ModelError: the tokenizer names no such token.
        UnknownNameError: there is no such rule.
    """
    if rule not in get_args(PrefixRule):
        raise UnknownNameError("prefix", rule, get_args(PrefixRule))
    if rule == "none":
        return Prefix(rule)
    named = {role: getattr(tokenizer, f"{role}_token", None) for role in ("bos", "eos")}
    if rule == "auto":
        text = _plain_one(tokenizer, named["bos"], named["eos"], template)
    else:
        text = named["eos"] if rule == "eos" else named["bos"] or named["eos"]
        if not text:
            wanted = "end-of-sequence" if rule == "eos" else "beginning-of-sequence or end-of-sequence"
            raise ModelError(
                f"{model_name} names no {wanted} token to put in front of whole texts; use --prefix auto or none."
            )
    return Prefix(rule, tokenizer.convert_tokens_to_ids(text), text) if text else Prefix(rule)


def _plain_one(tokenizer: Any, bos: str | None, eos: str | None, template: ChatTemplate | None) -> str | None:
    """The token that texts stand behind where nobody talks."""

    def turns(token: str) -> bool:
        return template is not None and template.between_turns(token)

    if bos and not turns(bos):
        return bos
    special = {token.content for token in getattr(tokenizer, "added_tokens_decoder", {}).values() if token.special}
    usual = [token for token in (eos, *END_OF_TEXT) if token in special and token in END_OF_TEXT]
    if usual:
        return usual[0]
    return eos if eos and not turns(eos) else None
