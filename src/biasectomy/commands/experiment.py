"""Fitting methods on development items and measuring them on test items: what `mitigate` and `compare` share."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from biasectomy.commands.describe import describe
from biasectomy.commands.forecast import announce, fitting_batch_tokens
from biasectomy.commands.opening import (
    describe_task,
    described_neurons,
    model_checksums,
)
from biasectomy.commands.outcome import Outcome
from biasectomy.commands.run_folder import Run
from biasectomy.commands.settings_shared import EvaluationSettings
from biasectomy.errors import BiasectomyError, RunError, SettingsError
from biasectomy.measuring.harness import Found, HarnessTask, answers_by_itself
from biasectomy.measuring.harness_calls import NAME as HARNESS
from biasectomy.measuring.harness_figures import answers_of, note_of, rows_of, task_of
from biasectomy.measuring.questions_log import write_questions
from biasectomy.measuring.results import (
    DifferenceRow,
    MetricDescription,
    MetricRow,
    Results,
    figures,
    interval_settings,
)
from biasectomy.measuring.session import ItemLog, Session, naming_items
from biasectomy.measuring.store import Asked, FileStore, MemoryStore
from biasectomy.methods import Cost, Fitted, Method
from biasectomy.models.language_model import LanguageModel
from biasectomy.narration import Advance, heading, progress, say
from biasectomy.neurons.composition import by_place
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.processes import Processes
from biasectomy.reading.questions import Answerer
from biasectomy.report.number_format import NUMBER_FORMAT
from biasectomy.run_files import DESCRIBED, ITEMS, NEURONS, QUESTIONS, STORE, of_method
from biasectomy.tasks import Split, Task
from biasectomy.tasks.answer_rules import GENERATING, SCORE_NAMES
from biasectomy.tasks.metrics import Answers

FITTING, MEASURING = "fitting", "measuring"  # stages of a command
Comparisons = Sequence[tuple[str, str]]  # (method, against)
Measurement = tuple[Task, str]  # a task, and which of its items these are, such as "test"
# Of each set so many neurons are described in the report, with so many tokens and at so many development items: that
# takes seconds.
TOLD_NEURONS, TOLD_TOKENS, TOLD_ITEMS = 12, 8, 48


@dataclass(frozen=True)
class Recounted:
    """What is told of a fitted method whose answers are there, after the rest of it was let go."""

    cost: Cost
    record: dict[str, Any]
    draws: int = 1
    neuron_set: NeuronSet | None = None

    def answering(self, model: LanguageModel, session: Session, draw: int = 0) -> AbstractContextManager[Answerer]:
        """Refused: it has answered."""
        raise SettingsError("This method was let go after it was measured; fit it anew to ask it more.")

    def save(self, model: LanguageModel, folder: Path, dtype: str = "auto") -> float | None:
        """Refused, but for neurons: see `answering`."""
        if self.neuron_set is None:
            raise SettingsError("This method was let go after it was measured; fit it anew to save it.")
        return model.save(folder, self.neuron_set, dtype=dtype)


@dataclass
class Experiment:
    """Methods on one model and some tasks, over a run folder that can be resumed, or over none.

    `development` are the items that each method learns from, by the name of its row; `splits` those they come from.
    """

    settings: EvaluationSettings
    processes: Processes
    model: LanguageModel
    run: Run | None
    measured: Sequence[Measurement]
    development: Mapping[str, Task] = field(default_factory=dict)
    splits: Sequence[Split] = ()
    fitted: dict[str, Fitted] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    harness: Sequence[HarnessTask] = ()
    number_format: Mapping[str, Any] = field(default_factory=dict)  # what a record says of it
    tokens: dict[str, float] = field(default_factory=dict)  # that an answer took, by method
    answers: dict[str, dict[str, Answers]] = field(default_factory=dict)  # by task and method
    of_harness: dict[str, list[list[Found]]] = field(default_factory=dict)  # by method, then draw and task

    def __post_init__(self) -> None:
        settings, folder = self.settings, self.run.folder if self.run else None
        kept = settings.store or (folder / STORE if folder else None)
        _ = self.model.key  # of the weights as they are, before any edit
        self.session = Session(
            store=FileStore(kept) if kept and self.processes.main else MemoryStore(),
            processes=self.processes,
            seed=settings.seed,
            replicates=settings.replicates,
            level=settings.level,
            objective=getattr(settings, "objective", None),
            margin=getattr(settings, "margin", None),
            neurons=getattr(settings, "neurons", None),
            drift=getattr(settings, "drift", None),
            folder=folder,
            data=settings.data,
            items=ItemLog(folder / ITEMS if folder else None, self.processes),
            fitted=self.fitted,
        )

    def prepare(self, fitting: float, methods: float = 1, given: Mapping[str, Any] | None = None) -> None:
        """Settles the batch size, says what to expect, and records what everything rests on.

        Args:
            fitting: about how many questions' time fitting takes.
            methods: how many are measured, each draw and each question of an answer counted.
            given: further values that a resumed run must find unchanged.

        Raises:
            RunError: the run to be resumed rests on something else.
        """
        if self.run is not None:
            self.run.record[NUMBER_FORMAT] = dict(self.number_format)
        self._settle_batches(fitting, methods)
        if self.run is None:
            return
        self.run.same_as_before("model", self.model.description())
        self.run.same_as_before("weights", self.model.key)
        self.run.same_as_before("tasks", [describe_task(task) for task, _ in self.measured])
        self.run.same_as_before("prompt", self._describe_prompts())
        self.run.record["chat_template"] = self._describe_template()
        if self.harness:
            asked = {"prompt": self.model.prompt_format.name}
            self.run.same_as_before("harness", [task.description | asked for task in self.harness])
        for name, value in (given or {}).items():
            self.run.same_as_before(name, value)
        self.run.record["model_checksums"] = model_checksums(self.model)
        if self.splits:
            names = {
                side: [item.identifier for one in self.splits for item in getattr(one, side).items]
                for side in Split._fields
            }
            self.run.record["split"] = names
            self.run.record["items"] = {side: len(items) for side, items in names.items()}
        else:
            self.run.record["items"] = {task.name: len(task.items) for task, _ in self.measured}
        self.stage_done("prepare")

    def _describe_prompts(self) -> dict[str, Any]:
        """How the model is asked; the checksum, of the tokens it is given, changes with its template and tokenizer."""
        digest = hashlib.sha256()
        for task, _ in self.measured:
            questions = task.questions()
            with naming_items(task, questions):
                for question in questions:
                    encoded = self.model.encode(question)
                    asked = [encoded.prompt, encoded.options, encoded.new_tokens, *(encoded.sampled or ())]
                    digest.update(json.dumps(asked).encode())
        asking = self.model.prompt_format
        prefix = asdict(asking.prefix) if asking.prefix is not None else None
        return {"format": asking.name, "prefix": prefix, "checksum": digest.hexdigest()}

    def _describe_template(self) -> dict[str, str] | None:
        """The chat template that questions go through, and what it makes of thinking; None where there is none."""
        template = self.model.prompt_format.template
        if template is None:
            return None
        return {"thinking": template.thinking, "sha256": hashlib.sha256(template.source.encode()).hexdigest()}

    def _settle_batches(self, fitting: float, methods: float) -> None:
        """The batch size, from the run that is resumed where there is one: the same batches give the same bits."""
        model, asked = self.model, self.model.batch_tokens
        previous = self.run.previous if self.run is not None else {}
        if "batch_tokens" in previous and "seconds_a_question" in previous:
            budget, seconds = previous["batch_tokens"], previous["seconds_a_question"]
        else:
            first = self.measured[0][0]
            probes = [first.question(first.instructions[0], item) for item in first.items]
            with naming_items(first, probes):
                budget, seconds = fitting_batch_tokens(model, probes, self.processes)
        model.batch_tokens = int(budget)
        questions = sum(len(task.items) * len(task.instructions) for task, _ in self.measured)
        announce(model, asked, seconds, questions * methods + fitting, self.processes)
        if self.harness:
            documents = sum(sum(task.documents.values()) for task in self.harness)
            say(f"Not counted: {documents:,} documents of {HARNESS} under every method and draw")
        if self.run is not None:
            self.run.record |= {"batch_tokens": model.batch_tokens, "seconds_a_question": seconds}

    def fit(self, name: str, method: Method, *, title: str | None = None, **changes: Any) -> Fitted:
        """Fits a method on its development items.

        Args:
            name: of the row.
            method: the method.
            title: of the row; None for the method's own.
            changes: of the session that it is given, such as another seed, or no number of neurons.
        """
        development, title = self.development[name], title or method.title
        if method.expected_questions(development):
            heading(f"Fitting {title}", FITTING)
        session = replace(self.session.within(name), **changes)
        return self.take(name, title, method.fit(self.model, development, session))

    def take(self, name: str, title: str, fitted: Fitted) -> Fitted:
        """Adds a fitted method to those that are measured, and keeps its neurons."""
        self.fitted[name], self.titles[name] = fitted, title
        neuron_set = fitted.neuron_set
        if self.run is not None and neuron_set is not None:
            self.run.write(of_method(Path(), name) / NEURONS, neuron_set.save)
        self.stage_done(f"fit {name}")
        return fitted

    def measure(self, comparisons: Comparisons) -> Outcome:
        """Answers of all methods to all tasks, and their figures."""
        if self.run is not None:
            self.run.write(QUESTIONS, lambda path: write_questions(path, self.measured))
            self.run.record["instructions"] = {
                task.name: list(task.instructions) for task, _ in self.measured if len(task.instructions) > 1
            }
        self.ask(*self.fitted)
        answers = self.answers
        harness, notes = self._figures_of_harness()
        measured = [*self.measured, *((task, "all") for task in harness)]
        titles, comparisons = self._beside(answers, comparisons)
        metrics: list[MetricRow] = []
        differences: list[DifferenceRow] = []
        described: dict[str, MetricDescription] = {}
        for task, split in measured:
            there = [pair for pair in comparisons if {*pair} <= set(answers[task.name])]
            rows = figures(task, split, answers[task.name], there, self.session.bootstrap)
            metrics, differences = [*metrics, *rows[0]], [*differences, *rows[1]]
            note = self._describe_whole_texts(task)
            said = "; ".join(part for part in (note, task.judged_by(), task.caution) if part)
            notes |= {task.name: said} if said else {}
            for metric in task.metrics:
                of_it = MetricDescription.of(metric)
                described[metric.name] = self._as_judged(of_it, task) if note else of_it
        first = self.measured[0][0]
        results = Results(
            tuple(metrics),
            tuple(differences),
            interval=interval_settings(self.settings.replicates, self.settings.seed, self.settings.level),
            settings=self.settings.compared() | {"instruction_count": len(first.instructions)},
            titles=titles,
            described=described,
            goals=self._goals(),
            notes=notes,
            costs={name: _cost(one.cost, self.tokens[name]) for name, one in self.fitted.items()},
            tasks=tuple(task.name for task, _ in measured),
        )
        self.stage_done("measure")
        return Outcome(results, tuple(task for task, _ in measured), dict(self.fitted), answers)

    def _as_judged(self, metric: MetricDescription, task: Task) -> MetricDescription:
        """A metric of texts without a chat template, named after what they are compared by and stand behind."""
        behind, rule = self.model.prompt_format.conditioning, task.answer_rule
        several = any(len(item.options) > 1 for item in task.items)
        if rule not in SCORE_NAMES or not several or self._other_rules(task):
            return replace(metric, description=f"{metric.description} {behind}")
        description = f"{metric.description} by {SCORE_NAMES[rule]} {behind}"
        return replace(metric, title=f"{metric.title}, {rule}, {behind}", description=description)

    def _describe_whole_texts(self, task: Task) -> str:
        """What a task's texts without a chat template are judged on; empty where it has none."""
        questions = task.questions()
        whole = [self.model.encode(question) for question in questions if question.text is None]
        plain = sum(question.plain for question in questions)
        asking = self.model.prompt_format
        rule = f" (--prefix {asking.prefix.rule})" if asking.prefix is not None else ""
        said = [f"{plain:,} texts gone on from {asking.conditioning}"] if plain else []
        if whole:
            texts, words = sum(len(one.words) for one in whole), sum(sum(one.words) for one in whole)
            said.insert(0, f"{texts:,} whole texts, {words:,} words judged {asking.conditioning}")
        return "; ".join(said) + rule if said else ""

    def _goals(self) -> dict[str, str]:
        """The metric that counts most on each task: the one methods were fitted to, else the task's usual one."""
        goals = {task.name: task.goal().metric for task, _ in self.measured if task.goals}
        return goals | {task.name: self.session.goal(task).metric for task in self.development.values()}

    def ask(self, *names: str, keep: bool = True) -> None:
        """Has methods that were fitted answer all tasks, unless they have; every one is entered once for all tasks.

        Args:
            names: of their rows.
            keep: whether all that was fitted is needed afterwards; else what tables need stays.
        """
        wanted = {name: self.fitted[name] for name in names if name not in self.tokens}
        if not wanted:
            return
        heading("Measuring", MEASURING) if keep else heading(f"Measuring {self.titles[names[0]]}")
        prompts = sum(len(task.items) * len(task.instructions) for task, _ in self.measured)
        with progress("Scoring", prompts * sum(one.draws for one in wanted.values())) as advance:
            for name, fitted in wanted.items():
                self._ask(name, fitted, advance)
        for name, fitted in wanted.items() if self.harness else ():
            self._ask_harness(name, fitted)
        for name, one in () if keep else wanted.items():
            self.fitted[name] = Recounted(one.cost, one.record, one.draws, one.neuron_set)

    def _ask(self, name: str, fitted: Fitted, advance: Advance) -> None:
        session, draws = replace(self.session, asked=Asked()), dict[tuple[str, str], list[Answers]]()
        for draw in range(fitted.draws):
            with fitted.answering(self.model, session, draw) as answerer:
                for task, split in self.measured:
                    who = {"method": name, "draw": draw}
                    given = session.ask(task, answerer, split=split, who=who, advance=advance)
                    draws.setdefault((task.name, name), []).append(given)
                    for rule in self._other_rules(task):
                        judged = session.ask(task.with_answer_rule(rule), answerer, split=split)
                        draws.setdefault((task.name, _by(name, rule)), []).append(judged)
        self.tokens[name] = session.asked.tokens / max(1, session.asked.questions)
        for (task_name, row), parts in draws.items():
            self.answers.setdefault(task_name, {})[row] = Answers.joined(parts)

    def pool(self, name: str, title: str, rows: Sequence[str], *, apart: bool = True) -> None:
        """Takes several methods that have answered for draws of one, whose figures are pooled.

        Args:
            name: of the pooled row.
            title: of it.
            rows: of the methods.
            apart: whether each of them keeps a row of its own.
        """
        drawn = [self.fitted[row] for row in rows]
        for by_method in self.answers.values():
            by_method[name] = Answers.joined([by_method[row] for row in rows])
        if self.harness and all(row in self.of_harness for row in rows):
            self.of_harness[name] = [found for row in rows for found in self.of_harness[row]]
        self.tokens[name] = sum(self.tokens[row] for row in rows) / len(rows)
        mean = [sum(getattr(one.cost, field_of) for one in drawn) / len(drawn) for field_of in ("questions", "numbers")]
        cost = Cost(round(mean[0]), drawn[0].cost.questions_per_answer, round(mean[1]))
        self.fitted[name] = Recounted(cost, {"pooled": {row: self.fitted[row].record for row in rows}}, len(rows))
        self.titles[name] = title
        for row in () if apart else rows:
            of_rows: list[dict[str, Any]] = [*self.answers.values(), self.fitted, self.titles, self.tokens]
            for one in (*of_rows, self.of_harness):
                one.pop(row, None)

    def _ask_harness(self, name: str, fitted: Fitted) -> None:
        """Asks lm-evaluation-harness about a method that is in the model."""
        of_draws = []
        for draw in range(fitted.draws):
            with fitted.answering(self.model, self.session, draw) as answerer:
                if not answers_by_itself(self.model, answerer):
                    say(f"{HARNESS} asks the model alone, so it has no figures of {self.titles[name]}")
                    return
                of_draws.append([task.ask(self.model, self.session) for task in self.harness])
        self.of_harness[name] = of_draws

    def _figures_of_harness(self) -> tuple[list[Task], dict[str, str]]:
        """Adds what lm-evaluation-harness found to the answers; its tasks, and notes on them."""
        found = self.of_harness
        left_out = [self.titles[name] for name in self.fitted if name not in found]
        said = f"; it asks the model alone, so not under {', '.join(left_out)}" if left_out else ""
        tasks, notes = [], {}
        for place, one in enumerate(self.harness):
            by_method = {name: [of_draw[place] for of_draw in draws] for name, draws in found.items()}
            task = task_of(one, [each for draws in by_method.values() for each in draws])
            self.answers[task.name] = {
                name: Answers.joined([answers_of(one, task, each) for each in draws])
                for name, draws in by_method.items()
            }
            for name, draws in by_method.items():
                for draw, each in enumerate(draws):
                    self.session.items.add(rows_of(one, task, each, {"method": name, "draw": draw}))
            tasks.append(task)
            notes[task.name] = note_of(one, self.model.prompt_format.name) + said
        return tasks, notes

    def _other_rules(self, task: Task) -> list[str]:
        """Rules that read the same answers otherwise, where they are asked for: they cost nothing."""
        if not getattr(self.settings, "all_rules", False) or task.answer_rule in GENERATING:
            return []
        return [rule for rule in task.answer_rules if rule != task.answer_rule and rule not in GENERATING]

    def _beside(
        self, answers: Mapping[str, Mapping[str, Answers]], comparisons: Comparisons
    ) -> tuple[dict[str, str], Comparisons]:
        """Titles and comparisons, with those of the other rules if there are any."""
        rules = list(dict.fromkeys(rule for task, _ in self.measured for rule in self._other_rules(task)))
        if not rules:
            return self.titles, comparisons
        first = self.measured[0][0].answer_rule
        titles = {name: f"{title}, {first}" for name, title in self.titles.items()}
        titles |= {_by(name, rule): f"{title}, {rule}" for rule in rules for name, title in self.titles.items()}
        others = [(_by(one, rule), _by(against, rule)) for rule in rules for one, against in comparisons]
        return titles, [*comparisons, *others]

    def stage_done(self, name: str) -> None:
        """Notes in the record how long a stage took."""
        if self.run is not None:
            self.run.stage_done(name)

    def finish(self, outcome: Outcome, shown: Collection[str] | None = None) -> Outcome:
        """Writes results and report, with what the first neurons of each set are.

        Args:
            outcome: with the verdict.
            shown: methods whose neurons are told; None for all.
        """
        if self.run is not None:
            for name, fitted in self.fitted.items():
                if fitted.neuron_set is not None and len(fitted.neuron_set) and (shown is None or name in shown):
                    self._describe(name, fitted.neuron_set)
            self.run.record["methods"] = {
                name: {"title": self.titles[name], "draws": one.draws} | one.record | self._places(one)
                for name, one in self.fitted.items()
            }
            neurons = {
                self.titles[name]: described_neurons(one.neuron_set, self.model)
                for name, one in self.fitted.items()
                if one.neuron_set is not None and (shown is None or name in shown)
            }
            self.run.finish(outcome.results, neurons)
            outcome = replace(outcome, folder=self.run.folder)
        return outcome

    def _describe(self, name: str, neurons: NeuronSet) -> None:
        """Keeps what the first neurons of a set are; of some models not all of it can be told."""
        assert self.run is not None
        path = of_method(self.run.folder, name) / DESCRIBED
        if not self.processes.main or path.is_file():  # of a run that is resumed
            return
        if self.processes.together:
            say(f"Not told what the neurons of {self.titles[name]} are: the weights are spread over processes")
            return
        task = self.development.get(name) or self.measured[0][0]
        items = task.limited(TOLD_ITEMS, 1, self.settings.seed) if task.items else None
        say(f"Looking at what the neurons of {self.titles[name]} are")
        for asked in (items, None):
            try:
                describe(self.model, neurons, asked, tokens=TOLD_TOKENS, first=TOLD_NEURONS).save(path)
            except RunError:
                raise
            except BiasectomyError as error:
                say(f"Not told: {error}")
            else:
                break
        self.stage_done(f"describe {name}")

    def _places(self, fitted: Fitted) -> dict[str, Any]:
        """Where the neurons lie that a method edits, for the record; empty where it edits none."""
        if not fitted.neuron_set:
            return {}
        return {"places": by_place(fitted.neuron_set, self.model.neurons(fitted.neuron_set.definition))}


def _by(method: str, rule: str) -> str:
    """What the rows of a method are called whose answers are read by another rule."""
    return f"{method}:{rule}"


def _cost(cost: Cost, tokens: float) -> dict[str, Any]:
    return {
        "questions": cost.questions,
        "questions_per_answer": cost.questions_per_answer,
        "tokens_per_answer": round(tokens, 1),
        "numbers": cost.numbers,
    }
