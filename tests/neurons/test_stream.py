"""The residual stream, read and changed: by hand, against plain hidden states, and in the weights of every family."""

import numpy as np
import pytest
import torch

from biasectomy.errors import ModelError
from biasectomy.neurons.discovery import discover_neurons
from biasectomy.neurons.experts import observed
from biasectomy.neurons.projections import main_directions, projected_weights, without, writers
from biasectomy.neurons.steered import added
from biasectomy.neurons.stream import EMBEDDINGS, answer_states, embedding_modules, stream_blocks, stream_changed
from biasectomy.reading.prompts import EncodedPrompt
from tests.conftest import build_llama
from tests.reading import encoder_decoders
from tests.reading.architectures import ARCHITECTURES

FAMILIES = [*ARCHITECTURES, *encoder_decoders.CONFIGURATIONS]
TOKENS = torch.arange(5, 17)[None]
PROMPTS = [EncodedPrompt((5, 9, 2), ((7, 11, 3, 8),)), EncodedPrompt((4, 6), ((13,),))]


def built(name: str):
    return ARCHITECTURES[name]() if name in ARCHITECTURES else encoder_decoders.build(name)


def read(model) -> dict[str, torch.Tensor]:
    labels = {"decoder_input_ids": TOKENS.flip(1)} if model.config.is_encoder_decoder else {}
    return {"input_ids": TOKENS, "use_cache": False, **labels}


@torch.no_grad()
def logits(model) -> torch.Tensor:
    return model(**read(model)).logits


def orthonormal(width: int, count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(width, count, generator=generator))[0]


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("name", ["llama", "gpt2", "t5"])
def test_states_are_those_of_plain_hidden_states(name, last):
    model = built(name)
    blocks = stream_blocks(discover_neurons(model))
    found = answer_states(model, blocks, PROMPTS, last=last)
    assert list(found) == [EMBEDDINGS, *blocks] and len(blocks) == 2
    for row, prompt in enumerate(PROMPTS):
        option = prompt.options[0]
        if name == "t5":  # the decoder reads its start and all of the label but the last token
            given = {"input_ids": torch.tensor([prompt.prompt]), "decoder_input_ids": torch.tensor([[0, *option[:-1]]])}
            states, start = model(**given, output_hidden_states=True).decoder_hidden_states, min(1, len(option) - 1)
        else:
            whole = torch.tensor([prompt.prompt + option])
            states, start = model(input_ids=whole, output_hidden_states=True).hidden_states, len(prompt.prompt)
        own = states[1][0, start:]  # of the first block; the last one's are given behind the last norm
        expected = own[-1] if last else own.mean(dim=0)
        torch.testing.assert_close(found[blocks[0]][row], expected.detach(), rtol=1e-4, atol=1e-5)
        if name == "llama":
            embedded = model.get_input_embeddings()(torch.tensor(option))
            expected = embedded[-1] if last else embedded.mean(dim=0)
            torch.testing.assert_close(found[EMBEDDINGS][row], expected.detach())


def test_principal_directions_are_the_eigenvectors_of_the_pairs_about_their_middles():
    generator = np.random.default_rng(0)
    one, other = generator.normal(size=(30, 6)), generator.normal(size=(30, 6)) + 1
    middle = (one + other) / 2
    both = np.concatenate([one - middle, other - middle])
    sizes, columns = np.linalg.eigh(both.T @ both)
    expected = columns[:, np.argsort(-sizes)[:2]]
    found = main_directions(torch.tensor(one - other), 2).numpy()
    assert np.abs(found @ found.T - expected @ expected.T).max() < 1e-6  # the same plane, whatever its axes


def test_directions_that_are_only_rounding_are_none():
    alike = torch.outer(torch.arange(1.0, 6), torch.tensor([3.0, 0, 4]))
    found = main_directions(alike, 3)
    torch.testing.assert_close(found.abs(), torch.tensor([[0.6], [0], [0.8]]))


def test_what_is_taken_out_by_hand():
    change = without(torch.tensor([[0.6], [0.8]]))
    torch.testing.assert_close(change(torch.tensor([[5.0, 0], [3, 4]])), torch.tensor([[3.2, -2.4], [0, 0]]))


@pytest.mark.parametrize("name", FAMILIES)
class TestInEveryFamily:
    def test_weights_without_directions_are_outputs_without_directions(self, name):
        model = built(name)
        before = {path: weight.clone() for path, weight in model.state_dict().items()}
        original = logits(model)
        neurons = discover_neurons(model)
        maps, blocks = writers(model, neurons), stream_blocks(neurons)
        assert list(maps) == blocks
        # Attention and the feed-forward part, and of encoder-decoders attention to the encoder.
        kinds = {len({group.owner for group in groups}) for groups in maps.values()}
        assert kinds <= ({3} if model.config.is_encoder_decoder else {2, 3})
        directions = {block: orthonormal(16, 2, place) for place, block in enumerate(blocks)}
        with projected_weights(model, maps, directions):
            found = logits(model)
        after = model.state_dict()
        assert all(torch.equal(after[path], before[path]) for path in before)
        dense, experts = {}, {}
        for block, groups in maps.items():
            for group in groups:
                if group.expert is None:
                    dense[group.module] = without(directions[block])
                else:
                    experts[model.get_submodule(group.owner)] = lowered(without(directions[block]))
        with stream_changed(model, dense), observed(experts):
            expected = logits(model)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        assert (found - original).abs().max() > 1e-3
        assert torch.equal(logits(model), original)

    def test_a_block_puts_out_what_the_change_makes_of_it(self, name):
        model = built(name)
        block, own = stream_blocks(discover_neurons(model))[-1], orthonormal(16, 3)
        seen = []
        with stream_changed(model, {block: without(own)}), stream_changed(model, {block: keeping(seen)}):
            logits(model)
        assert seen[0].shape == (1, 12, 16)
        assert (seen[0] @ own).abs().max() < 1e-4 < seen[0].abs().max()
        assert not any(module._forward_hooks for module in model.modules())


def lowered(change):
    def observer(parameter, side, expert, tokens, values):
        return change(values) if (parameter, side) == ("down_proj", "output") else values

    return observer


def keeping(seen: list):
    def keep(values):
        seen.append(values)
        return values

    return keep


def test_one_direction_out_of_all_weights_is_that_direction_out_of_the_whole_stream():
    """Arditi et al. 2024, section 2.4; where the unembedding is a matrix of its own."""
    model, own = build_llama(60, tie_word_embeddings=False), orthonormal(16, 1)
    neurons = discover_neurons(model)
    maps, blocks = writers(model, neurons), stream_blocks(neurons)
    assert embedding_modules(model) == ["model.embed_tokens"]
    everywhere = dict.fromkeys(["model.embed_tokens", *blocks], without(own))
    with projected_weights(model, maps, dict.fromkeys(blocks, own), own):
        in_weights, seen = logits(model), []
        with stream_changed(model, dict.fromkeys(blocks, keeping(seen))):
            logits(model)
        assert max(float((values @ own).abs().max()) for values in seen) < 1e-5
        with stream_changed(model, everywhere):  # nothing is left to take out
            torch.testing.assert_close(logits(model), in_weights, rtol=1e-4, atol=1e-4)
    attention = [f"{block}.self_attn" for block in blocks]
    with stream_changed(model, everywhere | dict.fromkeys(attention, without(own))):
        torch.testing.assert_close(logits(model), in_weights, rtol=1e-4, atol=1e-4)


def test_embeddings_that_are_the_unembedding_too_are_refused():
    model = build_llama(60)
    with (
        pytest.raises(ModelError, match="are the unembedding too"),
        projected_weights(model, {}, {}, orthonormal(16, 1)),
    ):
        pass


def test_an_error_inside_leaves_neither_hook_nor_change():
    model, own = build_llama(60), orthonormal(16, 2)
    neurons = discover_neurons(model)
    blocks, before = stream_blocks(neurons), logits(model)
    for made in (
        stream_changed(model, dict.fromkeys(blocks, without(own))),
        projected_weights(model, writers(model, neurons), dict.fromkeys(blocks, own)),
        added(model, blocks[0], torch.ones(16), everywhere=False),
    ):
        with pytest.raises(RuntimeError, match="inside"), made:
            assert not torch.equal(logits(model), before)
            raise RuntimeError("inside")
        assert torch.equal(logits(model), before)
        assert not any(one._forward_hooks or one._forward_pre_hooks for one in model.modules())
