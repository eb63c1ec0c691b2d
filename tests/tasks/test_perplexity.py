"""Perplexity per word against transformers' own loss, and the texts it is measured on."""

import hashlib
import itertools
import math
import re
from pathlib import Path

import pytest
import torch

from biasectomy.commands.evaluate import evaluate
from biasectomy.errors import DataError, ScoreError, SourceError
from biasectomy.measuring.results import figures
from biasectomy.measuring.session import Session
from biasectomy.models.language_model import load
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.tasks import Item, Task, load_task
from biasectomy.tasks.metrics import Answers
from biasectomy.tasks.perplexity import PERPLEXITY, WIKITEXT_FILE, spaced, whole_text
from tests.conftest import build_llama, build_tokenizer

PARAGRAPHS = (
    "The ferry leaves at seven, and the baker is on it with two baskets of bread for the island.",
    "Snow fell.",
    "In the morning the water stood as high as the second step; by noon it had gone down again, and nobody spoke.",
    "A kettle, a map and three apples lay on the table.",
)
WORDS = [19, 2, 22, 11]
TEXT = Task(
    "perplexity:mine",
    tuple(Item(f"mine/{n}", f"mine/{n}", "perplexity:mine", options=(text,)) for n, text in enumerate(PARAGRAPHS)),
    ("",),
    (PERPLEXITY,),
    "1",
    whole_text,
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BIASECTOMY_DATA", raising=False)


def losses(tiny) -> list[float]:
    """Summed cross-entropy of each paragraph, from the loss that transformers returns."""
    summed = []
    for paragraph in PARAGRAPHS:
        tokens = tiny.tokenizer(paragraph, add_special_tokens=False)["input_ids"]
        row = torch.tensor([[tiny.tokenizer.bos_token_id, *tokens]])
        with torch.no_grad():
            summed.append(float(tiny.model(input_ids=row, labels=row).loss) * len(tokens))
    return summed


def log_likelihoods(tiny, neurons: NeuronSet | None = None) -> Answers:
    with tiny.edited(neurons):
        return Session().ask(TEXT, tiny)


def test_log_likelihoods_are_minus_transformers_summed_loss(tiny):
    found = log_likelihoods(tiny).log_likelihoods.reshape(-1)
    assert found == pytest.approx([-loss for loss in losses(tiny)], abs=1e-3)


def test_perplexity_is_the_exponential_of_the_loss_a_word(tiny):
    assert [len(paragraph.split()) for paragraph in PARAGRAPHS] == WORDS
    results = evaluate(tiny, TEXT).results
    (row,) = results.metrics
    assert row.value == pytest.approx(math.exp(sum(losses(tiny)) / sum(WORDS)), rel=1e-4)
    assert row.low <= row.value <= row.high and not results.differences
    named = row.task, row.split, row.metric, row.items, row.coverage
    assert named == ("perplexity:mine", "all", "perplexity", 4, 1.0)


def plain_perplexity(model, tokenizer, prefix: int | None) -> tuple[float, int]:
    """One text after the other, softmax over the whole vocabulary; and how many words it rests on.

    Without a prefix the first token is judged by nothing, nor is the word that it begins.
    """
    log_likelihood, words = 0.0, 0
    for paragraph in PARAGRAPHS:
        tokens = tokenizer(paragraph, add_special_tokens=False)["input_ids"]
        row = tokens if prefix is None else [prefix, *tokens]
        with torch.no_grad():
            following = model(input_ids=torch.tensor([row])).logits[0].double().log_softmax(-1)
        log_likelihood += sum(float(following[place - 1, row[place]]) for place in range(1, len(row)))
        words += len(paragraph.split()) - (prefix is None)
    return math.exp(-log_likelihood / words), words


@pytest.mark.parametrize(
    ("rule", "prefix", "said"),
    [("auto", -1, "`<|endoftext|>`"), ("bos", 1, "`<start>`"), ("eos", 2, "`<end>`"), ("none", None, "no token")],
)
def test_perplexity_behind_each_prefix_is_that_of_one_text_after_the_other(tmp_path, rule, prefix, said):
    folder = save_between_turns(tmp_path / "tiny")
    model = load(str(folder), prefix=rule)
    prefix = len(model.tokenizer) - 1 if prefix == -1 else prefix
    expected, words = plain_perplexity(model.model, model.tokenizer, prefix)
    results = evaluate(model, TEXT, replicates=20).results
    (row,) = results.metrics
    assert row.value == pytest.approx(expected, rel=1e-4)
    assert words == (54 if prefix is not None else 50) == int(log_likelihoods(model).words.sum())
    assert results.description("perplexity").description == f"perplexity per word of neutral text behind {said}"
    assert results.notes == {"perplexity:mine": f"4 whole texts, {words} words judged behind {said} (--prefix {rule})"}


def save_between_turns(folder: Path) -> Path:
    """A checkpoint whose chats have the beginning-of-sequence token between turns, and with a token for end of text."""
    tokenizer = build_tokenizer()
    turn = "<start>{{ message.role }} {{ message.content }}<end>"
    tokenizer.chat_template = f"{{% for message in messages %}}{turn}{{% endfor %}}"
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|endoftext|>"]})
    build_llama(len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_an_edit_changes_it_and_is_gone_afterwards(tiny):
    edit = NeuronSet(tuple(Neuron("model.layers.1.mlp.down_proj", unit, 0.0) for unit in range(8)))
    before, after = log_likelihoods(tiny), log_likelihoods(tiny, edit)
    with tiny.edited(edit):
        assert after.log_likelihoods.reshape(-1) == pytest.approx([-loss for loss in losses(tiny)], abs=1e-3)
    assert (before.log_likelihoods == log_likelihoods(tiny).log_likelihoods).all()
    assert abs(before.log_likelihoods - after.log_likelihoods).max() > 0.1
    answers = {"original": before, "edited": after, "control": Answers.joined([before, after])}
    comparisons = [("edited", "original"), ("edited", "control")]
    rows, differences = figures(TEXT, "all", answers, comparisons, Session().bootstrap)
    values = {row.method: row.value for row in rows}
    assert values["control"] == pytest.approx((values["original"] + values["edited"]) / 2)  # the mean over the draws
    assert {(row.method, row.against): row.value for row in differences} == pytest.approx(
        {pair: values[pair[0]] - values[pair[1]] for pair in comparisons}
    )


def test_a_value_that_is_not_finite_is_refused(tiny):
    tiny.model.model.norm.weight[0] = math.nan
    with pytest.raises(ScoreError, match=r"Item mine/0: .* not finite"):
        log_likelihoods(tiny)


def texts(name: str, folder: Path | None = None) -> list[str]:
    return [item.options[0] for item in load_task(name, data_folder=folder).items]


def test_packaged_text_is_about_sixty_whole_short_paragraphs():
    found = texts("perplexity:packaged")
    assert 55 <= len(found) <= 65 and len(set(found)) == len(found)
    for paragraph in found:
        assert 35 <= len(paragraph.split()) <= 60, paragraph
        assert paragraph.isascii() and paragraph.endswith(".") and "  " not in paragraph, paragraph


def test_packaged_text_speaks_of_no_group_of_people():
    words = set(re.findall(r"[a-z]+", " ".join(texts("perplexity:packaged")).lower()))
    assert not words & {"man", "men", "woman", "women", "he", "she", "his", "her", "poor", "rich", "race", "religion"}


def test_fewer_paragraphs_are_spaced_evenly():
    chosen = [int(text) for text in spaced([str(number) for number in range(60)], 9)]
    assert len(chosen) == 9 and chosen[0] == 0
    assert {later - earlier for earlier, later in itertools.pairwise(chosen)} <= {6, 7}
    assert spaced(["a", "b"], 9) == ["a", "b"]


def wikitext(folder: Path, lines: list[str], line_end: str = "\n") -> Path:
    (folder / WIKITEXT_FILE).parent.mkdir(parents=True)
    (folder / WIKITEXT_FILE).write_bytes(line_end.join(lines).encode())
    return folder


def test_wikitext_skips_headings_and_short_lines_and_cuts_at_a_word(tmp_path):
    long = " ".join(f"word{number}" for number in range(200))
    medium = "x" * 199 + " end"
    lines = [" = " + "Heading " * 40 + "= ", " short line ", f" {long} ", f" {medium} ", "", "y" * 199]
    folder = wikitext(tmp_path, lines)
    assert texts("perplexity:wikitext2", folder) == [" ".join(long.split()[:120]), medium]
    (source,) = load_task("perplexity:wikitext2", data_folder=folder).sources
    assert source["sha256"] == hashlib.sha256((folder / WIKITEXT_FILE).read_bytes()).hexdigest()


def test_carriage_returns_change_nothing(tmp_path):
    lines = ["a " * 150, "b " * 150]
    unix, windows = wikitext(tmp_path / "unix", lines), wikitext(tmp_path / "windows", lines, "\r\n")
    assert texts("perplexity:wikitext2", unix) == texts("perplexity:wikitext2", windows)


def test_the_bare_name_takes_the_text_of_the_data_folder_where_it_has_one(tmp_path, monkeypatch):
    assert load_task("perplexity").name == "perplexity:packaged"
    assert load_task("perplexity", data_folder=tmp_path).name == "perplexity:packaged"
    monkeypatch.setenv("BIASECTOMY_DATA", str(wikitext(tmp_path / "with", ["a " * 150])))
    assert load_task("perplexity").name == "perplexity:wikitext2"


def test_the_published_text(shared_data):
    found = texts("perplexity", shared_data)
    assert len(found) == 60 and sum(len(text.split()) for text in found) == 5917
    assert load_task("perplexity", data_folder=shared_data).name == "perplexity:wikitext2"


def test_errors(tmp_path):
    with pytest.raises(DataError, match="no paragraph of 200"):
        load_task("perplexity", data_folder=wikitext(tmp_path, ["= Title =", "short"]))
    with pytest.raises(SourceError, match=r"no data file 'wikitext2/wiki\.test\.raw'"):
        load_task("perplexity:wikitext2")
