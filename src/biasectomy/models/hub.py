"""Fetching a model from the hub, with its size and what is left of it in sight."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from biasectomy.errors import SourceError
from biasectomy.growth import growing, in_words
from biasectomy.narration import fetching

CONFIGURATION = ("*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "*.py")
WEIGHTS = "*.safetensors"
CARD = "README.md"
LICENCES = ("LICENSE*", "LICENCE*", "NOTICE*", "COPYING*", "USE_POLICY*")


def fetch(name: str) -> None:
    """Fetches what is not in the hub's cache yet of a model: weights as safetensors, configuration, tokenizer, licence.

    Raises:
        SourceError: there is no such model, it may not be read, or it could not be fetched.
    """
    from huggingface_hub import constants, snapshot_download, try_to_load_from_cache
    from huggingface_hub.errors import DryRunError, LocalEntryNotFoundError
    from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

    if constants.HF_HUB_OFFLINE:
        return  # what is in the cache is all there is, and whoever loads it says what is missing
    patterns: dict[str, Any] = {
        "allow_patterns": [*CONFIGURATION, WEIGHTS, CARD, *LICENCES],
        "ignore_patterns": ["*/*"],
    }
    try:
        files: Any = snapshot_download(name, dry_run=True, **patterns)
        wanted = [file for file in _one_form(files) if file.will_download]
        size = sum(file.file_size for file in wanted)
        if not wanted:
            return
        cache = Path(constants.HF_HUB_CACHE)
        fetching(f"Fetching {name}: {in_words(size)} in {len(wanted)} files (once; kept in {cache})")
        patterns["allow_patterns"] = [file.filename for file in wanted]
        disable_progress_bars()
        try:
            with growing(cache / f"models--{name.replace('/', '--')}", f"Fetching {name}", size):
                snapshot_download(name, **patterns)
        finally:
            enable_progress_bars()
    except (DryRunError, LocalEntryNotFoundError):
        if not isinstance(try_to_load_from_cache(name, "config.json"), str):
            raise SourceError(
                f"'{name}' is neither a folder here nor in the cache of the hub, and the hub cannot be reached; check "
                "the name and the network, or give a folder."
            ) from None
    except Exception as error:  # of the network, in many forms
        raise SourceError(_reason(name, error)) from error


def _one_form(files: Iterable[Any]) -> list[Any]:
    """Of weights that a repository holds in several forms (Mistral's "consolidated" ones), those transformers reads."""
    files = list(files)
    usual = [file for file in files if file.filename.startswith("model") and file.filename.endswith(".safetensors")]
    return [file for file in files if not usual or file in usual or not file.filename.endswith(".safetensors")]


def _reason(name: str, error: Exception) -> str:
    """What went wrong, and what would be right."""
    kind = type(error).__name__
    if kind == "GatedRepoError":
        return f"'{name}' may be read only by those who accepted its licence: do so on its page, then 'hf auth login'."
    if kind == "RepositoryNotFoundError":
        return (
            f"There is no model '{name}' on the hub, or it is private: check the name, or log in with 'hf auth login'."
        )
    text = " ".join(str(error).split())
    return f"'{name}' could not be fetched from the hub ({kind}: {text[:200]}). What was fetched is kept; try again."
