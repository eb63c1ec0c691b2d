"""Large products in float32 on a processor by oneDNN, where that is faster than what torch takes by itself (MKL).

On processors of AMD it is, by a tenth of a whole pass (docs/benchmarks.md). Whether it is here is measured once
(`models.products`); gradients never go this way.
"""

import contextlib
import functools
import types
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biasectomy.models.products import FULL, products

LARGE = 1 << 16  # numbers of a matrix; smaller ones are over too soon to gain
FASTER = 1.04  # times, by the one product that is measured


@contextlib.contextmanager
def fast_products(model: nn.Module) -> Iterator[None]:
    """While the block lasts, large linear maps of a model are multiplied by whatever is faster here."""
    found = [module for module in model.modules() if _large(module)]
    if not found or not _faster():
        yield
        return
    try:
        for module in found:
            module.forward = types.MethodType(_forward, module)
        yield
    finally:
        for module in found:
            del module.forward


def onednn_product(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear` by oneDNN: float32, on a processor, without gradients."""
    found: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
    return found


def _large(module: nn.Module) -> bool:
    if type(module) is not nn.Linear or "forward" in vars(module):  # others have a way of their own
        return False
    weight = module.weight
    plain = isinstance(weight, nn.Parameter) and not hasattr(weight, "device_mesh")
    return plain and weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.numel() >= LARGE


@functools.cache
def _faster() -> bool:
    found = products(torch.device("cpu"))
    return found.seconds[FULL] / found.onednn > FASTER  # NaN is not


def _forward(self: nn.Linear, inputs: Tensor) -> Tensor:
    if torch.is_grad_enabled() or not inputs.dtype == self.weight.dtype == torch.float32:
        return F.linear(inputs, self.weight, self.bias)
    return onednn_product(inputs, self.weight, self.bias)
