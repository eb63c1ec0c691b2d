"""Gradient checkpointing of blocks: less memory in backward passes, for one more forward pass in each of them."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

from biasectomy import forest_attention


@contextlib.contextmanager
def checkpointed(blocks: Sequence[nn.Module]) -> Iterator[None]:
    """While the block lasts, each of some modules keeps its inputs only and is computed again in backward passes.

    Works on any module, in evaluation mode too, which the models' own switch does not.
    """
    replaced: list[tuple[Any, Any]] = []
    try:
        for module in blocks:
            replaced.append((module, module.__dict__.get("forward")))
            module.forward = _computed_again(module.forward)
        # Whole: what a block computes last is wanted too, though no gradient needs it.
        with set_checkpoint_early_stop(False):
            yield
    finally:
        for module, own in replaced:
            if own is None:
                del module.forward
            else:
                module.forward = own


def _computed_again(forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*inputs: Any, **named: Any) -> Any:
        later = forest_attention.AsNow()
        return checkpoint(
            forward,
            *inputs,
            use_reentrant=False,
            preserve_rng_state=False,  # nothing is drawn in evaluation mode
            context_fn=lambda: (contextlib.nullcontext(), later),
            **named,
        )

    return run
