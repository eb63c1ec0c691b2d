"""A model's chat template: tried before it is used, and rendered alike on every day."""

import json
import math
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import FrameType
from typing import Any

from biasectomy.errors import DataError, ModelError

# Chat templates may print today's date; a fixed one keeps a run the same tomorrow.
FIXED_DATE = datetime(2024, 1, 1)
FIXED_SETTINGS = {"date_string": FIXED_DATE.strftime("%d %b %Y"), "enable_thinking": False}
DIRECTIVES = (*"aAbBcdDeFHIjmMpRSTUwWxXyYzZ", "-d", "-m", "-H", "-I", "-M", "-S", "-j", "-y")
PROBE = "Which of the two was it?\nOptions: the first one, the second, not known"
PROBE_ANSWER = "It was the second of them."
PROBE_SECONDS = 5.0
LONGEST_REASON = 300  # characters
SWITCH, OPENED = "enable_thinking", "<think>"
LOST = "it leaves out the text of the question"
LOST_TURN = "it leaves out an earlier turn"


class ChatTemplate:
    """The chat template of a tokenizer.

    `source` is the template as it is rendered, `control_tokens` are the special tokens that it puts around a turn, as
    text.

    Raises:
        ModelError: a plain question makes it fail, takes it too long, or gets lost in it.
    """

    def __init__(self, tokenizer: Any, model_name: str = "the model") -> None:
        self._tokenizer, self._model_name = tokenizer, model_name
        try:
            self.source = _dated(tokenizer.get_chat_template())
            with _time_limit(PROBE_SECONDS):
                frame = _around(PROBE, self._rendered(_asked(PROBE)))
                answered = self._answered()
        except Exception as error:  # whatever a foreign template raises, or makes the libraries below raise
            raise self._unusable(" ".join(f"{error}".split())[:LONGEST_REASON] or type(error).__name__) from error
        if frame is None:
            raise self._unusable(LOST)
        self._frames = [frame, *answered]  # what stands around a question, and around it when it is answered
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        special = {token.content for token in added if token.special}
        self.control_tokens = tuple(sorted(token for token in special if token in "".join(frame)))

    @property
    def thinking(self) -> str:
        """Whether the model thinks before it answers.

        "off": the template has a switch for it, and it is off. "begun": the prompt ends where a thought begins, so that
        answers stand inside one. "none": the template says nothing of it.
        """
        if self._frames[0][1].rstrip().endswith(OPENED):
            return "begun"
        return "off" if SWITCH in self.source else "none"

    def render(self, user_text: str, earlier: Sequence[tuple[str, str]] = ()) -> str:
        """The prompt that asks a text, up to where the answer begins.

        Args:
            user_text: what is asked.
            earlier: what was asked and answered before, turn by turn.

        Raises:
            DataError: this text makes the template fail, or gets lost in it, or an earlier turn does.
        """
        turns = [message for asked, answered in earlier for message in (*_asked(asked), _answered_by(answered))]
        try:
            rendered = self._rendered([*turns, *_asked(user_text)])
        except Exception as error:  # as above
            raise DataError(f"{self._unusable(' '.join(str(error).split())[:LONGEST_REASON])}") from error
        if user_text.strip() not in rendered and _around(user_text, rendered) is None:
            raise DataError(str(self._unusable(LOST)))
        if any(_around(message["content"], rendered) is None for message in turns):
            raise DataError(str(self._unusable(LOST_TURN)))
        return rendered

    def between_turns(self, token: str) -> bool:
        """Whether a token stands anywhere but once in front of the whole conversation."""
        return any(before.count(token) > 1 or token in after for before, after in self._frames)

    def refuse_control_tokens(self, text: str) -> None:
        """Refuses a text that would be read as more than one turn.

        Raises:
            DataError: the text holds a token that the template puts around turns.
        """
        for token in self.control_tokens:
            if token in text:
                raise DataError(
                    f"The text holds '{token}', which the chat template of {self._model_name} puts around a turn, so "
                    "that something else would be asked. Take it out, or use --prompt plain."
                )

    def without_control_tokens(self, text: str) -> str:
        """A text without the tokens that the template puts around turns."""
        while found := [token for token in self.control_tokens if token in text]:
            text = text.replace(found[0], "")  # what it stood between may be such a token again
        return text

    def _rendered(self, messages: list[dict[str, str]]) -> str:
        rendered = self._tokenizer.apply_chat_template(
            messages, chat_template=self.source, tokenize=False, add_generation_prompt=True, **FIXED_SETTINGS
        )
        return str(rendered)

    def _answered(self) -> list[tuple[str, str]]:
        """What stands in front of a question and between it and its answer, where the template renders both."""
        messages = [*_asked(PROBE), _answered_by(PROBE_ANSWER)]
        try:
            frame = _around(PROBE, self._rendered(messages))
        except Exception:  # a template need not know answers: none is given to it in earnest
            return []
        return [(frame[0], frame[1].partition(PROBE_ANSWER)[0])] if frame and PROBE_ANSWER in frame[1] else []

    def _unusable(self, reason: str) -> ModelError:
        reason = reason.rstrip(".")
        return ModelError(f"The chat template of {self._model_name} cannot be used: {reason}. Use --prompt plain.")


def _asked(user_text: str) -> list[dict[str, str]]:
    """A conversation of one question."""
    return [{"role": "user", "content": user_text}]


def _answered_by(text: str) -> dict[str, str]:
    """The model's turn in a conversation."""
    return {"role": "assistant", "content": text}


def _around(text: str, rendered: str) -> tuple[str, str] | None:
    """What stands in front of a text and behind it, however its white space was changed; None where it is missing."""
    pieces = re.split(r"\s+".join(map(re.escape, text.split())), rendered, maxsplit=1)
    return (pieces[0], pieces[1]) if len(pieces) == 2 else None


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """A block in which the code of templates, which may loop without end, is stopped after some time."""
    end = math.inf

    def watch(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal end
        if frame.f_code.co_filename != "<template>":
            return None
        end = min(end, time.monotonic() + seconds)
        if time.monotonic() > end:
            raise TimeoutError(f"it takes longer than {seconds:g} s")
        return watch

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        yield
    finally:
        sys.settrace(before)


def _dated(template: str) -> str:
    """A template in which `strftime_now` tells the fixed date.

    `transformers` gives templates a function of that name which looks at the clock, and lets nobody pass another; a
    macro in front of the template hides it.
    """
    if "strftime_now" not in template:
        return template
    replaced = "".join(f"|replace('%{one}', {json.dumps(_fixed(one))})" for one in DIRECTIVES)
    # An escaped percent sign is set aside first. The line's end belongs to the macro's last tag.
    formatted = f"format|replace('%%', '\\x00'){replaced}|replace('\\x00', '%')"
    return f"{{% macro strftime_now(format) %}}{{{{ {formatted} }}}}{{% endmacro %}}\n{template}"


def _fixed(directive: str) -> str:
    """The fixed date by one directive; those with a hyphen, without leading zeros, are not known everywhere."""
    if directive.startswith("-"):
        return str(int(FIXED_DATE.strftime(f"%{directive[1:]}")))
    return FIXED_DATE.strftime(f"%{directive}")
