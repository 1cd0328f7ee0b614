"""API keys: kept as hashes, compared whole, noticed when they change, and kept when their file is damaged."""

from __future__ import annotations

import hmac
import json
import logging
import os
import threading

import pytest

from holding import until
from tunesmith.errors import DataError, UsageError
from tunesmith.serving import keys as module
from tunesmith.serving.keys import Keys, add, digest_of, read, remove
from tunesmith.serving.refusal import Refusal


def test_a_key_is_kept_as_its_hash_alone(tmp_path):
    file = tmp_path / "keys.json"
    made = add(file, "bob", ("infer", "metrics"))
    assert made not in file.read_text()
    assert digest_of(made) in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    found = Keys(file).who(f"Bearer {made}")
    assert (found.name, found.scopes) == ("bob", ("infer", "metrics"))


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer  ", "Basic x", "Bearer wrong", "Bearer \xff\xfe"])
def test_who_has_no_key_is_nobody(tmp_path, given):
    file = tmp_path / "keys.json"
    add(file, "bob", ("infer",))
    with pytest.raises(Refusal) as refused:
        Keys(file).who(given)
    assert (refused.value.http_status, refused.value.code) == (401, "invalid_api_key")


def test_every_key_is_compared_in_constant_time_whichever_fits(tmp_path, monkeypatch):
    file = tmp_path / "keys.json"
    made = [add(file, name, ("infer",)) for name in ("a", "b", "c")]
    keys, compared, plain = Keys(file), [], hmac.compare_digest

    def compare(one, other):
        compared.append((one, other))
        return plain(one, other)

    monkeypatch.setattr(module.hmac, "compare_digest", compare)
    for key in made:
        compared.clear()
        keys.who(f"Bearer {key}")
        assert len(compared) == 3


def test_two_changes_within_one_tick_of_the_clock_are_noticed(tmp_path):
    file = tmp_path / "keys.json"
    first = add(file, "aaa", ("infer",))
    keys = Keys(file)
    before = file.stat()
    for name in ("bbb", "ccc"):  # as long as the file before, and its time set back to the same tick
        remove(file, next(key.name for key in read(file)))
        last = add(file, name, ("infer",))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        until(lambda name=name: [key.name for key in keys.all()] == [name])
    assert keys.who(f"Bearer {last}").name == "ccc"
    with pytest.raises(Refusal):
        keys.who(f"Bearer {first}")


def test_a_file_that_is_damaged_meanwhile_changes_nothing_and_is_told_once(tmp_path, caplog):
    file = tmp_path / "keys.json"
    made = add(file, "bob", ("infer",))
    keys = Keys(file)
    whole = file.read_bytes()
    with caplog.at_level(logging.ERROR, "tunesmith.serving"):
        for damage in (lambda: file.write_text("{"), file.unlink, lambda: file.write_text('{"keys": [{"name": 1}]}')):
            damage()
            caplog.clear()
            for _ in range(3):
                keys.look()
                assert keys.who(f"Bearer {made}").name == "bob"
            assert sum("the keys stay as they were" in line for line in caplog.messages) <= 1
    file.write_bytes(whole)
    other = add(file, "eve", ("infer",))
    until(lambda: len(keys.all()) == 2)
    assert keys.who(f"Bearer {other}").name == "eve"


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"keys": 3}', '{"keys": [{"name": "a"}]}', '{"keys": [{"name": "a", "scopes": ["x"], "digest": ""}]}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_file_of_keys_is_refused(tmp_path, content):
    file = tmp_path / "keys.json"
    file.write_text(content)
    with pytest.raises(DataError):
        Keys(file)


def test_an_unknown_scope_is_refused_by_name(tmp_path):
    file = tmp_path / "keys.json"
    add(file, "bob", ("infer",))
    rows = json.loads(file.read_text())
    rows["keys"][0]["scopes"] = ["root"]
    file.write_text(json.dumps(rows))
    with pytest.raises(DataError, match="unknown scope 'root'"):
        read(file)


def test_keys_that_are_made_at_once_are_all_there(tmp_path):
    file = tmp_path / "keys.json"
    makers = [threading.Thread(target=add, args=[file, f"k{number}", ("infer",)]) for number in range(8)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert {key.name for key in read(file)} == {f"k{number}" for number in range(8)}


def test_names_are_taken_once_and_missed_by_name(tmp_path):
    file = tmp_path / "keys.json"
    add(file, "bob", ("infer",))
    with pytest.raises(UsageError, match="'bob' already"):
        add(file, "bob", ("infer",))
    with pytest.raises(UsageError, match="did you mean 'bob'"):
        remove(file, "bobb")


def test_nobody_looks_after_keys_that_are_gone(tmp_path):
    file = tmp_path / "keys.json"
    add(file, "bob", ("infer",))

    def looking():
        return sum(thread.name == "tunesmith keys" for thread in threading.enumerate())

    before = looking()
    keys = Keys(file)
    assert looking() >= before
    del keys
    until(lambda: looking() <= before)
