"""The command that makes, lists and removes keys."""

from __future__ import annotations

import json

import pytest

from tunesmith import cli
from tunesmith.serving.keys import Keys


def test_a_key_is_made_shown_once_listed_and_removed(tmp_path, capsys):
    file = tmp_path / "keys.json"
    assert cli.main(["keys", "add", str(file), "bob"]) == 0
    made = capsys.readouterr().out.strip()
    assert Keys(file).who(f"Bearer {made}").scopes == ("infer",)
    assert cli.main(["keys", "add", str(file), "eve", "--scopes", "admin,metrics", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert Keys(file).who(f"Bearer {told['key']}").scopes == ("admin", "metrics")
    assert cli.main(["keys", "list", str(file)]) == 0
    listed = capsys.readouterr().out
    assert [line.split()[0] for line in listed.splitlines()] == ["bob", "eve"]
    assert made not in listed
    assert cli.main(["keys", "remove", str(file), "bob"]) == 0
    capsys.readouterr()
    assert cli.main(["keys", "list", str(file), "--json"]) == 0
    assert [json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()] == ["eve"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["add"], "whose key"),
        (["add", "bob", "--scopes", "root"], "--scopes"),
        (["remove", "bob"], "cannot be read"),
        (["remove", "bob", "--scopes", "admin"], "--scopes"),
        (["list", "bob"], "a list is of all keys"),
        (["show"], "ACTION"),
    ],
)
def test_a_mistake_is_one_error(tmp_path, capsys, words, told):
    assert cli.main(["keys", words[0], str(tmp_path / "keys.json"), *words[1:]]) == 2
    assert told in capsys.readouterr().err
