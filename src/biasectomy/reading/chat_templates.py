"""A model's chat template, rendered alike on every day."""

import json
from datetime import datetime
from typing import Any

# Chat templates may print today's date; a fixed one keeps a run the same tomorrow.
FIXED_DATE = datetime(2024, 1, 1)
FIXED_SETTINGS = {"date_string": FIXED_DATE.strftime("%d %b %Y"), "enable_thinking": False}
DIRECTIVES = (*"aAbBcdDeFHIjmMpRSTUwWxXyYzZ", "-d", "-m", "-H", "-I", "-M", "-S", "-j", "-y")


class ChatTemplate:
    """The chat template of a tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._source = dated(tokenizer.get_chat_template())

    def render(self, user_text: str) -> str:
        """The prompt that asks a text, up to where the answer begins."""
        rendered = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": user_text}],
            chat_template=self._source,
            tokenize=False,
            add_generation_prompt=True,
            **FIXED_SETTINGS,
        )
        return str(rendered)


def dated(template: str) -> str:
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
