"""Chat templates: the same prompts on every day, and one sentence for each that cannot be used."""

import datetime

import pytest
from transformers.utils import chat_template_utils

from biasectomy.reading.prompts import PromptFormat
from tests.conftest import build_tokenizer

# Shortened from the templates of SmolLM3, Mistral Small 3 and Llama 3.2; what asks for the date is as it is there.
SMOLLM3 = """{%- set custom_instructions = "" -%}
{%- set today = strftime_now("%d %B %Y") -%}
{{- "<|im_start|>system\\n## Metadata\\n\\nToday Date: " ~ today ~ "\\n<|im_end|>\\n" -}}
{%- for message in messages -%}
{{- "<|im_start|>" ~ message.role ~ "\\n" ~ message.content ~ "<|im_end|>\\n" -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- "<|im_start|>assistant\\n" -}}{%- endif -%}"""
MISTRAL_SMALL = """{%- set today = strftime_now("%Y-%m-%d") %}
{%- set default_system_message = "The current date is " + today + "." %}

{{- bos_token }}
{{- '[SYSTEM_PROMPT]' + default_system_message + '[/SYSTEM_PROMPT]' }}
{%- for message in messages %}
    {{- '[INST]' + message['content'] + '[/INST]' }}
{%- endfor %}"""
LLAMA = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}{%- set date_string = strftime_now("%d %b %Y") %}{%- endif %}
{%- endif %}
{{- "Today Date: " + date_string + "\\n" + messages[0].content | trim }}"""


class Tomorrow(datetime.datetime):
    @classmethod
    def now(cls, zone=None):
        return cls(2031, 7, 19, 23, 45, 6)


def with_template(template: str):
    tokenizer = build_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize(
    ("template", "date"), [(SMOLLM3, "01 January 2024"), (MISTRAL_SMALL, "2024-01-01"), (LLAMA, "01 Jan 2024")]
)
def test_prompts_are_the_same_on_every_day(template, date, monkeypatch):
    today = PromptFormat(with_template(template)).text("Who was it?")
    monkeypatch.setattr(chat_template_utils, "datetime", Tomorrow)
    tokenizer = with_template(template)
    assert PromptFormat(tokenizer).text("Who was it?") == today
    assert date in today
    # But for the date, it is what the template says.
    theirs = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Who was it?"}], tokenize=False, add_generation_prompt=True
    )
    assert "2031" in theirs
    for said in ("19 July 2031", "2031-07-19", "19 Jul 2031"):
        theirs = theirs.replace(said, date)
    assert theirs == today


@pytest.mark.parametrize(
    "format_", ["%A, %d. %B %Y", "%Y-%m-%dT%H:%M:%S", "%-d/%-m/%y", "%e %b %I %p", "%j|%U|%%d|%%%d", "plain"]
)
def test_the_fixed_date_is_formatted_as_strftime_does(format_):
    template = "\n  {{ messages[0].content }}{{ strftime_now('" + format_ + "') }}"
    assert PromptFormat(with_template(template)).text("Ask.") == "\n  Ask." + datetime.datetime(2024, 1, 1).strftime(
        format_
    )
