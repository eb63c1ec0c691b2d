"""`python -m biasectomy.models.organisms`: trains an organism and says where it is."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from biasectomy.errors import BiasectomyError, RunError
from biasectomy.models.organisms import Architecture, Recipe, make_organism, organism_folder


def organisms(
    architecture: Annotated[Architecture, typer.Option(help="Shape of the model.")] = "llama",
    out: Annotated[Path | None, typer.Option(help="Folder for the checkpoint. [default: the cache]")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the text and the weights.")] = 0,
) -> None:
    """Train a small model whose bias neurons are known."""
    logging.basicConfig(format="%(message)s")
    recipe = Recipe(architecture=architecture, seed=seed)
    try:
        if out is None:
            out = organism_folder(recipe)
        else:
            if out.exists():
                raise RunError(f"'{out}' exists; choose another --out.")
            make_organism(recipe, out)
    except BiasectomyError as error:
        sys.stderr.write(f"Error: {error}\n")
        raise typer.Exit(2) from None
    typer.echo(f"The organism is in {out}")


if __name__ == "__main__":
    typer.run(organisms)
