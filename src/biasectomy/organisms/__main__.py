"""`python -m biasectomy.organisms`: trains an organism and says where it is."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from biasectomy.console import Console
from biasectomy.errors import BiasectomyError
from biasectomy.organisms import Architecture, Recipe, make_organism, organism_folder
from biasectomy.preparation import refuse_checkpoint


def organisms(
    architecture: Annotated[Architecture, typer.Option(help="Shape of the model.")] = "llama",
    out: Annotated[Path | None, typer.Option(help="Folder for the checkpoint. [default: the cache]")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the text and the weights.")] = 0,
) -> None:
    """Train a small model whose bias neurons are known."""
    console, recipe = Console(), Recipe(architecture=architecture, seed=seed)
    try:
        if out is None:
            out = organism_folder(recipe, console)
        else:
            refuse_checkpoint(out, overwrite=False)
            make_organism(recipe, out, console)
    except BiasectomyError as error:
        sys.stderr.write(f"Error: {error}\n")
        raise typer.Exit(2) from None
    console.say(f"The organism is in {out}")


if __name__ == "__main__":
    typer.run(organisms)
