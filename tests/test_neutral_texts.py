"""The neutral texts that drift is trained on, held against those it is measured on: the two share nothing."""

import re
from importlib import resources

import pytest


def paragraphs(name: str) -> list[str]:
    text = (resources.files("biasectomy") / "data" / name).read_text(encoding="utf-8")
    return text.removesuffix("\n").split("\n\n")


def runs(texts: list[str], length: int) -> set[tuple[str, ...]]:
    """Every run of that many words within a paragraph, without case and punctuation."""
    found = set()
    for text in texts:
        words = re.findall(r"[\w']+", text.lower())
        found |= {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}
    return found


def test_texts_for_training_are_many_and_of_like_length():
    texts = paragraphs("neutral_training.txt")
    assert len(texts) >= 56
    assert len(set(texts)) == len(texts)
    assert not [text for text in texts if not 55 <= len(text.split()) <= 95 or "\n" in text or text != text.strip()]


def test_no_five_words_in_a_row_are_both_trained_on_and_measured_on():
    training, measured = paragraphs("neutral_training.txt"), paragraphs("neutral.txt")
    assert not runs(training, 5) & runs(measured, 5)
    sentence = measured[0].split(". ")[0]
    assert runs([*training, f"As they say: {sentence.upper()}!"], 5) & runs(measured, 5)


@pytest.mark.parametrize("wording", ["unknown", "undetermined", "not enough info", "cannot be determined", "can't be"])
def test_texts_for_training_say_nothing_that_answers_with_unknown_say(wording):
    """Such wording would hold the very tokens in place that training is to move."""
    assert not [text for text in paragraphs("neutral_training.txt") if wording in text.lower()]
