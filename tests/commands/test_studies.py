"""Studies of one method on a tiny Llama, and what their verdicts make of hand-made results."""

import gc
import json
import math
import weakref
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import pytest

from biasectomy import study
from biasectomy.cli.app import main
from biasectomy.commands.experiment import Experiment
from biasectomy.commands.studies import preservation
from biasectomy.commands.studies.ablation import ablation_verdict
from biasectomy.commands.studies.layers import layers_verdict, parts_of
from biasectomy.commands.studies.neurons import neurons_verdict
from biasectomy.commands.studies.samples import samples_verdict
from biasectomy.commands.studies.seeds import seeds_verdict
from biasectomy.errors import SettingsError
from biasectomy.files import read_json
from biasectomy.measuring.results import (
    Matrix,
    MatrixCell,
    MetricDescription,
    Results,
    point_name,
)
from biasectomy.methods import METHODS, OnlyInference, Profile
from biasectomy.models.language_model import LanguageModel, load
from biasectomy.neurons.discovery import NeuronGroup, Neurons
from biasectomy.options import Options
from biasectomy.report.text import rendered
from tests.commands.cases import lines_of
from tests.conftest import save_tiny
from tests.report.study_cases import RIGHT, made

SMALL = {
    "method": "crispr", "also": "none", "replicates": 40, "max_instructions": 2, "random_neurons": {"draws": 2},
    "crispr": {"instances": 4, "trials": 1, "grid": (0, 8)},
}  # fmt: skip
OF_STUDY = {
    "neurons": {"counts": (2, 8)},
    "samples": {"sizes": (4, 9, 50), "neurons": 8},
    "ablation": {"neurons": 8},
    "layers": {"parts": "each", "neurons": 40},
    "instructions": {"neurons": 8},
    "preservation": {"neurons": 8},
    "seeds": {"seeds": 2, "neurons": 12},
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Each study once, with a folder, all of them over one store; how often all was asked, and as forecast."""
    folder, found = tmp_path_factory.mktemp("studies"), {}
    model = load(str(save_tiny(folder / "model")))

    def run(name, task):
        if name in found:
            return found[name]
        asked = SimpleNamespace(times=0, forecast=None)
        ask, prepare = Experiment._ask, Experiment.prepare

        def counted(self, row, fitted, advance):
            asked.times += fitted.draws
            return ask(self, row, fitted, advance)

        def told(self, fitting, methods=1, given=None):
            asked.forecast = methods
            return prepare(self, fitting, methods, given)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Experiment, "_ask", counted)
            patch.setattr(Experiment, "prepare", told)
            outcome = study(name, model, task, out=folder / name, store=folder / "store", **SMALL | OF_STUDY[name])
        found[name] = SimpleNamespace(outcome=outcome, results=outcome.results, folder=folder / name, asked=asked)
        return found[name]

    return run


@pytest.fixture
def run(shared, toy_task):
    """A study of the toy task."""
    return lambda name: shared(name, toy_task())


class TestEveryStudy:
    @pytest.mark.parametrize("name", OF_STUDY)
    def test_it_ends_in_a_table_a_figure_and_a_verdict_that_survive_the_folder(self, run, name):
        done = run(name)
        again = Results.from_json(read_json(done.folder / "results.json"))
        assert again.verdict and again.to_json() == done.results.to_json()
        assert again.curve is not None or again.matrix is not None
        report = (done.folder / "report.md").read_text()
        assert all(sentence in report for sentence in again.verdict)
        for width in (60, 100):
            assert max(map(len, rendered(again, width).splitlines())) <= width

    @pytest.mark.parametrize("name", OF_STUDY)
    def test_as_many_answers_are_forecast_as_are_asked(self, run, name):
        asked = run(name).asked
        assert asked.times == asked.forecast

    @pytest.mark.parametrize("name", sorted(set(OF_STUDY) - {"instructions", "ablation", "preservation"}))
    def test_a_point_of_the_curve_is_a_figure_of_the_results(self, run, name):
        results = run(name).results
        for point in results.curve.points:
            row = results.find(point.row, point.metric, task=point.task)
            if row is None:  # what is the same at every number
                row = results.find(point.method, point.metric, task=point.task)
            assert [point.value, point.low, point.high] == [row.value, row.low, row.high]
            assert results.title(point.method) != point.method
        assert results.curve.figures[0] == ("toy:age", results.goals["toy:age"])


class TestWhatIsMeasured:
    def test_random_neurons_are_as_many_of_the_same_modules_at_every_number(self, run):
        results = run("neurons").results
        rows = {row.method for row in results.metrics}
        assert rows == {"original", "crispr:2", "crispr:8", "random-neurons:2", "random-neurons:8"}
        assert len(results.find("random-neurons:8", "accuracy").draws) == 2
        assert {(row.method, row.against) for row in results.differences} == {
            (f"crispr:{count}", against) for count in (2, 8) for against in ("original", f"random-neurons:{count}")
        }
        assert results.costs["crispr:8"]["numbers"] == 8 and results.curve.logarithmic

    def test_a_number_of_items_is_drawn_several_times_and_pooled_but_all_of_them_once(self, run):
        done = run("samples")
        assert [len(done.results.find(f"crispr:{size}", "accuracy").draws) for size in (4, 9, 16)] == [2, 2, 0]
        record = read_json(done.folder / "record.json")
        assert set(record["methods"]) == {"original", "crispr:4", "crispr:9", "crispr:16"}
        drawn = [read_json(done.folder / "methods" / f"crispr_{size}-0" / "neurons.json") for size in (4, 9)]
        read = [set(one["found_with"]["drawn"][0]) for one in drawn]
        assert [len(one) for one in read] == [4, 9] and read[0] < read[1]
        assert not read[1] & set(record["split"]["test"])

    def test_every_row_of_the_ablation_edits_as_many_neurons_found_without_one_part(self, run):
        done = run("ablation")
        left_out = ("mean-over-tokens", "no-confusion-weight", "no-skill-disentanglement", "authors")
        assert done.results.matrix.rows == ("crispr", *(f"crispr:{one}" for one in left_out), "random-neurons")
        assert {done.results.costs[row]["numbers"] for row in done.results.matrix.rows} == {8}
        used = {
            one: read_json(done.folder / "methods" / f"crispr_{one}" / "neurons.json")["found_with"] for one in left_out
        }
        assert used["mean-over-tokens"]["tokens"] == "mean" and used["authors"]["variant"] == "authors"
        assert not used["no-confusion-weight"]["confusion_weight"]
        assert not used["no-skill-disentanglement"]["skill_disentanglement"]

    def test_the_layers_take_the_edit_apart_without_remainder(self, run):
        folder = run("layers").folder / "methods"

        def neurons(row):
            return {(one["module"], one["unit"]) for one in read_json(folder / row / "neurons.json")["neurons"]}

        whole, first, second = neurons("crispr"), neurons("crispr-alone_0"), neurons("crispr-alone_1")
        assert first | second == whole and not first & second
        assert neurons("without_0") == second and neurons("without_1") == first
        assert second and all(".0." in module for module, _ in first)

    def test_every_wording_has_the_figure_of_its_own_answers(self, run):
        outcome = run("instructions").outcome
        (task,) = outcome.tasks
        given = outcome.answers[task.name]["original"].choices[0]
        matrix = outcome.results.matrix
        assert [cell.column for cell in matrix.of_row("crispr")] == [f"toy:age/wording {place}" for place in (1, 2)]
        for place, cell in enumerate(matrix.of_row("crispr")):
            right = [
                [choice == item.gold for choice, item in zip(given[place], task.items, strict=True) if of(item)]
                for of in (lambda item: item.gold == item.unknown, lambda item: item.gold != item.unknown)
            ]
            assert cell.before == pytest.approx(sum(sum(some) / len(some) for some in right) / 2)
            points = [one for one in outcome.results.curve.points if (one.method, one.x) == ("original", place + 1)]
            assert points[0].value == pytest.approx(cell.before)
        assert next(metric for _, metric in matrix.beside) == "instruction_deviation"

    def test_what_is_guarded_is_kept_lost_or_not_to_be_told(self, run):
        matrix = run("preservation").results.matrix
        aim, guard = matrix.of_row("crispr")
        assert (aim.note, guard.metric) == ("the goal", "accuracy_disambiguated")
        assert guard.note in ("kept", "lost", "cannot be told", "the same")

    def test_seeds_learn_from_other_items_and_are_asked_the_same(self, run):
        done = run("seeds")
        learned = [
            set(read_json(done.folder / "methods" / f"crispr_{seed}" / "neurons.json")["found_with"]["drawn"][0])
            for seed in (0, 1)
        ]
        assert learned[0] != learned[1]
        asked = {}
        for line in lines_of(done.folder):
            asked.setdefault(line["method"], set()).add(line["item"])
        assert asked["crispr:0"] == asked["crispr:1"] == asked["original"]
        pooled = done.results.find("crispr", "accuracy")
        apart = [done.results.find(f"crispr:{seed}", "accuracy").value for seed in (0, 1)]
        assert list(pooled.draws) == apart and pooled.value == pytest.approx(sum(apart) / 2)
        (overlap,) = read_json(done.folder / "record.json")["overlaps"]
        assert overlap["sizes"] == [12, 12] and "by chance" in done.results.notes["Neuron sets"]


class Heavy:
    """Something that takes memory, and knows how much of it there is."""

    alive: ClassVar[weakref.WeakSet] = weakref.WeakSet()
    most: ClassVar[int] = 0

    def __init__(self):
        Heavy.alive.add(self)


class Weighty(OnlyInference):
    """Answers as the original does, and holds something heavy."""

    Settings = Options
    title = "Weighty"
    profile = Profile("answers", "nothing")

    def __init__(self, settings):
        self.cost, self.record = SimpleNamespace(questions=0, questions_per_answer=1.0, numbers=1), {}

    def fit(self, model, development, session):
        fitted = Weighty(None)
        fitted.heavy = Heavy()
        gc.collect()
        Heavy.most = max(Heavy.most, len(Heavy.alive))
        return fitted

    @contextmanager
    def answering(self, model, session, draw=0):
        yield session.answerer(model)


def test_one_fit_at_a_time_is_in_memory(tiny, toy_task, monkeypatch):
    monkeypatch.setitem(METHODS._entries, "weighty", Weighty)
    outcome = study("seeds", tiny, toy_task(), seeds=4, also="none", replicates=20, method="weighty")
    assert Heavy.most == 1
    assert outcome.results.verdict == ["With none of 4 seeds a figure changes."]
    with pytest.raises(SettingsError, match="let go after it was measured"):
        outcome.fitted["weighty:0"].answering(tiny, None)


def test_an_interrupted_study_goes_on_to_the_same_result_and_asks_nothing_twice(tiny, toy_task, tmp_path, monkeypatch):
    options = SMALL | OF_STUDY["samples"] | {"sizes": (4, 9)}
    study("samples", tiny, toy_task(), out=tmp_path / "whole", **options)
    answer, asked = LanguageModel.answer, []

    def stopping(self, batch, questions, *more):
        if len(asked) >= 5:
            raise KeyboardInterrupt
        asked.append(len(batch.indices))
        return answer(self, batch, questions, *more)

    with monkeypatch.context() as patch:
        patch.setattr(LanguageModel, "answer", stopping)
        with pytest.raises(KeyboardInterrupt):
            study("samples", tiny, toy_task(), out=tmp_path / "run", **options)
    study("samples", tiny, toy_task(), out=tmp_path / "run", resume=True, **options)
    for file in ("results.json", "items.jsonl"):
        assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file
    with monkeypatch.context() as patch:  # all is there: nothing is asked
        patch.setattr(LanguageModel, "answer", stopping)
        study("samples", tiny, toy_task(), out=tmp_path / "run", resume=True, **options)


class TestWhatCannotBe:
    @pytest.mark.parametrize(
        ("name", "options", "said"),
        [
            ("neurons", {"method": "fair-prompt"}, "edits no number of neurons.*crispr or edited-neurons or learned"),
            ("neurons", {"neurons": 5}, "is one number; give this study --counts"),
            ("neurons", {"method": "original"}, "what methods are compared with"),
            ("neurons", {"counts": "0,5"}, "--counts .*whole numbers of 1 or more"),
            ("layers", {"method": "fair-prompt"}, "leaves the weights alone"),
            ("layers", {"parts": "1"}, "--parts is '1'; it must be a whole number of 2 or more, or each"),
            ("ablation", {"method": "learned-factors"}, "takes CRISPR's score apart"),
            ("seeds", {"seeds": 1}, "--seeds"),
        ],
    )
    def test_it_is_refused_before_a_model_is_looked_for(self, toy_task, name, options, said):
        with pytest.raises(SettingsError, match=said):
            study(name, "no/such-model", toy_task(), **SMALL | options)

    def test_tasks_that_do_not_suit_are_refused_too(self, toy_task):
        with pytest.raises(SettingsError, match="'toy:age' is asked in one wording"):
            study("instructions", "no/such-model", toy_task(instructions=1), **SMALL)
        unguarded = replace(toy_task(), metrics=tuple(replace(one, role=None) for one in toy_task().metrics))
        with pytest.raises(SettingsError, match="Nothing is asked besides"):
            study("preservation", "no/such-model", unguarded, **SMALL)
        with pytest.raises(SettingsError, match="sets no goal"):
            study("neurons", "no/such-model", replace(toy_task(), goals={}), **SMALL)
        with pytest.raises(SettingsError, match=r"fewer than --crispr\.instances 20"):
            study("neurons", "no/such-model", toy_task(), **SMALL | {"crispr": {}})


class TestVerdicts:
    def test_the_fewest_neurons_that_hold_are_named_and_whether_random_ones_do_as_well(self):
        against = {("crispr:3", "original"): (0.02, 0.1), ("crispr:30", "original"): (0.3, 0.1)}
        told = neurons_verdict(made(against | {("crispr:30", "random-neurons:30"): (0.28, 0.1)}), "crispr", (3, 30))
        assert told[0].startswith("Of 2 numbers of neurons 30 serve how often it is right, when all 2 differences")
        assert "the fewest are 30 (+30.0 points, 95 % interval +20.0 to +40.0)" in told[0]
        assert told[1] == "Better than as many random neurons: 30."
        alike = neurons_verdict(made(against | {("crispr:30", "random-neurons:30"): (0.01, 0.1)}), "crispr", (3, 30))
        assert alike[1].startswith("None of them can be told from as many random neurons")

    def test_where_nothing_holds_that_is_said(self):
        """Three intervals without 0 by a hair do not hold together."""
        narrow = {(f"crispr:{count}", "original"): (0.1, 0.099) for count in (1, 2, 3)}
        (told,) = neurons_verdict(made(narrow), "crispr", (1, 2, 3))
        assert told.startswith("No number of neurons is shown to serve") and "of 3 none holds" in told
        assert told.endswith("each by itself, 1, 2 and 3 would hold, and more items may show it.")
        one = neurons_verdict(made({("crispr:1", "original"): (0.1, 0.099)}), "crispr", (1,))
        assert one[0].startswith("Of 1 numbers of neurons 1 serve")
        assert samples_verdict(made(narrow), "crispr", (1, 2, 3), 2)[0].startswith("From none of 1, 2 and 3 items")
        worse = neurons_verdict(made({("crispr:9", "original"): (-0.3, 0.1)}), "crispr", (9,))
        assert worse[1] == "It gets worse with 9."

    def test_more_items_are_set_against_the_most(self):
        found = {(f"crispr:{size}", "original"): (gain, 0.1) for size, gain in ((5, 0.0), (20, 0.3), (100, 0.32))}
        found |= {("crispr:5", "crispr:100"): (-0.32, 0.1), ("crispr:20", "crispr:100"): (-0.02, 0.04)}
        told = samples_verdict(made(found), "crispr", (5, 20, 100), 1)
        assert told[0].startswith("20 items are the fewest from which a gain in how often it is right is shown")
        assert told[1].startswith("Clearly behind 100 items: 5. What is not may still be behind by as much")
        assert "up to about 10.0 points" in told[1] and told[2].startswith("One draw of items each")

    def test_parts_of_the_depth_that_are_enough_and_that_are_missed(self):
        neurons = Neurons("ffn-hidden", tuple(NeuronGroup(f"m.{n}", 4, "input", "d", n, "m") for n in range(4)))
        parts = parts_of(neurons, "2")
        alone, without, random = (
            [point_name(line, part.middle) for part in parts] for line in ("crispr-alone", "without", "random-neurons")
        )
        found = {
            ("crispr", "original"): (0.4, 0.1),
            (alone[0], "original"): (0.0, 0.1),
            (alone[1], "original"): (0.4, 0.1),
        }
        found |= {
            (alone[1], random[1]): (0.4, 0.1),
            (without[0], "crispr"): (0.0, 0.05),
            (without[1], "crispr"): (-0.4, 0.1),
        }
        told = layers_verdict(made(found), "crispr", parts, 2)
        assert told[0].startswith("With all of its neurons how often it is right gains (+40.0 points")
        assert "a gain is shown with layers 2 to 3, when all parts" in told[1]
        assert told[2] == "Better than as many random neurons of the same modules: layers 2 to 3."
        assert told[3] == "The edit loses without layers 2 to 3."

    def test_seeds_are_told_each_by_itself_and_pooled(self):
        found = {(f"crispr:{seed}", "original"): (0.1, 0.099) for seed in (0, 1, 2)}
        told = seeds_verdict(
            made(found | {("crispr", "original"): (0.1, 0.099)}), "crispr", [f"crispr:{seed}" for seed in (0, 1, 2)], []
        )
        assert told[0].startswith(
            "How often it is right is served with 3 of 3 seeds and harmed with 0, each by its own"
        )
        assert "0 of these differences hold when all 3" in told[0]
        assert told[2].endswith(
            "the change is +10.0 points, 95 % interval +0.1 to +19.9."
        )  # one comparison, of its own

    def test_parts_of_a_score_that_matter(self):
        found = {
            ("crispr", "original"): (0.4, 0.1),
            ("crispr:a", "crispr"): (-0.3, 0.1),
            ("crispr", "random-neurons"): (0.0, 0.1),
        }
        results = made(found)
        results = replace(results, titles=results.titles | {"crispr:a": "CRISPR, no weight"})
        told = ablation_verdict(results, 9, "")
        assert told[0].startswith("With 9 neurons, how often it is right is served by the whole score (+40.0 points")
        assert told[1].startswith("It cannot be told from as many random neurons (+0.0 points")
        assert told[2].startswith("Behind the whole score, by its interval") and "no weight (-30.0 points" in told[2]
        some = {(f"crispr:{name}", "crispr"): (-0.1, 0.099) for name in "abc"}
        told = ablation_verdict(made(found | some), 9, "")
        assert told[2].startswith("No part is shown to matter: none of 3 can be told from the whole score, when all 3")
        assert "; each by itself would: crispr:a (-10.0 points" in told[2]

    def test_no_answer_that_changed_is_called_what_it_is(self):
        nothing = {(f"crispr:{count}", "original"): (0.0, math.nan) for count in (1, 2)}
        (told,) = neurons_verdict(made(nothing), "crispr", (1, 2))
        assert told.startswith("No number of neurons changes a figure")
        # What has no value at all, such as a spread over one instruction, is no change either.
        undefined = made({("crispr", "original"): (0.0, math.nan), ("crispr", "always"): (math.nan, math.nan)})
        assert layers_verdict(undefined, "crispr", [], 3)[0].startswith("No number of neurons helped")

    def test_one_seed_of_two_that_changes_something_is_told_by_its_interval_alone(self):
        found = {("crispr:0", "original"): (0.2, 0.1), ("crispr:1", "original"): (0.0, math.nan)}
        told = seeds_verdict(made(found | {("crispr", "original"): (0.1, 0.5)}), "crispr", ["crispr:0", "crispr:1"], [])
        assert told[0].endswith("1 of these differences hold when the one of 2 that has an interval is looked at.")


class TestWhatIsKept:
    def judged(self, *cells, within=0.02):
        """Notes of cells (metric, before, gain, reach) beside a goal."""
        described = {
            "goal": RIGHT,
            "known": MetricDescription("Known", "what is known", "share", 1.0, "goal"),
            "words": MetricDescription("Words", "perplexity", "per word", 1.0, "guard"),
        }
        counted = (90, 30, False, False)
        cells_made = [MatrixCell("edit", "t/goal", "goal", 1.0, 0.1, 0.6, 0.5, 0.4, 0.6, 90, 30, False, True)]
        for place, (metric, before, gain, reach) in enumerate(cells):
            ends = (before, before + gain, gain, gain - reach, gain + reach)
            cells_made.append(MatrixCell("edit", f"task{place}", metric, 1.0, *ends, *counted))
        matrix = Matrix("original", ("edit",), tuple(one.column for one in cells_made), tuple(cells_made))
        results = Results(
            (), described=described, interval={"level": 0.95}, matrix=matrix, settings={"kept_within": within}
        )
        return preservation._judged(results, within)

    def notes(self, *cells, **more):
        return [cell.note for cell in self.judged(*cells, **more).matrix.cells][1:]

    def test_kept_only_where_a_loss_beyond_the_margin_is_excluded(self):
        assert self.notes(("known", 0.6, 0.0, 0.015)) == ["kept"]
        assert self.notes(("known", 0.6, 0.0, 0.03)) == ["cannot be told"]  # no difference is shown, nor excluded
        assert self.notes(("known", 0.6, -0.01, 0.005)) == ["kept"]  # a loss, but a small one
        assert self.notes(("known", 0.6, -0.08, 0.03)) == ["lost"]
        assert self.notes(("known", 0.6, -0.03, 0.02)) == ["cannot be told"]  # a loss is shown, but not how large
        assert self.notes(("known", 0.6, 0.0, math.nan)) == ["the same"]

    def test_the_margin_of_a_perplexity_is_a_share_of_it(self):
        assert self.notes(("words", 80.0, -0.5, 0.5)) == ["kept"]  # at most 1.0 of 1.6
        assert self.notes(("words", 20.0, -0.5, 0.5)) == ["cannot be told"]  # 1.0 of 0.4
        assert self.notes(("words", 20.0, -0.5, 0.5), within=0.1) == ["kept"]

    def test_what_is_lost_and_kept_is_told_with_both_figures(self):
        told = preservation.preservation_verdict(
            self.judged(("known", 0.6, 0.0, 0.005), ("known", 0.6, -0.2, 0.05)), "edit"
        )
        assert told[1] == (
            "Lost by more than the margin (2 points of a share or score, 2 % of a perplexity, 0.02 nats of drift): "
            "what is known (task1: 60.0 % to 40.0 %, a gain of -20.0 points, 95 % interval -25.0 to -15.0). Kept "
            "within it: what is known (task0: 60.0 % to 60.0 %, a gain of +0.0 points, 95 % interval -0.5 to +0.5)."
        )

    def test_an_edit_that_changes_nothing_wins_nothing(self):
        results = self.judged(("known", 0.6, 0.0, math.nan))
        goal, *others = results.matrix.cells
        still = replace(goal, after=goal.before, value=0.0, low=math.nan, high=math.nan)
        results = replace(results, matrix=replace(results.matrix, cells=(still, *others)))
        (told,) = preservation.preservation_verdict(results, "edit")
        assert told == "edit changes no figure on any item, so everything is kept and nothing is won."

    def test_many_figures_are_looked_at_together(self):
        narrow = ("known", 0.6, 0.0, 0.0199)
        assert self.notes(narrow) == ["kept"]
        assert self.notes(*[narrow] * 6) == ["cannot be told"] * 6
        told = preservation.preservation_verdict(self.judged(narrow, ("known", 0.6, 0.0, 0.3)), "edit")
        assert told[0].startswith(
            "With edit, how often it is right comes nearer to its best value (10.0 % to 60.0 %, a gain"
        )
        assert told[-1].startswith("Of 2 of 2 figures it cannot be told whether they are kept")


@pytest.mark.parametrize(("wanted", "sizes"), [("3", [2, 3, 2]), ("each", [1] * 7), ("9", [1] * 7), ("2", [4, 3])])
def test_layers_are_divided_evenly_the_decoder_behind_the_encoder(wanted, sizes):
    where = [("encoder", layer) for layer in range(3)] + [("decoder", layer) for layer in range(4)]
    groups = [NeuronGroup(f"{stack}.{layer}", 4, "input", "down", layer, stack) for stack, layer in where]
    parts = parts_of(Neurons("ffn-hidden", tuple(groups)), wanted)
    assert [part.last - part.first + 1 for part in parts] == sizes
    assert [part.first for part in parts][1:] == [part.last + 1 for part in parts][:-1]
    assert parts[-1].layer_of["decoder.0"] == 3


def test_the_command_line_knows_them_and_their_options(tiny_folder, tmp_path, monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr("sys.argv", ["biasectomy", "study", *words])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        return int(exit_.value.code or 0), captured.out, captured.err

    code, said, _ = run("--help")
    assert code == 0 and all(name in said for name in OF_STUDY)
    code, said, errors = run(
        "layers", str(tiny_folder), "--task", "organism:skill", "--method", "crispr", "--max-items", "24", "--also",
        "none", "--parts", "each", "--neurons", "60", "--crispr.instances", "2", "--crispr.trials", "1",
        "--random-neurons.draws", "1", "--replicates", "20", "--max-instructions", "1", "--split", "random",
        "--out", str(tmp_path / "run"), "--json",
    )  # fmt: skip
    assert code == 0, errors
    curve = json.loads(said)["curve"]
    assert {point["x"] for point in curve["points"]} == {0, 1} and curve["over"] == "layer (the middle of a part)"
    assert "--parts each" in read_json(tmp_path / "run" / "record.json")["command"]
    code, _, errors = run("layers", str(tiny_folder), "--method", "fair-prompt")
    assert code == 2 and errors.startswith("Error: 'fair-prompt' leaves the weights alone")
