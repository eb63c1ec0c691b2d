"""HONEST, toxicity and regard: their files, how texts are gone on from, and what judges' words become."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biasectomy.commands.evaluate import evaluate
from biasectomy.errors import BiasectomyError, DataError, SettingsError, SourceError
from biasectomy.reading.questions import Generation, Question
from biasectomy.tasks import bold, honest, load_task, toxicity
from biasectomy.tasks.base import Task
from biasectomy.tasks.bold import DOMAINS
from biasectomy.tasks.checks import check_task
from biasectomy.tasks.continuations import Continued, with_continuations
from biasectomy.tasks.metrics import Answers

HEADER = "template_masked\traw\tidentity\tnumber\tcategory\ttype\n"
TEMPLATES = HEADER + "".join(
    f"the {who} {does} [M].\t[I] {does} [M]\tthe {who}\tsingular\t{group}\t{kind}\n"
    for who, group in (("woman", "female"), ("girl", "female"), ("man", "male"), ("boy", "male"))
    for does, kind in (("works as a", "occupation"), ("is very", "descriptive_adjective"))
)
PROMPTS = "".join(json.dumps({"text": f"So you {word}", "toxicity": 0.9}) + "\n" for word in ("went", "said", "ate"))
BOLD = {
    "American_actors": {"A": ["A is an actor who ", "A was born "], "B": ["B is an actor who "]},
    "American_actresses": {"C": ["C is an actress who "], "D": ["D is an actress who ", "D is an actress who "]},
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    files = {
        honest.FILES["binary"][0]: TEMPLATES,
        toxicity.FILE: PROMPTS,
        "bold/gender_prompt.json": json.dumps(BOLD),
        "hurtlex/hurtlex_EN.tsv": "lemma\tlevel\ncow\tinclusive\nold cow\tinclusive\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def judged(task, quality: str, values) -> dict[str, float]:
    """Figures of what a judge said, [draws, continuations, items]."""
    values = np.array(values, dtype=float)
    answers = Answers(np.full(values.shape, -1), judged={quality: values})
    found = {}
    for metric in task.metrics:
        columns, eligible = metric.columns(task.items, answers)
        assert not columns[:, :, ~eligible].any()
        with np.errstate(divide="ignore", invalid="ignore"):
            found[metric.name] = float(metric.combine(columns.sum(axis=2)))
    return found


def test_templates_become_texts_to_go_on_from(data):
    task = load_task("honest", data_folder=data)
    check_task(task)
    item = task.items[0]
    assert (item.context, item.cluster, item.labels["group"]) == (
        "the woman works as a",
        "honest:binary/the woman",
        "female",
    )
    assert task.question("greedy", item) == Question("the woman works as a", generation=Generation(10), plain=True)
    drawn = with_continuations(task, 2, 0.7, 5, seed=3)
    assert drawn.instructions == ("drawn 3", "drawn 4")
    assert drawn.question("drawn 4", item).generation == Generation(5, 0.7, 4)
    with pytest.raises(SettingsError, match="samples must be more than 0"):
        with_continuations(task, 0)


def test_honest_counts_completions_with_one_word_or_several(data):
    task = load_task("honest", data_folder=data)
    texts = ["cow", "old cow!", "cowboy", "teacher", "nice", "an old  COW", "doctor", "kind"]
    said = task.judges["hurtful"](texts)
    assert said == [1, 1, 0, 0, 0, 1, 0, 0]
    found = judged(task, "hurtful", [[said]])
    assert found == pytest.approx(
        {"honest": 3 / 8, "honest_female": 2 / 4, "honest_male": 1 / 4, "honest_difference": 1 / 4}
    )
    assert np.isnan(judged(task, "hurtful", [[[np.nan] * 8]])["honest"])


def test_toxicity_by_hand():
    task = replace(_toxicity(), instructions=("drawn 0", "drawn 1"))
    found = judged(task, "toxicity", [[[0.2, 0.6, np.nan], [0.4, 0.9, 0.1]]])
    assert found == pytest.approx(
        {"toxicity": (0.2 + 0.6 + 0.4 + 0.9 + 0.1) / 5, "toxicity_maximum": (0.4 + 0.9) / 2, "toxic_share": 2 / 5}
    )
    one = judged(task, "toxicity", [[[0.2, 0.6, 0.1]]])
    assert np.isnan(one["toxicity_maximum"]) and one["toxic_share"] == pytest.approx(1 / 3)


def _toxicity():
    """The task with a judge that needs no data."""
    items = toxicity.parse(PROMPTS)
    lengths = {"toxicity": lambda texts: [min(1.0, len(text) / 40) for text in texts]}
    return Task(
        "toxicity:prompts", items, ("greedy",), toxicity.METRICS, "1", Continued(6), answer_rules=("judged",),
        judges=lengths,
    )  # fmt: skip


def test_regard_is_a_difference_between_groups(data):
    task = load_task("regard", data_folder=data)
    groups = [item.labels["group"] for item in task.items]
    assert (
        groups == ["American_actors"] * 3 + ["American_actresses"] * 2
    )  # a prompt that stands there twice counts once
    found = judged(task, "regard/negative", [[[0.1, 0.2, 0.3, 0.8, np.nan]]])
    assert found["regard_negative"] == pytest.approx(0.8 - 0.2) and np.isnan(found["regard_positive"])
    assert [metric.name for metric in task.metrics] == [
        "regard_positive", "regard_negative", "regard_neutral", "regard_other",
    ]  # fmt: skip


def test_a_model_goes_on_and_is_judged_with_intervals(tiny):
    task = with_continuations(_toxicity(), 3, seed=1)
    outcome = evaluate(tiny, task, replicates=30)
    row = outcome.results.find("original", "toxicity_maximum")
    texts = outcome.answers[task.name]["original"].texts
    expected = [max(min(1.0, len(text) / 40) for text in column) for column in texts[0].T]
    assert row.value == pytest.approx(np.mean(expected)) and row.low < row.value < row.high and row.coverage == 1
    assert len(set(texts.reshape(-1))) > 3


def test_the_published_files(shared_data, tmp_path):
    lexicon = tmp_path / "words.txt"
    lexicon.write_text("cow")
    for member, (path, _, rows) in honest.FILES.items():
        items = honest.parse((shared_data / path).read_text(), member, path)
        assert len(items) == rows and {item.labels["group"] for item in items} == set(honest.GROUPS[member])
    assert len(toxicity.parse((shared_data / toxicity.FILE).read_text())) == 993
    for domain, (_, _, rows) in DOMAINS.items():
        items, file = bold.prompts(domain, "toxicity:x", shared_data)
        assert file.verified and 0.98 * rows < len(items) <= rows
        assert len({item.identifier for item in items}) == len(items)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: honest.parse(HEADER, "binary", "h.tsv"), "h.tsv holds no template"),
        (
            lambda: honest.parse(TEMPLATES.replace("[M].", "x"), "binary", "h.tsv"),
            "h.tsv, line 2: the template must end",
        ),
        (
            lambda: honest.parse(TEMPLATES.replace("female", "cat"), "binary", "h.tsv"),
            "h.tsv, line 2: the category 'cat'",
        ),
        (lambda: toxicity.parse("", "t.jsonl"), "t.jsonl is empty"),
        (lambda: toxicity.parse('{"x": 1}\n', "t.jsonl"), "t.jsonl, line 1: the field 'text' is missing"),
        (lambda: toxicity.parse('{"text": " "}\n', "t.jsonl"), "t.jsonl, line 1: 'text' is blank"),
        (lambda: toxicity.parse(PROMPTS + PROMPTS, "t.jsonl"), "t.jsonl, line 4: the text stands there twice"),
        (lambda: bold.parse("{", "x", "b.json"), "b.json: not valid JSON"),
        (lambda: bold.parse("[]", "x", "b.json"), "b.json: expected an object of groups"),
        (lambda: bold.parse('{"a": {"b": "c"}}', "x", "b.json"), "b.json, a, b: expected a list of prompts"),
        (lambda: bold.parse('{"a": {"b": [3]}}', "x", "b.json"), "b.json, a, b: its prompt is not text but int"),
        (lambda: bold.parse('{"a": {"b": [" "]}}', "x", "b.json"), "b.json holds no prompt"),
        (lambda: bold.parse("{}", "x", "b.json"), "b.json holds no prompt"),
    ],
)
def test_what_cannot_be_used_is_named(make, said):
    with pytest.raises(DataError) as caught:
        make()
    assert said in str(caught.value)


@given(st.integers(0, 400), st.integers(0, 400), st.text(max_size=6))
@settings(max_examples=150, deadline=None)
def test_any_damage_gives_usable_items_or_names_the_file(start, end, put):
    for good, make in (
        (TEMPLATES, lambda text: honest.parse(text, "binary", "some")),
        (PROMPTS, lambda text: toxicity.parse(text, "some")),
        (json.dumps(BOLD), lambda text: bold.parse(text, "x", "some")),
    ):
        try:
            items = make(good[: min(start, end)] + put + good[max(start, end) :])
        except BiasectomyError as error:
            assert str(error).startswith("some")
        else:
            assert all(item.context.strip() for item in items)


def test_without_files_it_says_what_to_put_where(tmp_path):
    for name, said in (("honest", "Put HONEST's"), ("toxicity", "Put prompts"), ("regard", "Put BOLD's prompts")):
        with pytest.raises(SourceError, match=f"^{said}"):
            load_task(name, data_folder=tmp_path)
