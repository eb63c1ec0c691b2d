"""Which role a unit of a fused matrix has: query, key or value, gate or up.

The rule is read from the shapes: an attention part with two maps, one of which puts out more than the other
takes in, holds queries, keys and values in one matrix (the surplus is keys and values, half each); a
feed-forward part with two maps, one of which puts out twice what the other takes in, holds gate and up.
Where nothing else is known, the roles follow one another.
"""

from typing import Any

from torch import nn

from biasectomy.neurons.linear_maps import in_attention, siblings

Pattern = tuple[tuple[str, int], ...]  # (role, number of units), repeated to the end of the matrix

# The shapes cannot tell these: each group of query heads is followed by its key head and its value head.
_HEAD_BY_HEAD = {
    "BloomAttention",
    "FalconAttention",
    "GPTBigCodeAttention",
    "GPTNeoXAttention",
    "GPTNeoXJapaneseAttention",
    "PersimmonAttention",
}
# Four blocks, in each of which the values stand before the keys.
_FOUR_BLOCKS = {"CodeGenAttention"}


def pattern(path: str, block: nn.Module) -> Pattern:
    """The roles of a linear map's outputs; empty where there is just one."""
    maps = siblings(path, block)
    if path not in maps:
        return ()
    outputs = maps[path][1]
    part: Any = block.get_submodule(path.rpartition(".")[0])
    if in_attention(path) and path.endswith("kv_b_proj") and hasattr(part, "qk_nope_head_dim"):
        return ("key", part.qk_nope_head_dim), ("value", part.v_head_dim)  # multi-head latent attention
    if in_attention(path) and path.endswith("kv_a_proj_with_mqa") and hasattr(part, "kv_lora_rank"):
        return ("latent", part.kv_lora_rank), ("key", part.qk_rope_head_dim)  # the part of keys that is turned
    if len(maps) != 2:
        return ()
    (other,) = (shape for name, shape in maps.items() if name != path)
    queries, surplus = other[0], outputs - other[0]
    if in_attention(path):
        return _attention(part, queries, surplus // 2) if surplus > 0 and surplus % 2 == 0 else ()
    return (("gate", queries), ("up", queries)) if surplus == queries else ()


def _attention(part: Any, queries: int, keys: int) -> Pattern:
    """Roles in a fused matrix with so many query units and so many key (and value) units."""
    classes = {base.__name__ for base in type(part).__mro__}
    if classes & _FOUR_BLOCKS:
        return ("query", queries // 4), ("value", keys // 4), ("key", keys // 4)
    if classes & _HEAD_BY_HEAD:
        head = int(getattr(part, "head_dim", None) or part.head_size)
        return ("query", queries * head // keys), ("key", head), ("value", head)
    return ("query", queries), ("key", keys), ("value", keys)
