"""Large products in float32 on a processor by oneDNN, where that is faster than what torch takes by itself (MKL).

On processors of AMD it is, by 7 % of a whole pass (docs/benchmarks.md). Whether it is here is measured once
(`reading.products`). oneDNN lays weights out anew for each product; who reads many batches with the same weights keeps
them as they are laid out, which makes it 1.10 times as fast, at the cost of a second copy.
"""

import contextlib
import functools
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from biasectomy.reading.memory import available_memory
from biasectomy.reading.products import onednn_product, products

LARGE = 1 << 16  # numbers of a matrix; smaller ones are over too soon to gain
FASTER = 1.02  # times, by the one product that is measured
SPARE = 8  # a second copy of the weights is kept where so many would fit
LOOKED_AT = 64  # numbers of a weight that are compared; some optimizers tell torch of no change


@dataclass(frozen=True, slots=True)
class _LaidOut:
    """A weight as oneDNN wants it, and what tells whether the weight is still the same."""

    weight: Tensor
    state: tuple[int, int, list[int]]
    values: Tensor


# Of each model that is read, by module.
_kept: "weakref.WeakKeyDictionary[nn.Module, dict[nn.Module, _LaidOut]]" = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def fast_products(model: nn.Module, *, kept: bool = False) -> Iterator[None]:
    """While the block lasts, large linear maps of a model are multiplied by whatever is faster here.

    Args:
        model: whose maps.
        kept: whether their weights are kept as they are laid out until a block that keeps none, if there is memory for
            it. A weight that changes is laid out anew; who changes little of one behind torch's back (`weight.data`)
            tells torch of it (`torch.autograd.graph.increment_version`).
    """
    if not kept:
        _kept.pop(model, None)
    found: list[Any] = [module for module in model.modules() if _large(module)]
    if not found or not _faster():
        yield
        return
    if kept and model not in _kept and _fit(found):
        _kept[model] = {}
    own = _kept.get(model)
    try:
        for module in found:
            module.forward = functools.partial(_forward, own, module)
        yield
    finally:
        for module in found:
            del module.forward


def _fit(modules: list[nn.Linear]) -> bool:
    """Whether there is memory to spare for a second copy of some linear maps' weights."""
    there = available_memory()
    return there is not None and SPARE * sum(module.weight.nbytes for module in modules) <= there


def _large(module: nn.Module) -> bool:
    if type(module) is not nn.Linear or "forward" in vars(module):  # others have a way of their own
        return False
    weight = module.weight
    plain = isinstance(weight, nn.Parameter) and not hasattr(weight, "device_mesh")
    return plain and weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.numel() >= LARGE


@functools.cache
def _faster() -> bool:
    return products(torch.device("cpu")).onednn > FASTER  # NaN is not


def _forward(kept: dict[nn.Module, _LaidOut] | None, module: nn.Linear, inputs: Tensor) -> Tensor:
    weight, bias = module.weight, module.bias
    if not inputs.dtype == weight.dtype == torch.float32:
        return F.linear(inputs, weight, bias)
    if torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in (inputs, weight, bias)):
        found: Tensor = _Product.apply(inputs, weight, bias)  # type: ignore[no-untyped-call]
        return found
    if kept is not None:
        weight = _as_kept(kept, module, rows=inputs.shape[:-1].numel())
    return onednn_product(inputs, weight, bias)


def _as_kept(kept: dict[nn.Module, _LaidOut], module: nn.Linear, rows: int) -> Tensor:
    """A module's weight as it is kept, laid out anew where it is not what it was; itself where none can tell."""
    weight = module.weight
    if not weight.is_contiguous() or weight.is_inference():  # tensors of inference mode have no version
        return weight
    some = weight.detach().view(-1)[:: weight.numel() // LOOKED_AT].view(torch.int32)  # so that NaN equals itself
    known, state = kept.get(module), (weight.data_ptr(), weight._version, some.tolist())
    if known is None or known.weight is not weight or known.state != state:
        known = kept[module] = _LaidOut(weight, state, laid_out(weight, rows))
    return known.values


def laid_out(weight: Tensor, rows: int) -> Tensor:
    """A copy of a weight as oneDNN wants it for products with about so many rows."""
    found: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows)
    return found


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
