"""`python -m biasectomy.models.organisms`: trains an organism and says where it is."""

import logging
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from biasectomy.errors import BiasectomyError, RunError
from biasectomy.files import writing
from biasectomy.models.organisms import Architecture, Recipe, make_organism, organism_folder


def organisms(
    architecture: Annotated[Architecture, typer.Option(help="Shape of the model.")] = "llama",
    out: Annotated[Path | None, typer.Option(help="Folder for the checkpoint. [default: the cache]")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the text and the weights.")] = 0,
) -> None:
    """Train a small model whose bias neurons are known."""
    logging.basicConfig(format="%(message)s")
    recipe = Recipe(architecture=architecture, seed=seed)
    if out is None:
        out = organism_folder(recipe)
    else:
        with writing(out):
            if out.exists():
                raise RunError(f"'{out}' exists; choose another --out.")
            out.parent.mkdir(parents=True, exist_ok=True)  # training takes minutes: what is wrong is said before
        make_organism(recipe, out)
    typer.echo(f"The organism is in {out}")


def main() -> NoReturn:
    """Trains; what is wrong is one sentence, and code 2."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(organisms)
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except BiasectomyError as error:
        message = str(error)
    except typer.TyperException as error:
        message = error.format_message()
    except KeyboardInterrupt:
        sys.exit(130)
    sys.stderr.write(f"Error: {' '.join(message.split())}\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
