"""Layouts: how prompts and options become rows of tokens. Which one a model gets is found by trying."""

from biasectomy.reading.layouts.base import Batch, Layout, Place, Positions, Reading, Size
from biasectomy.reading.layouts.encoder_decoder import EncoderDecoderLayout
from biasectomy.reading.layouts.packed import PackedLayout
from biasectomy.reading.layouts.repeated_cache import RepeatedCacheLayout
from biasectomy.reading.layouts.rows import RowLayout

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
    "Size",
]
