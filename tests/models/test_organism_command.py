"""The little command line that trains organisms: what is wrong is one sentence, before anything is trained."""

import sys

import pytest

from biasectomy.models.organisms.__main__ import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seed", "x"], "'--seed'"),
        (["--seed", "-1"], "'--seed'"),
        (["--seed", "99999999999999999999"], "'--seed'"),
        (["--architecture", "llma"], "'llma' is not one of 'llama', 't5'"),
        (["--nosuch"], "No such option: --nosuch"),
        (["--out", "there"], "'there' exists; choose another --out"),
        (["--out", "x" * 300], "cannot be written: File name too long"),
        (["--out", "/proc/nothing/here"], "cannot be written: "),
    ],
)
def test_bad_options(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    monkeypatch.setattr(sys, "argv", ["organisms", *words])
    with pytest.raises(SystemExit) as end:
        main()
    captured = capsys.readouterr()
    assert end.value.code == 2 and captured.out == ""
    assert captured.err.startswith("Error: ") and captured.err.count("\n") == 1 and said in captured.err, captured.err


def test_help(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["organisms", "--help"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0 and "--architecture" in capsys.readouterr().out
