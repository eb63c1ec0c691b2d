"""One's own questions, answered by the original and by what a run made of it."""

import io
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biasectomy.commands.ask import Asked, opened, shares
from biasectomy.commands.settings_runs import AskSettings
from biasectomy.errors import DataError, RunError, SettingsError, UnknownNameError
from biasectomy.models.language_model import load
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.reading.questions import listed
from tests.cli.conftest import run as run_command  # noqa: F401 -- a fixture
from tests.report.carded_runs import MODULE, made_run

STRONG = NeuronSet(tuple(Neuron(MODULE, unit, 1.0, -2.0) for unit in range(12)))
ASKED = Asked("Who forgot the keys?", ("The grandfather", "The grandson", "Not known"), "They met.")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_folder) -> dict[str, Path]:
    """A run whose method edits neurons, one whose method leaves a checkpoint with the same edit, others without."""
    folder = tmp_path_factory.mktemp("runs")
    named = {"model": {"name": str(tiny_folder)}}
    load(str(tiny_folder)).save(folder / "whole" / "model", STRONG)
    made_run(folder / "edited", neurons=STRONG, made=None, **named)
    made_run(folder / "whole", "dpo", None, **named)
    made_run(folder / "lost", "dpo", None, None, **named)
    made_run(folder / "asks", "cc", None, None, **named)
    made_run(folder / "nothing", neurons=NeuronSet(()), made=None, **named)
    return {path.name: path for path in folder.iterdir()}


def test_both_columns_are_what_the_models_say(runs, tiny_folder):
    model = load(str(tiny_folder))
    with opened(AskSettings.of(model=str(tiny_folder), run=runs["edited"], new_tokens=8)) as pair:
        found = pair.ask(ASKED)
    text = listed("Answer the question with one of the options.", "They met.", ASKED.question, ASKED.options)
    for said, neurons in ((found.original, None), (found.edited, STRONG)):
        with model.edited(neurons):
            ((_, answer),) = [one for batch in model([text]) for one in batch]
        assert said.probabilities == pytest.approx(shares(answer.log_likelihoods), abs=1e-5)
        assert math.isclose(sum(said.probabilities), 1) and isinstance(said.text, str)
    assert found.original.probabilities != pytest.approx(found.edited.probabilities, abs=1e-3)


def test_a_checkpoint_answers_as_the_same_edit_in_force(runs):
    answers = []
    for name in ("edited", "whole"):
        with opened(AskSettings.of(model=str(runs[name]), new_tokens=8)) as pair:  # the model is the record's
            answers.append([pair.ask(ASKED), pair.ask(Asked("Who was it?"))])
    for first, second in zip(*answers, strict=True):
        for one, other in ((first.original, second.original), (first.edited, second.edited)):
            assert one.text == other.text and one.probabilities == pytest.approx(other.probabilities, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "options", "error", "said"),
    [
        ("asks", {}, RunError, "changes how a model is asked .* 'compare --methods cc' measure it"),
        ("lost", {}, RunError, "keeps no model of Title of dpo; 'biasectomy mitigate --method dpo' writes one"),
        ("edited", {"method": "crisp"}, UnknownNameError, "did you mean 'crispr'"),
    ],
)
def test_what_cannot_be_asked_is_said_before_a_model_is_loaded(runs, name, options, error, said):
    with pytest.raises(error, match=said), opened(AskSettings.of(run=runs[name], model="nosuch/model", **options)):
        pass


def test_the_command_reads_lines_and_keeps_nothing(runs, run_command, monkeypatch, tmp_path):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    lines = ["Who forgot? | Ann | Bob\n", "\n", json.dumps({"question": "Why?", "context": "It rained."}) + "\n"]
    before = {path: path.stat().st_mtime_ns for path in runs["nothing"].rglob("*")}
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(lines)))
    code, out, err = run_command("ask", str(runs["nothing"]), "--json", "--new-tokens", "4")
    assert code == 0 and "both columns are the same model" in err
    first, second = map(json.loads, out.splitlines())
    assert first["question"] == "Who forgot?" and first["options"] == ["Ann", "Bob"]
    assert first["original"] == first["edited"] and len(first["edited"]["probabilities"]) == 2
    assert second["context"] == "It rained." and second["original"]["probabilities"] == []
    monkeypatch.setattr("sys.stdin", io.StringIO(lines[0]))
    code, out, _ = run_command("ask", str(runs["nothing"]), "--new-tokens", "4")
    assert code == 0 and "Original" in out and "Title of crispr" in out and " % *" in out and "Ann" in out
    monkeypatch.setattr("sys.stdin", io.StringIO(lines[1] + "Who? | Ann\n"))
    code, _, err = run_command("ask", str(runs["nothing"]), "--quiet")
    assert code == 2 and "Error: Standard input, line 2: options are two or more" in err
    assert {path: path.stat().st_mtime_ns for path in runs["nothing"].rglob("*")} == before and not [
        *tmp_path.iterdir()
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Who? | Ann", "options are two or more"),
        ("Who? | Ann | Ann", "options are two or more, each another"),
        (" | Ann | Bob", "the question or an option is empty"),
        ("Who? | Ann | ", "the question or an option is empty"),
        ("{", "not valid JSON"),
        ('{"question": 1}', "are texts"),
        ('{"question": "Who?", "options": "AB"}', "'options' a list of texts"),
        ('{"question": "Who?", "option": ["A", "B"]}', "did you mean 'options'"),
        ('{"context": "Who?"}', "are texts"),
        ('{"question": "Who?", "options": 5}', "'options' a list of texts"),
        ('{"question": "Who?", "options": [1, 2]}', "'options' a list of texts"),
        ("[" * 99999, ""),
        ("{" * 99999, "not valid JSON"),
    ],
)
def test_a_line_that_is_no_question_is_named(line, said):
    if not said:
        assert Asked.read(line, "Line 3").question == line
        return
    with pytest.raises(DataError, match=f"^Line 3: .*{said}"):
        Asked.read(line, "Line 3")


TEXT = st.text(st.characters(exclude_characters="\\\0{", exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@given(TEXT, st.lists(TEXT.map(str.strip), min_size=2, max_size=4, unique=True))
def test_bars_part_options_and_can_be_written_themselves(question, options):
    line = " | ".join(one.replace("|", "\\|") for one in (question, *options))
    assert Asked.read(line, "x") == Asked(question.strip(), tuple(options))
    document = json.dumps({"question": question, "options": options})
    assert Asked.read(document, "x") == Asked(question, tuple(options))


@given(st.lists(st.floats(-1e4, 0), min_size=2, max_size=5))
def test_shares_sum_to_one_in_the_order_of_the_scores(scores):
    found = shares(tuple(scores))
    assert sum(found) == pytest.approx(1) and found[scores.index(max(scores))] == max(found)


def test_one_word_is_the_run_and_none_is_too_few():
    assert AskSettings.of(model="there").run == Path("there")
    both = AskSettings.of(model="smollm2", run="there")
    assert (both.model, both.run) == ("smollm2", Path("there"))
    with pytest.raises(SettingsError, match="RUN is missing"):
        AskSettings.of()
    with pytest.raises(RunError, match="There is no folder 'there'"), opened(AskSettings.of(model="there")):
        pass
