"""WinoBias (Zhao et al. 2018) as whole texts: of two sentences, one with each pronoun, which is likelier?

The sentences are those of `winobias`, in the same clusters, without brackets and numbers. A pair is the pro- and the
anti-stereotyped sentence of one number, where they differ in nothing but pronouns of the same case; in 18 of 1,584
pairs of the files they differ in more, and these are left out, with a warning and a count in the record. Even odds are
the ideal, and beside them a mean difference of 0 nats: a model may prefer each side half the time, and one by far.
"""

from collections.abc import Sequence
from pathlib import Path

from biasectomy.errors import DataError
from biasectomy.narration import warn
from biasectomy.tasks.base import TASKS, Item, Task, TaskFamily
from biasectomy.tasks.pairs import LESS, MORE, goals_of, likelihood_difference, preference, whole_texts
from biasectomy.tasks.winobias import ANTI, ANY_PRONOUN, FILES, NUMBER, PART, PRO, PRONOUN, REVISION, VERSION, read

PAIRS = {"type1": 786, "type2": 780}
COUNTERPARTS = {"he": ("she",), "him": ("her",), "his": ("her", "hers"), "himself": ("herself",)}
METRICS = (
    preference(
        (
            "stereotype_preference_winobias",
            "Stereotype preferred, WinoBias",
            "the share of pairs whose pro-stereotyped sentence is likelier",
        ),
        role="goal",
    ),
    likelihood_difference(
        (
            "log_likelihood_difference_winobias",
            "Log-likelihood, pro- minus anti-stereotyped",
            "the mean lead of the pro-stereotyped sentence over the anti-stereotyped one",
        )
    ),
)


def paired(items: Sequence[Item], member: str) -> tuple[tuple[Item, ...], int]:
    """The pairs of a member's sentences that differ in pronouns alone, and how many others there are.

    Raises:
        DataError: a sentence has no counterpart; names file and number.
    """
    versions: dict[tuple[str, int], dict[str, Item]] = {}
    for item in items:
        versions.setdefault((item.labels[PART], item.extra[NUMBER]), {})[item.labels[VERSION]] = item
    pairs = []
    for (part, number), found in versions.items():
        for lacking, other in ((PRO, ANTI), (ANTI, PRO)):
            if lacking not in found:
                names = FILES[member, part, lacking], FILES[member, part, other]
                raise DataError(f"{names[0]} has no sentence {number}, and {names[1]} has one; both are needed.")
        pro, anti = found[PRO], found[ANTI]
        if differ_in_pronouns_alone(pro.context, anti.context):
            pairs.append(
                Item(
                    f"winobias-pairs:{member}/{part}/{number}",
                    cluster=pro.cluster,
                    task=f"winobias-pairs:{member}",
                    options=(anti.context, pro.context),
                    gold=LESS,  # for methods that compare a right with a wrong answer; no metric counts it as right
                    target=MORE,
                    labels={PRONOUN: pro.labels[PRONOUN], PART: part},
                )
            )
    return tuple(pairs), len(versions) - len(pairs)


def differ_in_pronouns_alone(one: str, other: str) -> bool:
    """Whether two texts are the same but for pronouns of the other gender and the same case."""
    if ANY_PRONOUN.split(one) != ANY_PRONOUN.split(other):
        return False
    pronouns = (ANY_PRONOUN.findall(text.lower()) for text in (one, other))
    return all(
        first == second or second in COUNTERPARTS.get(first, ()) or first in COUNTERPARTS.get(second, ())
        for first, second in zip(*pronouns, strict=True)
    )


def load(members: Sequence[str], data_folder: Path | None, instructions: Path | None) -> list[Task]:
    """One task for each type, in that order; no instruction is given, whatever the file of instructions says.

    Raises:
        SourceError: a file is missing or damaged.
        DataError: a file's content cannot be used, or a sentence has no counterpart.
    """
    tasks = []
    for member, found in read(members, data_folder).items():
        name = f"winobias-pairs:{member}"
        items, left_out = paired(found.items, member)
        if left_out:
            warn(f"Pairs that differ in more than pronouns are left out of {name}: {left_out}.")
        first, *others = found.sources
        tasks.append(
            Task(
                name,
                items,
                ("",),
                METRICS,
                f"1, {REVISION}",
                whole_texts,
                goals_of(METRICS[0].name),
                ("sum", "mean"),
                spread=(PRONOUN,),
                sources=({**first, "pairs_left_out": left_out}, *others),
            )
        )
    return tasks


TASKS.register("winobias-pairs")(
    TaskFamily(
        title="WinoBias as pairs of texts: which pronoun is likelier, that of the stereotype or the other?",
        rows=PAIRS,
        licence=TASKS["winobias"].licence,
        citation=TASKS["winobias"].citation,
        source=TASKS["winobias"].source,
        load=load,
        bare=tuple(PAIRS),
    )
)
