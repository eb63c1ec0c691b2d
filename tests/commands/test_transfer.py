"""`study transfer`: a method fitted on each category and measured on all of them, on a tiny Llama."""

import json
import math
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

from biasectomy import study
from biasectomy.cli.app import main
from biasectomy.errors import DataError, RunError, SettingsError, UnknownNameError
from biasectomy.files import read_json
from biasectomy.learning import neutral
from biasectomy.measuring.results import Results
from biasectomy.methods import METHODS, OnlyInference, Profile
from biasectomy.models.language_model import LanguageModel
from biasectomy.options import Options
from biasectomy.reading.questions import Answer
from biasectomy.report.text import rendered
from biasectomy.tasks.ambiguity import AMBIGUOUS, CONDITION
from biasectomy.tasks.base import join
from tests.commands.cases import lines_of, write_bbq
from tests.conftest import make_items
from tests.tasks.made_posts import write_mirrors

PLACES = {"toy:age": "room", "toy:ses": "garden", "toy:religion": "street"}
SMALL = {"also": "none", "objective": "accuracy", "replicates": 200, "method": "planted", "on": tuple(PLACES)}


def guessing(question):
    """Says anything but that it cannot be known."""
    chosen = (question.unknown + 1) % len(question.options)
    return Answer(tuple(-9.0 * (place != chosen) for place in range(len(question.options))), (1,) * 3)


class Planted(OnlyInference):
    """Guesses wherever the place of its development items stands, and leaves all else to the model."""

    Settings = Options
    title = "Planted"
    profile = Profile("answers", "nothing")

    def __init__(self, settings):
        self.cost, self.record = SimpleNamespace(questions=0, questions_per_answer=1.0, numbers=1), {}

    def fit(self, model, development, session):
        fitted = Planted(None)
        (fitted.place,) = {item.context.split(" met in ")[1].split()[0] for item in development.items}
        fitted.record = {"learned_from": [item.identifier for item in development.items]}
        return fitted

    @contextmanager
    def answering(self, model, session, draw=0):
        asks = session.answerer(model)

        def answer(questions, wanted=None):
            here = [index for index, one in enumerate(questions) if f"in {self.place} " in (one.text or "")]
            yield [(index, guessing(questions[index])) for index in here]
            yield from asks(questions, set(range(len(questions))) - set(here))

        yield answer


@pytest.fixture
def planted(monkeypatch):
    monkeypatch.setitem(METHODS._entries, "planted", Planted)


@pytest.fixture
def three(toy_task):
    """Ambiguous items of three categories, each in a place of its own, as one task."""

    def category(name, place):
        items = [one for one in make_items(16, 4, name) if one.labels[CONDITION] == AMBIGUOUS]
        return replace(
            toy_task(instructions=1),
            name=name,
            items=tuple(replace(one, context=one.context.replace("room", place)) for one in items),
        )

    return join([category(*one) for one in PLACES.items()])


def cell(results, row, column):
    return next(one for one in results.matrix.cells if (one.row, one.column) == (row, column))


class TestAPlantedChange:
    def test_it_shows_where_it_was_planted_and_nowhere_else(self, tiny, three, planted):
        results = study("transfer", tiny, three, **SMALL).results
        assert results.matrix.rows == tuple(f"planted:{name}" for name in PLACES)
        assert results.matrix.columns == tuple(PLACES)
        for on in PLACES:
            for column in PLACES:
                found = cell(results, f"planted:{on}", column)
                assert found.own == found.holds == (on == column)
                assert found.value == pytest.approx(found.after - found.before)
                if on == column:
                    assert found.after == 0 and found.value < -0.5 and found.high < -0.1
                else:
                    assert found.value == 0 and "do not differ" in found.reason
        said = results.verdict[0]
        assert said.startswith(
            "Planted on toy:age: on its own category, toy:age, it got further from the best value (-"
        )
        assert said.endswith(
            "of 2 other bias types 0 got nearer to the best value, 0 further, and 2 cannot be told from no change."
        )
        assert "Elsewhere than on the own category 0 of 6 cells show a gain and 0 a loss" in results.verdict[3]

    def test_a_change_of_one_category_is_the_same_of_every_row(self, tiny, three, planted, tmp_path):
        """Each column has one set of items, whichever row is measured on it."""
        study("transfer", tiny, three, out=tmp_path / "run", **SMALL)
        items = {}
        for line in lines_of(tmp_path / "run"):
            items.setdefault((line["method"], line["task"]), set()).add(line["item"])
        for column in PLACES:
            assert len({frozenset(found) for (_, of), found in items.items() if of == column}) == 1

    def test_nobody_is_measured_on_what_any_row_learned_from(self, tiny, three, planted, tmp_path):
        study("transfer", tiny, three, out=tmp_path / "run", **SMALL)
        record = read_json(tmp_path / "run" / "record.json")
        learned = {one for name in PLACES for one in record["methods"][f"planted:{name}"]["learned_from"]}
        measured = {line["item"] for line in lines_of(tmp_path / "run")}
        assert not learned & measured and learned | measured == {item.identifier for item in three.items}
        assert set(record["split"]["development"]) == learned and set(record["split"]["test"]) == measured
        clusters = {item.identifier: item.cluster for item in three.items}
        assert not {clusters[one] for one in learned} & {clusters[one] for one in measured}

    def test_a_category_that_nothing_was_fitted_on_is_measured_in_full(self, tiny, three, planted):
        results = study("transfer", tiny, three, **SMALL | {"on": "toy:ses"}).results
        counts = {column: cell(results, "planted:toy:ses", column).items for column in PLACES}
        assert counts == {"toy:age": 32, "toy:ses": 16, "toy:religion": 32}
        few = study("transfer", tiny, three, **SMALL, max_items=48, test_items=18).results
        assert [one.items for one in few.matrix.cells] == [6] * 9

    def test_the_table_fits_and_the_figures_can_be_plotted(self, tiny, three, planted, tmp_path):
        outcome = study("transfer", tiny, three, out=tmp_path / "run", **SMALL)
        again = Results.from_json(read_json(tmp_path / "run" / "results.json"))
        assert repr(again.matrix) == repr(outcome.results.matrix) and len(again.matrix.cells) == 9
        for width in (60, 80, 160):
            text = rendered(again, width)
            assert max(map(len, text.splitlines())) <= width and "own" in text
        assert "Planted on toy:age" in text
        report = (tmp_path / "run" / "report.md").read_text()
        assert "| Learned from | age | ses | religion |" in report and all(one in report for one in again.verdict)


class TestARunFolder:
    def test_a_run_that_was_interrupted_goes_on_to_the_same_result(self, tiny, three, planted, tmp_path, monkeypatch):
        tiny.batch_tokens = 400
        study("transfer", tiny, three, out=tmp_path / "whole", **SMALL)
        answer, asked = LanguageModel.answer, []

        def counted(self, batch, questions, *more):
            if len(asked) >= 6:
                raise KeyboardInterrupt
            asked.append(len(batch.indices))
            return answer(self, batch, questions, *more)

        monkeypatch.setattr(LanguageModel, "answer", counted)
        out = tmp_path / "run"
        with pytest.raises(KeyboardInterrupt):
            study("transfer", tiny, three, out=out, **SMALL)
        monkeypatch.setattr(LanguageModel, "answer", answer)
        study("transfer", tiny, three, out=out, resume=True, **SMALL)
        for file in ("results.json", "items.jsonl"):
            assert (out / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file
        assert read_json(out / "record.json")["command"].startswith("biasectomy study transfer smollm2 ")
        with pytest.raises(RunError, match="with other settings: on was"):
            study("transfer", tiny, three, out=out, resume=True, **SMALL | {"on": "toy:age"})
        with pytest.raises(RunError, match="already holds a run"):
            study("transfer", tiny, three, out=out, **SMALL)

    def test_no_question_is_answered_twice(self, tiny, three, planted, monkeypatch):
        answer, asked = LanguageModel.answer, []

        def noted(self, batch, questions, *more):
            asked.extend(questions[index] for index in batch.indices)
            return answer(self, batch, questions, *more)

        from biasectomy.commands import experiment

        monkeypatch.setattr(experiment, "fitting_batch_tokens", lambda model, *_: (model.batch_tokens, 0.0))
        monkeypatch.setattr(LanguageModel, "answer", noted)
        study("transfer", tiny, three, **SMALL)
        assert len(asked) == len(set(asked)) == 48


class TestWhatCannotBe:
    def test_names_that_are_not_known_are_answered_with_the_nearest(self, tiny, three, planted):
        with pytest.raises(UnknownNameError, match="no study named 'tranfer'; did you mean 'transfer'"):
            study("tranfer", tiny)
        with pytest.raises(UnknownNameError, match="did you mean 'toy:age'"):
            study("transfer", tiny, three, **SMALL | {"on": "toy:agee"})
        with pytest.raises(UnknownNameError, match="did you mean 'Women'"):
            study("transfer", tiny, three, **SMALL | {"method": "unlearn", "on": "women"})
        with pytest.raises(
            SettingsError, match=r"'planted' as it is set learns from development items, so --on names tasks\."
        ):
            study("transfer", tiny, **SMALL | {"on": "Women"})
        with pytest.raises(SettingsError, match=r"--unlearn\.group is what --on says here"):
            study("transfer", tiny, three, unlearn={"group": "Men"}, **SMALL | {"method": "unlearn", "on": "Women"})
        with pytest.raises(SettingsError, match="The original is what methods are compared with"):
            study("transfer", tiny, three, **SMALL | {"method": "original"})
        with pytest.raises(SettingsError, match="'all' is none of them"):
            study("transfer", tiny, "all", **SMALL | {"on": "bbq:age"})
        with pytest.raises(SettingsError, match="--on is missing"):
            study("transfer", tiny)

    def test_a_category_whose_templates_are_all_learned_from_is_refused(self, tiny, three, planted):
        shared = {item.cluster for item in three.items if item.task == "toy:age"}
        clusters = dict(zip((f"toy:ses/{place}" for place in range(16)), ["toy:age/0"] * 16, strict=True))
        assert "toy:age/0" in shared
        alike = replace(
            three, items=tuple(replace(one, cluster=clusters.get(one.cluster, one.cluster)) for one in three.items)
        )
        outcomes = []
        for seed in range(6):  # with some the one template is learned from, with others it is not
            try:
                study("transfer", tiny, alike, seed=seed, **SMALL | {"on": "toy:age"})
                outcomes.append("")
            except DataError as error:
                outcomes.append(str(error))
        refused = [one for one in outcomes if one]
        assert refused and len(refused) < 6
        assert "Nothing of 'toy:ses' is left to measure" in refused[0]


def test_groups_are_measured_in_full_and_their_own_bias_type_is_known(tiny, crows_pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(neutral, "JUDGED_BY", 1)
    write_mirrors(crows_pairs)
    quick = {"steps": 1, "items_a_step": 4, "rate": 0.01, "perplexity": 1e9}
    outcome = study(
        "transfer", tiny, "crows_pairs", out=tmp_path / "run", method="unlearn", on="Women", unlearn=quick, drift=1e9,
        data=crows_pairs, also="perplexity,drift", replicates=50, max_items=9,
    )  # fmt: skip
    results = outcome.results
    assert results.matrix.rows == ("unlearn:Women",) and len(results.matrix.columns) == 9
    assert [one.column for one in results.matrix.cells if one.own] == ["crows_pairs:gender"]
    assert {one.best for one in results.matrix.cells} == {0.5}
    assert [metric for _, metric in results.matrix.beside] == ["perplexity", "drift"]
    assert results.find("unlearn:Women", "drift").value > 0
    record = read_json(tmp_path / "run" / "record.json")
    assert record["methods"]["unlearn:Women"]["group"] == "Women" and "split" not in record
    assert results.verdict[0].startswith("Nothing can be told from no change")  # of a pair each, nothing can
    assert any("drift" in one and "goes from 0.0000 to" in one for one in results.verdict)


def test_the_command_line_from_end_to_end(tiny_folder, tmp_path, monkeypatch, capsys):
    data = write_bbq(tmp_path / "data")
    rows = (data / "bbq" / "Age.jsonl").read_text()
    rows = rows.replace('"category": "Age"', '"category": "SES"').replace("the keys", "the ring").replace("old", "poor")
    (data / "bbq" / "SES.jsonl").write_text(rows)
    metadata = (data / "bbq" / "additional_metadata.csv").read_text()
    (data / "bbq" / "additional_metadata.csv").write_text(
        metadata + "\n" + metadata.partition("\n")[2].replace("Age", "SES")
    )
    (tmp_path / "c.toml").write_text('method = "fair-prompt"\nalso = "none"\n[fair-prompt]\nsentence = "Be fair."\n')

    def run(*words):
        words = (
            "study",
            "transfer",
            str(tiny_folder),
            "--data",
            str(data),
            "--config",
            str(tmp_path / "c.toml"),
            *words,
        )
        monkeypatch.setattr("sys.argv", ["biasectomy", *words, "--replicates", "50", "--max-instructions", "1"])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        return int(exit_.value.code or 0), captured.out, captured.err

    out = tmp_path / "run"
    code, said, errors = run("--on", "bbq:age,bbq:ses", "--out", str(out))
    assert code == 0 and "Error" not in errors, errors
    assert "Learned from" in said and "Verdict" in said
    results = read_json(out / "results.json")
    assert results["matrix"]["rows"] == ["fair-prompt:bbq:age", "fair-prompt:bbq:ses"]
    assert results["matrix"]["columns"] == ["bbq:age", "bbq:ses"] and len(results["matrix"]["cells"]) == 4
    record = read_json(out / "record.json")
    assert record["settings"]["fair-prompt"] == {"sentence": "Be fair."} and record["status"] == "finished"
    assert run("--on", "bbq:age,bbq:ses", "--out", str(out), "--resume", "--quiet")[:2] == (0, "")
    assert read_json(out / "results.json") == results
    code, said, errors = run("--on", "bbq:age", "--task", "bbq:ses", "--out", str(tmp_path / "other"), "--json")
    assert code == 0 and json.loads(said)["matrix"]["columns"] == ["bbq:ses", "bbq:age"]
    code, _, errors = run("--on", "bbq:agee")
    assert code == 2 and "did you mean 'bbq:age'" in errors
    assert not any(math.isnan(one["before"]) for one in results["matrix"]["cells"])
