"""What a model's weights are known by: a fingerprint for neuron sets and records, a checksum for stored answers."""

import hashlib
import json
from typing import Any

import torch
from torch import nn


def fingerprint(model: nn.Module) -> str:
    """SHA-256 over every value of every parameter: the same for the same weights in any file format.

    Values are compared as float32, so weights that were stored in half precision have one fingerprint, however they are
    loaded. Takes about two seconds for a billion parameters.
    """
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        if not parameter.is_meta:
            values = parameter.detach().float().contiguous().cpu()
            digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def weights_checksum(model: nn.Module) -> str:
    """SHA-256 of a model's configuration and of every weight, in the number format it computes in.

    Of weights that are not in memory it takes their names, and where the model was loaded from.
    """
    config: Any = getattr(model, "config", None)
    digest = hashlib.sha256(json.dumps(config.to_diff_dict() if config else {}, sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        if tensor.is_meta:
            digest.update(str(getattr(config, "name_or_path", "")).encode())
        else:
            digest.update(tensor.detach().contiguous().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
