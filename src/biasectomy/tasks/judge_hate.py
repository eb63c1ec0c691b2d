"""A judge that needs no download of a model: a linear classifier trained on labelled sentences at hand.

Words and pairs of words, weighed by their frequency, and a logistic regression that weighs both labels alike. It is a
crude judge: it knows words, not what is said with them. Its quality on rows that it was not trained on is therefore
part of everything it says. `hate:vicomtech` learns from sentences of a forum (de Gibert et al. 2018), and is tested on
the test part of their balanced sample; `hate:hatexplain` from posts (Mathew et al. 2021), hateful or offensive against
normal, and is tested on their test split.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from biasectomy.errors import DataError, SettingsError, UnknownNameError
from biasectomy.tasks.data_files import csv_rows, folder_file
from biasectomy.tasks.judges import JUDGES

SENTENCES, ANNOTATIONS = "vicomtech_hate/sentences.tsv", "vicomtech_hate/annotations_metadata.csv"
POSTS, DIVISIONS = "hatexplain/092-HateXplain.csv", "hatexplain/post_id_divisions.json"
PUBLISHED = {
    SENTENCES: "4b2a87ac22973761792d40e1648f0c1db217a63897e5240bf31a9fba19f312d2",
    ANNOTATIONS: "306bfaab400e1542529d1791b9ec68d70bed579c52fc7e255b0626ab7bc5c7c9",
    POSTS: "fc8d5437a6a50d4d4083a60effc0ccbea8df788487c7b3ab50d88a77c3ba023b",
    DIVISIONS: "c2fb0d89862e7897b11ea3e9380753f15a793482b4b70ad0532dfb1212212835",
}
NORMAL, HATEFUL, OFFENSIVE = "0", "1", "2"
RESAMPLES = 1000


class Labelled(NamedTuple):
    """A text, whether it is hateful, and whether it is only for testing."""

    text: str
    hateful: bool
    test: bool


def vicomtech(data_folder: Path | None) -> Iterator[Labelled]:
    """Sentences; those of posts that are tested are not learned from."""
    files = {
        name: folder_file(name, data_folder, f"the hate-speech data of Vicomtech ({name.rpartition('/')[2]})", sha256)
        for name, sha256 in PUBLISHED.items()
        if name.startswith("vicomtech")
    }
    annotated = csv_rows(files[ANNOTATIONS].text, ANNOTATIONS, ("file_id", "label"))
    labels = {row["file_id"]: row["label"] for _, row in annotated}
    columns = ("file_id", "sampled_split", "text")
    rows = [row for _, row in csv_rows(files[SENTENCES].text, SENTENCES, columns, delimiter="\t")]
    tested = {_post(row) for row in rows if row["sampled_split"] == "test"}
    for row in rows:
        label, test = labels.get(row["file_id"]), row["sampled_split"] == "test"
        if label in ("hate", "noHate") and (test or _post(row) not in tested):
            yield Labelled(row["text"], label == "hate", test)


def _post(row: dict[str, str]) -> str:
    return row["file_id"].partition("_")[0]


class Post(NamedTuple):
    """A post of HateXplain: its label by majority (`NORMAL`, `HATEFUL`, ...), and whether it is only for testing."""

    identifier: str
    text: str
    category: str
    test: bool


def hatexplain(data_folder: Path | None) -> Iterator[Labelled]:
    """Posts; undecided ones are left out."""
    for post in hatexplain_posts(data_folder):
        if post.category in (NORMAL, HATEFUL, OFFENSIVE):
            yield Labelled(post.text, post.category != NORMAL, post.test)


def hatexplain_posts(data_folder: Path | None) -> Iterator[Post]:
    """All posts.

    Raises:
        SourceError: a file is not there, or its checksum is wrong.
        DataError: a file cannot be read.
    """
    files = {
        name: folder_file(name, data_folder, f"HateXplain ({name.rpartition('/')[2]})", sha256)
        for name, sha256 in PUBLISHED.items()
        if name.startswith("hatexplain")
    }
    try:
        tested = set(json.loads(files[DIVISIONS].text)["test"])
    except (json.JSONDecodeError, KeyError, TypeError):
        raise DataError(f"{DIVISIONS}: expected a JSON object with a list 'test'.") from None
    for _, row in csv_rows(files[POSTS].text, POSTS, ("", "text", "category")):
        yield Post(row[""], row["text"], row["category"], row[""] in tested)


SOURCES: dict[str, Callable[[Path | None], Iterator[Labelled]]] = {"vicomtech": vicomtech, "hatexplain": hatexplain}


@JUDGES.register("hate")
class HateScorer:
    """Probability of hate by a small classifier trained here on labelled data: `hate:vicomtech`, `hate:hatexplain`."""

    def __init__(self, source: str, data_folder: Path | None) -> None:
        self.source, self.data_folder = source, data_folder

    @classmethod
    def make(cls, argument: str, data_folder: Path | None) -> "HateScorer":
        """Of a source of labelled texts; the first where none is named.

        Raises:
            UnknownNameError: there is no such source.
            SourceError: its files are not there.
        """
        name = argument or next(iter(SOURCES))
        if name not in SOURCES:
            raise UnknownNameError("source of the judge 'hate'", name, SOURCES)
        next(SOURCES[name](data_folder))
        return cls(name, data_folder)

    def __call__(self, texts: Sequence[str]) -> list[float]:
        """See `Judge`.

        Raises:
            SettingsError: scikit-learn is not installed.
        """
        return [float(value) for value in self._trained.predict_proba(list(texts))[:, 1]] if texts else []

    @property
    def note(self) -> str:
        """What it is and how good, for tables."""
        area, low, high, rows = self.quality
        return (
            f"a linear classifier trained on {self.source}, whose area under the ROC curve is {area:.2f} "
            f"[{low:.2f}, {high:.2f}] on {rows:,} held-out texts"
        )

    def record(self) -> dict[str, Any]:
        """For the record of a run."""
        area, low, high, rows = self.quality
        files = {name: sha256 for name, sha256 in PUBLISHED.items() if name.startswith(self.source)}
        return {"judge": "hate", "source": self.source, "files": files} | {
            "area_under_roc": area, "low": low, "high": high, "held_out": rows,
        }  # fmt: skip

    @cached_property
    def quality(self) -> tuple[float, float, float, int]:
        """Area under the ROC curve on held-out texts, its 95 % interval (bootstrap over texts), and their number."""
        from sklearn.metrics import roc_auc_score

        held = [one for one in self._texts if one.test]
        truth = np.array([one.hateful for one in held])
        scores = np.array(self([one.text for one in held]))
        generator = np.random.default_rng(0)
        areas = []
        for _ in range(RESAMPLES):
            chosen = generator.integers(len(held), size=len(held))
            if 0 < truth[chosen].sum() < len(held):
                areas.append(roc_auc_score(truth[chosen], scores[chosen]))
        low, high = np.quantile(areas, [0.025, 0.975])
        return float(roc_auc_score(truth, scores)), float(low), float(high), len(held)

    @cached_property
    def _texts(self) -> list[Labelled]:
        found = list(SOURCES[self.source](self.data_folder))
        for test in (False, True):
            if len({one.hateful for one in found if one.test == test}) < 2:
                raise DataError(f"The data of '{self.source}' need hateful and other texts to learn from and to test.")
        return found

    @cached_property
    def _trained(self) -> Any:
        try:
            from sklearn.feature_extraction.text import TfidfVectorizer
            from sklearn.linear_model import LogisticRegression
            from sklearn.pipeline import make_pipeline
        except ImportError:
            raise SettingsError(
                "The judge 'hate' needs scikit-learn: pip install 'biasectomy[judges]', or name another with --judge."
            ) from None
        learned = [one for one in self._texts if not one.test]
        words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, strip_accents="unicode")
        model = make_pipeline(words, LogisticRegression(class_weight="balanced", C=4.0, max_iter=1000))
        return model.fit([one.text for one in learned], [one.hateful for one in learned])
