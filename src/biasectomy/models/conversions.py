"""GGUF files as plain checkpoints: converted once, kept in the cache by the checksum of the file, then read from there.

Reading a GGUF file means to unpack every number of it, which takes a minute where the same weights as safetensors are
there at once. They are kept in float32, in which they are unpacked, so that nothing is rounded twice.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from biasectomy.checksums import remembered_sha256
from biasectomy.errors import DataError, RunError, SourceError
from biasectomy.files import folder_name, making, read_json, sha256_of, write_json
from biasectomy.growth import in_words
from biasectomy.models.quiet import quiet_transformers
from biasectomy.narration import fetching, say, warn
from biasectomy.reading.memory import available_memory
from biasectomy.wheels import cache_folder

FOLDER = "models"
WEIGHTS, MANIFEST = "model.safetensors", "manifest.json"
LARGEST = 40 * 10**9  # bytes of a checkpoint that is kept
LEFT_FREE = 5 * 10**9  # bytes of the disk


def kept_conversion(name: str, sha256: str, convert: Callable[[Path], None], said: str) -> Path:
    """The folder with the checkpoint that was made of a GGUF file, by the file's checksum; made where there is none.

    Of several processes one makes it, and the others wait.

    Args:
        name: what the folder's name begins with.
        sha256: of the GGUF file.
        convert: writes the checkpoint into a folder.
        said: is said before.

    Raises:
        RunError: the cache folder cannot be written, or the disk is full.
    """
    folder = cache_folder() / FOLDER
    if (there := _find(folder, sha256)) is not None:
        return there
    kept = folder / f"{folder_name(name)}-{sha256[:12]}"
    with _locked(folder / f".{kept.name}.lock", kept.name):
        if (there := _find(folder, sha256)) is not None:  # another process was faster
            return there
        fetching(said)
        with making(kept, lambda made: _is_whole(made, sha256)) as made:
            convert(made)
            weights = made / WEIGHTS
            noted = {"weights_sha256": sha256_of(weights), "weights_bytes": weights.stat().st_size}
            write_json(made / MANIFEST, {"source_sha256": sha256} | noted)
    return kept


def converted(path: Path, convert: Callable[[Path], None]) -> Path | None:
    """The folder with the checkpoint that a user's GGUF file becomes; None where it is not kept, which a warning tells.

    Args:
        path: of the file.
        convert: writes the checkpoint into a folder.
    """
    sha256, folder = remembered_sha256(path), cache_folder() / FOLDER
    if (there := _find(folder, sha256)) is not None:
        return there
    need = unpacked_bytes(path)
    if refused := _refused(folder, need):
        warn(f"'{path.name}' is unpacked anew whenever it is loaded: {refused}.")
        return None
    size = f", {in_words(need)}" if need else ""
    try:
        return kept_conversion(
            path.stem, sha256, convert, f"Unpacking {path.name} into a plain checkpoint (once{size}; kept in {folder})"
        )
    except RunError as error:
        warn(f"'{path.name}' is unpacked anew whenever it is loaded: {error}")
        return None


def unpacked(folder: Path, gguf_file: str) -> tuple[Any, Any, dict[str, Any]]:
    """Model in float32 and tokenizer of a GGUF file, and what `from_pretrained` says of the weights it found."""
    import torch
    from transformers import AutoConfig, AutoTokenizer, GgufConfig

    with quiet_transformers():
        config = AutoConfig.from_pretrained(folder, gguf_file=gguf_file)
        model, told = models_for(config).from_pretrained(
            folder,
            gguf_file=gguf_file,
            quantization_config=GgufConfig(gguf_file=gguf_file, dequantize=True),  # else it cannot be saved
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
        return model, AutoTokenizer.from_pretrained(folder, gguf_file=gguf_file), told


def write_checkpoint(model: Any, tokenizer: Any, target: Path) -> None:
    """Writes a checkpoint with one file of weights.

    Raises:
        RunError: the disk is full.
    """
    from biasectomy.models.saving import complaints

    with complaints(target), quiet_transformers():
        tokenizer.save_pretrained(target)
        model.save_pretrained(target, max_shard_size=2 * LARGEST)


def models_for(config: Any) -> Any:
    """The class of `transformers` that loads a configuration's language model."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM if getattr(config, "is_encoder_decoder", False) else AutoModelForCausalLM


def unpacked_bytes(path: Path) -> int:
    """Bytes of a GGUF file's weights in float32, by its head alone; 0 where that cannot be read."""
    from gguf import GGUFReader

    try:
        return 4 * sum(int(tensor.n_elements) for tensor in GGUFReader(path).tensors)
    except Exception:  # whatever a damaged file makes of it; loading it will tell
        return 0


def _refused(folder: Path, need: int) -> str:
    """Why a checkpoint of so many bytes is not kept; empty where it is."""
    if need > LARGEST:
        return f"as safetensors it takes {in_words(need)}, and at most {in_words(LARGEST)} are kept"
    memory = available_memory()
    if memory is not None and need > memory:
        return f"to make safetensors of it takes {in_words(need)} of memory, and {in_words(memory)} are free"
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if need + LEFT_FREE > free:
        return f"as safetensors it takes {in_words(need)}, and {in_words(free)} are free where it would be kept"
    return ""


def _find(folder: Path, sha256: str) -> Path | None:
    """The checkpoint made of a file with this checksum, whatever that was called."""
    return next((one for one in sorted(folder.glob(f"*-{sha256[:12]}")) if _is_whole(one, sha256)), None)


def _is_whole(folder: Path, sha256: str) -> bool:
    manifest, weights = folder / MANIFEST, folder / WEIGHTS
    if not (manifest.is_file() and weights.is_file()):
        return False
    try:
        noted = read_json(manifest)
        return bool(
            noted["source_sha256"] == sha256
            and noted["weights_bytes"] == weights.stat().st_size
            and noted["weights_sha256"] == remembered_sha256(weights)
        )
    except (SourceError, DataError, KeyError, TypeError, OSError):
        return False


@contextlib.contextmanager
def _locked(file: Path, name: str) -> Iterator[None]:
    """A block in which no other process makes the same; where the file system knows no locks, two may, to no harm."""
    lock = FileLock(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"Another process is making {name}; this one waits")
            lock.acquire()
    except (NotImplementedError, OSError):  # if nothing can be written, making it will say so
        yield
        return
    try:
        yield
    finally:
        lock.release()
