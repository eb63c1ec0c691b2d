"""What a run made goes to the hub: shown first, sent when it is asked for, refused in one sentence."""

import json
import logging
import shutil
import socket
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import ModelCard, constants

from biasectomy.commands.mitigate import mitigate
from biasectomy.commands.push import push
from biasectomy.commands.settings_measuring import MitigateSettings
from biasectomy.errors import HubError, RunError, SettingsError
from biasectomy.models.manifest import MANIFEST
from tests.cli.conftest import run as run_command  # noqa: F401 -- a fixture
from tests.commands.hub_server import TOKEN, Hub, serving

NAME = "org/model"
SENT = {"README.md", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
SENT |= {"tokenizer_config.json", "chat_template.jinja", "neurons.json", "results.json", "report.md"}


@pytest.fixture
def hub(monkeypatch) -> Hub:
    with serving() as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.endpoint)
        monkeypatch.setattr(huggingface_hub.repocard.constants, "ENDPOINT", served.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        huggingface_hub.utils.close_session()
        yield served
        huggingface_hub.utils.close_session()


def test_a_dry_run_shows_what_would_go_and_asks_the_hub_nothing(finished, hub, run_command):  # noqa: F811
    found = push(finished, NAME)
    assert not found.sent and not hub.asked and {*found.files} >= SENT and MANIFEST not in found.files
    assert found.files["model.safetensors"] == (finished / "model" / "model.safetensors").stat().st_size
    code, out, err = run_command("push", str(finished), NAME)
    assert code == 0 and all(name in out for name in SENT)
    assert "Nothing was sent" in out and "made private" in out and NAME in out
    assert "names no base model" in err and "'neurons.json' names folders of this machine" in err
    code, out, _ = run_command("push", str(finished), NAME, "--json", "--public")
    document = json.loads(out)
    assert document["sent"] is False and document["private"] is False and document["files"] == found.files
    assert not hub.asked


def test_what_is_sent_is_what_lies_in_the_run(finished, hub, caplog):
    caplog.set_level(logging.DEBUG)
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    found = push(finished, NAME, yes=True, base_model="owner/original")
    assert found.sent and {*hub.files} == {*found.files} >= SENT
    (made,) = hub.made
    assert (made["organization"], made["name"]) == ("org", "model")
    assert made.get("private") or made.get("visibility") == "private"  # as older and newer clients say it
    for name, content in hub.files.items():
        place = next(folder / name for folder in (finished / "model", finished) if (folder / name).is_file())
        assert name == "README.md" or content == place.read_bytes(), name
    card = ModelCard(hub.files["README.md"].decode())
    assert card.data.base_model == "owner/original" and card.data["base_model_relation"] == "finetune"
    assert {one.source_url for one in card.data.eval_results} == {f"{hub.endpoint}/{NAME}/blob/main/results.json"}
    assert f'from_pretrained("{NAME}")' in card.text and "path/to" not in card.text
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before
    assert f"Bearer {TOKEN}" in hub.tokens and TOKEN not in caplog.text  # it was used, and not told


def test_an_edited_card_is_sent_as_it_is_and_a_missing_one_is_written(finished, hub, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run, ignore=shutil.ignore_patterns("store"))
    card = run / "model" / "README.md"
    card.write_text(card.read_text() + "\nMy own words.\n")
    push(run, NAME, yes=True)
    assert "My own words." in hub.files["README.md"].decode()
    card.unlink()
    push(run, NAME, yes=True)
    text = hub.files["README.md"].decode()
    assert "## Limits" in text and "My own words." not in text


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "does not know the token"),
        (403, "may not write to 'org'"),
        (404, "has no 'org' that this token may write to"),
        (413, "refuses 'org/model' .status 413"),
    ],
)
def test_refusals_of_the_hub_are_one_sentence_without_the_token(finished, hub, run_command, status, said):  # noqa: F811
    hub.refusing = status
    with pytest.raises(HubError, match=said):
        push(finished, NAME, yes=True)
    code, out, err = run_command("push", str(finished), NAME, "--yes")
    lines = [line for line in err.splitlines() if not line.startswith("Warning: ")]
    assert code == 2 and len(lines) == 1 and lines[0].startswith("Error: ") and TOKEN not in out + err


def test_a_card_that_the_hub_does_not_take_makes_no_repository(finished, hub):
    hub.refuses_card = '"license" must be one of a list'
    with pytest.raises(HubError, match=r"does not take the model card: .*must be one of a list\. Mend README\.md"):
        push(finished, NAME, yes=True)
    assert not hub.made and not hub.files


def test_nobody_logged_in_no_network_and_offline(finished, hub, monkeypatch, run_command):  # noqa: F811
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(HubError, match="could not be reached"):
            push(finished, NAME, yes=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE"):
        push(finished, NAME, yes=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(HubError, match="Nobody is logged in"):
        push(finished, NAME, yes=True)
    # Hours of work do not end with it: it is said first.
    code, _, err = run_command("mitigate", "nosuch/model", "--push", NAME, "--yes", "--out", "never")
    assert code == 2 and "Nobody is logged in" in err and not Path("never").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"push": "model"}, "must look like ORG/NAME"),
        ({"push": "a/b/c"}, "must look like ORG/NAME"),
        ({"push": "a/b", "method": "cc"}, "'cc' changes no weights"),
        ({"yes": True}, "--push ORG/NAME says where to"),
    ],
)
def test_what_cannot_be_pushed_is_refused_beforehand(options, said):
    with pytest.raises(SettingsError, match=said):
        MitigateSettings.of(**options)


def test_pushing_is_no_part_of_what_is_computed():
    plain, pushed = MitigateSettings.of(), MitigateSettings.of(push=NAME, yes=True, public=True)
    assert plain.compared() == pushed.compared() and pushed.pushing().public and plain.pushing() is None
    with pytest.raises(SettingsError, match="give `out`"):
        mitigate("smollm2", push=NAME)


def test_a_run_without_a_checkpoint_has_nothing_to_push(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run, ignore=shutil.ignore_patterns("store", "model"))
    with pytest.raises(RunError, match="neither a checkpoint nor an adapter"):
        push(run, NAME)
    with pytest.raises(SettingsError, match="must look like ORG/NAME"):
        push(run, "a b/c")
