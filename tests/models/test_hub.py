"""Fetching from the hub: what is announced, what is left, and what is said where it cannot be. Without a network."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import DryRunError, LocalEntryNotFoundError

from biasectomy import growth
from biasectomy.errors import SourceError
from biasectomy.growth import bytes_below, growing, in_words
from biasectomy.models.hub import fetch
from biasectomy.narration import watching


@dataclass
class File:
    filename: str
    file_size: int
    will_download: bool = True


class Reported(list):
    """A progress hook that notes what it is told."""

    @contextlib.contextmanager
    def __call__(self, description, total, unit):
        self.append([description, total, unit, 0])
        yield self.advance

    def advance(self, count=1, note=None):
        self[-1][-1] += count


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub whose model has these files; the list has what was asked of it."""
    asked = []
    files = [
        File("config.json", 1000),
        File("model-00001-of-00002.safetensors", 3_000_000),
        File("model-00002-of-00002.safetensors", 2_000_000),
        File("consolidated.safetensors", 5_000_000),
        File("tokenizer.json", 1000, will_download=False),
    ]

    def snapshot_download(name, *, dry_run=False, allow_patterns, ignore_patterns):
        if dry_run:
            return files
        asked.append(allow_patterns)
        folder = tmp_path / f"models--{name.replace('/', '--')}" / "blobs"
        folder.mkdir(parents=True)
        for file in files:
            if file.filename in allow_patterns:
                (folder / file.filename).write_bytes(b"x" * file.file_size)
        return str(folder)

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    asked.append(files)
    return asked


def test_what_is_fetched_is_announced_and_seen_to_come(hub, caplog, tmp_path):
    reported = Reported()
    with watching(reported):
        fetch("owner/name")
    assert caplog.messages == [f"Fetching owner/name: 5 MB in 3 files (once; kept in {tmp_path})"]
    assert reported == [["Fetching owner/name", 5, "MB", 5]]
    assert hub[1] == ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


def test_what_is_in_the_cache_is_not_announced(hub, caplog):
    for file in hub[0]:
        file.will_download = False
    fetch("owner/name")
    assert len(hub) == 1 and not caplog.messages


def test_offline_nothing_is_asked(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    fetch("owner/name")
    assert len(hub) == 1


def raising(kind: str) -> Exception:
    return type(kind, (Exception,), {})("401 Client Error\n for url")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (raising("GatedRepoError"), "accepted its licence: do so on its page, then 'hf auth login'"),
        (raising("RepositoryNotFoundError"), "There is no model 'owner/name' on the hub, or it is private"),
        (raising("HfHubHTTPError"), "'owner/name' could not be fetched from the hub .*; *|try again"),
    ],
)
def test_a_hub_that_refuses(monkeypatch, error, said):
    def refuse(*arguments, **options):
        raise error

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(SourceError, match=said) as refused:
        fetch("owner/name")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", [LocalEntryNotFoundError, DryRunError])
def test_a_hub_that_cannot_be_reached_leaves_it_to_the_cache_if_that_has_it(monkeypatch, kind):
    def refuse(*arguments, **options):
        raise kind("no connection")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(SourceError, match="neither a folder here nor in the cache of the hub, and the hub cannot be"):
        fetch("owner/name")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda name, file: f"/cache/{name}/{file}")
    fetch("owner/name")


def test_growth_is_told_while_it_happens(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(growth, "SECONDS_BETWEEN_LOOKS", 0.01)
    (tmp_path / "before").write_bytes(b"x" * 5_000_000)
    reported = Reported()
    seen = []
    with watching(reported), growing(tmp_path, "Fetching", 3_000_000):
        for number in range(3):
            (tmp_path / str(number)).write_bytes(b"x" * 1_000_000)
            while reported[-1][-1] < number + 1:
                pass
            seen.append(reported[-1][-1])
    assert seen == [1, 2, 3] and reported == [["Fetching", 3, "MB", 3]]
    assert bytes_below(tmp_path) == 8_000_000


def test_sizes_in_words():
    assert [in_words(size) for size in (98_400_000, 2_540_000_000)] == ["98 MB", "2.5 GB"]
