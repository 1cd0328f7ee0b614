"""How an address among the engines is written."""

from __future__ import annotations

import pytest

from tunesmith.errors import UsageError
from tunesmith.sweeping import addresses
from tunesmith.sweeping.addresses import Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://host:8000", Address("http://host:8000")),
        ("https://host/v1#a/b", Address("https://host/v1", None, "a/b")),
        ("llama.cpp@http://host:8080/v1", Address("http://host:8080/v1", "llama.cpp")),
        ("vllm@https://host/v1#bot", Address("https://host/v1", "vllm", "bot")),
    ],
)
def test_parts_of_an_address(text: str, address: Address) -> None:
    assert addresses.is_address(text)
    assert addresses.read(text) == address


@pytest.mark.parametrize("name", ["pytorch", "int8", "host:8000", "vllm@host:8000"])
def test_what_is_no_address(name: str) -> None:
    assert not addresses.is_address(name)


def test_a_program_that_nobody_knows_and_a_key_in_the_address() -> None:
    with pytest.raises(UsageError, match="did you mean 'vllm'"):
        addresses.read("vllmm@http://host:8000")
    with pytest.raises(UsageError, match="give a key in TUNESMITH_KEY") as caught:
        addresses.find("http://me:secret@host:8000", key_variable="TUNESMITH_KEY", timeout_s=1)
    assert "secret" not in str(caught.value)
