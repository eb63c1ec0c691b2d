"""Tasks in the form of lm-evaluation-harness, made in a folder: options, generated texts, whole texts, a group."""

import copy
import json
from pathlib import Path

CODE = """
def judged(document, results):
    text = results[0]
    found = {"length": float(len(text)), "spread": len(text), "vowels": sum(letter in "aeiou" for letter in text)}
    return found | ({"even": len(text) % 2} if document["place"] % 4 else {})


def spread(values):
    return max(values) - min(values)


def broken(document, results):
    raise KeyError("nobody")
"""

CHOICE = """
task: {name}
dataset_path: json
dataset_kwargs: {{cache_dir: {folder}/cache, data_files: {{test: {folder}/{data}.jsonl, train: {folder}/shots.jsonl}}}}
test_split: test
fewshot_split: train
num_fewshot: {shots}
output_type: multiple_choice
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_choice: options
doc_to_target: gold
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
  - {{metric: brier_score, aggregation: brier_score, higher_is_better: false}}
"""

TEXT = """
task: {name}
dataset_path: json
dataset_kwargs: {{cache_dir: {folder}/cache, data_files: {{test: {folder}/long.jsonl}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}} The"
doc_to_target: "{{{{options[gold]}}}}"
generation_kwargs: {{until: ["."], max_gen_toks: 9, do_sample: false}}
process_results: !function utils.{judge}
metric_list:
  - {{metric: length, aggregation: mean, higher_is_better: true}}
  - {{metric: even, aggregation: mean, higher_is_better: true}}
  - {{metric: vowels, aggregation: mean, higher_is_better: false}}
  - {{metric: spread, aggregation: !function utils.spread, higher_is_better: false}}
"""

FILTERED = """
task: toy_filtered
dataset_path: json
dataset_kwargs: {{cache_dir: {folder}/cache, data_files: {{test: {folder}/long.jsonl}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "a"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 5}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
filter_list:
  - {{name: as-it-is, filter: [{{function: take_first}}]}}
  - {{name: first-a, filter: [{{function: regex, regex_pattern: "(a)"}}, {{function: take_first}}]}}
"""

ROLLING = """
task: toy_rolling
dataset_path: json
dataset_kwargs: {{cache_dir: {folder}/cache, data_files: {{test: {folder}/long.jsonl}}}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{question}}}}"
metric_list: [{{metric: word_perplexity, aggregation: weighted_perplexity, higher_is_better: false}}]
"""

GROUP = """
group: toy_group
task: [toy_choice, toy_short]
aggregate_metric_list:
  - {metric: acc, weight_by_size: true}
  - {metric: acc_norm, weight_by_size: false}
"""

ELSEWHERE = """
task: toy_elsewhere
dataset_path: nobody/nothing
test_split: test
output_type: multiple_choice
doc_to_text: question
doc_to_choice: options
doc_to_target: gold
"""

PEOPLE = ("The grandfather", "The grandson", "Cannot be determined", "The teacher", "Not known")


def write_tasks(folder: Path) -> Path:
    """A folder with all of them."""
    for name, count in (("long", 24), ("short", 7), ("shots", 5)):
        rows = [
            {
                "place": place,
                "question": f"Who forgot the keys at place {place} of {name}?",
                "options": [PEOPLE[(place + step) % 5] for step in (0, 1, 3)],
                "gold": place % 3,
            }
            for place in range(count)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = {
        "choice": CHOICE.format(name="toy_choice", data="long", folder=folder, shots=0),
        "short": CHOICE.format(name="toy_short", data="short", folder=folder, shots=0),
        "shots": CHOICE.format(name="toy_shots", data="short", folder=folder, shots=2),
        "text": TEXT.format(name="toy_text", judge="judged", folder=folder),
        "broken": TEXT.format(name="toy_broken", judge="broken", folder=folder),
        "filtered": FILTERED.format(folder=folder),
        "rolling": ROLLING.format(folder=folder),
        "group": GROUP,
        "elsewhere": ELSEWHERE,
        "unsafe": CHOICE.format(name="toy_unsafe", data="long", folder=folder, shots=0) + "unsafe_code: true\n",
    }
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    (folder / "utils.py").write_text(CODE)
    return folder


def by_the_harness_itself(model, folder: Path, name: str, *, seed: int = 0, limit: int | None = None) -> dict:
    """What `lm_eval.simple_evaluate` gives of the model in memory."""
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    return lm_eval.simple_evaluate(
        HFLM(model.model, tokenizer=copy.deepcopy(model.tokenizer), batch_size=8),
        tasks=[name],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        limit=limit,
        bootstrap_iters=0,
        apply_chat_template=model.prompt_format.chat,
        random_seed=seed,
        numpy_random_seed=seed,
        torch_random_seed=seed,
        fewshot_random_seed=seed,
    )
