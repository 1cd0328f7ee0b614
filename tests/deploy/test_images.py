"""The Dockerfiles: what they copy is there, what they start is understood, and they run as nobody."""

from __future__ import annotations

import re

import pytest

from deployed import DEPLOY, ROOT, instructions, understood, words_of

IMAGES = ["Dockerfile", "Dockerfile.slim"]
KNOWN = {"FROM", "WORKDIR", "RUN", "COPY", "ENV", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}


def last(image: str, word: str) -> str:
    return [rest for name, rest in instructions(image) if name == word][-1]


@pytest.mark.parametrize("image", IMAGES)
def test_every_instruction_is_one(image: str) -> None:
    assert {word for word, _ in instructions(image)} <= KNOWN
    assert instructions(image)[0][0] == "FROM"


@pytest.mark.parametrize("image", IMAGES)
def test_what_is_copied_is_there_and_not_ignored(image: str) -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    sources = [words_of(rest)[:-1] for word, rest in instructions(image) if word == "COPY" and "--from" not in rest]
    assert len(sources) >= 2
    for source in (one for copied in sources for one in copied):
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] not in ignored
        assert source not in ignored


@pytest.mark.parametrize("image", IMAGES)
def test_stages_are_made_before_they_are_copied_from(image: str) -> None:
    made: list[str] = []
    for word, rest in instructions(image):
        if word == "FROM":
            made += re.findall(r" AS (\S+)$", rest)
        for stage in re.findall(r"--from=(\S+)", rest) if word == "COPY" else ():
            assert stage in made
    assert len([1 for word, _ in instructions(image) if word == "FROM"]) == 2


@pytest.mark.parametrize("image", IMAGES)
def test_bases_are_named_by_a_version_that_tunesmith_runs_on(image: str) -> None:
    for word, rest in instructions(image):
        if word == "FROM":
            version = re.match(r"python:3\.(\d+)-slim-bookworm\b", rest)
            assert version
            assert int(version[1]) >= 11


@pytest.mark.parametrize("image", IMAGES)
def test_the_server_that_it_starts_is_understood(image: str) -> None:
    assert words_of(last(image, "ENTRYPOINT")) == ["tunesmith"]
    call = understood(words_of(last(image, "CMD")))
    assert call.folders == {"model": "/bundle"}
    assert call.options.host == "0.0.0.0"
    assert call.options.keys
    assert str(call.options.port) == last(image, "EXPOSE")


@pytest.mark.parametrize("image", IMAGES)
def test_it_runs_as_nobody_and_says_whether_it_is_ready(image: str) -> None:
    assert last(image, "USER") == "10001:10001"
    names = [word for word, _ in instructions(image)]
    assert names.index("USER") > len(names) - 1 - names[::-1].index("RUN")
    health = last(image, "HEALTHCHECK")
    assert f":{last(image, 'EXPOSE')}/ready" in health
    compile(words_of(health[health.index("[") :])[2], "health", "exec")


def test_the_slim_image_installs_nothing_but_its_list() -> None:
    installs = [rest for word, rest in instructions("Dockerfile.slim") if word == "RUN" and "pip install" in rest]
    assert len(installs) == 2
    assert "-r requirements-slim.txt" in installs[0]
    assert "--no-deps ." in installs[1]
    assert "torch" not in (DEPLOY / "requirements-slim.txt").read_text().split("\n", 2)[2]
