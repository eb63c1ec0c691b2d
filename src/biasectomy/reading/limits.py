"""What a model can be given: how many tokens, and which."""

from typing import Any

from biasectomy.errors import DataError, ModelError
from biasectomy.reading.prompts import EncodedPrompt

# As configurations call the number of positions that a model was made for.
POSITIONS = ("max_position_embeddings", "n_positions", "max_sequence_length", "n_ctx")
RELATIVE = (
    "relative_attention_num_buckets",
    "alibi",
)  # of models that count distances: there is no last one
TABLE = "max_seq_len"  # unless they keep a table of them (MPT)


def longest_text(config: Any) -> int | None:
    """How many tokens a model takes at most; None where its positions have no end, or it does not say."""
    text = getattr(config, "get_text_config", lambda: config)()
    if isinstance(kept := getattr(text, TABLE, None), int) and kept > 0:
        return kept
    relative = any(getattr(one, name, None) for one in (config, text) for name in RELATIVE)
    found = [getattr(one, name, None) for one in (text, config) for name in POSITIONS]
    known = [number for number in found if isinstance(number, int) and number > 0]
    return known[0] if known and not relative else None


def check_prompt(encoded: EncodedPrompt, *, longest: int | None, embeddings: int, apart: bool) -> None:
    """Refuses what a model has no positions or no embeddings for.

    Args:
        longest: how many tokens it takes at most, if there is an end.
        embeddings: how many tokens it knows.
        apart: whether a prompt and its options are read by two stacks, each with positions of its own.

    Raises:
        DataError: there are more tokens than the model takes.
        ModelError: a token is not among those the model knows.
    """
    after = max(map(len, encoded.options), default=0) + (encoded.new_tokens or 0)
    needed = max(len(encoded.prompt), after) if apart else len(encoded.prompt) + after
    if longest is not None and needed > longest:
        raise DataError(
            f"It has {needed:,} tokens with its longest option, and the model takes at most {longest:,}: leave it out, "
            "shorten the instruction, or take a model with a longer context."
        )
    highest = max((max(tokens) for tokens in (encoded.prompt, *encoded.options) if tokens), default=0)
    if highest >= embeddings:
        raise ModelError(
            f"The tokenizer gives the token {highest:,}, and the model knows {embeddings:,} (from 0): it belongs to "
            "another model. A tokenizer is read from the same folder or repository as the model."
        )
