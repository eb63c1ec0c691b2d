"""The whole of `mitigate`, stage by stage, over a run folder that can be resumed."""

from dataclasses import asdict, replace

from biasectomy.console import Console
from biasectomy.controls import random_neurons
from biasectomy.evaluation import ORIGINAL, Choices, Examiner, Subject
from biasectomy.expectations import announce
from biasectomy.language_model import LanguageModel
from biasectomy.measuring import Methods, measure
from biasectomy.neuron_set import NeuronSet
from biasectomy.preparation import (
    describe_neurons,
    describe_task,
    find_scores,
    model_checksums,
    open_cache,
    prompts_of,
)
from biasectomy.results import Results
from biasectomy.runs import Run
from biasectomy.search import OBJECTIVES, choose_count
from biasectomy.settings import MitigateSettings
from biasectomy.tasks import Split, Task
from biasectomy.verdict import verdict


class Mitigation:
    """One run: attribute, rank, choose n on development items, edit, save, measure on test items."""

    def __init__(
        self,
        settings: MitigateSettings,
        console: Console,
        run: Run,
        language_model: LanguageModel,
        task: Task,
        parts: Split,
    ) -> None:
        self.settings, self.console, self.run = settings, console, run
        self.language_model, self.task, self.parts = language_model, task, parts
        cache = open_cache(settings, run.processes)
        self.examiner = Examiner(language_model, settings.answer_rule, run.journal, console, run.processes, cache)

    def results(self) -> Results:
        """Runs every stage; what the run folder holds already is not computed again."""
        self._prepare()
        ranking = self._rank()
        chosen = self._choose(ranking)
        self._save(chosen)
        return self._measure(chosen)

    def _prepare(self) -> None:
        settings, parts = self.settings, self.parts
        describe_neurons(self.language_model, settings.definition, self.console)
        trials = settings.instances * settings.trials * len(self.task.instructions)
        searched = len(settings.grid) * prompts_of(parts.development)
        tested = (2 + settings.controls) * prompts_of(parts.test)
        announce(self.console, self.examiner, self.task, scored=searched + tested, attributed=trials)
        self.run.same_as_before("model", self.language_model.description())
        self.run.same_as_before("task", describe_task(self.task))
        self.run.same_as_before("batch_tokens", self.language_model.batch_tokens)
        self.run.record["model_checksums"] = model_checksums(self.language_model)
        self.run.record["split"] = {
            "development": [item.identifier for item in parts.development.items],
            "test": [item.identifier for item in parts.test.items],
        }
        self.run.record["items"] = {"development": len(parts.development.items), "test": len(parts.test.items)}
        self.run.stage_done("prepare")

    def _rank(self) -> NeuronSet:
        self.console.heading("Finding neurons")
        keep = self.run.path("attribution")
        development, processes = self.parts.development, self.run.processes
        scores = find_scores(self.language_model, development, self.settings, self.console, keep, processes)
        self.run.write("scores.safetensors", scores.save)
        ranking = scores.top(max(self.settings.grid))
        self.run.write("ranking.json", ranking.save)
        self.console.say("Highest scores: " + ", ".join(f"{n.module}[{n.unit}] {n.score:.3g}" for n in ranking.top(3)))
        self.run.stage_done("find")
        return ranking

    def _choose(self, ranking: NeuronSet) -> NeuronSet:
        settings = self.settings
        self.console.heading("Choosing n on development items")

        def examine(part: Task, count: int) -> Choices:
            subject = Subject("Edited", count, 0, ranking.top(count)) if count else ORIGINAL
            return self.examiner.answers(part, subject, split="development")

        total = len(self.language_model.neurons(settings.definition))
        grid = [count for count in settings.grid if count <= total]
        if len(grid) < len(settings.grid):
            self.console.warn(f"The model has {total:,} neurons; numbers of --grid above that are left out.")
        count, candidates = choose_count(
            examine,
            self.parts.development,
            grid,
            objective=settings.objective,
            margin=settings.margin,
            racing=settings.racing,
            level=settings.level,
            seed=settings.seed,
            console=self.console,
        )
        self.run.record["search"] = [candidate.record() for candidate in candidates]
        self.run.record["chosen"] = count
        best = next(candidate for candidate in candidates if candidate.neurons == count)
        objective = OBJECTIVES[settings.objective].replace("_", " ")
        before = candidates[0].value
        self.console.say(
            f"Chosen: n = {count} of {len(candidates)} candidates; {objective} on development items "
            f"{before:.3f} -> {best.value:.3f}"
        )
        chosen = ranking.top(count)
        self.run.write("neurons.json", chosen.save)
        self.run.stage_done("choose")
        return chosen

    def _save(self, chosen: NeuronSet) -> None:
        folder = self.run.path("model")

        def save() -> float | None:
            return None if folder.exists() else self.language_model.save(folder, chosen)

        difference = self.run.processes.once(save)
        if difference is not None:
            self.run.record["reload_difference"] = difference
            self.console.say(f"Wrote {folder}; reloaded, its log-likelihoods differ by at most {difference:.1g}")
        else:
            self.run.record["reload_difference"] = self.run.previous.get("reload_difference")
            self.console.say(f"{folder} is there already")
        self.run.stage_done("save")

    def _measure(self, chosen: NeuronSet) -> Results:
        settings = self.settings
        self.console.heading("Measuring on test items")
        methods = self._methods(chosen)
        results = measure(methods, self.parts.test, settings, self.examiner, split="test", run=self.run)
        total = len(self.language_model.neurons(settings.definition))
        objective = OBJECTIVES[settings.objective]
        results = replace(results, verdict=list(verdict(results, count=len(chosen), total=total, objective=objective)))
        self.run.finish(results, [asdict(neuron) for neuron in chosen])
        return results

    def _methods(self, chosen: NeuronSet) -> Methods:
        if not len(chosen):
            return {"Original": [ORIGINAL], "Edited": [ORIGINAL]}
        neurons = self.language_model.neurons(self.settings.definition)
        controls = [
            Subject("Control", len(chosen), draw, random_neurons(neurons, chosen, draw=draw, seed=self.settings.seed))
            for draw in range(self.settings.controls)
        ]
        edited = Subject("Edited", len(chosen), 0, chosen)
        return {"Original": [ORIGINAL], "Edited": [edited]} | ({"Control": controls} if controls else {})
