"""Every method that learns, on every tiny architecture: it answers, gives the model back, and what it saves loads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from biasectomy.errors import SettingsError
from biasectomy.learning import neutral
from biasectomy.measuring.session import Session
from biasectomy.methods import METHODS
from biasectomy.models.language_model import LanguageModel
from biasectomy.reading.likelihood import layout_for
from biasectomy.reading.prompts import prompt_format
from tests.conftest import build_tokenizer
from tests.reading import encoder_decoders
from tests.reading.architectures import ARCHITECTURES
from tests.tasks.made_posts import write_mirrors

SETTINGS: dict[str, dict[str, Any]] = {
    "crispr": {"instances": 2, "trials": 1},
    "experts": {"steps": 2, "items_a_step": 4, "rate": 0.2, "variant": "anti-only", "alpha": 2},
    "projection": {"layers": (0,), "components": (1,), "share": 1.0},
    "steering": {"layers": (0,), "strengths": (2.0,)},
    "edited-neurons": {"options": "instances=2", "factor": 0.5},
    "learned-factors": {"straight_steps": 4, "items_a_step": 4, "rate": 0.2},
    "lora": {"steps": 3, "items_a_step": 4, "rank": 2, "rate": 0.05},
    "dpo": {"steps": 3, "items_a_step": 4, "rank": 2, "rate": 0.05, "validation_items": 0, "perplexity": 1e9},
    "finetune-crows-pairs": {"kind": "full", "rate": 0.01, "items_a_step": 4, "perplexity": 1e9},
    "pcgu": {"steps": 2, "pairs_a_step": 4, "partitions": 40, "rate": 0.01, "perplexity": 1e9, "chosen_by": 0},
    "task-vector": {"steps": 2, "items_a_step": 4, "rate": 0.01, "strengths": (1.0,)},
    "unlearn": {"steps": 2, "items_a_step": 4, "rate": 0.01, "drift_weight": 0, "perplexity": 1e9},
    "shira": {"steps": 3, "items_a_step": 4, "rank": 2, "rate": 0.2},
}
ADAPTERS = ("lora", "dpo", "shira")
CHOSEN = 20
FAMILIES = [*ARCHITECTURES, *encoder_decoders.CONFIGURATIONS]


class Folded:
    """A tokenizer whose tokens are folded into a small vocabulary."""

    def __init__(self, vocabulary: int) -> None:
        self._own, self._vocabulary = build_tokenizer(chat=False), vocabulary

    def __call__(self, text: str | list[str], **options: Any) -> dict[str, Any]:
        if not isinstance(text, str):
            return {"input_ids": [self(one, **options)["input_ids"] for one in text]}
        return {"input_ids": [3 + token % (self._vocabulary - 3) for token in self._own(text, **options)["input_ids"]]}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)


def opened(name: str) -> LanguageModel:
    """A tiny model of a family with a tokenizer."""
    inner = ARCHITECTURES[name]() if name in ARCHITECTURES else encoder_decoders.build(name)
    vocabulary = inner.get_input_embeddings().weight.shape[0]
    tokenizer = Folded(vocabulary)
    model = LanguageModel(inner, tokenizer, prompt_format(tokenizer, inner.config, "plain"), name)
    model.layout = layout_for(inner, vocabulary)
    return model


@pytest.fixture(autouse=True)
def few_texts_and_pairs(monkeypatch: pytest.MonkeyPatch, crows_pairs: Path) -> None:
    """How far a candidate has gone is told by few texts; those who learn from data have few pairs and posts."""
    monkeypatch.setattr(neutral, "JUDGED_BY", 1)
    write_mirrors(crows_pairs)
    monkeypatch.setenv("BIASECTOMY_DATA", str(crows_pairs))


@pytest.mark.parametrize("method", SETTINGS)
@pytest.mark.parametrize("name", FAMILIES)
class TestEveryMethodOnEveryFamily:
    def test_it_changes_answers_and_gives_the_model_back(self, name, method, toy_task):
        model, task = opened(name), toy_task(clusters=4, instructions=1)
        before = {path: weight.clone() for path, weight in model.model.state_dict().items()}
        session = Session(neurons=CHOSEN, drift=1e9)
        kind = METHODS[method]
        experts = any(group.expert is not None for group in model.neurons("ffn-hidden"))
        refused = {"fused": method in ADAPTERS and experts, "transposed": (method, name) == ("shira", "gpt2")}
        if any(refused.values()):
            with pytest.raises(SettingsError, match=r"experts are fused|takes no transposed"):
                kind(kind.Settings(**SETTINGS[method])).fit(model, task, session)
            return
        fitted = kind(kind.Settings(**SETTINGS[method])).fit(model, task, session)
        plain = session.ask(task, model).log_likelihoods  # not what fitting asked in other company
        for draw in range(fitted.draws):
            with fitted.answering(model, session, draw) as answerer:
                changed = session.ask(task, answerer).log_likelihoods
            assert np.isfinite(changed).all() and np.abs(changed - plain).max() > 1e-4
        assert fitted.cost.numbers
        assert fitted.neuron_set is None or fitted.cost.numbers == CHOSEN == len(fitted.neuron_set)
        again = Session().ask(task, model).log_likelihoods
        assert (again == plain).all()
        after = model.model.state_dict()
        assert after.keys() == before.keys() and all(torch.equal(after[path], before[path]) for path in before)


@pytest.mark.parametrize("name", FAMILIES)
def test_factors_are_learned_in_another_number_format_on_every_family(name, toy_task):
    model, kind = opened(name), METHODS["learned-factors"]
    if any(group.expert is not None for group in model.neurons("ffn-hidden")):
        model.model.set_experts_implementation("eager")  # torch's grouped products want rows of 16 bytes and more
    before = {path: weight.clone() for path, weight in model.model.state_dict().items()}
    settings = kind.Settings(**SETTINGS["learned-factors"], dtype="bfloat16")
    fitted = kind(settings).fit(model, toy_task(clusters=4, instructions=1), Session(neurons=CHOSEN))
    assert len(fitted.neuron_set) == CHOSEN
    after = model.model.state_dict()
    assert all(torch.equal(after[path], before[path]) for path in before)
