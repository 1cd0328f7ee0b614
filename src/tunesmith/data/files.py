"""Opening data files: compression, decoding and line numbers, with every fault located."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from tunesmith.errors import DataError, Problem

COMPRESSIONS = (".gz", ".zst")
_CHINESE = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")
_SINGLE_HIGH_BYTE = re.compile(rb"(?<![\x80-\xff])[\x80-\xff](?![\x80-\xff])")
_HIGH_BYTE = re.compile(rb"[\x80-\xff]")


@dataclass(frozen=True)
class Source:
    """Where rows come from.

    Args:
        path: a local file, or a database URL.
        format: name of a function in ``tunesmith.data.formats``.
        encoding: of text files.
        part: sheet of a workbook; table or query of a database.
        name: how messages call it; None: the path as given.
    """

    path: str
    format: str
    encoding: str = "utf-8"
    part: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        return self.name or self.path

    def where(self, line: int) -> str:
        """``file:line``, as editors and terminals link it."""
        return f"{self}:{line}"


@contextmanager
def binary(source: Source) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes, decompressing ``.gz`` and ``.zst`` on the way.

    Raises:
        DataError: it cannot be opened, or its compression is damaged (also while it is being read).
    """
    try:
        with _open(Path(source.path)) as file:
            yield file
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"damaged compressed file: {error}", where=str(source)) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", where=str(source)) from None


@contextmanager
def seekable(source: Source) -> Iterator[IO[bytes]]:
    """Like ``binary``, for formats that jump about in the file; a compressed one is unpacked into memory."""
    with binary(source) as file:
        yield io.BytesIO(file.read()) if Path(source.path).suffix in COMPRESSIONS else file


def whole_text(source: Source) -> str:
    """The whole file as text, without a byte order mark.

    Raises:
        DataError: bytes that the encoding does not have, or NUL bytes; lists every line that holds some.
    """
    with binary(source) as file:
        lines = Lines(file, source)
        text = "".join(lines)
    if lines.problems:
        raise DataError("is not clean text", where=str(source), problems=lines.problems)
    return text


class Lines(Iterator[str]):
    """The decoded lines of a text file, endings kept.

    A line that cannot be decoded or holds NUL bytes is handed out with replacement characters, and its problem is added
    to ``problems``; whoever reads the lines takes the problems from there. Lines can be pushed back.

    Attributes:
        number: of the line handed out last, from 1.
        record: the lines handed out since ``start_record``.
        problems: of lines handed out and not yet taken.
    """

    def __init__(self, file: IO[bytes], source: Source) -> None:
        self.number = 0
        self.record: list[str] = []
        self.problems: list[Problem] = []
        self._source = source
        self._pushed: list[str] = []
        self._raw: Iterator[bytes | str] = _raw_lines(file, source)
        self._decode = codecs.getdecoder(source.encoding)

    def __next__(self) -> str:
        line = self._pushed.pop() if self._pushed else self._decoded(next(self._raw))
        self.number += 1
        self.record.append(line)
        return line

    def start_record(self) -> int:
        """Forget the record so far; returns the number of the line that comes next."""
        self.record.clear()
        return self.number + 1

    def push_back(self, count: int) -> None:
        """Hand out the last ``count`` lines of the record again."""
        for _ in range(count):
            self._pushed.append(self.record.pop())
        self.number -= count

    def take_problems(self) -> list[Problem]:
        """The problems since the last call."""
        taken, self.problems = self.problems, []
        return taken

    def _decoded(self, raw: bytes | str) -> str:
        line = raw if isinstance(raw, str) else self._try(raw)
        if self.number == 0:
            line = line.removeprefix("\ufeff")
        if "\0" in line:
            self._note(f"NUL byte at character {line.index(chr(0)) + 1}", "remove it: tr -d '\\0' < old > new")
        return line

    def _try(self, raw: bytes) -> str:
        try:
            return self._decode(raw)[0]
        except UnicodeDecodeError as error:
            found = f"not {self._source.encoding}: byte 0x{raw[error.start]:02x} at byte {error.start + 1} of the line"
            self._note(found, f"it decodes as {guess_encoding(raw)}: --data.encoding {guess_encoding(raw)}")
            return raw.decode(self._source.encoding, errors="replace")

    def _note(self, message: str, hint: str) -> None:
        self.problems.append(Problem(message, self._source.where(self.number + 1), hint))


def guess_encoding(raw: bytes) -> str:
    """The likely encoding of bytes that are not UTF-8.

    >>> guess_encoding("très bien".encode("latin-1")), guess_encoding("这本书很好".encode("gbk"))
    ('cp1252', 'gb18030')
    """
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    alone, high = len(_SINGLE_HIGH_BYTE.findall(raw)), len(_HIGH_BYTE.findall(raw))
    for encoding in ("gb18030", "big5", "shift_jis"):
        text = raw.decode(encoding, errors="replace")
        if alone < high / 2 and "\ufffd" not in text and len(_CHINESE.findall(text)) >= high / 4:
            return encoding
    return "latin-1" if "\ufffd" in raw.decode("cp1252", errors="replace") else "cp1252"


def _raw_lines(file: IO[bytes], source: Source) -> Iterator[Any]:
    """Lines of bytes; encodings whose line ends are not the byte 10 are decoded as a stream instead."""
    try:
        plain = "a\n".encode(source.encoding).endswith(b"a\n")
    except LookupError:
        raise DataError(f"no such encoding '{source.encoding}'", where="--data.encoding") from None
    if not plain:
        return _stream_lines(file, source)
    peeked = io.BufferedReader(cast(Any, file)) if not hasattr(file, "peek") else file
    start = cast(Any, peeked).peek(8192)[:8192]
    return _carriage_return_lines(peeked) if b"\r" in start and b"\n" not in start else iter(peeked)


def _stream_lines(file: IO[bytes], source: Source) -> Iterator[str]:
    text = io.TextIOWrapper(file, encoding=source.encoding, newline="")
    try:
        yield from text
    except UnicodeError as error:
        raise DataError(f"not {source.encoding}: {error}", where=str(source), hint="see --data.encoding") from None
    finally:
        text.detach()  # whoever opened the file closes it


def _carriage_return_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines of a file from an old Mac, or one line if it has no line ends at all."""
    rest = b""
    while chunk := file.read(1 << 16):
        *lines, rest = (rest + chunk).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        yield from (line + b"\n" for line in lines)
    if rest:
        yield rest


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    if path.suffix == ".gz":
        with gzip.open(path) as file:
            yield cast("IO[bytes]", file)
    elif path.suffix == ".zst":
        with _zstandard(path) as file:
            yield file
    else:
        with path.open("rb") as file:
            yield file


@contextmanager
def _zstandard(path: Path) -> Iterator[IO[bytes]]:
    try:
        import zstandard
    except ImportError:
        raise DataError("needs the package zstandard", where=str(path), hint="pip install zstandard") from None
    with (
        path.open("rb") as packed,
        zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as reader,
    ):
        try:
            yield cast("IO[bytes]", io.BufferedReader(cast(Any, reader)))
        except zstandard.ZstdError as error:
            raise EOFError(str(error)) from None
