"""The settings of every command: one model a command, whose descriptions are the help text.

Those of methods and attributions are written beside their code; a command takes them in sections, such as
`--crispr.variant` or a table `[crispr]`. Where values come from: see `settings_loading`.
"""

from biasectomy.commands.settings_base import Settings
from biasectomy.commands.settings_measuring import CompareSettings, EvaluateSettings, MitigateSettings
from biasectomy.commands.settings_neurons import ApplySettings, DescribeSettings, FindSettings
from biasectomy.commands.settings_runs import AskSettings, JudgeSettings, PushSettings, ReplaySettings

COMMANDS: dict[str, type[Settings]] = {
    "mitigate": MitigateSettings,
    "compare": CompareSettings,
    "evaluate": EvaluateSettings,
    "find": FindSettings,
    "apply": ApplySettings,
    "describe": DescribeSettings,
    "judge": JudgeSettings,
    "push": PushSettings,
    "ask": AskSettings,
    "replay": ReplaySettings,
}
