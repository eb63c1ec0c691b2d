"""Adapters that are learned: what is in force, what is saved, and what is left when they are gone."""

import math
import os
import subprocess
import sys
import warnings

import pytest
import torch

from biasectomy.errors import SettingsError
from biasectomy.measuring.session import Session
from biasectomy.methods import METHODS
from biasectomy.models.language_model import load
from biasectomy.reading import onednn
from biasectomy.reading.products import products
from tests.conftest import save_tiny

QUICK = {"lora": {"rate": 0.05}, "shira": {"rate": 0.2}}
TOKENS = torch.tensor([[5, 9, 2, 7, 11, 3]])


def fitted(name, model, task, session=None):
    kind = METHODS[name]
    settings = kind.Settings(steps=6, items_a_step=4, rank=2, **QUICK[name])
    return kind(settings).fit(model, task, session or Session())


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=TOKENS).logits


@pytest.mark.parametrize("name", QUICK)
class TestEachAdapter:
    def test_it_is_in_force_for_a_block_and_gone_for_the_original(self, tiny, toy_task, name):
        before = logits(tiny.model)
        found, session = fitted(name, tiny, toy_task()), Session()
        key = tiny.key
        with found.answering(tiny, session):
            changed = logits(tiny.model)
            assert tiny.key != key
            with tiny.unedited():
                assert torch.equal(logits(tiny.model), before) and tiny.key == key
            assert torch.equal(logits(tiny.model), changed)
        assert torch.equal(logits(tiny.model), before)
        assert (changed - before).abs().max() > 1e-3

    @pytest.mark.skipif(math.isnan(products(torch.device("cpu")).onednn), reason="oneDNN is not to be had here")
    def test_products_are_those_of_the_weights_that_are_in_force(self, toy_task, tmp_path, name, monkeypatch):
        monkeypatch.setattr(onednn, "_faster", lambda: True)
        tiny = load(str(save_tiny(tmp_path, hidden_size=256, intermediate_size=320)))

        def kept() -> torch.Tensor:
            with onednn.fast_products(tiny.model, kept=True):
                return logits(tiny.model)

        found = fitted(name, tiny, toy_task())
        before, _ = kept(), tiny.key  # known before, so that nothing is undone for its sake
        with found.answering(tiny, Session()):
            torch.testing.assert_close(kept(), logits(tiny.model), rtol=1e-3, atol=1e-3)
            assert (kept() - before).abs().max() > 1e-3
        assert torch.equal(kept(), before)

    @pytest.mark.parametrize("layers", [2, 24])  # of 20 modules or more, peft keeps shorter names
    def test_the_checkpoint_and_the_adapter_answer_as_it_does(self, toy_task, tmp_path, name, layers):
        from peft import PeftModel

        folder = save_tiny(tmp_path / "tiny", layers=layers)
        tiny = load(str(folder))
        found = fitted(name, tiny, toy_task(), Session(folder=tmp_path / "method"))
        with found.answering(tiny, Session()):
            expected = logits(tiny.model)
        assert found.save(tiny, tmp_path / "model") < 1e-4
        torch.testing.assert_close(logits(load(str(tmp_path / "model")).model), expected, rtol=1e-4, atol=1e-4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            adapted = PeftModel.from_pretrained(load(str(folder)).model, tmp_path / "method" / "adapter")
            torch.testing.assert_close(logits(adapted), expected, rtol=1e-4, atol=1e-4)

    def test_what_is_interrupted_goes_on_and_ends_alike(self, tiny, toy_task, tmp_path, name, monkeypatch):
        from biasectomy.learning import unpruned

        whole = fitted(name, tiny, toy_task())
        monkeypatch.setattr(unpruned, "STEPS_A_CHECKPOINT", 2)
        step = unpruned.Training.step
        monkeypatch.setattr(unpruned.Training, "step", lambda *given: step(*given) if given[1] < 4 else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fitted(name, tiny, toy_task(), Session(folder=tmp_path))
        monkeypatch.setattr(unpruned.Training, "step", step)
        resumed = fitted(name, tiny, toy_task(), Session(folder=tmp_path))
        assert resumed.adapter.tensors.keys() == whole.adapter.tensors.keys()
        assert all(torch.equal(one, whole.adapter.tensors[path]) for path, one in resumed.adapter.tensors.items())
        assert resumed.adapter.key == whole.adapter.key

    def test_without_peft_there_is_a_sentence(self, tiny, toy_task, monkeypatch, name):
        monkeypatch.setitem(sys.modules, "peft", None)
        with pytest.raises(SettingsError, match=r"needs the package peft: pip install 'biasectomy\[peft\]'"):
            fitted(name, tiny, toy_task())


def test_numbers_are_those_of_the_adapters(tiny, toy_task):
    """Down projections of 16 x 40 in two layers: rank 2 has 2 (16 + 40) numbers each."""
    assert (
        fitted("lora", tiny, toy_task()).cost.numbers
        == 2 * 2 * (16 + 40)
        == fitted("shira", tiny, toy_task()).cost.numbers
    )


def test_answers_are_kept_under_the_same_name_in_every_process():
    """Names of modules are a set in peft's configuration, whose order differs between processes."""
    code = (
        "from peft import LoraConfig; from biasectomy.learning.peft_adapters import Adapter\n"
        "print(Adapter(LoraConfig(r=2, target_modules=[f'layer.{place}' for place in range(9)]), {}).key)"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(keys) == 1
