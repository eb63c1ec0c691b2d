"""How fast this machine multiplies matrices in each number format: measured once, in milliseconds, and kept.

What is kept is one small file for each processor or accelerator and version of torch, in the folder `number-formats` of
the cache; it can be deleted at any time, and is then measured again. Reading it loads nothing heavy, so that `--help`
can say what was found.
"""

import contextlib
import functools
import hashlib
import math
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biasectomy.errors import DataError, RunError, SourceError
from biasectomy.files import read_json, write_json
from biasectomy.narration import warn
from biasectomy.wheels import cache_folder

if TYPE_CHECKING:
    import torch

FULL = "float32"
FORMATS = (FULL, "bfloat16", "float16")
PROCESSOR = "this processor"
FOLDER = "number-formats"
# (rows, width in, width out): of the order of a small model's matrices; an accelerator is at work only with more.
SHAPE, ACCELERATOR_SHAPE = (256, 768, 768), (2048, 4096, 4096)
# Products in each format at least and at most, and seconds after which there is no further round.
FEWEST_ROUNDS, ROUNDS, ENOUGH = 3, 8, 0.1
# What oneDNN is tried on: as many tokens as a batch has, since it gains little on few.
ONEDNN_SHAPE, ONEDNN_ROUNDS = (1024, 768, 2048), 5
ALIKE = 1.1  # times as fast or as slow: what differs by less is as fast, for all that so short a measurement can say


@dataclass(frozen=True)
class Products:
    """Seconds that one product of matrices takes on a device, by number format; NaN where it cannot compute in it.

    `onednn` is how many times as fast as torch by itself that library is in float32, on a processor.
    """

    device: str  # "this processor", or an accelerator's name
    processor: str
    torch: str  # its version
    shape: tuple[int, int, int]
    seconds: Mapping[str, float]
    onednn: float

    def speed(self, name: str) -> float:
        """How many times as fast as float32 a format is; NaN where the device cannot compute in it."""
        return self.seconds[FULL] / self.seconds[name]

    def faster(self) -> list[str]:
        """The formats that are faster than float32, the fastest first."""
        found = [name for name in FORMATS if self.speed(name) > ALIKE]  # NaN is not
        return sorted(found, key=lambda name: self.seconds[name])

    def slower(self, name: str) -> bool:
        """Whether a format is slower than float32, or impossible here."""
        return not self.speed(name) >= 1 / ALIKE

    def in_words(self, name: str) -> str:
        """How fast a format is beside float32: "bfloat16 is 2.6 times as fast as float32"."""
        speed = self.speed(name)
        if math.isnan(speed):
            return f"{name} cannot be computed in"
        if speed > ALIKE:
            return f"{name} is {speed:.1f} times as fast as {FULL}"
        return f"{name} is {1 / speed:.1f} times slower than {FULL}" if self.slower(name) else f"{name} is as fast"

    def told(self) -> str:
        """One sentence on all formats."""
        others = "; ".join(self.in_words(name) for name in FORMATS if name != FULL)
        return f"On {self.device}, {others} (one product of {self.shape[0]} rows, measured once)"

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold; NaN is for whoever writes it to replace."""
        return asdict(self)


def products(device: "torch.device") -> Products:
    """Those of a device: kept from an earlier time, or measured now."""
    name = _device_name(device)
    file = _file(name)
    if (kept := _read(file)) is not None:
        return kept
    found = measured(device)
    with contextlib.suppress(RunError):  # a cache that cannot be written costs the milliseconds again
        write_json(file, found.to_json())
    return found


def kept_products() -> list[Products]:
    """Those of this machine that were measured before; measures nothing, and loads no torch."""
    found = [_read(file) for file in sorted((cache_folder() / FOLDER).glob("*.json"))]
    return [one for one in found if one is not None and (one.processor, one.torch) == (processor_name(), _torch())]


def measured(device: "torch.device") -> Products:
    """Measures the products of a device; of a processor in the time of one thread, which nothing beside it disturbs."""
    import torch

    shape = SHAPE if device.type == "cpu" else ACCELERATOR_SHAPE
    threads = torch.get_num_threads()
    try:
        if device.type == "cpu":
            torch.set_num_threads(1)
        seconds, onednn = _shortest(*_matrices(shape, device)), _speed_of_onednn(device)
        return Products(_device_name(device), processor_name(), _torch(), shape, seconds, onednn)
    finally:
        torch.set_num_threads(threads)


def _matrices(shape: tuple[int, int, int], device: "torch.device") -> "tuple[torch.Tensor, torch.Tensor]":
    """What is multiplied: rows, and a linear map's weights."""
    import torch

    rows, width, out = shape
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(size, generator=generator).to(device) for size in ((rows, width), (out, width)))
    return left, right


def _shortest(left: "torch.Tensor", right: "torch.Tensor") -> dict[str, float]:
    """Seconds of the shortest product in each format, which take turns; NaN where one is impossible."""
    import numpy as np
    import torch

    clock = time.thread_time if left.device.type == "cpu" else time.perf_counter
    made = {name: _product(left, right, getattr(torch, name)) for name in FORMATS}
    seconds, start = dict.fromkeys(FORMATS, math.nan), clock()
    for done in range(ROUNDS):
        if done >= FEWEST_ROUNDS and clock() - start > ENOUGH:
            break
        for name, product in made.items():
            if product is not None:
                seconds[name] = float(np.fmin(_timed(product, clock), seconds[name]))  # of NaN and a number the number
    return seconds


@functools.cache
def processor_name() -> str:
    """What the processor calls itself."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def warn_if_slower(found: Products, name: str) -> None:
    """Warns of a number format that was asked for and is slower than float32."""
    if name != FULL and found.slower(name):
        warn(f"{found.in_words(name)} on {found.device}; --dtype {FULL} changes no answer and is faster.")


def _product(left: "torch.Tensor", right: "torch.Tensor", dtype: "torch.dtype") -> Callable[[], None] | None:
    """A product in a format, tried once so that what is set up at first does not count; None where it is impossible."""
    import torch

    def compute() -> None:
        torch.nn.functional.linear(one, other)
        if one.device.type != "cpu":
            torch.accelerator.synchronize(one.device)

    try:
        one, other = left.to(dtype), right.to(dtype)
        compute()
    except (RuntimeError, TypeError, NotImplementedError):
        return None
    return compute


def onednn_product(
    inputs: "torch.Tensor", weight: "torch.Tensor", bias: "torch.Tensor | None" = None
) -> "torch.Tensor":
    """`F.linear` by oneDNN: float32, on a processor; the weight may be `onednn.laid_out`; no gradient flows."""
    import torch

    found: torch.Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
    return found


def _speed_of_onednn(device: "torch.device") -> float:
    """How many times as fast as torch by itself oneDNN is; NaN where it is not to be had, or makes another product."""
    import torch

    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return math.nan
    left, right = _matrices(ONEDNN_SHAPE, device)
    by_itself, by_onednn = torch.nn.functional.linear, onednn_product
    try:
        if not torch.allclose(by_itself(left, right), by_onednn(left, right), atol=1e-3):
            return math.nan
    except (RuntimeError, AttributeError, TypeError, NotImplementedError):
        return math.nan
    contestants = [functools.partial(one, left, right) for one in (by_itself, by_onednn)]
    turns = [[_timed(one, time.thread_time) for one in contestants] for _ in range(ONEDNN_ROUNDS)]
    own, its = (min(seconds) for seconds in zip(*turns, strict=True))
    return float(own / its)


def _timed(product: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    product()
    return clock() - start


def _device_name(device: "torch.device") -> str:
    import torch

    if device.type == "cpu":
        return PROCESSOR
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"this {device.type} device"


def _torch() -> str:
    return metadata.version("torch")


def _file(device: str) -> Path:
    """Where the products of a device are kept."""
    digest = hashlib.sha256("\n".join((device, processor_name(), _torch())).encode()).hexdigest()
    return cache_folder() / FOLDER / f"{digest[:16]}.json"


def _read(file: Path) -> Products | None:
    """What is kept in a file; None where there is none, or it is not as it was written."""
    try:
        noted = read_json(file)
        seconds = {name: float("nan" if noted["seconds"][name] is None else noted["seconds"][name]) for name in FORMATS}
        onednn = float("nan" if noted["onednn"] is None else noted["onednn"])
        found = Products(**noted | {"seconds": seconds, "shape": tuple(noted["shape"]), "onednn": onednn})
        return found if found.seconds[FULL] > 0 and len(found.shape) == 3 else None
    except (SourceError, DataError, KeyError, TypeError, ValueError):
        return None
