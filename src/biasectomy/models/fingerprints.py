"""What a model's weights are known by: a quick fingerprint for neuron sets, a full checksum for stored answers."""

import hashlib
import json
from typing import Any

import torch
from torch import nn


def fingerprint(model: nn.Module) -> str:
    """SHA-256 over a few values of every parameter: the same for the same weights in any file format."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        if not parameter.is_meta:
            flat = parameter.detach().reshape(-1)
            step = max(1, flat.numel() // 64)
            digest.update(flat[::step][:64].float().cpu().numpy().tobytes())
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
