"""The model card of a run's checkpoint or adapter, and the terms of the original, written beside the weights."""

import hashlib
from pathlib import Path

from biasectomy.errors import BiasectomyError
from biasectomy.files import write_atomically
from biasectomy.models.hub import CARD
from biasectomy.models.manifest import note_file
from biasectomy.models.originals import Original, original_of
from biasectomy.models.saving import size_in_words, weights_in_words
from biasectomy.models.sources import ModelSource, resolve_model
from biasectomy.report.card_metadata import Form, Subject
from biasectomy.report.finished import FinishedRun
from biasectomy.report.model_card import model_card
from biasectomy.run_files import ADAPTER, MODEL


def made_in(run: FinishedRun) -> tuple[Path, Form] | None:
    """The folder of what a run made that can be loaded, and its form; None where it made nothing."""
    forms: dict[str, Form] = {MODEL: "checkpoint", ADAPTER: "adapter"}
    return next(((run.folder / name, form) for name, form in forms.items() if (run.folder / name).is_dir()), None)


def write_card(run: FinishedRun, source: ModelSource | None) -> Path | None:
    """Writes the card of what a run made, and copies the original's terms there; None where it made nothing.

    Args:
        run: finished, or about to be.
        source: of the original.
    """
    made = made_in(run)
    if made is None:
        return None
    folder, original = made[0], original_of(_name(run), source)
    for path in original.licences:
        _keep(folder / path.name, path.read_bytes())
    _keep(folder / CARD, card_text(run, original).encode())
    return folder / CARD


def card_text(run: FinishedRun, original: Original | None = None) -> str:
    """The card of what a run made; the original is looked for where the record names it, if it is not given."""
    made = made_in(run)
    assert made is not None
    if original is None:
        name = _name(run)
        try:
            original = original_of(name, resolve_model(name))
        except BiasectomyError:  # it is no longer there
            original = original_of(name, None)
    return str(model_card(Subject(run, run.record["settings"]["method"], original, made[1]), _stored(run, *made)))


def _name(run: FinishedRun) -> str:
    """What the original was called, whether by name or as an object."""
    return str((run.record.get("model") or {}).get("name") or run.record["settings"]["model"])


def _stored(run: FinishedRun, folder: Path, form: Form) -> str:
    """How the weights are stored, in words, and what that costs."""
    size = size_in_words(folder) if form == "checkpoint" else f"factors in float32, {weights_in_words(folder)}"
    off = run.record.get("reload_difference")
    return size + (f"; loaded again, its log-likelihoods differ by at most {off:.1g}" if off is not None else "")


def _keep(path: Path, content: bytes) -> None:
    note_file(path.parent, path.name, hashlib.sha256(content).hexdigest())
    write_atomically(path, content)
