"""How fast number formats are here: measured once, kept, told in words; a measurement is never trusted blindly."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from biasectomy.reading import products as module
from biasectomy.reading.products import FORMATS, Products, kept_products, products, warn_if_slower

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BIASECTOMY_CACHE", str(tmp_path))
    return tmp_path / "number-formats"


def rates(bfloat16: float, float16: float = 1.0) -> Products:
    """Products that take so many times as long as in float32."""
    seconds = dict(zip(FORMATS, (0.002, 0.002 * bfloat16, 0.002 * float16), strict=True))
    return Products("this processor", module.processor_name(), module._torch(), (256, 768, 768), seconds, math.nan)


def test_products_are_measured_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = torch.get_num_threads()
    found = products(CPU)
    assert torch.get_num_threads() == threads
    assert found.seconds["float32"] > 0 and {*found.seconds} == {*FORMATS} and len([*cache.iterdir()]) == 1
    monkeypatch.setattr(module, "measured", lambda device: pytest.fail("it was measured again"))
    assert products(CPU) == found and kept_products() == [found]


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"seconds": {}}', "no file"])
def test_a_damaged_or_deleted_measurement_is_made_again(cache: Path, damage: str) -> None:
    products(CPU)
    (file,) = cache.iterdir()
    file.unlink() if damage == "no file" else file.write_text(damage)
    assert kept_products() == []
    assert products(CPU).seconds["float32"] > 0 and len(kept_products()) == 1


def test_another_version_or_processor_is_not_told_of(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    products(CPU)
    (file,) = cache.iterdir()
    for name in ("torch", "processor"):
        (cache / f"{name}.json").write_text(json.dumps(json.loads(file.read_text()) | {name: "another"}))
    assert len(kept_products()) == 1
    monkeypatch.setattr(module, "_torch", lambda: "0.1")
    assert kept_products() == [] and products(CPU).torch == "0.1"


def test_a_cache_that_cannot_be_written_costs_only_the_measurement(cache: Path) -> None:
    cache.write_text("a file where the folder would be")
    assert products(CPU).seconds["float32"] > 0


def test_a_format_that_is_slower_is_told_and_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    found = rates(6.2, 0.25)
    assert found.told() == (
        "On this processor, bfloat16 is 6.2 times slower than float32; float16 is 4.0 times as fast as float32 "
        "(one product of 256 rows, measured once)"
    )
    assert found.faster() == ["float16"]
    warn_if_slower(found, "float16")
    assert not caplog.records
    warn_if_slower(found, "bfloat16")
    assert "bfloat16 is 6.2 times slower than float32 on this processor" in caplog.text


def test_a_format_that_cannot_be_computed_in_is_never_faster_and_stays_so_on_disk(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "measured", lambda device: rates(math.nan, 1.05))
    first, second = products(CPU), products(CPU)
    for found in (first, second):
        assert found.faster() == [] and found.slower("bfloat16") and not found.slower("float16")
        assert "bfloat16 cannot be computed in" in found.told() and "float16 is as fast" in found.told()


def test_the_fastest_is_the_first() -> None:
    assert rates(0.5, 0.4).faster() == ["float16", "bfloat16"] and rates(0.95, 0.8).faster() == ["float16"]
    assert replace(rates(0.4), device="NVIDIA").told().startswith("On NVIDIA, bfloat16 is 2.5 times as fast")


def test_help_says_what_was_found_and_loads_no_torch(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "measured", lambda device: rates(6.2))
    products(CPU)
    code = (
        "import sys; from biasectomy.cli.options import option_parameters; "
        "from biasectomy.commands.settings import EvaluateSettings; "
        "said = option_parameters(EvaluateSettings)['dtype'].annotation.__metadata__[0].help; "
        "assert 'torch' not in sys.modules; print(said)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "bfloat16 is 6.2 times slower than float32" in said and "bfloat16 is faster" not in said
