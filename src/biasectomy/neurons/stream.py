"""The residual stream of a model: what comes out of each of its blocks, to be read or changed in a forward pass.

Of an encoder-decoder it is that of the decoder, which is where its answers are written.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.errors import ModelError
from biasectomy.neurons.discovery import Neurons
from biasectomy.reading.layouts.base import padded, placement
from biasectomy.reading.layouts.encoder_decoder import IGNORED
from biasectomy.reading.prompts import EncodedPrompt

Change = Callable[[Tensor], Tensor]  # of [..., width]
EMBEDDINGS = "embeddings"  # the name of what is read of the tokens before the first block


def stream_blocks(neurons: Neurons) -> list[str]:
    """Paths of the blocks that write answers, first to last, of a model with these neurons."""
    return list(dict.fromkeys(f"{group.stack}.{group.layer}" for group in neurons if group.place != "input"))


@contextlib.contextmanager
def stream_changed(model: nn.Module, changes: Mapping[str, Change]) -> Iterator[None]:
    """A block in which what comes out of some modules is changed; no hook stays behind.

    Args:
        model: whose modules.
        changes: by the path of a block, or of any module that puts out the stream or what is added to it.
    """
    handles = []
    try:
        for path, change in changes.items():
            handles.append(model.get_submodule(path).register_forward_hook(_on_output(change)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _on_output(change: Change) -> Any:
    def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
        return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

    return hook


def embedding_modules(model: nn.Module) -> list[str]:
    """Paths of the modules that read token ids; an encoder-decoder may have one for each side."""
    own: Any = model.get_input_embeddings()  # type: ignore[operator]
    return [
        path
        for path, module in model.named_modules()
        if module is own or (isinstance(module, nn.Embedding) and module.num_embeddings == own.num_embeddings)
    ]


@torch.no_grad()
def answer_states(
    model: nn.Module, blocks: Sequence[str], prompts: Sequence[EncodedPrompt], *, last: bool
) -> dict[str, Tensor]:
    """The stream at the tokens of each prompt's only option: by block and `EMBEDDINGS`, float32 [prompts, width].

    Args:
        model: that reads them.
        blocks: whose outputs are read.
        prompts: each with one option. Of an encoder-decoder it is what the decoder has read before its last token.
        last: whether the last token is taken, or the mean over all.

    Raises:
        ModelError: a block does not put out the stream.
    """
    device, _ = placement(model)
    untyped: Any = model
    options = [option for prompt in prompts for (option,) in [prompt.options]]
    if getattr(untyped.config, "is_encoder_decoder", False):
        inputs, mask = padded([one.prompt for one in prompts], device, untyped.config.pad_token_id or 0)
        tokens = untyped.prepare_decoder_input_ids_from_labels(labels=padded(options, device, IGNORED)[0])
        given = {"input_ids": inputs, "attention_mask": mask, "decoder_input_ids": tokens}
        ends = [len(option) for option in options]
        starts = [min(1, end - 1) for end in ends]  # what stands in front of a label says nothing of it
    else:
        tokens, mask = padded([one.prompt + option for one, option in zip(prompts, options, strict=True)], device)
        given = {"input_ids": tokens, "attention_mask": mask}
        starts = [len(one.prompt) for one in prompts]
        ends = [start + len(option) for start, option in zip(starts, options, strict=True)]
    seen: dict[str, Tensor] = {EMBEDDINGS: untyped.get_input_embeddings()(tokens)}
    with stream_changed(model, {path: _keeping(seen, path) for path in blocks}):
        untyped.base_model(**given, use_cache=False)  # without the unembedding, where it can be left out
    found = {}
    for path, values in seen.items():
        if values.shape[:2] != tokens.shape:
            raise ModelError(f"'{path}' does not put out one vector for each token, so its stream cannot be read.")
        spans = [
            values[row, end - 1 if last else start : end]
            for row, (start, end) in enumerate(zip(starts, ends, strict=True))
        ]
        found[path] = torch.stack([span.float().mean(dim=0) for span in spans]).cpu()
    return found


def _keeping(seen: dict[str, Tensor], path: str) -> Change:
    def keep(values: Tensor) -> Tensor:
        seen[path] = values
        return values

    return keep
