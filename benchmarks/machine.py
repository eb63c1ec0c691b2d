"""What the figures were measured on."""

import os
import platform
import subprocess
from importlib import metadata
from typing import Any

import torch

from biasectomy.reading.products import processor_name

PACKAGES = ("biasectomy", "torch", "transformers", "lm_eval", "captum", "peft")


def describe_machine(threads: int, device: str = "cpu") -> dict[str, Any]:
    """Processor, memory, threads and versions; of a device other than the processor, what it is."""
    return {
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "threads": threads,
        "load_average": [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {package: _version(package) for package in PACKAGES},
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": _device(device),
    }


def _device(name: str) -> dict[str, Any]:
    device = torch.device(name)
    if device.type != "cuda":
        return {"name": name}
    found = torch.cuda.get_device_properties(device)
    return {
        "name": found.name,
        "memory_gib": round(found.total_memory / 2**30, 1),
        "multiprocessors": found.multi_processor_count,
        "driver": _driver(),
        "cuda": torch.version.cuda,
        "float32_products": torch.get_float32_matmul_precision(),  # "highest": no TF32
    }


def _driver() -> str | None:
    try:
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=30).stdout.split("\n")[0].strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
