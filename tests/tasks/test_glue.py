"""MRPC, RTE and QNLI: their files, row by row, what a model is asked, and what is made of the answers."""

import math
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from biasectomy.commands.evaluate import evaluate
from biasectomy.errors import BiasectomyError, DataError, SourceError
from biasectomy.measuring.statistics import ClusterBootstrap
from biasectomy.tasks import glue, load_task, split
from biasectomy.tasks.base import Item
from biasectomy.tasks.checks import check_task, wrong_with
from biasectomy.tasks.label_choice import OPTIONS, f1
from biasectomy.tasks.metrics import Answers, named
from biasectomy.tasks.mrpc import MRPC
from biasectomy.tasks.option_order import rotate_options
from biasectomy.tasks.qnli import QNLI, ROWS
from biasectomy.tasks.rte import RTE
from tests.tasks.test_hub_data import written

ALL = {"mrpc": MRPC, "rte": RTE, "qnli": QNLI}
MRPC_TEXT = (
    "\N{BYTE ORDER MARK}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
    '1\t11\t12\t"It rains," he said.\tHe said that it rains.\n'
    '0\t13\t14\tThe index fell.\tThe "index\n'  # a quotation mark that is not closed
    "0\t15\t11\tNobody spoke.\tIt rains, he said.\n"  # the first sentence of the first pair, by its number
    "1\t16\t17\tnobody  spoke.\tNo one spoke.\n"  # the same text as in the pair before
)
RTE_TEXT = (
    "index\tsentence1\tsentence2\tlabel\n"
    "0\tA cat sat.\tAn animal sat.\tentailment\n"
    "1\tA dog ran.\tA dog slept.\tnot_entailment\n"
    "7\tA cat sat.\tA dog sat.\tnot_entailment\n"
)
QNLI_TEXT = (
    "index\tquestion\tsentence\tlabel\n"
    "0\tWhere is the cat?\tThe cat is on the mat.\tentailment\n"
    "1\tWho fed the cat?\tThe cat is on the mat.\tnot_entailment\n"
    "2\tWho fed the cat?\tIt was fed by Ann.\tentailment\n"
    "3\tWhat is wet?\tIce is cold.\tnot_entailment\n"
    "4\tIs it late?\tIt is noon.\tnot_entailment\n"
)
TEXTS = {"mrpc": MRPC_TEXT, "rte": RTE_TEXT, "qnli": QNLI_TEXT}


def folder_with(folder: Path, name: str, text: str | None = None) -> Path:
    file = folder / f"glue_{name}" / "dev.tsv"
    file.parent.mkdir(parents=True)
    file.write_bytes((TEXTS[name] if text is None else text).replace("\n", "\r\n").encode())
    return folder


# The files


def test_pairs_of_mrpc_become_items_and_those_that_share_a_sentence_one_cluster():
    items = MRPC.parse(MRPC_TEXT)
    assert [(one.identifier, one.cluster, one.gold) for one in items] == [
        ("mrpc:dev/0", "mrpc:dev/0", 0),
        ("mrpc:dev/1", "mrpc:dev/1", 1),
        ("mrpc:dev/2", "mrpc:dev/0", 1),
        ("mrpc:dev/3", "mrpc:dev/0", 0),  # through the third
    ]
    assert (items[0].context, items[1].question) == ('"It rains," he said.', 'The "index')
    assert {one.options for one in items} == {("Yes", "No")}


def test_rows_of_rte_and_qnli_become_items_named_by_their_index():
    assert [(one.identifier, one.cluster, one.gold) for one in RTE.parse(RTE_TEXT)] == [
        ("rte:dev/0", "rte:dev/0", 0),
        ("rte:dev/1", "rte:dev/1", 1),
        ("rte:dev/7", "rte:dev/0", 1),  # the same premise
    ]
    assert [one.cluster.partition("/")[2] for one in QNLI.parse(QNLI_TEXT)] == ["0", "0", "0", "3", "4"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("8\tA cat sat.\tIt sat.", "expected 4 fields, found 3"),
        ("8\tA cat\tsat.\tIt sat.\tentailment", "expected 4 fields, found 5"),
        ("8\tA cat sat.\tIt sat.\tneutral", "the label 'neutral' must be entailment or not_entailment"),
        ("8\t \tIt sat.\tentailment", "'sentence1' is blank"),
        ("\tA cat sat.\tIt sat.\tentailment", "'index' is blank"),
        ("8\tA cat\0.\tIt sat.\tentailment", "its 'sentence1' holds a NUL character"),
        ("7\tA cat sat.\tIt sat.\tentailment", "the index 7 stands there twice, first in some.tsv, line 4"),
    ],
)
def test_a_broken_row_is_named_by_file_and_line(row, said):
    with pytest.raises(DataError, match=f"^some.tsv, line 6: {said}"):
        RTE.parse(f"{RTE_TEXT}\n{row}\n", "some.tsv")


def test_a_quality_that_is_none_is_named():
    with pytest.raises(DataError, match=r"^some\.tsv, line 2: the label '2' must be 1 or 0"):
        MRPC.parse(MRPC_TEXT.replace("\n1\t", "\n2\t", 1), "some.tsv")


@pytest.mark.parametrize("name", ALL)
def test_a_missing_column_and_a_file_without_rows_are_named(name):
    header, columns = TEXTS[name].split("\n")[0], ALL[name].file_layout.columns
    for column in columns:
        with pytest.raises(DataError, match=f"^some.tsv, line 1: the column '{column}' is missing; expected "):
            ALL[name].parse(TEXTS[name].replace(column, "other", 1), "some.tsv")
    with pytest.raises(DataError, match=f"^some.tsv holds no row; expected rows of {', '.join(columns)}"):
        ALL[name].parse(f"{header}\n\n", "some.tsv")
    with pytest.raises(DataError, match=r"^some\.tsv, line 1: the column"):
        ALL[name].parse("", "some.tsv")


@given(st.sampled_from(sorted(ALL)), st.integers(0, 400), st.integers(0, 400), st.text(max_size=8))
@settings(max_examples=300, deadline=None)
def test_any_damage_gives_usable_items_or_names_the_file(name, start, end, put):
    text = TEXTS[name][: min(start, end)] + put + TEXTS[name][max(start, end) :]
    try:
        items = ALL[name].parse(text, "some.tsv")
    except BiasectomyError as error:
        assert str(error).startswith("some.tsv")
    else:
        assert items and not [item for item in items if wrong_with(item)]


@given(st.lists(st.lists(st.integers(0, 8), max_size=3), min_size=1, max_size=9))
@settings(max_examples=200, deadline=None)
def test_clusters_are_what_is_joined_by_any_chain_of_shared_keys(keys):
    groups = [({row}, set(own)) for row, own in enumerate(keys)]
    merged = True
    while merged:
        merged = False
        for one in range(len(groups)):
            for other in range(one + 1, len(groups)):
                if groups[one][1] & groups[other][1]:
                    rows, shared = groups.pop(other)
                    groups[one] = (groups[one][0] | rows, groups[one][1] | shared)
                    merged = True
                    break
            if merged:
                break
    first = {row: min(rows) for rows, _ in groups for row in rows}
    assert glue.first_of_each(keys) == [first[row] for row in range(len(keys))]


# Where they are from


@pytest.mark.parametrize("name", ALL)
def test_without_file_and_hub_both_ways_are_said(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "datasets", None)
    said = (
        rf"^Put {name.upper()}'s .* as 'glue_{name}/dev\.tsv' into the folder .*; '{tmp_path}' does not have it\. "
        rf"Or let it be read from the hub: nyu-mll/glue \({name}, validation\) needs .*'biasectomy\[datasets\]'"
    )
    with pytest.raises(SourceError, match=said):
        load_task(name, data_folder=tmp_path)


def hub_with(folder: Path, name: str, rows: list[tuple[int, str, str, str]]) -> str:
    """A folder like GLUE's repository, of (index, first text, second text, label)."""
    from datasets import ClassLabel, Dataset, Features, Value

    layout = ALL[name].hub_layout
    numbered = {label: number for number, label in enumerate(sorted(layout.labels, reverse=name == "mrpc"))}
    features = Features(
        {
            layout.first: Value("string"),
            layout.second: Value("string"),
            "label": ClassLabel(names=list(numbered)),
            "idx": Value("int32"),
        }
    )
    columns = {
        layout.first: [first for _, first, _, _ in rows],
        layout.second: [second for _, _, second, _ in rows],
        "label": [numbered[label] for *_, label in rows],
        "idx": [index for index, *_ in rows],
    }
    return str(written(folder, name, Dataset.from_dict(columns, features)))


def rows_of(name: str, text: str) -> list[tuple[int, str, str, str]]:
    """The rows of a file as the hub has them."""
    cells = [line.split("\t") for line in text.split("\n")[1:] if line]
    if name == "mrpc":
        labels = {"1": "equivalent", "0": "not_equivalent"}
        return [(9 * number, row[3], row[4], labels[row[0]]) for number, row in enumerate(cells)]
    return [(int(row[0]), *row[1:]) for row in cells]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.parametrize("name", ALL)
def test_file_and_hub_give_the_same_items(tmp_path, monkeypatch, cache, name):
    text = TEXTS[name].replace("\t11\tNobody", "\t18\tNobody")  # the hub has no numbers of sentences
    monkeypatch.setattr(glue, "REPOSITORY", hub_with(tmp_path / "hub", name, rows_of(name, text)))
    of_file = load_task(name, data_folder=folder_with(tmp_path / "data", name, text))
    (tmp_path / "empty").mkdir()
    of_hub = load_task(name, data_folder=tmp_path / "empty")
    if name == "mrpc":  # nor has it the sentence that is in two pairs by its number alone
        assert [one.cluster for one in of_hub.items] == [f"mrpc:dev/{place}" for place in (0, 1, 2, 2)]
        of_file, of_hub = of_file.limited(max_instructions=1), of_hub.limited(max_instructions=1)
        assert [one.context for one in of_file.items] == [one.context for one in of_hub.items]
    else:
        assert of_file.checksum() == of_hub.checksum()
    file, hub = of_file.sources[0], of_hub.sources[0]
    assert file["file"] == hub["file"] == f"glue_{name}/dev.tsv" and not file["verified"] and not hub["verified"]
    assert hub["lacking"] == str(tmp_path / "empty") and ("unverified" in file) == (name != "qnli")


def test_a_row_of_the_hub_that_cannot_be_used_is_named(tmp_path, monkeypatch, cache):
    rows = [*rows_of("rte", RTE_TEXT), (9, " ", "It sat.", "entailment")]
    monkeypatch.setattr(glue, "REPOSITORY", hub_with(tmp_path / "hub", "rte", rows))
    monkeypatch.delenv("BIASECTOMY_DATA", raising=False)
    with pytest.raises(DataError, match=rf"^{tmp_path}/hub \(rte, validation\), row 3: 'sentence1' is blank"):
        load_task("rte")


# What is asked


@pytest.mark.parametrize(("name", "first", "second"), [(one.key, *one.names) for one in ALL.values()])
def test_a_question_names_its_texts_lists_the_options_and_knows_its_content(tmp_path, name, first, second):
    task = load_task(name, data_folder=folder_with(tmp_path, name))
    check_task(task)
    item = task.items[0]
    question = task.question("Say.", item)
    assert question.text == f"Say.\n\n{first}: {item.context}\n{second}: {item.question}\nOptions: Yes, No"
    assert question.options == ("Yes", "No") and task.answer_rules == ("sum", "mean", "generation")
    assert question.with_content("N/A").text == f"Say.\n\n{first}: N/A\n{second}: N/A\nOptions: Yes, No"
    turned = rotate_options(task)
    places = Counter(one.gold for one in turned.items)
    assert turned.option_order == "rotate" and abs(places[0] - places[1]) <= 1
    for one in turned.items:
        assert f"Options: {', '.join(one.options)}" in turned.question("Say.", one).text


@pytest.mark.parametrize("name", ALL)
def test_the_ten_instructions_say_how_to_answer_and_name_the_texts_as_the_question_does(tmp_path, name):
    task = load_task(name, data_folder=folder_with(tmp_path, name))
    words = {"mrpc": ("sentence",), "rte": ("premise", "hypothesis"), "qnli": ("question", "sentence")}[name]
    assert len(set(task.instructions)) == 10
    for wording in (one.lower() for one in task.instructions):
        assert "yes" in wording or "option" in wording
        assert all(word in wording for word in words) and len(wording) < 120


def plain_choice(model, text: str, options) -> int:
    """The likelier option behind the chat template, from the logits of one row for each option."""
    head = model.tokenizer(f"<user>{text}<end><assistant>", add_special_tokens=False)["input_ids"]
    scores = []
    for option in options:
        tail = model.tokenizer(option, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = model.model(input_ids=torch.tensor([head + tail])).logits[0].double().log_softmax(-1)
        scores.append(sum(float(logits[len(head) - 1 + place, token]) for place, token in enumerate(tail)))
    return int(np.argmax(scores))


def test_the_accuracy_on_qnli_is_that_of_the_likelier_label_by_plain_logits(tmp_path, tiny):
    lines = [
        f"{number}\tWhat did room {number} hold?\tThe {thing} was in room {number + number % 2}.\t{label}"
        for number, (thing, label) in enumerate(
            (thing, label) for thing in ("cat", "old lamp", "letter from Ann") for label in list(glue.ENTAILMENT) * 2
        )
    ]
    text = "\n".join(["index\tquestion\tsentence\tlabel", *lines, ""])
    task = load_task("qnli", data_folder=folder_with(tmp_path, "qnli", text))
    outcome = evaluate(tiny, task, replicates=20, max_instructions=3)
    asked = outcome.tasks[0]
    expected = np.array(
        [
            [
                plain_choice(
                    tiny,
                    f"{instruction}\n\nQuestion: {item.context}\nSentence: {item.question}\n"
                    f"Options: {', '.join(item.options)}",
                    item.options,
                )
                for item in asked.items
            ]
            for instruction in asked.instructions
        ]
    )
    assert len({*expected.flat}) == 2  # not the same option everywhere
    assert (outcome.answers[task.name]["original"].choices[0] == expected).all()
    right = expected == [item.gold for item in asked.items]
    assert outcome.results.find("original", "accuracy_qnli").value == pytest.approx(right.mean()) != 0.5
    assert outcome.results.find("original", "majority_qnli").value == 0.5


# What is made of the answers

F1 = f1("mrpc", "MRPC")


def items_with(golds, swapped=()) -> tuple[Item, ...]:
    """An item for each right answer (0 is yes); those that are swapped have no before yes."""
    return tuple(
        Item(f"t/{place}", f"t/{place}", "t", "a", "b", OPTIONS[::-1], 1 - gold)
        if place in swapped
        else Item(f"t/{place}", f"t/{place}", "t", "a", "b", OPTIONS, gold)
        for place, gold in enumerate(golds)
    )


def value(metric, items, choices) -> float:
    with np.errstate(invalid="ignore"):
        return float(metric.combine(metric.columns(items, Answers(np.array(choices)))[0].sum(axis=2)))


def test_f1_by_hand():
    """Three are right with yes; of three answers that are yes two are: 2 * 2 / (3 + 3). An unmatched one is not yes."""
    items = items_with([0, 0, 0, 1, 1])
    first, second = [0, 0, -1, 0, 1], [1, 1, 1, 1, 1]
    assert value(F1, items, [[first]]) == pytest.approx(2 / 3)
    assert value(F1, items, [[second]]) == 0.0  # yes is right somewhere, so this is not undefined
    assert value(F1, items, [[first, second]]) == pytest.approx(1 / 3)  # the mean over instructions
    assert value(F1, items, [[first], [second]]) == pytest.approx(1 / 3)  # and over draws
    assert value(F1, items, [[[0] * 5]]) == pytest.approx(2 * 0.6 / 1.6)  # always yes
    assert value(F1, items_with([0, 0, 0, 1, 1], {0, 3}), [[[1, 0, -1, 1, 1]]]) == pytest.approx(2 / 3)
    assert named(MRPC.metrics, "f1_mrpc").best == 1 and F1.role is None
    assert {metric.name: metric.role for metric in MRPC.metrics if metric.role} == {"accuracy_mrpc": "guard"}


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_f1_is_the_harmonic_mean_of_precision_and_recall(data):
    size = data.draw(st.integers(1, 12))
    golds = data.draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))
    rows = data.draw(st.lists(st.lists(st.integers(-1, 1), min_size=size, max_size=size), min_size=1, max_size=3))
    expected = []
    for row in rows:
        hits = sum(given == gold == 0 for given, gold in zip(row, golds, strict=True))
        if not row.count(0) and not golds.count(0):
            expected.append(math.nan)
        elif not hits:
            expected.append(0.0)
        else:
            precision, recall = hits / row.count(0), hits / golds.count(0)
            expected.append(2 / (1 / precision + 1 / recall))
    assert value(F1, items_with(golds), [rows]) == pytest.approx(np.mean(expected), nan_ok=True)


def test_f1_without_any_yes_is_undefined_and_says_why():
    items = items_with([1] * 6)
    bootstrap = ClusterBootstrap([item.cluster for item in items], replicates=50)
    estimate = bootstrap.estimate(bootstrap.measure(F1, items, Answers(np.array([[[1] * 6]]))))
    assert math.isnan(estimate.value) and estimate.reason == F1.undefined and "yes is nowhere" in estimate.reason


def test_an_f1_without_any_error_is_not_certain():
    """Resampling sees no error; the exact bound with the 7 clusters that have a yes as trials is 0.025^(1/7)."""
    items = items_with([0] * 7 + [1] * 5)
    bootstrap = ClusterBootstrap([item.cluster for item in items], replicates=50)
    estimate = bootstrap.estimate(bootstrap.measure(F1, items, Answers(np.array([[[0] * 7 + [1] * 5]]))))
    assert (estimate.value, estimate.high) == (1.0, 1.0) and estimate.low == pytest.approx(0.025 ** (1 / 7))
    assert estimate.coverage == pytest.approx(7 / 12)


@pytest.mark.parametrize("name", ALL)
def test_the_metrics_of_a_task_have_its_name(tmp_path, tiny, name):
    task = load_task(name, data_folder=folder_with(tmp_path, name))
    results = evaluate(tiny, task, replicates=20, max_instructions=2).results
    names = [row.metric for row in results.metrics]
    own = [f"accuracy_{name}", f"majority_{name}"]
    shared = ["instruction_deviation", "instruction_range", "consistency", *(["f1_mrpc"] if name == "mrpc" else [])]
    assert names == [*own, *shared, "accuracy_gold_first", "accuracy_gold_second"]
    assert results.find("original", f"majority_{name}").value == {"mrpc": 1 / 2, "rte": 2 / 3, "qnli": 3 / 5}[name]
    generated = [one.name for one in task.with_answer_rule("generation").metrics_in_force()]
    assert "unmatched" in generated


# QNLI as it was published


def test_the_published_file(shared_data):
    task = load_task("qnli", data_folder=shared_data)
    check_task(task)
    assert len(task.items) == ROWS == 5463 and task.sources[0]["verified"] and "unverified" not in task.sources[0]
    assert Counter(item.gold for item in task.items) == {0: 2702, 1: 2761}
    asked, told = (Counter(getattr(item, part) for item in task.items) for part in ("context", "question"))
    assert (len(asked), max(asked.values()), sum(count > 1 for count in asked.values())) == (4100, 3, 1362)
    assert (len(told), max(told.values()), sum(count > 1 for count in told.values())) == (3913, 11, 1077)
    sizes = Counter(item.cluster for item in task.items)
    assert (len(sizes), max(sizes.values()), list(sizes.values()).count(1)) == (2686, 20, 1451)
    assert Counter(item.gold for item in rotate_options(task).items) in ({0: 2731, 1: 2732}, {0: 2732, 1: 2731})
    sides = [{text for item in side.items for text in (item.context, item.question)} for side in split(task)]
    assert not sides[0] & sides[1]


def test_the_published_rows_are_verified_out_of_the_hub_too(shared_data, tmp_path, monkeypatch, cache):
    of_file = load_task("qnli", data_folder=shared_data)
    rows = rows_of("qnli", (shared_data / "glue_qnli" / "dev.tsv").read_text(encoding="utf-8"))
    monkeypatch.setattr(glue, "REPOSITORY", hub_with(tmp_path / "hub", "qnli", rows))
    monkeypatch.delenv("BIASECTOMY_DATA", raising=False)
    of_hub = load_task("qnli")
    assert of_hub.sources[0]["verified"] and of_hub.checksum() == of_file.checksum()
