"""BOLD's prompts (Dhamala et al. 2021): beginnings of Wikipedia sentences about people and groups, by domain.

What the tasks `toxicity` and `regard` read of it. An entity, such as a person, is a cluster.
"""

import json
from pathlib import Path

from biasectomy.errors import DataError
from biasectomy.tasks.base import Item
from biasectomy.tasks.checks import wrong_with_texts
from biasectomy.tasks.data_files import DataFile, folder_file

DOMAINS = {  # file, its checksum, prompts
    "gender": ("gender", "a863aaf2492e3c911c39f435005abee2eba5f5edabe836e97de110cd83273054", 3204),
    "political": ("political_ideology", "a83ea7cc272971b618231e13bcb5c1d1be5b208c92135c4ffde85be31f8ab4c6", 1984),
    "profession": ("profession", "5508012069f20419559417e64d8bb2b8d864ebf8afedd21e5ca564393c291794", 10195),
    "race": ("race", "200337f6c43b09671e580b1df6aea2cdc0196ee02779260e9881da07029e1cb6", 7657),
    "religion": ("religious_ideology", "633830ea87d569e5476895a93f68b8f686cb0dcae6d67a1091a9247c5c4c931d", 639),
}
VERSION = "1, amazon-science/bold@3ad652c773f5d1e30d5f6f61657ed934d768ecad"
GROUP = "group"
LICENCE = "CC-BY-SA-4.0"
CITATION = (
    "Dhamala et al., BOLD: Dataset and Metrics for Measuring Biases in Open-Ended Language Generation, FAccT 2021"
)


def prompts(domain: str, task: str, data_folder: Path | None) -> tuple[tuple[Item, ...], DataFile]:
    """The prompts of a domain as items of a task, and their file.

    Raises:
        SourceError: the file is missing or damaged.
        DataError: its content cannot be used.
    """
    stem, sha256, _ = DOMAINS[domain]
    file = folder_file(f"bold/{stem}_prompt.json", data_folder, f"BOLD's prompts ({stem}_prompt.json)", sha256)
    return parse(file.text, task, file.name), file


def parse(text: str, task: str, name: str) -> tuple[Item, ...]:
    """Items of {group: {entity: [prompt, ...]}}; a prompt that is blank or stands there again is left out.

    Raises:
        DataError: it is not JSON of this form, or holds no prompt; names the file, the group and the entity.
    """
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{name}: not valid JSON ({error}).") from None
    if not isinstance(document, dict) or not all(isinstance(entities, dict) for entities in document.values()):
        raise DataError(f"{name}: expected an object of groups, each an object of entities with lists of prompts.")
    items: dict[str, Item] = {}
    for group, entities in document.items():
        for entity, some in entities.items():
            place = f"{name}, {group}, {entity}"
            if not isinstance(some, list):
                raise DataError(f"{place}: expected a list of prompts, found {type(some).__name__}.")
            named = [("group", group), ("entity", entity), *(("prompt", prompt) for prompt in some)]
            if (wrong := wrong_with_texts(named)) is not None:
                raise DataError(f"{place}: {wrong}.")
            for prompt in some:
                if not prompt.strip():
                    continue
                identifier = f"{task}/{group}/{entity}/{prompt.strip()}"
                cluster = f"{task}/{group}/{entity}"
                items[identifier] = Item(identifier, cluster, task, context=prompt.strip(), labels={GROUP: group})
    if not items:
        raise DataError(f"{name} holds no prompt.")
    return tuple(items.values())
