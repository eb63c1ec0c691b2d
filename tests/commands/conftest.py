"""The small run that the tests of commands share."""

from pathlib import Path

import pytest

from tests.commands.cases import Case, chosen_in, write_bbq


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    return write_bbq(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def case(tiny_folder: Path, data: Path) -> Case:
    return Case(
        {
            "model": str(tiny_folder), "data": data, "task": "bbq:age", "max_instructions": 2,
            "method": "crispr", "beside": "none",
            "crispr": {"instances": 6, "trials": 2, "grid": (0, 2, 10, 40)}, "random-neurons": {"draws": 2},
            "replicates": 100, "batch_tokens": 400, "development_share": 0.4, "objective": "accuracy", "threads": 1,
            "seed": 11,
        }
    )  # fmt: skip


@pytest.fixture(scope="session")
def finished(case: Case, tmp_path_factory) -> Path:
    """The run folder of an uninterrupted run that takes neurons out."""
    out = tmp_path_factory.mktemp("finished") / "run"
    case.mitigate(out)
    assert chosen_in(out) > 0, "choose another seed: this run is to take neurons out"
    return out
