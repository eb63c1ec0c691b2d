"""Steps of training in another number format than the model's."""

import pytest
import torch

from biasectomy.errors import SettingsError
from biasectomy.learning.number_format import NumberFormat
from biasectomy.measuring.session import Session
from biasectomy.methods import METHODS
from tests.learning.test_training import Setup


def test_a_step_computes_in_the_format_and_leaves_the_weights_as_they_were(tiny, toy_task):
    before = {name: value.clone() for name, value in tiny.model.state_dict().items()}
    plain, other = Setup(tiny, toy_task()), Setup(tiny, toy_task(), dtype="bfloat16")
    expected, found = plain.training.step(0, 0.05), other.training.step(0, 0.05)
    assert found.loss == pytest.approx(expected.loss, rel=0.02) and found.loss != expected.loss
    assert other.factors.values.dtype == torch.float32
    after = tiny.model.state_dict()
    assert all(torch.equal(value, before[name]) and value.dtype == torch.float32 for name, value in after.items())


def test_weights_come_back_after_an_error_and_trained_ones_never_change(tiny):
    trained = next(tiny.model.parameters())
    form = NumberFormat(tiny.model, torch.bfloat16, [trained])
    with pytest.raises(KeyError), form.in_force():
        formats = {weight.dtype for weight in tiny.model.parameters() if weight is not trained}
        assert formats == {torch.bfloat16} and trained.dtype == torch.float32
        raise KeyError
    assert {weight.dtype for weight in tiny.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", ["lora", "shira"])
def test_adapters_learn_in_the_format_too(tiny, toy_task, name):
    pytest.importorskip("peft")
    kind = METHODS[name]
    fitted = kind(kind.Settings(steps=3, items_a_step=4, dtype="bfloat16")).fit(tiny, toy_task(), Session())
    assert len(fitted.adapter) and {weight.dtype for weight in tiny.model.parameters()} == {torch.float32}


def test_quantised_weights_have_no_other_format(tiny, toy_task, monkeypatch):
    class Quantised:
        quantization = "4bit"

    monkeypatch.setattr(tiny, "weights", Quantised())
    with pytest.raises(SettingsError, match=r"quantised \(4bit\).*dtype auto would be right"):
        Setup(tiny, toy_task(), dtype="bfloat16")
