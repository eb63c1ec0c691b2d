"""Which bias types of several benchmarks, and which groups, are of the same kind: "race_color" is "race"."""

from collections.abc import Mapping

SAME: Mapping[str, str] = {
    "physical_appearance": "appearance",
    "race_color": "race",
    "sexual_orientation": "orientation",
    "socioeconomic": "ses",
}
OF_GROUPS: Mapping[str, str] = {  # as HateXplain names them
    group: kind
    for kind, groups in {
        "disability": "Disability",
        "gender": "Men Women",
        "nationality": "Refugee",
        "orientation": "Homosexual",
        "race": "African Arab Asian Caucasian Hispanic",
        "religion": "Christian Hindu Islam Jewish",
    }.items()
    for group in groups.split()
}


def bias_type(name: str) -> str:
    """The bias type of a group, or of a task such as "bbq:age" or "stereoset:intrasentence/gender"."""
    last = name.replace("/", ":").rpartition(":")[2]
    return OF_GROUPS.get(last) or SAME.get(last, last)
