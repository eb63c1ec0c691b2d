"""`judge`: the generated texts of a finished run judged again, without a model."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from biasectomy.commands.settings_runs import JudgeSettings
from biasectomy.errors import DataError, RunError
from biasectomy.files import folder_name, json_lines, write_json
from biasectomy.measuring.results import MetricDescription, Results, figures
from biasectomy.measuring.session import judged
from biasectomy.measuring.statistics import ClusterBootstrap
from biasectomy.narration import say
from biasectomy.report.finished import FinishedRun
from biasectomy.report.page import write_page
from biasectomy.run_files import ITEMS, JUDGED
from biasectomy.tasks import Task, load_task
from biasectomy.tasks.judges import chosen_judges
from biasectomy.tasks.metrics import Answers

FIELDS = ("method", "draw", "split", "task", "item", "instruction", "texts")
Place = tuple[int, int, str]  # draw, instruction, item


def run(settings: JudgeSettings) -> Results:
    """Figures of a run's texts by another judge, kept as RUN/judged/NAME.json and shown on the run's page.

    Raises:
        RunError: the folder holds no finished run, or one without generated texts.
        DataError: a file of the run is damaged, or its items are not those of the task as it is now.
        UnknownNameError, SettingsError, SourceError: there is no such judge, or it cannot be used.
    """
    earlier = FinishedRun.read(settings.run).results
    texts = _texts(settings.run / ITEMS)
    if not texts:
        raise RunError(f"'{settings.run}' holds no generated texts; tasks such as toxicity and honest have some.")
    interval = earlier.interval
    asked = earlier.settings | {"judge": settings.judge}
    said = f"The same texts, judged by {settings.judge}: figures by different judges do not compare."
    results = Results((), (), [said], interval=interval, settings=asked, titles=earlier.titles)
    for (name, split), by_method in texts.items():
        task = _of_items(load_task(name, data_folder=settings.data), by_method)
        if not task.judges:
            continue
        chosen = chosen_judges(settings.judge, tuple(task.judges), settings.data)
        task = replace(task, judges={**task.judges, **chosen})
        answers = {method: judged(task, _answers(task, found)) for method, found in by_method.items()}
        pairs = {(row.method, row.against): None for row in earlier.differences if row.task == name}
        there = [pair for pair in pairs if {*pair} <= set(answers)]

        def bootstrap(scope: Task) -> ClusterBootstrap:
            clusters = [item.cluster for item in scope.items]
            return ClusterBootstrap(clusters, interval["replicates"], interval["seed"], interval["level"])

        metrics, differences = figures(task, split, answers, there, bootstrap)
        described = {metric.name: MetricDescription.of(metric) for metric in task.metrics} | earlier.described
        before = earlier.notes.get(name, "").partition(f"; {next(iter(task.judges))} judged by")[0]
        results = replace(
            results,
            metrics=(*results.metrics, *metrics),
            differences=(*results.differences, *differences),
            described=results.described | described,
            tasks=(*results.tasks, task.name),
            notes=results.notes | {name: "; ".join(part for part in (before, task.judged_by()) if part)},
        )
    if not results.metrics:
        raise RunError(f"No task of '{settings.run}' is judged by a judge.")
    path = settings.run / JUDGED / f"{folder_name(settings.judge)}.json"
    write_json(path, results.to_json())
    say(f"The figures are in {path}")
    write_page(settings.run)
    return results


def _texts(path: Path) -> dict[tuple[str, str], dict[str, dict[Place, str]]]:
    """Texts by place, of each method, by task and split.

    Raises:
        DataError: a line is not that of an answer; names it.
    """
    found: dict[tuple[str, str], dict[str, dict[Place, str]]] = defaultdict(lambda: defaultdict(dict))
    for number, row in json_lines(path) if path.is_file() else ():
        if "texts" not in row:
            continue
        if missing := [field for field in FIELDS if field not in row]:
            raise DataError(f"'{path}', line {number}: the field '{missing[0]}' is missing.")
        place = row["draw"], row["instruction"], row["item"]
        found[row["task"], row["split"]][row["method"]][place] = " ".join(row["texts"])
    return found


def _of_items(task: Task, by_method: Mapping[str, Mapping[Place, str]]) -> Task:
    """The task with those of its items that were answered."""
    answered = {item for found in by_method.values() for _, _, item in found}
    items = tuple(item for item in task.items if item.identifier in answered)
    if lacking := answered - {item.identifier for item in items}:
        raise DataError(f"'{task.name}' has no item {min(lacking)} any more; the data of the run would be right.")
    return replace(task, items=items)


def _answers(task: Task, found: Mapping[Place, str]) -> Answers:
    """Texts of one method as arrays; None where there is none."""
    shape = (1 + max(draw for draw, _, _ in found), 1 + max(one for _, one, _ in found), len(task.items))
    places = {item.identifier: place for place, item in enumerate(task.items)}
    texts = np.full(shape, None, dtype=object)
    for (draw, instruction, item), text in found.items():
        texts[draw, instruction, places[item]] = text
    return Answers(np.full(shape, -1, dtype=np.int64), texts=texts)
