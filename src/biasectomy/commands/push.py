"""`push`: what a run made, its card, neurons and report to the hub; without --yes only what would go is shown."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.filesize import decimal

from biasectomy.commands.cards import card_text, made_in
from biasectomy.commands.settings_runs import PushSettings
from biasectomy.errors import RunError
from biasectomy.files import read_json, write_json
from biasectomy.models.adapters import CONFIG
from biasectomy.models.hub import CARD
from biasectomy.models.manifest import MANIFEST
from biasectomy.models.uploading import address, upload
from biasectomy.narration import say, warn
from biasectomy.report.card_metadata import RELATION, parsed
from biasectomy.report.finished import FinishedRun
from biasectomy.report.model_card import BASE, FOLDER
from biasectomy.run_files import NEURONS, PAGE, PICTURES, REPORT, RESULTS

if TYPE_CHECKING:  # slow to import
    from huggingface_hub import ModelCard

OF_THE_RUN = (NEURONS, RESULTS, REPORT, PAGE)  # what goes with the model, beside the pictures
LOOKED_AT = (*OF_THE_RUN, CARD, CONFIG, "config.json")  # for names of folders


@dataclass(frozen=True)
class Push:
    """What is sent, or would be: `files` by their names in the repository, with their sizes in bytes."""

    repository: str
    url: str
    private: bool
    files: dict[str, int]
    base_model: str | None
    sent: bool

    @property
    def size(self) -> str:
        """How much it is, in words."""
        return decimal(sum(self.files.values()))

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes."""
        return vars(self)


def push(folder: Path | str, repository: str, **options: Any) -> Push:
    """Shows what of a finished run would go to the hub, and sends it with `yes=True`.

    Args:
        folder: of a finished run of `mitigate`.
        repository: ORG/NAME.
        options: those of `biasectomy push` with underscores: `yes`, `public`, `base_model`.

    Raises:
        RunError: the folder holds no finished run, or nothing that can be loaded.
        HubError: the hub cannot be reached, or does not take it.
    """
    return run(PushSettings.of(run=folder, repository=repository, **options))


def run(settings: PushSettings) -> Push:
    """See `push`."""
    finished = FinishedRun.read(settings.run)
    with _gathered(finished, settings) as (folder, card):
        files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in _files(folder)}
        base = card.data.get("base_model")
        found = Push(
            settings.repository,
            address(settings.repository),
            not settings.public,
            files,
            base if isinstance(base, str) else None,
            False,
        )
        _warn(finished, folder, found)
        if not settings.yes:
            return found
        say(f"Sending {found.size} to {found.url}")
        upload(
            folder,
            settings.repository,
            private=found.private,
            message=f"{finished.results.title(finished.record['settings']['method'])}, by biasectomy",
            card=str(card),
        )
    return replace(found, sent=True)


@contextlib.contextmanager
def _gathered(run: FinishedRun, settings: PushSettings) -> Iterator[tuple[Path, "ModelCard"]]:
    """A folder with all that is sent, as it will lie in the repository, and the card among it."""
    made = made_in(run)
    if made is None:
        raise RunError(
            f"'{run.folder}' holds neither a checkpoint nor an adapter, so there is nothing to load from the hub; "
            "'mitigate' with a method that changes weights makes one ('ls methods' says which do)."
        )
    source, form = made
    with tempfile.TemporaryDirectory(prefix="biasectomy-push-") as temporary:
        folder = Path(temporary)
        pictures = run.folder / PICTURES
        for path in [*_files(source), *(run.folder / name for name in OF_THE_RUN), *_files(pictures)]:
            if path.is_file() and path.name not in (CARD, MANIFEST):
                _place(path, folder / path.relative_to(source if source in path.parents else run.folder))
        own = source / CARD
        text = own.read_text(encoding="utf-8") if own.is_file() else card_text(run)  # of an earlier version
        card = _addressed(parsed(text), run, settings, RELATION[form])
        (folder / CARD).write_text(str(card), encoding="utf-8")
        if (folder / CONFIG).is_file() and (base := card.data.get("base_model")):
            config = read_json(folder / CONFIG) | {"base_model_name_or_path": base}
            (folder / CONFIG).unlink()  # the run's own stays
            write_json(folder / CONFIG, config)
        yield folder, card


def _addressed(card: "ModelCard", run: FinishedRun, settings: PushSettings, relation: str) -> "ModelCard":
    """A card that says where the model is, where its figures come from, and what it was made of."""
    card.text = card.text.replace(FOLDER, settings.repository)
    if settings.base_model is not None:
        card.text = card.text.replace(BASE, settings.base_model)
        card.data["base_model"], card.data["base_model_relation"] = settings.base_model, relation
    version = (run.record.get("versions") or {}).get("biasectomy")
    for result in card.data.get("eval_results", []):
        result.source_url = f"{address(settings.repository)}/blob/main/{RESULTS}"
        result.source_name = f"biasectomy {version}"
    return card


def _place(path: Path, place: Path) -> None:
    """Has a file stand in another place too, without its bytes being copied where that can be."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.symlink_to(path.resolve())
    except OSError:  # Windows asks for a privilege
        shutil.copyfile(path, place)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _warn(run: FinishedRun, folder: Path, found: Push) -> None:
    """Says what a reader on the hub will miss, and what of this machine he will see."""
    if found.base_model is None:
        warn("The card names no base model, for the record says none of the hub; --base-model ORG/NAME names it.")
    model, data = (str(run.record["settings"].get(name) or "") for name in ("model", "data"))
    local = {str(Path.home()), *(text for text in (model, data) if Path(text).is_absolute())} - {"/"}
    for name in sorted({*found.files} & {*LOOKED_AT}):
        text = (folder / name).read_text(encoding="utf-8", errors="replace")
        if any(path in text for path in local):
            warn(f"'{name}' names folders of this machine; look at it before you send it.")
