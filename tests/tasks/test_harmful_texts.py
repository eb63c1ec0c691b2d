"""Hateful posts against a group: which are found, and which of their words are marked. The posts are made up."""

import json

import pytest

from biasectomy.errors import DataError, SourceError, UnknownNameError
from biasectomy.tasks.harmful_texts import GROUPS, HarmfulText, marked_by, texts_against
from tests.tasks.made_posts import write_authors, write_mirrors


def marked(text: HarmfulText) -> list[str]:
    return [word for word, harmful in zip(text.words, text.harmful, strict=True) if harmful]


def test_posts_of_a_group_are_the_hateful_ones_with_one_of_its_words(tmp_path):
    found = texts_against("Women", write_mirrors(tmp_path))
    assert [one.identifier for one in found.texts] == ["p0", "p1", "p3", "p5", "p6", "p7", "p8"]
    assert [one.identifier for one in found.texts if one.test] == ["p8"]
    assert found.named == "words in the text" and len(found.sources) == 4
    assert [one.identifier for one in texts_against("Jewish", tmp_path).texts] == ["p4"]


def test_harmful_words_are_those_of_the_spans_wherever_they_stand(tmp_path):
    found = {one.identifier: marked(one) for one in texts_against("Women", write_mirrors(tmp_path)).texts}
    assert found["p0"] == ["silly", "geese"] and found["p1"] == ["is", "a", "goose"]
    assert found["p3"] == ["geese"]  # elsewhere than its offset says; the other span is not in the text
    assert found["p5"] == [] and found["p8"] == ["silly", "geese"]


def test_the_authors_own_file_names_targets_and_needs_two_who_agree(tmp_path):
    write_mirrors(tmp_path)
    found = texts_against("Women", write_authors(tmp_path))
    assert {one.identifier: marked(one) for one in found.texts} == {"a0": ["geese"], "a1": ["geese"], "a4": []}
    assert [one.test for one in found.texts] == [False, True, False] and found.named == "two annotators"


def test_a_wrong_group_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'Women'"):
        texts_against("Woman", tmp_path)
    assert {"Women", "Islam", "Jewish", "African", "Homosexual", "Refugee"} <= GROUPS.keys()


def test_what_is_missing_or_damaged_is_said_in_a_sentence(tmp_path):
    with pytest.raises(SourceError, match=r"Put HateXplain \(post_id_divisions.json\)"):
        texts_against("Women", tmp_path)
    write_mirrors(tmp_path)
    with pytest.raises(DataError, match="no hateful post against the group 'Hindu'"):
        texts_against("Hindu", tmp_path)
    broken = tmp_path / "hatexplain" / "rationales_val_split1.json"
    broken.write_text(json.dumps([{"annotation_id": "p0"}]))
    with pytest.raises(DataError, match="'annotation_id' and 'evidences'"):
        texts_against("Women", tmp_path)
    for name, wrong in (("post_id_divisions.json", "[]"), ("dataset.json", '["a0"]'), ("dataset.json", "{")):
        other = tmp_path / str(len(wrong))
        write_authors(write_mirrors(other))
        (other / "hatexplain" / name).write_text(wrong)
        with pytest.raises(DataError, match=name):
            texts_against("Women", other)
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  ./hatexplain/rationales_val_split1.json\n")
    with pytest.raises(SourceError, match="wrong checksum"):
        texts_against("Women", tmp_path)


def test_a_lexicon_marks_its_words_in_any_case_and_its_phrases_as_a_whole():
    text = HarmfulText("p", ("Geese", "honk,", "silly", "goose", "and", "honk", "again"), (False,) * 7)
    assert marked(marked_by(text, {("geese",), ("silly", "goose"), ("honk", "again")})) == [
        "Geese", "silly", "goose", "honk", "again",
    ]  # fmt: skip
    assert marked(marked_by(text, {("goos",), ("goose", "silly")})) == []


def test_real_posts_hold_marked_words_for_every_group(shared_data):
    for group in GROUPS:
        texts = texts_against(group, shared_data).texts
        assert texts and all(len(one.words) == len(one.harmful) for one in texts)
    assert sum(any(one.harmful) for one in texts_against("Women", shared_data).texts) == 94
