"""What `push` and `replay` show on the terminal."""

import math
from typing import TYPE_CHECKING

from rich.filesize import decimal

from biasectomy.report.figures import number

if TYPE_CHECKING:  # slow to import
    from biasectomy.cli.console import Console
    from biasectomy.commands.push import Push
    from biasectomy.commands.replay import Replay
    from biasectomy.measuring.agreement import Agreement, Ends

SHOWN = 20  # figures that do not agree
LONG = 12  # characters of a version


def show_push(push: "Push", console: "Console", *, alone: bool = True) -> None:
    """What was sent, or would be; as JSON only where nothing else is: a command prints one document."""
    if console.json_output:
        if alone:
            console.print_json(push.to_json())
        return
    console.table("", ["File", "Size"], [[name, decimal(size)] for name, size in push.files.items()])
    what = f"{len(push.files)} files, {push.size}"
    kind = "private" if push.private else "public"
    if push.sent:
        console.say(f"Sent {what} to {push.url}")
    else:
        console.say(f"Nothing was sent. With --yes, {what} go to {push.url} (made {kind}, unless it is there already).")


def show_replay(replay: "Replay", console: "Console") -> None:
    """How far the two runs agree, what does not, and in what they differ besides."""
    if console.json_output:
        console.print_json(replay.to_json())
        return
    methods = list(dict.fromkeys(one.method for one in replay.figures))
    counts = replay.counts()
    rows = [
        [method, *(str(sum(one.method == method and one.degree == each for one in replay.figures)) for each in counts)]
        for method in methods
    ]
    console.table("Figures that agree, and differences", ["Method", *counts], rows)
    if replay.apart:
        heads = ["Method", "Task", "Figure", "Before", "Now"]
        console.table("Not in agreement", heads, [_row(one) for one in replay.apart[:SHOWN]])
        if len(replay.apart) > SHOWN:
            console.say(f"... and {len(replay.apart) - SHOWN} more, all of them in replay.json")
    for neurons in replay.neurons:
        console.say(f"Neurons of {neurons}")
    if replay.versions:
        said = (f"{name} {_short(before)} then, {_short(now)} now" for name, (before, now) in replay.versions.items())
        console.say(f"Versions differ: {'; '.join(said)}")
    if replay.rests_on:
        console.say(f"What the runs rest on differs: {', '.join(replay.rests_on)}")
    total = len(replay.figures)
    verdict = "the verdict is the same" if replay.same_verdict else "the verdict differs in its words or figures"
    agreeing = total - len(replay.apart)
    console.say(f"{agreeing:,} of {total:,} figures agree; {verdict}. The new run is in {replay.folder}")


def _row(one: "Agreement") -> list[str]:
    name = f"{one.method} - {one.against}" if one.against else one.method
    return [name, one.task, one.metric, _ends(one.before), _ends(one.after)]


def _ends(ends: "Ends") -> str:
    value, low, high = (number(one, decimals=4) if math.isfinite(one) else "n/a" for one in ends)
    return f"{value} [{low}, {high}]"


def _short(version: object) -> str:
    text = str(version)
    return text if len(text) <= LONG or "-" in text else f"{text[:LONG]}..."
