"""Sending a folder to the hub, and what the hub answers in one sentence; a token is never shown."""

from pathlib import Path

from biasectomy.errors import HubError, SettingsError

LOG_IN = "log in with 'hf auth login', or set HF_TOKEN, with a token that may write"


def check_repository(name: str) -> None:
    """Refuses what cannot be the name of a repository.

    Raises:
        SettingsError: says what a name looks like.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
        right = name.count("/") == 1
    except HFValidationError:
        right = False
    if not right:
        raise SettingsError(f"'{name}' cannot be the name of a repository; it must look like ORG/NAME.")


def check_login() -> None:
    """Refuses to begin where nobody is logged in to the hub, or it must not be reached.

    Raises:
        HubError: says what would be right.
    """
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise HubError("HF_HUB_OFFLINE says that the hub must not be reached; unset it to send something there.")
    if get_token() is None:
        raise HubError(f"Nobody is logged in to the hub: {LOG_IN}.")


def address(repository: str) -> str:
    """Where a repository of models is."""
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{repository}"


def upload(folder: Path, repository: str, *, private: bool, message: str, card: str) -> None:
    """Has the hub check a card, makes the repository unless it is there, and sends what is in a folder.

    Args:
        folder: what is sent.
        repository: ORG/NAME; whether it is private stays as it is where it is there already.
        private: whether a new one is.
        message: of the commit.
        card: the text of the model card.

    Raises:
        HubError: nobody is logged in, the hub cannot be reached, or refuses.
    """
    from huggingface_hub import HfApi, ModelCard

    check_login()
    try:
        ModelCard(card).validate()
    except ValueError as error:
        raise HubError(
            f"The hub does not take the model card: {_said(error)}. Mend README.md and send it again."
        ) from None
    except Exception as error:  # of the network, in many forms
        raise _refusal(repository, error) from None
    try:
        api = HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message)
    except Exception as error:
        raise _refusal(repository, error) from None


def _refusal(repository: str, error: Exception) -> HubError:
    """What went wrong, and what would be right."""
    owner = repository.partition("/")[0]
    code = getattr(getattr(error, "response", None), "status_code", None)
    if type(error).__name__ == "LocalTokenNotFoundError" or code == 401:
        return HubError(f"The hub does not know the token it was given: {LOG_IN}.")
    if code == 403:
        return HubError(f"The token may not write to '{owner}' on the hub: use one that may, or another ORG/NAME.")
    if code == 404:
        return HubError(f"The hub has no '{owner}' that this token may write to: check ORG/NAME, or {LOG_IN}.")
    if code is None:
        return HubError(
            f"The hub could not be reached ({type(error).__name__}: {_said(error)}); check the network and send it "
            "again. Nothing in the run has changed."
        )
    return HubError(f"The hub refuses '{repository}' (status {code}: {_said(error)}).")


def _said(error: Exception) -> str:
    """The words of an error in one line, without the token that may stand in them."""
    from huggingface_hub import get_token

    text = " ".join(str(getattr(error, "server_message", None) or error).split())
    token = get_token()
    return (text.replace(token, "***") if token else text)[:200].rstrip(".")
