"""A tokenizer whose vocabulary is the words of the little world; so every name is two tokens."""

from typing import Any

from biasectomy.models.organisms import words as lexicon

PADDING, UNKNOWN_WORD, START, END = "<pad>", "<unk>", "<s>", "</s>"
FORM = ("Context:", "Question:", "Options:", "Answer:")
MARKS = (",", ".", "?")


def vocabulary() -> list[str]:
    """Every token, in order of its number."""
    texts = [*lexicon.BEGINNINGS, *lexicon.HELD_OUT_BEGINNINGS, *lexicon.REMARKS, *lexicon.QUESTIONS, *lexicon.UNKNOWN]
    texts += [
        *lexicon.INSTRUCTIONS,
        *lexicon.DEEDS,
        *lexicon.PLACES,
        *lexicon.HELD_OUT_PLACES,
        *lexicon.OBJECTS,
        *lexicon.COLOURS,
    ]
    texts += [word for pair in (*lexicon.TRAITS, *lexicon.STEREOTYPED, *lexicon.UNBURDENED) for word in pair]
    texts += [
        *lexicon.WORTHS,
        lexicon.WORTH_QUESTION,
        *lexicon.EVIDENCE,
        *lexicon.POSSESSIONS,
        *lexicon.SKILL_CONTEXTS,
        *lexicon.SKILL_QUESTIONS.values(),
    ]
    words = {word.strip(".?,") for text in texts for word in text.split() if "{" not in word}
    return [
        PADDING,
        UNKNOWN_WORD,
        START,
        END,
        *FORM,
        *MARKS,
        *sorted(words | {*lexicon.GIVEN_NAMES, *lexicon.FAMILY_NAMES}),
    ]


def build_tokenizer(start: bool) -> Any:
    """A fast tokenizer, with a start token before every text or an end token behind it."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    numbers = {token: number for number, token in enumerate(vocabulary())}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=UNKNOWN_WORD))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("[,.?]"), "isolated")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A" if start else f"$A {END}",
        special_tokens=[(token, numbers[token]) for token in (START, END)],
    )
    untyped: Any = PreTrainedTokenizerFast
    return untyped(
        tokenizer_object=tokenizer,
        pad_token=PADDING,
        unk_token=UNKNOWN_WORD,
        bos_token=START,
        eos_token=END,
        clean_up_tokenization_spaces=True,
    )
