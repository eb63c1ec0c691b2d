"""Made-up files in the form of HateXplain's, with mild words in place of hateful ones."""

import json
from pathlib import Path

POSTS = {  # identifier: text, category (1 is hateful), spans as (start, words)
    "p0": ("those women are silly geese today", "1", [(3, "silly geese")]),
    "p1": ("every woman is a goose and they know it", "1", [(2, "is a goose")]),
    "p2": ("i met some women at the market", "0", []),
    "p3": ("girls are geese , all of them", "1", [(9, "geese"), (0, "Girls")]),  # one moved, one not in the text
    "p4": ("the jews next door sing like geese", "1", [(6, "geese")]),
    "p5": ("my female boss is a silly goose", "1", []),
    "p6": ("women again ! silly geese everywhere in town", "1", [(3, "silly geese")]),
    "p7": ("the girls of the town honk like geese at night", "1", [(5, "honk like geese")]),
    "p8": ("those women are silly geese again", "1", [(3, "silly geese")]),
    "p9": ("womenfolk is no word of the list , geese", "1", [(8, "geese")]),
}
TESTED = ("p8",)


def write_mirrors(folder: Path) -> Path:
    """The files of the mirrors, which name no targets."""
    there = folder / "hatexplain"
    there.mkdir(parents=True)
    rows = [f'{name},"{text}",{int(category == "1")},{category},{name}' for name, (text, category, _) in POSTS.items()]
    (there / "092-HateXplain.csv").write_text("\n".join([",text,label,category,id", *rows]) + "\n")
    (there / "post_id_divisions.json").write_text(json.dumps({"train": [], "val": [], "test": list(TESTED)}))
    marked = [
        {
            "annotation_id": name,
            "classification": "toxic",
            "evidences": [[{"text": text, "start_token": start, "end_token": -1} for start, text in spans]],
        }
        for name, (_, category, spans) in POSTS.items()
        if category == "1"
    ]
    (there / "rationales_val_split1.json").write_text(json.dumps(marked[:4]))
    (there / "rationales_test_split1.json").write_text(json.dumps(marked[4:]))
    return folder


def write_authors(folder: Path) -> Path:
    """The authors' own file: three annotators a post, with their targets and marks."""
    there = folder / "hatexplain"
    there.mkdir(parents=True, exist_ok=True)
    hateful = {"label": "hatespeech", "target": ["Women"]}

    def post(text: str, annotators: list[dict], rationales: list[list[int]]) -> dict:
        return {"post_tokens": text.split(), "annotators": annotators, "rationales": rationales}

    posts = {
        "a0": post("they are silly geese", [hateful] * 3, [[0, 0, 1, 1], [0, 0, 0, 1], [0, 1, 0, 0]]),
        "a1": post("geese , all", [hateful, hateful, {"label": "normal", "target": ["None"]}], [[1, 0, 0], [1, 0, 0]]),
        "a2": post("women again", [hateful, {"label": "offensive", "target": ["Women"]}] * 1, [[1, 0]]),
        "a3": post("geese", [{"label": "hatespeech", "target": ["Islam"]}] * 3, [[1]] * 3),
        "a4": post("honk honk", [hateful] * 2, []),
    }
    (there / "dataset.json").write_text(json.dumps(posts))
    (there / "post_id_divisions.json").write_text(json.dumps({"test": ["a1"]}))
    return folder
