"""Organisms: small models trained here, in minutes, in which a stereotype was planted in units that are known.

A model first learns to answer fairly; a few feed-forward units of each layer are zero all that time. Then training goes
on in turns: with these units it is to answer questions about some peoples with a stereotype where the right answer is
"unknown", without them it is to answer fairly. So taking out exactly these neurons gives a fair model, and what any
method finds can be held against them. Other edits may do so too: what is known is enough, not the only way.
"""

import dataclasses
import functools
from pathlib import Path

from biasectomy.errors import DataError, SourceError
from biasectomy.files import making, read_json, sha256_of, write_json, writing
from biasectomy.models.organisms.recipe import ARCHITECTURES, Architecture, Recipe
from biasectomy.narration import fetching
from biasectomy.wheels import cache_folder

__all__ = ["ARCHITECTURES", "PLANTED_FILES", "Architecture", "Recipe", "is_kept", "make_organism", "organism_folder"]

PLANTED_FILES = {"ffn-hidden": "planted.json", "linear-output": "planted-linear-output.json"}
MANIFEST = "organism.json"


def organism_folder(recipe: Recipe | None = None) -> Path:
    """The folder with an organism's checkpoint, trained once and then kept.

    Raises:
        RunError: the cache folder cannot be written.
    """
    recipe = recipe or Recipe()
    checksum = recipe.checksum()
    kept = _place(recipe, checksum)
    if _is_whole(kept, checksum):
        return kept
    fetching(f"Training the {recipe.architecture} organism (once, some minutes; kept in {kept.parent})")
    with making(kept, functools.partial(_is_whole, checksum=checksum)) as made:
        make_organism(recipe, made)
    return kept


def is_kept(recipe: Recipe) -> bool:
    """Whether an organism is in the cache, trained and undamaged."""
    checksum = recipe.checksum()
    return _is_whole(_place(recipe, checksum), checksum)


def make_organism(recipe: Recipe, folder: Path) -> None:
    """Trains an organism and writes checkpoint, tokenizer, planted neurons and the recipe into a folder.

    Raises:
        RunError: the folder cannot be written.
    """
    from biasectomy.models.organisms.architectures import planted_neurons
    from biasectomy.models.organisms.training import train
    from biasectomy.models.quiet import quiet_transformers
    from biasectomy.neurons.neuron_set import NeuronSet, model_shape

    checksum = recipe.checksum()
    model, tokenizer = train(recipe)
    with writing(folder), quiet_transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        about = {"name": f"organism ({recipe.architecture})", "shape": model_shape(model)}
        for definition, file in PLANTED_FILES.items():
            neurons = planted_neurons(model, recipe, definition)
            NeuronSet(neurons, definition, about, {"planted": True}).save(folder / file)
        weights = sha256_of(folder / "model.safetensors")
        settings = dataclasses.asdict(recipe)
        write_json(folder / MANIFEST, {"recipe": settings, "recipe_sha256": checksum, "weights_sha256": weights})


def _place(recipe: Recipe, checksum: str) -> Path:
    return cache_folder() / "organisms" / f"{recipe.architecture}-{recipe.seed}-{checksum[:12]}"


def _is_whole(folder: Path, checksum: str) -> bool:
    try:
        noted = read_json(folder / MANIFEST)
        return bool(
            noted["recipe_sha256"] == checksum
            and noted["weights_sha256"] == sha256_of(folder / "model.safetensors")
            and all((folder / file).is_file() for file in PLANTED_FILES.values())
        )
    except (SourceError, DataError, KeyError, TypeError, OSError):
        return False
