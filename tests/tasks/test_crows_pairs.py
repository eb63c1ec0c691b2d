"""CrowS-Pairs: the file, the two whole texts of each pair, and what is made of the answers."""

import csv
import io
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from biasectomy import evaluate, mitigate
from biasectomy.errors import DataError
from biasectomy.methods.search import choose_count
from biasectomy.models.language_model import load
from biasectomy.tasks import load_task
from biasectomy.tasks.crows_pairs import FILE, LESS, METRICS, MORE, PAIRS, parse
from biasectomy.tasks.metrics import Answers

HEADER = ["", "sent_more", "sent_less", "stereo_antistereo", "bias_type", "annotations"]
ROWS = [
    (
        str(number),
        f"The {people} cook met {number} old friends.",
        f"The cook met {number} old friends.",
        way,
        kind,
        "[]",
    )
    for number, (people, way, kind) in enumerate(
        [("poor", "stereo", "socioeconomic"), ("rich", "antistereo", "socioeconomic"), ("old", "stereo", "age")] * 8
    )
]


def text(rows=ROWS) -> str:
    stream = io.StringIO()
    csv.writer(stream).writerows([HEADER, *rows])
    return stream.getvalue()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_text(text())
    return tmp_path


def test_a_row_becomes_two_whole_texts_without_instruction_or_template(data):
    task = load_task("crows_pairs:ses", data_folder=data, instructions=None)
    assert (task.name, task.instructions, len(task.items)) == ("crows_pairs:socioeconomic", ("",), 16)
    question = task.question("", task.items[0])
    assert question.text is None and question.options == (ROWS[0][2], ROWS[0][1])  # also where it is an antistereotype
    assert task.question("", task.items[1]).options[MORE] == ROWS[1][1]
    assert task.goal("even").metric == "stereotype_preference" and task.goal() == task.goal("even")
    assert task.goal("anti-stereotype").judged(task.metrics).best == 0 and task.metrics[0].best == 0.5


def test_the_bare_name_is_all_types_and_each_is_reported(data, tiny):
    only = [row for row in ROWS if row[4] == "age"]
    with pytest.raises(DataError, match="no pair of the bias type 'disability'"):
        load_task("crows_pairs", data_folder=data)
    outcome = evaluate(tiny, "crows_pairs:age,ses", data=data, replicates=50)
    names = list(dict.fromkeys(row.task for row in outcome.results.metrics))
    assert names == ["crows_pairs:age,socioeconomic", "crows_pairs:age", "crows_pairs:socioeconomic"]
    row = outcome.results.find("original", "stereotype_preference", task="crows_pairs:age")
    assert row is not None and row.items == len(only) == row.clusters


@pytest.mark.parametrize("rule", ["bos", "eos"])
def test_the_preference_is_that_of_summed_log_likelihoods_behind_the_prefix_token(data, tiny_folder, rule):
    tiny = load(str(tiny_folder), prefix=rule)
    token = {"bos": tiny.tokenizer.bos_token, "eos": tiny.tokenizer.eos_token}[rule]

    def log_likelihood(sentence: str) -> float:
        tokens = tiny.tokenizer(sentence, add_special_tokens=False)["input_ids"]
        row = torch.tensor([[tiny.tokenizer.convert_tokens_to_ids(token), *tokens]])
        with torch.no_grad():
            return -float(tiny.model(input_ids=row, labels=row).loss) * len(tokens)

    expected = np.mean([log_likelihood(row[1]) > log_likelihood(row[2]) for row in ROWS])
    outcome = evaluate(tiny, "crows_pairs:age,ses", data=data, replicates=50)
    found = outcome.results.find("original", "stereotype_preference")
    assert found is not None and found.value == pytest.approx(expected)
    said = outcome.results.description("stereotype_preference").description
    assert said == (
        f"the share of pairs whose more stereotypical sentence is likelier by summed log-likelihood behind `{token}`"
    )
    words = sum(len(sentence.split()) for row in ROWS for sentence in row[1:3])
    assert outcome.results.notes == {
        "crows_pairs:age,socioeconomic": f"48 whole texts, {words} words judged behind `{token}` (--prefix {rule}); "
        "its authors warn that some pairs are noisy"
    }


def preferences(choices: list[int], data: Path) -> dict[str, float]:
    items = load_task("crows_pairs:ses", data_folder=data).items[: len(choices)]
    answers = Answers(np.array([[choices]]))
    with np.errstate(invalid="ignore"):
        return {one.name: float(one.combine(one.columns(items, answers)[0].sum(axis=2))) for one in METRICS}


def test_shares_by_hand(data):
    found = preferences([MORE, LESS, MORE, MORE], data)  # stereo, antistereo, stereo, antistereo
    assert found == {
        "stereotype_preference": 3 / 4,
        "stereotype_preference_stereo": 1.0,
        "stereotype_preference_antistereo": 1 / 2,
    }
    assert preferences([MORE, -1], data)["stereotype_preference"] == 1.0  # only what was answered counts
    assert math.isnan(preferences([MORE], data)["stereotype_preference_antistereo"])


def test_the_search_stops_at_even_odds_and_does_not_push_past_them(data):
    """Of 0.9, 0.6 and 0.0 the middle one is nearest to even; 0.0 would be the most of what CRISPR removes."""
    task = load_task("crows_pairs:ses", data_folder=data)
    shares = {0: 14, 1: 9, 2: 0}

    def examine(parts, count):
        (part,) = parts
        place = {item.identifier: number for number, item in enumerate(task.items)}
        return [Answers(np.array([[[int(place[item.identifier] < shares[count]) for item in part.items]]]))]

    choice = choose_count(examine, task, [0, 1, 2], task.goal(), racing=False)
    assert choice.neurons == 1 and [candidate.value for candidate in choice.candidates] == [14 / 16, 9 / 16, 0.0]


def test_the_whole_job_chooses_what_is_clearly_nearer_to_even(data, tiny):
    crispr = {"instances": 4, "trials": 1, "grid": (0, 5, 40), "racing": False}
    outcome = mitigate(tiny, "crows_pairs:ses", data=data, also="none", method="crispr", crispr=crispr, replicates=50)
    record = outcome.fitted["crispr"].record
    nearer = {row["n"]: abs(record["search"][0]["value"] - 0.5) - abs(row["value"] - 0.5) for row in record["search"]}
    assert all(row["difference"] == pytest.approx(nearer[row["n"]]) for row in record["search"])
    assert record["chosen"] == min((row["n"] for row in record["search"][1:] if row["bound"] > 0), default=0)
    assert outcome.results.goals == {"crows_pairs:socioeconomic": "stereotype_preference"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({4: "height"}, r"line 2: bias_type 'height' is not known; expected age, disability"),
        ({3: "both"}, r"line 2: stereo_antistereo must be stereo or antistereo"),
        ({1: " "}, r"line 2: both sentences need text"),
        ({0: "1"}, r"line 3: the number 1 stands there twice"),
    ],
)
def test_a_bad_row_is_named(change, said):
    bad = tuple(change.get(place, value) for place, value in enumerate(ROWS[0]))
    with pytest.raises(DataError, match=f"crows_pairs_anonymized.csv, {said}"):
        parse(text([bad, *ROWS[1:]]))


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="line 1: the column 'bias_type' is missing"):
        parse(text().replace("bias_type", "kind", 1))


def test_the_published_pairs(shared_data):
    task = load_task("crows_pairs", data_folder=shared_data)
    assert (task.name, len(task.items)) == ("crows_pairs", 1508) and task.sources[0]["verified"]
    assert Counter(item.task.partition(":")[2] for item in task.items) == PAIRS
    assert Counter(item.labels["direction"] for item in task.items) == {"stereo": 1290, "antistereo": 218}
