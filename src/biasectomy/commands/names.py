"""Names and places that can be checked at once, before anything that takes seconds to load is needed."""

from pathlib import Path

from biasectomy.commands.replacing import refuse_output
from biasectomy.commands.settings_base import Settings
from biasectomy.commands.settings_shared import ModelSettings, TaskSettings
from biasectomy.errors import SourceError, UnknownNameError


def check_names(settings: Settings) -> None:
    """Refuses settings that name a task, a method, an attribution, an answer rule, a model or a file that is not there.

    Raises:
        UnknownNameError, SettingsError, SourceError: there is none of that name.
        RunError: what would be written is not to be replaced.
        HubError: something is to be sent to the hub, and nobody is logged in.
    """
    from biasectomy.models.sources import MODELS, resolve_model
    from biasectomy.tasks import parse_names
    from biasectomy.tasks.answer_rules import ANSWER_RULES
    from biasectomy.tasks.data_files import data_folder_of

    for name in settings.in_use():
        settings.section(name)
        if settings.sections is not None:
            _ = settings.sections[name]
    if isinstance(settings, TaskSettings):
        if settings.task:  # a study has tasks of its own
            parse_names(settings.task)
        also = getattr(settings, "also", "")
        if also and also != "none":
            parse_names(also)
        data_folder_of(settings.data)
    if (rule := getattr(settings, "answer_rule", None)) is not None and rule not in ANSWER_RULES:
        raise UnknownNameError("answer rule", rule, ANSWER_RULES)
    if isinstance(settings, ModelSettings) and settings.model and settings.model not in MODELS:
        resolve_model(settings.model)
    neurons = getattr(settings, "neurons_file", None)
    if isinstance(neurons, Path) and not neurons.exists():
        raise SourceError(f"There is no file '{neurons}'.")
    if getattr(settings, "yes", False):
        from biasectomy.models.uploading import check_login

        check_login()  # not after hours
    refuse_output(settings)
