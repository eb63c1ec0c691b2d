"""Tensors kept in safetensors files that are believed only if they are as they were written."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from biasectomy.files import write_atomically

CHECKSUM = "sha256"  # of the tensors in a file, in its metadata


def keep_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes tensors with their checksum, atomically.

    Raises:
        RunError: the file cannot be written.
    """
    values = {name: one.detach().cpu().contiguous() for name, one in tensors.items()}
    write_atomically(path, save(values, {CHECKSUM: checksum_of(values)}))


def kept_tensors(path: Path | None) -> dict[str, Tensor] | None:
    """The tensors of a file; None where it is not there or not as it was written."""
    if path is None or not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            noted = (file.metadata() or {}).get(CHECKSUM)
            kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dictionary
    except (SafetensorError, OSError):
        return None
    return kept if noted == checksum_of(kept) else None


def checksum_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of all tensors with their names."""
    digest = hashlib.sha256()
    for name, values in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(
            values.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
        )  # numpy has no bfloat16
    return digest.hexdigest()
