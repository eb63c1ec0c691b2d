"""Every family of decoders that the tests go through, as tiny models with random weights."""

from collections.abc import Callable
from typing import Any

import torch

VOCABULARY = 120

_COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.3,
}
_SHORT = {"vocab_size": VOCABULARY, "hidden_size": 16, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.3}
_GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 4}
_BLOOM = {"n_layer": 2, "n_head": 4}
_OPT = {"ffn_dim": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 256}
_FALCON = {"num_hidden_layers": 2, "num_attention_heads": 4, "bias": True}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12}
_YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0, "original_max_position_embeddings": 128}
_DEEPSEEK = {
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "moe_intermediate_size": 12,
    "first_k_dense_replace": 1,
    "num_key_value_heads": 4,
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 4,
    "v_head_dim": 6,
    "n_group": 1,
    "topk_group": 1,
}

# name -> the beginning of its configuration's name in transformers, and the settings
_FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2", {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 2, **_GPT2}),
    "gpt-neox": ("GPTNeoX", _COMMON),
    "bloom": ("Bloom", _SHORT | _BLOOM),
    "opt": ("OPT", {**_SHORT, **_OPT, "word_embed_proj_dim": 16, "init_std": 0.3}),
    "falcon": ("Falcon", _SHORT | _FALCON),
    "falcon-40b": ("Falcon", _SHORT | _FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon-rw": ("Falcon", _SHORT | _FALCON | {"multi_query": False, "alibi": True}),
    "mpt": ("Mpt", {"vocab_size": VOCABULARY, "d_model": 16, "n_layers": 2, "n_heads": 4, "max_seq_len": 256}),
    "llama": ("Llama", _COMMON | {"attention_bias": True, "mlp_bias": True}),
    "mistral": ("Mistral", _COMMON),
    "qwen2": ("Qwen2", _COMMON),
    "qwen3": ("Qwen3", _COMMON | {"head_dim": 4}),
    "gemma2": ("Gemma2", _COMMON | {"head_dim": 8}),
    "gemma3": ("Gemma3Text", _COMMON | {"head_dim": 8}),
    "phi3": ("Phi3", _COMMON),
    "stablelm": ("StableLm", _COMMON),
    "olmo2": ("Olmo2", _COMMON),
    "smollm3": ("SmolLM3", _COMMON),
    "granite": ("Granite", _COMMON),
    "mixtral": ("Mixtral", _COMMON | {"num_local_experts": 4}),
    "qwen3-moe": ("Qwen3Moe", _COMMON | _EXPERTS | {"head_dim": 4}),
    "qwen2-moe": ("Qwen2Moe", _COMMON | _EXPERTS | {"shared_expert_intermediate_size": 20}),
    "olmoe": ("Olmoe", _COMMON | {"num_experts": 4, "num_experts_per_tok": 2}),
    "gpt-oss": (
        "GptOss",
        _COMMON | {"head_dim": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "rope_parameters": _YARN},
    ),
    "deepseek-v2": ("DeepseekV2", _COMMON | _DEEPSEEK),
    "deepseek-v3": ("DeepseekV3", _COMMON | _DEEPSEEK),
}

MIXTURES = ("mixtral", "qwen3-moe", "qwen2-moe", "olmoe", "gpt-oss", "deepseek-v2", "deepseek-v3")


def family(kind: str, settings: dict[str, Any]) -> Callable[[], Any]:
    """What makes a model of the configuration `<kind>Config`, in float32 and the same one every time."""

    def build() -> Any:
        import transformers

        configuration = getattr(transformers, f"{kind}Config")(**settings)
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(configuration).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                # Biases start at zero and norms at one, which would hide that they are handled wrongly.
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
        return model

    return build


ARCHITECTURES: dict[str, Callable[[], Any]] = {name: family(*described) for name, described in _FAMILIES.items()}
"""By the name of the family."""
