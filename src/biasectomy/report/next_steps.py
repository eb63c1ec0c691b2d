"""What to do with a finished run: where report and model are, how the model is loaded, how its edit is applied."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from biasectomy.errors import BiasectomyError
from biasectomy.files import read_json
from biasectomy.report.finished import FinishedRun
from biasectomy.report.text import duration
from biasectomy.run_files import ADAPTER, MODEL, NEURONS, PAGE, REPORT, of_method

CONFIG = "config.json"

Step = tuple[str, str]  # what it is, and what to open or to type


def next_steps(run: FinishedRun, *, full: bool = False) -> list[Step]:
    """Lines of what is there and what can be done with it; only what there is.

    Args:
        run: a finished run.
        full: whether all figures have been told already.
    """
    steps = [*_report(run), *_model(run), *_neurons(run)]
    if not full:
        steps.append(("All figures", f"biasectomy show {_quoted(run.folder)} --full"))
    seconds = sum(one for one in _mapping(run.record.get("seconds")).values() if isinstance(one, int | float))
    return [*steps, ("Took", duration(seconds))] if seconds else steps


def _report(run: FinishedRun) -> Iterator[Step]:
    there = next((run.folder / name for name in (PAGE, REPORT) if (run.folder / name).is_file()), None)
    if there is not None:
        yield "Report", str(there)


def _model(run: FinishedRun) -> Iterator[Step]:
    """The checkpoint or the adapter, and the line that loads it."""
    model, adapter = run.folder / MODEL, run.folder / ADAPTER
    if (model / CONFIG).is_file():
        yield "Model", str(model)
        yield "Load it", f'transformers.{_loader(model)}.from_pretrained("{model}")'
    elif adapter.is_dir():
        yield "Adapter", str(adapter)
        yield "Load it", f'peft.PeftModel.from_pretrained(model, "{adapter}")'


def _loader(model: Path) -> str:
    """The class of transformers that loads a checkpoint."""
    try:
        config = _mapping(read_json(model / CONFIG))
    except BiasectomyError:
        config = {}
    return "AutoModelForSeq2SeqLM" if config.get("is_encoder_decoder") else "AutoModelForCausalLM"


def _neurons(run: FinishedRun) -> Iterator[Step]:
    """How neuron sets are applied to a model that is not edited yet; of several methods, where their sets are."""
    own = run.folder / NEURONS
    name = str(_mapping(run.record.get("model")).get("name") or "MODEL")
    if own.is_file():
        if _count(own):
            yield "Apply it", f"biasectomy apply {_quoted(own)} {shlex.quote(name)} --out edited"
        return
    sets = [one for one in run.results.titles if _count(of_method(run.folder, one) / NEURONS)]
    if sets:
        file = _quoted(of_method(run.folder, sets[0]) / NEURONS)
        yield "Apply one", f"biasectomy apply {file} {shlex.quote(name)} --out edited"


def _count(file: Path) -> int:
    """How many neurons a set has; 0 where there is none, or none that can be read."""
    try:
        found = _mapping(read_json(file)).get("neurons") if file.is_file() else ()
    except BiasectomyError:
        return 0
    return len(found) if isinstance(found, list) else 0


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
