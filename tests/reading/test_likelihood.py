"""Option log-likelihoods against transformers' own, in every way of batching."""

import pytest
import torch

from biasectomy.errors import DataError
from biasectomy.models.language_model import LanguageModel
from biasectomy.reading import likelihood
from biasectomy.reading.layouts import Batch, Layout, PackedLayout, RepeatedCacheLayout, RowLayout
from biasectomy.reading.prompts import EncodedPrompt, PromptFormat
from biasectomy.reading.questions import Question
from biasectomy.tasks.base import Item
from biasectomy.tasks.multiple_choice import listed
from tests.conftest import INSTRUCTIONS, build_llama, build_tokenizer, make_items
from tests.reading.architectures import ARCHITECTURES, MIXTURES, VOCABULARY
from tests.reading.encoder_decoders import CONFIGURATIONS, build
from tests.reading.encoder_decoders import VOCABULARY as ENCODER_DECODER_VOCABULARY


def plain_scores(model, encoded: EncodedPrompt) -> list[float]:
    """One sequence at a time, softmax over the whole vocabulary: slow and obviously right."""
    values = []
    for option in encoded.options:
        tokens = torch.tensor([encoded.prompt + option])
        with torch.no_grad():
            log_probabilities = model(input_ids=tokens).logits.double().log_softmax(-1)[0]
        start = len(encoded.prompt) - 1
        values.append(sum(float(log_probabilities[start + place, token]) for place, token in enumerate(option)))
    return values


def scores_by_index(language_model: LanguageModel, prompts, budget: int, layout: Layout | None = None):
    found = {}
    layout = layout or PackedLayout()
    for batch in layout.plan(prompts, budget):
        for index, scores in zip(batch.indices, likelihood.score(language_model.model, batch, layout), strict=True):
            found[index] = scores
    return [found[index] for index in range(len(prompts))]


@pytest.fixture
def prompts(tiny):
    return [tiny.prompt_format.encode(listed(text, item)) for text in INSTRUCTIONS for item in make_items(4)]


@pytest.mark.parametrize("budget", [1, 150, 1024, 100_000])
@pytest.mark.parametrize("layout", [PackedLayout(), RepeatedCacheLayout(), RowLayout()], ids=lambda layout: layout.name)
def test_scores_equal_one_sequence_at_a_time(tiny, prompts, budget, layout):
    scores = scores_by_index(tiny, prompts, budget, layout)
    for encoded, found in zip(prompts, scores, strict=True):
        assert found.log_likelihoods == pytest.approx(plain_scores(tiny.model, encoded), abs=1e-4)
        assert found.tokens == tuple(len(option) for option in encoded.options)


@pytest.mark.parametrize("layout", [PackedLayout(), RepeatedCacheLayout(), RowLayout()], ids=lambda layout: layout.name)
def test_awkward_prompts(tiny, layout):
    """A prompt of one token, options of one token, options that begin alike or contain each other."""
    prompts = [
        EncodedPrompt((5,), ((7,), (8,), (9,))),
        EncodedPrompt((5, 6), ((7, 8), (7, 8, 9), (7,))),
        EncodedPrompt((5, 6), ((7, 8), (7, 8))),
    ]
    for encoded, found in zip(prompts, scores_by_index(tiny, prompts, 1024, layout), strict=True):
        assert found.log_likelihoods == pytest.approx(plain_scores(tiny.model, encoded), abs=1e-4)


def test_rows_compute_the_vocabulary_at_predicting_tokens_where_the_model_lets_them(tiny):
    class Generous(torch.nn.Module):
        """Gives logits of all tokens, whatever is asked for."""

        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask, use_cache):
            return self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache)

    prompts = tuple(tiny.prompt_format.encode(listed(INSTRUCTIONS[0], item)) for item in make_items(2))
    prompts += (EncodedPrompt(prompts[0].prompt[:-1], ((7, 8), (9,))),)
    batch = Batch((0, 1, 2), prompts)
    computed = []
    handle = tiny.model.get_output_embeddings().register_forward_pre_hook(
        lambda module, inputs: computed.append(inputs[0].shape[1])
    )
    few, all_ = (likelihood.score(model, batch, RowLayout()) for model in (tiny.model, Generous(tiny.model)))
    handle.remove()
    for encoded, one, other in zip(prompts, few, all_, strict=True):
        assert one.log_likelihoods == pytest.approx(plain_scores(tiny.model, encoded), abs=1e-4)
        assert other.log_likelihoods == pytest.approx(one.log_likelihoods, abs=1e-4)
    starts = [(len(one.prompt) - 1, option) for one in prompts for option in one.options]
    predicting = {start + place for start, option in starts for place in range(len(option))}
    longest = max(start + len(option) for start, option in starts)
    assert computed == [len(predicting), longest]
    assert len(predicting) < longest / 2


def test_a_model_that_ignores_the_mask_is_noticed():
    class Forgetful(torch.nn.Module):
        """Attends to whatever stands before a token, whose branch it may be."""

        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, attention_mask=None, **inputs):
            return self.model(**inputs)

    model = build_llama(300)
    model.set_attn_implementation("eager")  # the other one does not need the mask to know who sees whom
    assert likelihood.reads_alike(model, 300, PackedLayout(), RowLayout())
    assert not likelihood.reads_alike(Forgetful(model), 300, PackedLayout(), RowLayout())


@pytest.mark.parametrize(
    ("family", "layout"), [("llama", "packed"), ("bloom", "repeated-cache"), ("mpt", "repeated-cache")]
)
def test_prompts_share_their_work_in_the_way_a_family_can_read(family, layout):
    assert likelihood.layout_for(ARCHITECTURES[family](), VOCABULARY).name == layout


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("family", list(ARCHITECTURES))
def test_half_precision_hides_no_layout_that_is_wrong_for_a_model(family, dtype):
    """Wrong distances of ALiBi models are 0.26 nats off here; a tolerance for half precision must not swallow them."""
    right = likelihood.layout_for(ARCHITECTURES[family](), VOCABULARY).name
    found = likelihood.layout_for(ARCHITECTURES[family]().to(dtype), VOCABULARY).name
    # Some mixtures cannot be computed in half precision at this size; rows are never wrong.
    assert found == right or (family in MIXTURES and found == "rows")


@pytest.mark.parametrize("name", list(CONFIGURATIONS))
def test_half_precision_packs_no_labels_that_full_precision_keeps_apart(name):
    packed = likelihood.layout_for(build(name), ENCODER_DECODER_VOCABULARY).packed
    half = likelihood.layout_for(build(name).to(torch.bfloat16), ENCODER_DECODER_VOCABULARY).packed
    assert packed or not half


@pytest.mark.parametrize("separate", [False, True])
def test_prompts_longer_than_the_attention_window_are_read_with_the_window(separate):
    model = ARCHITECTURES["mistral"]()
    model.config.sliding_window = 8
    layout = likelihood.layout_for(model, VOCABULARY)
    assert layout.name == "packed"
    prompts = [EncodedPrompt(tuple(range(10, 10 + length)), ((7, 8), (9,))) for length in (4, 7, 8, 20, 30)]
    for batch in layout.plan(prompts, 24, separate=separate):
        with torch.no_grad():
            found = layout.read(model, batch, separate=separate).log_likelihoods()
        for encoded, values in zip(batch.prompts, found, strict=True):
            assert [float(value) for value in values] == pytest.approx(plain_scores(model, encoded), abs=1e-4)


def test_half_precision_is_summed_in_full_precision():
    model = build_llama(300).to(torch.bfloat16)
    encoded = EncodedPrompt(tuple(range(20, 40)), (tuple(range(50, 80)), (3,)))
    (found,) = likelihood.score(model, Batch((0,), (encoded,)), PackedLayout())
    logits = model(input_ids=torch.tensor([encoded.prompt + encoded.options[0]])).logits
    expected = logits.detach().double().log_softmax(-1)[0, range(19, 49), list(encoded.options[0])].sum()
    assert found.log_likelihoods[0] == pytest.approx(float(expected), abs=0.5)


def asked(*options: str, context: str = "Two people met.") -> Question:
    item = Item("toy/1", "toy/c", "toy", context, "Who was it?", options, 0)
    return listed("Answer.", item)


def test_prompt_and_options_join_to_what_the_tokenizer_gives():
    tokenizer = build_tokenizer(chat=False)
    format_ = PromptFormat(tokenizer)
    question = asked("The grandfather", "The grandson", "Ünbekannt, 不明")
    encoded, text = format_.encode(question), format_.text(question.text)
    assert text == (
        "Answer.\n\nContext: Two people met.\nQuestion: Who was it?\n"
        "Options: The grandfather, The grandson, Ünbekannt, 不明\nAnswer:"
    )
    assert tokenizer.decode(encoded.prompt + encoded.options[2]) == f"{text} Ünbekannt, 不明"


def test_the_chat_template_is_used_where_there_is_one_and_can_be_switched_off():
    tokenizer = build_tokenizer()
    assert PromptFormat(tokenizer).text("Hello") == "<user>Hello<end><assistant>"
    assert PromptFormat(tokenizer, "plain").text("Hello") == "Hello\nAnswer:"
    assert PromptFormat(build_tokenizer(chat=False)).name == "plain"


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_option_is_refused(empty):
    with pytest.raises(DataError, match="An option is empty"):
        PromptFormat(build_tokenizer()).encode(asked("Somebody", empty))


def test_without_context_no_context_line():
    assert "Context" not in asked("a", "b", context="").text


def test_whole_texts_are_judged_from_their_first_token_behind_the_prefix_token(tiny):
    texts = ("Two people met.", "The grandfather forgot the keys.")
    encoded = tiny.prompt_format.encode(Question(None, texts))
    tokens = [tuple(tiny.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    assert encoded == EncodedPrompt((tiny.tokenizer.bos_token_id,), tuple(tokens), (3, 5))
    ((_, answer),) = next(tiny([Question(None, texts)]))
    assert answer.log_likelihoods == pytest.approx(plain_scores(tiny.model, encoded), abs=1e-4)
    assert answer.words == (3, 5) and answer.tokens == tuple(map(len, tokens))


def test_what_stands_for_the_item_can_be_replaced_everywhere():
    question = asked("a", "b").behind("Be fair. ")
    assert [question.text[start:end] for start, end in question.content] == ["Two people met.", "Who was it?"]
    neutral = question.with_content("N/A")
    assert neutral.text == "Be fair. Answer.\n\nContext: N/A\nQuestion: N/A\nOptions: a, b"
    assert neutral.with_content("Two people met.").with_content("N/A") == neutral
    apart = question.with_content("They met.", "Who?")
    assert apart.text == "Be fair. Answer.\n\nContext: They met.\nQuestion: Who?\nOptions: a, b"
    assert apart.contents == ("They met.", "Who?") and apart.with_content("N/A") == neutral
    assert asked("a", "b").with_content("").text == "Answer.\n\nContext: \nQuestion: \nOptions: a, b"


@pytest.mark.parametrize("question", [Question("What?"), Question(None)])
def test_a_question_to_which_nothing_can_be_answered_is_refused(question):
    with pytest.raises(DataError, match="no option to be scored, and no text to go on from"):
        PromptFormat(build_tokenizer()).encode(question)
