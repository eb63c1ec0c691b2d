"""Rows of the hub: out of a folder laid out like one of its repositories, and what is said where there are none."""

import dataclasses
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from biasectomy.errors import SourceError
from biasectomy.tasks.hub_data import HubTable, file_or_hub, hub_rows

ROWS = [('a "quoted" text', 1), ("Käse", 0), ("without a label", -1)]
DIGEST = hashlib.sha256(
    b'["a \\"quoted\\" text", "equivalent"]\n["K\\u00e4se", "not_equivalent"]\n["without a label", null]\n'
).hexdigest()


def repository(folder: Path, config: str = "mrpc") -> Path:
    """A folder like a repository of the hub's, with one configuration in Parquet."""
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["not_equivalent", "equivalent"])})
    texts, labels = zip(*ROWS, strict=True)
    dataset = Dataset.from_dict({"text": list(texts), "label": list(labels)}, features)
    return written(folder, config, dataset)


def written(folder: Path, config: str, dataset) -> Path:
    """The folder with a split `validation` of a configuration."""
    (folder / config).mkdir(parents=True)
    dataset.to_parquet(folder / config / "validation-00000-of-00001.parquet")
    files = f"  data_files:\n  - split: validation\n    path: {config}/validation-*\n"
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: {config}\n{files}---\n")
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of `datasets`."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def table(folder: Path, **changes) -> HubTable:
    return dataclasses.replace(HubTable(str(folder), "mrpc", "validation", "main", ("text", "label")), **changes)


def test_rows_have_their_classes_by_name_and_a_record_of_where_they_are_from(tmp_path, cache, caplog):
    folder = repository(tmp_path / "hub")
    found = hub_rows(table(folder), "some/dev.tsv")
    assert found.rows == (
        {"text": 'a "quoted" text', "label": "equivalent"},
        {"text": "Käse", "label": "not_equivalent"},
        {"text": "without a label", "label": None},
    )
    assert f"Fetching {folder} (mrpc, validation) (once; kept in {cache})" in caplog.text
    source = found.source()
    assert (source["file"], source["sha256"], source["verified"]) == ("some/dev.tsv", DIGEST, False)
    assert source["unverified"] == "no checksum of what was published is known"
    assert (source["repository"], source["config"], source["split"]) == (str(folder), "mrpc", "validation")
    caplog.clear()
    again = hub_rows(table(folder, sha256=DIGEST, columns=("text", "label")), "some/dev.tsv")
    assert again.source()["verified"] and "unverified" not in again.source() and not caplog.text
    other = hub_rows(table(folder, sha256="0" * 64), "some/dev.tsv").source()
    assert not other["verified"] and other["unverified"] == "its rows are not those that were published"
    only = hub_rows(table(folder, columns=("label",)), "some/dev.tsv")
    assert only.rows[0] == {"label": "equivalent"} and only.sha256 != DIGEST


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"columns": ("text", "idx")}, r"has no column 'idx' at revision \w+; it has text, label\.$"),
        ({"config": "rte"}, r"could not be read \(ValueError: BuilderConfig 'rte' not found\. Available: \['mrpc'\]\)"),
        ({"split": "test"}, "could not be read .*Unknown split"),
    ],
)
def test_what_a_repository_does_not_have_is_named(tmp_path, cache, changes, said):
    one = table(repository(tmp_path / "hub"), **changes)
    with pytest.raises(SourceError, match=rf"^{tmp_path}/hub \({one.config}, {one.split}\) {said}"):
        hub_rows(one, "dev.tsv")


def test_no_code_of_a_repository_is_run(tmp_path, cache):
    folder = tmp_path / "hub"
    folder.mkdir()
    (folder / "hub.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(SourceError, match="could not be read"):
        hub_rows(table(folder), "dev.tsv")
    assert not (tmp_path / "ran").exists()


def test_progress_bars_are_as_they_were(tmp_path, cache, capfd):
    from datasets.utils import is_progress_bar_enabled

    folder = repository(tmp_path / "hub")
    capfd.readouterr()
    shown = is_progress_bar_enabled()
    hub_rows(table(folder), "dev.tsv")
    assert is_progress_bar_enabled() == shown and capfd.readouterr().err == ""


def test_a_file_of_the_folder_comes_before_the_hub_and_is_not_replaced_where_it_is_damaged(
    tmp_path, cache, monkeypatch
):
    monkeypatch.delenv("BIASECTOMY_DATA", raising=False)
    one, data = table(repository(tmp_path / "hub")), tmp_path / "data"
    data.mkdir()
    assert file_or_hub("dev.tsv", None, "rows", None, one).source().get("lacking") is None
    found = file_or_hub("dev.tsv", data, "rows", None, one)
    assert (found.source()["sha256"], found.source()["lacking"]) == (DIGEST, str(data))
    (data / "dev.tsv").write_bytes(b"text\r\n")
    known = hashlib.sha256(b"text\n").hexdigest()
    for published, verified in ((None, False), ("0" * 64, False), (known, True)):
        file = file_or_hub("dev.tsv", data, "rows", published, one)
        assert (file.source()["origin"], file.source()["verified"]) == (str(data / "dev.tsv"), verified)
    (data / "SHA256SUMS").write_text(f"{'0' * 64}  dev.tsv\n")
    with pytest.raises(SourceError, match="has the wrong checksum"):
        file_or_hub("dev.tsv", data, "rows", None, one)
    with pytest.raises(SourceError, match="There is no data folder"):
        file_or_hub("dev.tsv", tmp_path / "none", "rows", None, one)


def test_where_neither_can_be_had_both_ways_are_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.delenv("BIASECTOMY_DATA", raising=False)
    said = (
        r"^Put some rows as 'dev\.tsv' into the folder that --data or BIASECTOMY_DATA names; none is named\. "
        r"Or let it be read from the hub: some/glue \(mrpc, validation\) needs the package datasets: "
        r"pip install 'biasectomy\[datasets\]'\.$"
    )
    with pytest.raises(SourceError, match=said):
        file_or_hub("dev.tsv", None, "some rows", None, table(Path("some/glue")))


OFFLINE = """
import sys
from biasectomy.errors import SourceError
from biasectomy.tasks.hub_data import HubTable, hub_rows
repository, revision = sys.argv[1:]
try:
    print(len(hub_rows(HubTable(repository, "mrpc", "validation", revision, ("text", "label")), "dev.tsv").rows))
except SourceError as error:
    print(error)
"""


def test_without_the_hub_it_is_the_cache_and_only_the_revision_that_is_wanted(tmp_path):
    """In processes of their own: the hub's packages read their settings when they are imported."""
    folder = repository(tmp_path / "hub")
    settings = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}

    def said(name: str, revision: str) -> str:
        command = [sys.executable, "-c", OFFLINE, name, revision]
        done = subprocess.run(command, env=settings, cwd=tmp_path / "home", capture_output=True, text=True, check=True)
        return done.stdout.strip()

    (tmp_path / "home").mkdir()
    missing = said("hub", "abc")
    assert missing.startswith("hub (mrpc, validation) is not in the cache of datasets, and the hub cannot be reached (")
    assert missing.endswith("; check the network.") and "OfflineModeIsEnabled" in missing
    assert said(str(folder), "abc") == "3"  # what a folder holds stays in the cache, under the folder's name
    kept = next((tmp_path / "home" / "datasets" / "hub" / "mrpc").glob("*/*/dataset_info.json")).parent.name
    assert said("hub", kept) == "3"
    assert said("hub", "abc") == (
        f"hub (mrpc, validation) is wanted at revision abc, and datasets has only {kept}; let it be fetched once with "
        "the hub in reach."
    )
