"""Judges: a lexicon by its words and phrases, a classifier of any model, a scorer trained at hand with its quality."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biasectomy.errors import DataError, ModelError, SettingsError, SourceError, UnknownNameError
from biasectomy.tasks.judge_hate import ANNOTATIONS, DIVISIONS, POSTS, SENTENCES
from biasectomy.tasks.judges import describe_judges, find_judge, note_of, record_of
from tests.conftest import build_tokenizer

HURTLEX = """id\tpos\tcategory\tstereotype\tlemma\tlevel
1\tn\tan\tno\tcow\tconservative
2\tn\tan\tno\tstupid cow's tail\tinclusive
3\tn\tre\tno\tCriminal\tinclusive
"""


@pytest.fixture
def hurtlex(tmp_path: Path) -> Path:
    file = tmp_path / "hurtlex" / "hurtlex_EN.tsv"
    file.parent.mkdir()
    file.write_text(HURTLEX)
    return tmp_path


def test_a_lexicon_finds_words_and_phrases_and_no_parts_of_words(hurtlex):
    judge = find_judge("lexicon", hurtlex)
    texts = ["cow", "a COW.", "coward", "one stupid cow\u2019s tail", "criminals", "", "(criminal)", "stupid"]
    assert judge(texts) == [1, 1, 0, 1, 0, 0, 1, 0]
    only_phrases = hurtlex / "phrases.txt"
    only_phrases.write_text("stupid cow\n\n  \nfat  cat\n")
    assert find_judge(f"lexicon:{only_phrases}")(["a stupid, cow", "fat cat", "cow", "a stupid"]) == [1, 1, 0, 0]


def test_a_level_of_hurtlex_can_be_chosen(hurtlex):
    path = hurtlex / "hurtlex" / "hurtlex_EN.tsv"
    judge = find_judge(f"lexicon:{path}#conservative")
    assert judge(["cow", "criminal"]) == [1, 0]
    assert note_of(judge) == "the 1 entries of hurtlex_EN.tsv, conservative"
    assert record_of(judge)["level"] == "conservative" and len(record_of(judge)["sha256"]) == 64
    with pytest.raises(SettingsError, match="levels conservative and inclusive, not 'mild'"):
        find_judge(f"lexicon:{path}#mild")


@given(st.lists(st.text(alphabet="ab ", min_size=1), min_size=1), st.text(alphabet="ab .", max_size=20))
@settings(max_examples=100, deadline=None)
def test_a_lexicon_is_a_search_for_whole_words(tmp_path_factory, entries, text):
    file = tmp_path_factory.mktemp("lexicon") / "words.txt"
    file.write_text("\n".join(entries))
    spaced = f" {' '.join(text.replace('.', ' ').split())} "
    wanted = [" ".join(entry.split()) for entry in entries if entry.split()]
    judge = find_judge(f"lexicon:{file}")
    if not wanted:
        with pytest.raises(DataError, match="has no entry"):
            judge([text])
    else:
        assert judge([text]) == [float(any(f" {entry} " in spaced for entry in wanted))]


def test_what_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"Put HurtLex's English lexicon as 'hurtlex/hurtlex_EN\.tsv'"):
        find_judge("lexicon", tmp_path)
    with pytest.raises(SourceError, match="There is no lexicon"):
        find_judge(f"lexicon:{tmp_path / 'none.txt'}")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="is not UTF-8 text"):
        find_judge(f"lexicon:{tmp_path / 'bytes.txt'}")(["a"])
    (tmp_path / "wrong.tsv").write_text("word\tlevel\na\tinclusive\n")
    with pytest.raises(DataError, match="the column 'lemma' is missing"):
        find_judge(f"lexicon:{tmp_path / 'wrong.tsv'}")(["a"])
    with pytest.raises(UnknownNameError, match="did you mean 'lexicon'"):
        find_judge("lexicom:x")
    with pytest.raises(SettingsError, match="A classifier is named after the colon"):
        find_judge("classifier")
    with pytest.raises(UnknownNameError, match="did you mean 'vicomtech'"):
        find_judge("hate:vicomtec")
    assert {one["name"] for one in describe_judges()} >= {"lexicon", "classifier", "hate"}
    assert all(one["description"] for one in describe_judges())


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> Path:
    """A tiny classifier of three labels."""
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.5, pad_token_id=0,
        id2label={0: "Kind", 1: "Toxic", 2: "Other"}, label2id={"Kind": 0, "Toxic": 1, "Other": 2},
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("models") / "classifier"
    LlamaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.model_max_length = 64
    tokenizer.save_pretrained(folder)
    return folder


def test_a_classifiers_probabilities_are_its_own(classifier):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    texts = ["The grandfather met the grandson.", "Answer.", "unknown " * 100]
    said = find_judge(f"classifier:{classifier}")(texts)
    model = AutoModelForSequenceClassification.from_pretrained(classifier)
    tokenizer = AutoTokenizer.from_pretrained(classifier)
    for place, text in enumerate(texts):
        with torch.no_grad():
            logits = model(**tokenizer(text, return_tensors="pt", truncation=True)).logits[0]
        expected = dict(zip(("kind", "toxic", "other"), torch.softmax(logits, 0).tolist(), strict=True))
        assert {label: values[place] for label, values in said.items()} == pytest.approx(expected, abs=1e-5)
    one = find_judge(f"classifier:{classifier}#toxic")
    assert one(texts) == pytest.approx(said["toxic"]) and one([]) == [] and len(one([""])) == 1
    assert note_of(one) == f"the classifier {classifier}, toxic" and record_of(one)["model"] == str(classifier)


def test_a_classifier_that_is_not_there_or_lacks_a_label_says_so(classifier, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'toxic'"):
        find_judge(f"classifier:{classifier}#toxik")(["a"])
    with pytest.raises(ModelError, match="cannot be loaded"):
        find_judge(f"classifier:{tmp_path}")(["a"])


def hateful_data(folder: Path) -> Path:
    """Both sources: some words are hateful; a test row of each post and label."""
    rows, annotated, posts, tested = [], [], [], []
    for number in range(60):
        hateful, test = number % 2 == 0, number % 5 == 0
        text = f"they are {'vermin and scum' if hateful else 'people and friends'} number {number % 7}"
        rows.append([f"{number}_1", "test" if test else "", text])
        annotated.append([f"{number}_1", "hate" if hateful else "noHate"])
        posts.append([f"p{number}", text, str(1 + number % 4 // 2) if hateful else "0"])
        tested += [f"p{number}"] if test else []
    rows.append(["0_2", "", "vermin of a post that is tested"])
    annotated.append(["0_2", "hate"])
    for name, header, lines, delimiter in (
        (SENTENCES, ["file_id", "sampled_split", "text"], rows, "\t"),
        (ANNOTATIONS, ["file_id", "label"], annotated, ","),
        (POSTS, ["", "text", "category"], [*posts, ["p99", "undecided", "3"]], ","),
    ):
        stream = io.StringIO()
        csv.writer(stream, delimiter=delimiter).writerows([header, *lines])
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(stream.getvalue())
    (folder / DIVISIONS).write_text(json.dumps({"train": [], "test": tested}))
    return folder


@pytest.mark.parametrize("source", ["vicomtech", "hatexplain"])
def test_the_trained_judge_tells_what_it_learned_and_how_well(tmp_path, source):
    pytest.importorskip("sklearn", reason="scikit-learn is an extra")
    judge = find_judge(f"hate:{source}", hateful_data(tmp_path))
    bad, good = judge(["such vermin", "good friends"])
    assert 0 <= good < 0.5 < bad <= 1 and judge([]) == []
    area, low, high, rows = judge.quality
    assert (area, rows) == (1.0, 12) and low == high == 1.0
    assert "area under the ROC curve is 1.00 [1.00, 1.00] on 12 held-out texts" in note_of(judge)
    assert record_of(judge)["area_under_roc"] == 1.0
    learned = [one.text for one in judge._texts if not one.test]
    assert not any("tested" in text or text == "undecided" for text in learned) and len(learned) == 48


def test_data_without_both_labels_are_refused(tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn is an extra")
    folder = hateful_data(tmp_path)
    text = (folder / ANNOTATIONS).read_text().replace(",hate", ",noHate")
    (folder / ANNOTATIONS).write_text(text)
    with pytest.raises(DataError, match="need hateful and other texts"):
        find_judge("hate:vicomtech", folder)(["a"])
    with pytest.raises(SourceError, match="Put the hate-speech data of Vicomtech"):
        find_judge("hate:vicomtech", tmp_path / "hatexplain")


@pytest.mark.parametrize(("source", "rows", "least"), [("vicomtech", 478, 0.75), ("hatexplain", 1800, 0.75)])
def test_the_published_data_give_a_judge_that_is_better_than_chance(shared_data, source, rows, least):
    pytest.importorskip("sklearn", reason="scikit-learn is an extra")
    judge = find_judge(f"hate:{source}", shared_data)
    area, low, high, held = judge.quality
    assert held >= rows and least < low < area < high < 1
    assert np.isfinite(judge(["", "I like tea."])).all()
    print(note_of(judge))
