"""Hateful texts against one group, and which of their words are the harmful ones: data for methods that unlearn them.

HateXplain (Mathew et al. 2021, "HateXplain: A Benchmark Dataset for Explainable Hate Speech Detection"): posts labelled
hateful by most annotators, with the words that these gave as their reason (rationales). Where the data folder has the
authors' `hatexplain/dataset.json`, group and harmful words are those that at least two annotators named. Else the posts
come from the file that the judge `hate:hatexplain` reads and the rationales from two files of mirrors, which name no
groups: a post counts as being about a group if it holds one of the plain words in `GROUPS`. Posts that speak of a group
in slurs alone are missed there. Texts are read out of the user's folder, and neither shipped nor written anywhere.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from biasectomy.errors import DataError, UnknownNameError
from biasectomy.tasks.data_files import data_file, data_folder_of, folder_file
from biasectomy.tasks.judge_hate import DIVISIONS, HATEFUL, POSTS, PUBLISHED, hatexplain_posts
from biasectomy.tasks.judge_lexicon import words_of

AUTHORS = "hatexplain/dataset.json"
RATIONALES = {
    "hatexplain/rationales_val_split1.json": "5373f49eb9e3f9ab83a83ae056c394696216317414f679a5a30fde09acdee355",
    "hatexplain/rationales_test_split1.json": "609d6e751f04e1630bd96284457eedfcd4e9adc8e66ed6505fbf23b72d376239",
}
LABEL, AGREED = "hatespeech", 2  # of the authors'; annotators that must agree, of three

# The names that HateXplain gives to targets, and plain words for them.
GROUPS: Mapping[str, frozenset[str]] = {
    name: frozenset(words.split())
    for name, words in {
        "African": "african africans black blacks nigerian nigerians somali somalis",
        "Arab": "arab arabs arabic saudi saudis syrian syrians palestinian palestinians",
        "Asian": "asian asians chinese korean koreans japanese vietnamese",
        "Caucasian": "white whites caucasian caucasians",
        "Christian": "christian christians christianity catholic catholics",
        "Disability": "disabled disability disabilities autistic autism handicapped",
        "Hindu": "hindu hindus hinduism",
        "Hispanic": "hispanic hispanics latino latinos latina latinas mexican mexicans",
        "Homosexual": "gay gays lesbian lesbians homosexual homosexuals queer queers lgbt",
        "Islam": "muslim muslims islam islamic",
        "Jewish": "jew jews jewish judaism",
        "Men": "man men male males boy boys",
        "Refugee": "refugee refugees immigrant immigrants migrant migrants immigration",
        "Women": "woman women female females girl girls",
    }.items()
}


@dataclass(frozen=True)
class HarmfulText:
    """A text as its words, which of them are harmful, and whether it is only for testing."""

    identifier: str
    words: tuple[str, ...]
    harmful: tuple[bool, ...]
    test: bool = False

    @property
    def text(self) -> str:
        """The words with a space between them."""
        return " ".join(self.words)


@dataclass(frozen=True)
class HarmfulTexts:
    """Texts against a group, and what a record says of the files they come from."""

    group: str
    texts: tuple[HarmfulText, ...]
    sources: tuple[dict[str, Any], ...]
    named: str  # how it is known whom a text is about


def checked_group(group: str) -> str:
    """The name of a group.

    Raises:
        UnknownNameError: there is no such group; names the nearest.
    """
    if group not in GROUPS:
        raise UnknownNameError("group", group, GROUPS)
    return group


def texts_against(group: str, data_folder: Path | None) -> HarmfulTexts:
    """The hateful posts against a group; their harmful words are those of the rationales, none where a post has none.

    Raises:
        UnknownNameError: there is no such group.
        SourceError: the data are not there, or not what their checksums say.
        DataError: they cannot be read, or hold no such post.
    """
    words = GROUPS[checked_group(group)]
    folder = data_folder_of(data_folder)
    if folder is not None and (folder / AUTHORS).is_file():
        file = data_file(AUTHORS, folder)
        tested, divisions = _tested(data_folder)
        texts = tuple(_of_authors(file.text, group, tested))
        found = HarmfulTexts(group, texts, (file.source(), divisions), "two annotators")
    else:
        _, divisions = _tested(data_folder)
        rationales, sources = _rationales(data_folder)
        texts = tuple(_of_mirrors(words, rationales, data_folder))
        posts = folder_file(POSTS, data_folder, "HateXplain (092-HateXplain.csv)", PUBLISHED[POSTS])
        found = HarmfulTexts(group, texts, (posts.source(), divisions, *sources), "words in the text")
    if not found.texts:
        raise DataError(f"The data hold no hateful post against the group '{group}'; another group would be right.")
    return found


def marked_by(text: HarmfulText, entries: Collection[tuple[str, ...]]) -> HarmfulText:
    """The same text with other harmful words: those of a lexicon's entries, each of one word or several."""
    places = [(word, place) for place, written in enumerate(text.words) for word in words_of(written)]
    spoken = tuple(word for word, _ in places)
    lengths = {len(entry) for entry in entries}
    harmful = [False] * len(text.words)
    for length in lengths:
        for start in range(len(spoken) - length + 1):
            if spoken[start : start + length] in entries:
                for _, place in places[start : start + length]:
                    harmful[place] = True
    return replace(text, harmful=tuple(harmful))


def _tested(data_folder: Path | None) -> tuple[set[str], dict[str, Any]]:
    """Identifiers of the posts that are only for testing."""
    file = folder_file(DIVISIONS, data_folder, "HateXplain (post_id_divisions.json)", PUBLISHED[DIVISIONS])
    try:
        return set(_read(file.text, DIVISIONS)["test"]), file.source()
    except (KeyError, TypeError):
        raise DataError(f"{DIVISIONS}: expected a JSON object with a list 'test'.") from None


def _of_authors(text: str, group: str, tested: Collection[str]) -> Iterator[HarmfulText]:
    posts = _read(text, AUTHORS)
    for identifier, post in posts.items() if isinstance(posts, dict) else [("", posts)]:
        try:
            annotators, words = post["annotators"], tuple(map(str, post["post_tokens"]))
            labels = sum(one["label"] == LABEL for one in annotators)
            targets = sum(group in one["target"] for one in annotators)
            votes = [sum(marks) for marks in zip(*post["rationales"], strict=True)] or [0] * len(words)
        except (KeyError, TypeError, ValueError):
            raise DataError(f"{AUTHORS}: the post '{identifier}' is not as the authors wrote them.") from None
        if labels >= AGREED and targets >= AGREED and len(votes) == len(words):
            yield HarmfulText(identifier, words, tuple(vote >= AGREED for vote in votes), identifier in tested)


def _of_mirrors(
    group: frozenset[str], rationales: Mapping[str, Sequence[tuple[int, tuple[str, ...]]]], data_folder: Path | None
) -> Iterator[HarmfulText]:
    for post in hatexplain_posts(data_folder):
        if post.category == HATEFUL and not group.isdisjoint(words_of(post.text)):
            words = tuple(post.text.split())
            yield HarmfulText(post.identifier, words, _marked(words, rationales.get(post.identifier, ())), post.test)


def _marked(words: Sequence[str], spans: Sequence[tuple[int, tuple[str, ...]]]) -> tuple[bool, ...]:
    """Which words stand in one of some spans: where it should begin, else where it first stands, else nowhere."""
    harmful = [False] * len(words)
    for start, span in spans:
        places = [start, *range(len(words) - len(span) + 1)]
        place = next((one for one in places if tuple(words[one : one + len(span)]) == span), None)
        if place is not None and span:
            harmful[place : place + len(span)] = [True] * len(span)
    return tuple(harmful)


def _rationales(
    data_folder: Path | None,
) -> tuple[dict[str, list[tuple[int, tuple[str, ...]]]], list[dict[str, Any]]]:
    """Of each post, where its harmful spans begin and their words; and what a record says of the files."""
    found: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
    sources = []
    for name, sha256 in RATIONALES.items():
        file = folder_file(name, data_folder, f"HateXplain's rationales ({name.rpartition('/')[2]})", sha256)
        sources.append(file.source())
        try:
            for post in _read(file.text, name):
                spans = [
                    (int(one["start_token"]), tuple(one["text"].split())) for some in post["evidences"] for one in some
                ]
                found.setdefault(post["annotation_id"], []).extend(spans)
        except (KeyError, TypeError, ValueError):
            raise DataError(f"{name}: expected a list of posts with 'annotation_id' and 'evidences'.") from None
    return found, sources


def _read(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{name}, line {error.lineno}: not JSON ({error.msg}).") from None
