"""Large products in float32 on a processor by oneDNN, where that is faster than what torch takes by itself (MKL).

On processors of AMD it is, by 7 % of a whole pass (docs/benchmarks.md). Whether it is here is measured once
(`reading.products`).
"""

import contextlib
import functools
import types
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from biasectomy.reading.products import onednn_product, products

LARGE = 1 << 16  # numbers of a matrix; smaller ones are over too soon to gain
FASTER = 1.02  # times, by the one product that is measured


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


def _large(module: nn.Module) -> bool:
    if type(module) is not nn.Linear or "forward" in vars(module):  # others have a way of their own
        return False
    weight = module.weight
    plain = isinstance(weight, nn.Parameter) and not hasattr(weight, "device_mesh")
    return plain and weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.numel() >= LARGE


@functools.cache
def _faster() -> bool:
    return products(torch.device("cpu")).onednn > FASTER  # NaN is not


def _forward(self: nn.Linear, inputs: Tensor) -> Tensor:
    weight, bias = self.weight, self.bias
    if not inputs.dtype == weight.dtype == torch.float32:
        return F.linear(inputs, weight, bias)
    if torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in (inputs, weight, bias)):
        found: Tensor = _Product.apply(inputs, weight, bias)  # type: ignore[no-untyped-call]
        return found
    return onednn_product(inputs, weight, bias)


class _Product(torch.autograd.Function):
    """The product with its gradient, of the first order."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(inputs if ctx.needs_input_grad[1] else None, weight)
        return onednn_product(inputs, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight = ctx.saved_tensors
        to_inputs, to_weight, to_bias = ctx.needs_input_grad
        rows = gradient.flatten(0, -2)
        return (
            onednn_product(gradient, weight.t()) if to_inputs else None,
            rows.t() @ inputs.flatten(0, -2) if to_weight else None,
            rows.sum(0) if to_bias else None,
        )
