"""Finds source archives in the package indexes that pip is configured with, by the simple repository API.

Only what pip cannot do without running a package's build code is here; see `pypi`. Sources: PEP 503 (HTML), PEP 691 (JSON).
"""

from __future__ import annotations

import ast
import base64
import json
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import IO

from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename
from packaging.version import InvalidVersion, Version

from tunesmith.errors import SourceError
from tunesmith.sources import cache

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_TIMEOUT_S = 60


@dataclass(frozen=True)
class Link:
    """A file that an index offers; ``sha256`` is what the index says of it, if it does."""

    url: str
    sha256: str | None

    @property
    def filename(self) -> str:
        """Last part of the address."""
        return urllib.parse.unquote(urllib.parse.urlsplit(self.url).path.rpartition("/")[2])


@dataclass(frozen=True)
class Search:
    """What was found, and the hosts that did not answer."""

    link: Link | None
    unreachable: tuple[str, ...]


def find_source_archive(name: str, version: str) -> Search:
    """The source archive of a version, in the first place of pip's configuration that has it."""
    unreachable: list[str] = []
    for place in _places(name):
        try:
            found = next((link for link in _links(place) if _is_source(link.filename, name, version)), None)
        except urllib.error.HTTPError:
            continue  # this index does not have the package
        except OSError:
            if not place.startswith("file:"):
                unreachable.append(urllib.parse.urlsplit(place).hostname or place)
            continue
        if found:
            return Search(found, ())
    return Search(None, tuple(unreachable))


def download(link: Link, folder: Path) -> Path:
    """Fetch a file into a folder and hold it to the digest that the index gave.

    Raises:
        SourceError: the transfer failed, or the digest differs.
    """
    target = folder / link.filename
    try:
        with _open(link.url) as answer, target.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except OSError as error:
        raise SourceError(f"cannot fetch {link.filename}: {error}") from error
    if link.sha256 and cache.sha256(target) != link.sha256:
        raise SourceError(
            f"{link.filename} does not have the SHA-256 that its index gives", hint=f"expected {link.sha256}"
        )
    return target


def _settings() -> dict[str, str]:
    """Configuration of pip for ``pip download``: later lines and sections override earlier ones, as in pip."""
    done = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    rows = [line.partition("=")[::2] for line in done.stdout.splitlines() if "=" in line]
    found: dict[str, str] = {}
    for section in ("global.", "download.", ":env:."):
        found |= {
            key.removeprefix(section): str(ast.literal_eval(value)) for key, value in rows if key.startswith(section)
        }
    return found


def _places(name: str) -> list[str]:
    """Addresses of the pages that may list the package: link folders first, then each index's page for it."""
    settings = _settings()
    places = [
        place if "://" in place else Path(place).expanduser().resolve().as_uri()
        for place in settings.get("find-links", "").split()
    ]
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        return places
    indexes = [settings.get("index-url", "https://pypi.org/simple"), *settings.get("extra-index-url", "").split()]
    return places + [f"{index.rstrip('/')}/{canonicalize_name(name)}/" for index in indexes]


def _is_source(filename: str, name: str, version: str) -> bool:
    try:
        found_name, found_version = parse_sdist_filename(filename)
        return found_name == canonicalize_name(name) and found_version == Version(version)
    except (InvalidSdistFilename, InvalidVersion):
        return False


def _links(place: str) -> Iterator[Link]:
    """All files that a page or a local folder lists."""
    local = Path(urllib.request.url2pathname(urllib.parse.urlsplit(place).path)) if place.startswith("file:") else None
    if local and local.is_dir() and not (local / "index.html").is_file():
        yield from (Link(path.as_uri(), None) for path in sorted(local.iterdir()))
        return
    with _open((local / "index.html").as_uri() if local and local.is_dir() else place) as page:
        text = page.read().decode("utf-8")
    if text.lstrip().startswith("{"):
        pairs = [(row["url"], row.get("hashes", {}).get("sha256")) for row in json.loads(text)["files"]]
    else:
        anchors = _Anchors()
        anchors.feed(text)
        pairs = [
            (url, fragment.partition("sha256=")[2] or None)
            for url, _, fragment in (a.partition("#") for a in anchors.found)
        ]
    base = place if place.endswith(("/", ".html")) else f"{place}/"
    yield from (Link(urllib.parse.urljoin(base, url), digest) for url, digest in pairs)


class _Anchors(HTMLParser):
    """Collects the targets of a page's links."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for key, value in attrs if tag == "a" and key == "href" and value]


def _open(url: str) -> IO[bytes]:
    """Open an address with pip's certificates and the name and password that stand in it."""
    parts = urllib.parse.urlsplit(url)
    headers = {"Accept": _ACCEPT}
    if parts.username:
        login = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    context = ssl.create_default_context(cafile=_settings().get("cert")) if parts.scheme == "https" else None
    answer: IO[bytes] = urllib.request.urlopen(
        urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S, context=context
    )
    return answer
