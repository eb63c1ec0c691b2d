"""What lies beside a model's weights and stays with what is made of it: its own card, its licence, its hub id."""

from dataclasses import dataclass
from pathlib import Path, PurePath

from biasectomy.models.hub import CARD, LICENCES
from biasectomy.models.sources import MODELS, ModelSource


@dataclass(frozen=True)
class Original:
    """A model that something was made of.

    `name` is what people call it, never a path; `card` the text of its own card; `short_name`, `licence` and `made_of`
    are of models that are known here; `licences` are files with terms that go with the weights.
    """

    name: str
    hub_id: str | None = None
    card: str | None = None
    short_name: str | None = None
    licence: str | None = None
    made_of: str | None = None
    licences: tuple[Path, ...] = ()


def original_of(name: str, source: ModelSource | None) -> Original:
    """What is known of a model, without a network.

    Args:
        name: as it was asked for.
        source: where its files are; None where nobody knows any more.
    """
    if name in MODELS:
        built_in = MODELS[name]
        return Original(built_in.title, built_in.hub_id, None, name, built_in.licence, built_in.source)
    folder = _folder(source)
    hub_id = source.location if source is not None and source.kind == "hub" else _cached_id(folder)
    if folder is None:
        return Original(hub_id or PurePath(name).name, hub_id)
    card = folder / CARD
    text = card.read_text(encoding="utf-8-sig", errors="replace") if card.is_file() else None
    files = {path for pattern in LICENCES for path in folder.glob(pattern) if path.is_file()}
    return Original(hub_id or PurePath(name).name, hub_id, text, licences=tuple(sorted(files)))


def _folder(source: ModelSource | None) -> Path | None:
    """The folder with a model's files on this machine."""
    if source is None:
        return None
    if source.kind != "hub":
        return Path(source.location)
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source.location, "config.json")
    return Path(found).parent if isinstance(found, str) else None


def _cached_id(folder: Path | None) -> str | None:
    """The hub id that a folder of the hub's cache is of: `models--OWNER--NAME/snapshots/COMMIT`."""
    if folder is None or folder.absolute().parent.name != "snapshots":
        return None
    kind, _, name = folder.absolute().parent.parent.name.partition("--")
    return name.replace("--", "/", 1) if kind == "models" and name else None
