"""Layouts: how prompts and options become rows of tokens. Which one a model gets is found by trying."""

from biasectomy.layouts.base import Batch, Layout, Place, Positions, Reading
from biasectomy.layouts.encoder_decoder import EncoderDecoderLayout
from biasectomy.layouts.packed import PackedLayout
from biasectomy.layouts.repeated_cache import RepeatedCacheLayout
from biasectomy.layouts.rows import RowLayout

__all__ = [
    "Batch",
    "EncoderDecoderLayout",
    "Layout",
    "PackedLayout",
    "Place",
    "Positions",
    "Reading",
    "RepeatedCacheLayout",
    "RowLayout",
]
