"""Which token stands in front of whole texts, for models as they name theirs."""

import pytest
from transformers import PreTrainedTokenizerFast

from biasectomy.errors import DataError, ModelError, UnknownNameError
from biasectomy.models.language_model import load
from biasectomy.reading.prompts import PromptFormat, prompt_format
from biasectomy.reading.questions import Question
from tests.conftest import build_tokenizer, save_tiny
from tests.reading.encoder_decoders import t5

CHATML = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are a helpful assistant<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""
CHATML_ONLY_TURNS = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
)
LLAMA_3 = """{% for message in messages %}
{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>

'+ message['content'] | trim + '<|eot_id|>' %}
{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}
{{ content }}{% endfor %}{{ '<|start_header_id|>assistant<|end_header_id|>

' }}"""
LLAMA_2 = (
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + message['content'] + "
    "' [/INST]' }}{% else %}{{ ' ' + message['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}"
    "{% for message in messages %}{{ '<start_of_turn>' + message['role'] + '\n' + message['content'] | trim + "
    "'<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
DIALOGUE = "{% for message in messages %}{{ message.content }}{{ eos_token }}{% endfor %}"
END = "<|endoftext|>"


def tokenizer_with(template: str | None, **special: str):
    base = build_tokenizer().backend_tokenizer
    return PreTrainedTokenizerFast(tokenizer_object=base, chat_template=template, **special)


SMOLLM2 = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>", "unk_token": END}
MODELS = {  # template, special tokens, and what the rules auto, bos and eos give
    "SmolLM2-Instruct": (CHATML, SMOLLM2, END, "<|im_start|>", "<|im_end|>"),
    "turns only": (CHATML_ONLY_TURNS, SMOLLM2, END, "<|im_start|>", "<|im_end|>"),
    "Qwen2.5-Instruct": (CHATML, {"eos_token": "<|im_end|>", "pad_token": END}, END, "<|im_end|>", "<|im_end|>"),
    "SmolLM2": (None, {"bos_token": END, "eos_token": END}, END, END, END),
    "Llama 3": (
        LLAMA_3,
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>", "pad_token": "<|end_of_text|>"},
        *("<|begin_of_text|>", "<|begin_of_text|>", "<|eot_id|>"),
    ),
    "Llama 2": (LLAMA_2, {"bos_token": "<s>", "eos_token": "</s>"}, "<s>", "<s>", "</s>"),
    "Gemma": (GEMMA, {"bos_token": "<bos>", "eos_token": "<eos>"}, "<bos>", "<bos>", "<eos>"),
    "DialoGPT": (DIALOGUE, {"bos_token": END, "eos_token": END}, END, END, END),
    "Llama 2 taught ChatML": (
        CHATML,
        {"bos_token": "<|im_start|>", "eos_token": "</s>"},
        *("</s>", "<|im_start|>", "</s>"),
    ),
    "own end of text": (CHATML, {"eos_token": "<over>"}, "<over>", "<over>", "<over>"),
    "turn markers only": (CHATML, {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}, "", "<|im_start|>", None),
}


@pytest.mark.parametrize("kind", ["auto", "plain"])
@pytest.mark.parametrize("name", MODELS)
def test_the_prefix_is_no_turn_marker_unless_it_is_asked_for(name, kind):
    template, special, auto, bos, eos = MODELS[name]
    tokenizer = tokenizer_with(template, **special)
    for rule, text in {"auto": auto, "bos": bos, "eos": eos or "<|im_end|>", "none": ""}.items():
        prefix = PromptFormat(tokenizer, kind, prefix=rule).prefix
        assert (prefix.rule, prefix.text) == (rule, text)
        assert prefix.token == (tokenizer.convert_tokens_to_ids(text) if text else None)


def test_a_word_of_the_vocabulary_is_no_end_of_text():
    """Code is full of `</s>`: only a special token of that name is one."""
    tokenizer = tokenizer_with(None)
    tokenizer.add_tokens(["</s>"])
    assert PromptFormat(tokenizer).prefix.token is None
    tokenizer.add_special_tokens({"additional_special_tokens": [END]})
    assert PromptFormat(tokenizer).prefix.text == END


@pytest.mark.parametrize("rule", ["bos", "eos"])
def test_a_token_that_the_tokenizer_does_not_name_is_refused(rule):
    with pytest.raises(ModelError, match=r"'m' names no .* token to put in front .*; use --prefix auto or none\."):
        PromptFormat(tokenizer_with(None), "auto", "'m'", rule)
    assert PromptFormat(tokenizer_with(None)).prefix.token is None


def test_bos_is_the_choice_of_lm_evaluation_harness():
    """Its rule (`HFLM.prefix_token_id`): the beginning-of-sequence token, else the end-of-sequence token."""
    for template, special, *_ in MODELS.values():
        tokenizer = tokenizer_with(template, **special)
        harness = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        assert PromptFormat(tokenizer, prefix="bos").prefix.token == harness


def test_without_a_prefix_the_first_token_is_read_but_not_judged_and_its_words_are_not_counted():
    tokenizer = build_tokenizer()
    tokenizer.add_tokens(["by the"])  # one token of two words
    plain = PromptFormat(tokenizer, prefix="none")
    for text, first, words in [
        ("The baker forgot", "T", 2),
        ("\nThe baker forgot", "\n", 3),
        ("by the way", "by the", 1),
        ("\u00e9tude for two", None, 2),  # its first character is two tokens
    ]:
        encoded = plain.encode(Question(None, (text,)))
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert (encoded.prompt, encoded.options) == ((tokens[0],), (tuple(tokens[1:]),))
        assert first is None or tokenizer.decode(tokens[:1]).startswith(first)
        assert encoded.words == (words,), text
        assert PromptFormat(tokenizer).encode(Question(None, (text,))).words == (len(text.split()),)


def test_what_cannot_be_judged_without_a_prefix_is_refused():
    plain = PromptFormat(build_tokenizer(), prefix="none")
    with pytest.raises(DataError, match=r"begin with different tokens, .* use --prefix bos or eos"):
        plain.encode(Question(None, ("The baker forgot.", "A baker forgot.")))
    with pytest.raises(DataError, match=r"'T' is a single token, .* use --prefix bos or eos"):
        plain.encode(Question(None, ("T",)))


@pytest.mark.parametrize("rule", ["bos", "eos", "none"])
def test_an_encoder_decoder_has_no_prefix(rule):
    assert prompt_format(build_tokenizer(), t5()).prefix is None
    with pytest.raises(ModelError, match=r"'m' is an encoder-decoder, .* leave --prefix out"):
        prompt_format(build_tokenizer(), t5(), "auto", "'m'", rule)


def test_the_prefix_is_a_choice_of_loading(tmp_path):
    folder = str(save_tiny(tmp_path / "tiny"))
    question = Question(None, ("Two people met.",))
    tokens = {rule: load(folder, prefix=rule).encode(question).prompt for rule in ("auto", "bos", "eos")}
    assert tokens == {"auto": (1,), "bos": (1,), "eos": (2,)}
    with pytest.raises(UnknownNameError, match="no prefix named 'begin'"):
        load(folder, prefix="begin")
