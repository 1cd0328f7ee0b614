"""The log: a JSON object for each line, on the error output and in a file; whatever logs in this process is in it.

| field | what |
|---|---|
| ``time``, ``level``, ``logger``, ``message`` | of every line; the time as ISO 8601, in UTC |
| ``error`` | the type, text and traceback of what went wrong |
| others | of a line on a request: see ``observers/logs.py`` |
"""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

from tunesmith.errors import UsageError
from tunesmith.serving.lines import Lines
from tunesmith.serving.options import Options

_ERROR_OUTPUT = 2
_LAST_LINES_S = 1.0
_LONGEST_LINE = 1 << 16
_PRINTED = logging.getLogger("tunesmith.printed")


class Logs(logging.Handler):
    """Where the log goes.

    Args:
        options: of the server.

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, options: Options) -> None:
        super().__init__()
        self._places = [Lines(_ERROR_OUTPUT)] if sys.stderr is not None else []
        self._stderr = sys.stderr
        self._dropped = 0
        if options.log_file is not None:
            try:
                self._places.append(Lines(options.log_file))
            except OSError as error:
                why = f"the log cannot be written: {error.strerror}"
                raise UsageError(why, where=f"--log-file {options.log_file}") from None
        self._level = options.log_level.upper()

    @property
    def lost(self) -> int:
        """Lines that could not be written."""
        return self._dropped + sum(place.lost for place in self._places)

    def start(self) -> None:
        """Take over what this process logs, warnings and uvicorn's own lines too."""
        root = logging.getLogger()
        for before in list(root.handlers):
            root.removeHandler(before)
        root.addHandler(self)
        root.setLevel(logging.WARNING)
        for name in ("tunesmith", "uvicorn"):
            logging.getLogger(name).setLevel(self._level)
        logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, logging.getLevelName(self._level)))
        logging.captureWarnings(True)
        sys.stderr = _Printed()

    def stop(self) -> None:
        """Let go, and wait a moment for the last lines."""
        self.flush()
        sys.stderr = self._stderr
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line."""
        try:
            line = told(record)
        except Exception:
            return self.handleError(record)
        for place in self._places:
            place.put(line)
        return None

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """A line that cannot be told is lost, and counted as such."""
        self._dropped += 1

    def flush(self) -> None:
        """Wait a moment for what is not yet written."""
        for place in self._places:
            place.flush(_LAST_LINES_S)


class _Printed(io.TextIOBase):
    """What anybody prints on the error output becomes lines of the log, so that printing waits for nothing, either."""

    def __init__(self) -> None:
        self._begun = ""

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Log what is a whole line."""
        *lines, self._begun = re.split(r"[\r\n]", self._begun + text)
        if len(self._begun) > _LONGEST_LINE:
            lines.append(self._begun)
            self._begun = ""
        for line in filter(str.strip, lines):
            _PRINTED.info("%s", line)
        return len(text)


def told(record: logging.LogRecord) -> str:
    """A line of the log as JSON."""
    found: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
        **getattr(record, "fields", {}),
    }
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        found["error"] = {
            "type": type(error).__name__,
            "text": str(error),
            "traceback": "".join(traceback.format_exception(error)),
        }
    return json.dumps(found, ensure_ascii=False, default=str)
