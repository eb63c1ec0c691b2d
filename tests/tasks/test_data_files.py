"""Data files: checksums, cache, fallbacks and what is said when something is wrong. No network is used."""

import hashlib
import logging
import subprocess
import zipfile
from pathlib import Path

import pytest

from biasectomy import wheels
from biasectomy.errors import DataError, SourceError
from biasectomy.files import sha256_of
from biasectomy.tasks.data_files import DataFile, Packaged, data_file
from biasectomy.wheels import PinnedWheel, read_archive_member

TEXT = '{"a": 1}\n{"a": "é"}\n'
CHECKSUM = hashlib.sha256(TEXT.encode()).hexdigest()
FILE, MEMBER = "bbq/Age.jsonl", "bbq/data/Age.jsonl"


class Index:
    """A stand-in for pip and the network that counts how often it is asked."""

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.calls = 0
        self.wheel = PinnedWheel("fair-lang", "1.0", sha256_of(archive), 9)

    def read(self, folder: Path | None = None, checksum: str = CHECKSUM) -> DataFile:
        """The data file, out of a folder or the wheel."""
        return data_file(FILE, folder, Packaged(MEMBER, checksum, self.wheel))

    def fetch(self, wheel: PinnedWheel, folder: Path) -> None:
        self.calls += 1
        (folder / wheel.file_name).write_bytes(self.archive.read_bytes())


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    archive = tmp_path / "index.whl"
    with zipfile.ZipFile(archive, "w") as wheel:
        wheel.writestr(MEMBER, TEXT.replace("\n", "\r\n"))
    fake = Index(archive)
    monkeypatch.setattr(wheels, "fetch_with_pip", fake.fetch)
    monkeypatch.setenv("BIASECTOMY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BIASECTOMY_DATA", raising=False)
    return fake


def test_second_read_fetches_nothing_and_line_ends_are_lf(index: Index) -> None:
    first, second = index.read(), index.read()
    assert first == second and index.calls == 1
    assert (first.text, first.sha256, first.verified) == (TEXT, CHECKSUM, True)
    assert first.origin == "fair-lang 1.0"
    kept = list((wheels.cache_folder() / "wheels").iterdir())
    assert [path.name for path in kept] == ["fair_lang-1.0-py3-none-any.whl"]  # no temporary folder stays


@pytest.mark.parametrize("damage", ["truncated", "replaced", "empty"])
def test_a_damaged_cached_wheel_is_fetched_again_with_a_notice(
    index: Index, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "biasectomy"):
        index.read()
    assert "Fetching fair-lang 1.0" in caplog.text  # the one thing that a library says unasked
    kept = index.wheel.cached
    kept.write_bytes({"truncated": kept.read_bytes()[:-9], "replaced": b"x" * 50, "empty": b""}[damage])
    assert index.read().text == TEXT
    assert index.calls == 2 and "damaged" in caplog.text


def test_a_wrong_wheel_from_the_index_is_refused_and_not_kept(index: Index) -> None:
    found = index.wheel.sha256
    index.wheel = PinnedWheel("fair-lang", "1.0", "f" * 64, 9)
    with pytest.raises(SourceError, match=f"expected {'f' * 64}, found {found}"):
        index.read()
    assert not index.wheel.cached.exists()


def test_a_member_with_the_wrong_checksum_is_refused(index: Index) -> None:
    with pytest.raises(SourceError, match=f"bbq/Age.jsonl.*expected {'1' * 64}, found {CHECKSUM}"):
        index.read(checksum="1" * 64)


def test_a_missing_member_and_a_file_that_no_package_has(index: Index) -> None:
    with pytest.raises(SourceError, match=r"no file .*SES\.jsonl"):
        data_file("bbq/SES.jsonl", None, Packaged("bbq/data/SES.jsonl", CHECKSUM, index.wheel))
    with pytest.raises(SourceError, match=r"no data file 'other/x\.txt'"):
        data_file("other/x.txt")


def test_data_folder_comes_first_and_is_checked(index: Index, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "bbq").mkdir(parents=True)
    file = folder / "bbq" / "Age.jsonl"
    file.write_bytes(TEXT.encode())
    found = index.read(folder)
    assert (found.verified, found.origin, index.calls) == (True, str(file), 0)  # by the published checksum
    file.write_bytes(b'{"mine": 1}\r\n')
    mine = index.read(folder)
    assert (mine.verified, mine.text) == (False, '{"mine": 1}\n')
    (folder / "SHA256SUMS").write_text(f"{sha256_of(file)}  ./bbq/Age.jsonl\n")
    assert index.read(folder).verified
    (folder / "SHA256SUMS").write_text(f"{CHECKSUM} *bbq/Age.jsonl\n")
    with pytest.raises(SourceError, match=f"Age.jsonl.*expects {CHECKSUM}, found {sha256_of(file)}"):
        index.read(folder)


def test_data_folder_from_the_environment(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bbq").mkdir()
    (tmp_path / "bbq" / "Age.jsonl").write_bytes(b"mine")
    monkeypatch.setenv("BIASECTOMY_DATA", str(tmp_path))
    assert index.read().text == "mine"


def test_what_the_data_folder_lacks_comes_from_the_wheel(index: Index, tmp_path: Path) -> None:
    found = index.read(tmp_path)
    assert (found.text, found.origin, found.source()["lacking"]) == (TEXT, "fair-lang 1.0", str(tmp_path))


def test_bad_data_folders(index: Index, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no data folder"):
        index.read(tmp_path / "nowhere")
    with pytest.raises(SourceError, match="leads outside"):
        data_file("../secret", tmp_path)
    (tmp_path / "bbq").mkdir()
    (tmp_path / "bbq" / "Age.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8"):
        index.read(tmp_path)


@pytest.mark.parametrize("member", ["../x", "/etc/passwd", "a/../../x", "..\\x"])
def test_names_that_lead_out_of_an_archive_are_refused(tmp_path: Path, member: str) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr(member, "x")
    with pytest.raises(SourceError, match="leads outside"):
        read_archive_member(archive, member)


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"nothing")
    with pytest.raises(SourceError, match="damaged"):
        read_archive_member(tmp_path / "a.zip", "x")


@pytest.mark.parametrize(
    "complaint",
    ["/usr/bin/python3: No module named pip", "WARNING: Retrying\nERROR: No matching distribution found for x"],
)
def test_pip_that_fails_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaint: str) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert "--no-deps" in command and command[-1] == "x==1"
        return subprocess.CompletedProcess(command, 1, "", complaint)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("BIASECTOMY_CACHE", str(tmp_path))
    with pytest.raises(SourceError) as caught:
        PinnedWheel("x", "1", "0" * 64, 9).path()
    message = str(caught.value)
    assert complaint.splitlines()[-1].removeprefix("ERROR: ") in message
    assert str(tmp_path / "wheels" / "x-1-py3-none-any.whl") in message and "BIASECTOMY_DATA" in message
