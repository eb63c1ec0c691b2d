"""The packaged neutral text, and the choice of paragraphs from WikiText-2."""

import hashlib
import itertools
import re
from pathlib import Path

import pytest

from biasectomy.errors import DataError, SettingsError
from biasectomy.neutral_text import PACKAGED, WIKITEXT, neutral_paragraphs


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BIASECTOMY_DATA", raising=False)


def wikitext(folder: Path, lines: list[str], line_end: str = "\n") -> Path:
    (folder / WIKITEXT).parent.mkdir(parents=True)
    (folder / WIKITEXT).write_bytes(line_end.join(lines).encode())
    return folder


def test_packaged_text_is_about_sixty_whole_short_paragraphs() -> None:
    text = neutral_paragraphs(None, 1000)
    assert text.name == PACKAGED
    assert 55 <= len(text.paragraphs) <= 65
    assert len(set(text.paragraphs)) == len(text.paragraphs)
    for paragraph in text.paragraphs:
        assert 35 <= len(paragraph.split()) <= 60, paragraph
        assert paragraph.isascii() and paragraph.endswith(".") and "  " not in paragraph, paragraph


def test_packaged_text_speaks_of_no_group_of_people() -> None:
    words = set(re.findall(r"[a-z]+", " ".join(neutral_paragraphs(None, 1000).paragraphs).lower()))
    assert not words & {"man", "men", "woman", "women", "he", "she", "his", "her", "poor", "rich", "race", "religion"}


def test_limit_spaces_evenly_and_is_deterministic() -> None:
    everything = neutral_paragraphs(None, 1000).paragraphs
    some = neutral_paragraphs(None, 10)
    places = [everything.index(paragraph) for paragraph in some.paragraphs]
    assert len(places) == 10
    assert places[0] == 0
    assert {later - earlier for earlier, later in itertools.pairwise(places)} <= {6, 7}
    assert some == neutral_paragraphs(None, 10)


def test_wikitext_skips_headings_and_short_lines_and_cuts_at_a_word(tmp_path: Path) -> None:
    long = " ".join(f"word{number}" for number in range(200))
    medium = "x" * 199 + " end"
    folder = wikitext(
        tmp_path, [" = " + "Heading " * 40 + "= ", " short line ", f" {long} ", f" {medium} ", "", "y" * 199]
    )
    text = neutral_paragraphs(folder, 5)
    assert text.name == WIKITEXT
    assert text.paragraphs == (" ".join(long.split()[:120]), medium)
    assert text.sha256 == hashlib.sha256((folder / WIKITEXT).read_bytes()).hexdigest()


def test_carriage_returns_change_nothing(tmp_path: Path) -> None:
    lines = ["a " * 150, "b " * 150]
    unix, windows = wikitext(tmp_path / "unix", lines), wikitext(tmp_path / "windows", lines, "\r\n")
    assert neutral_paragraphs(unix, 2) == neutral_paragraphs(windows, 2)


def test_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIASECTOMY_DATA", str(wikitext(tmp_path, ["a " * 150])))
    assert neutral_paragraphs(None, 2).name == WIKITEXT


def test_folder_without_wikitext_falls_back_on_the_packaged_text(tmp_path: Path) -> None:
    assert neutral_paragraphs(tmp_path, 3).name == PACKAGED


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not 0"):
        neutral_paragraphs(None, 0)
    with pytest.raises(DataError, match="no paragraph of 200"):
        neutral_paragraphs(wikitext(tmp_path, ["= Title =", "short"]), 3)
