"""What may come in: how often and how much at once a key may ask. Decided before a body is read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tunesmith.serving.options import Options
from tunesmith.serving.refusal import Refusal, full


@dataclass
class _Account:
    """Of a key: requests that it may still make, as of when, and those that it has now."""

    left: float
    at: float
    now: int = 0


class Gate:
    """Counts what each key asks. A bucket holds a minute's requests and fills up as time goes by.

    Args:
        options: of the server.
    """

    def __init__(self, options: Options) -> None:
        self._a_minute, self._at_once = options.key_requests_per_minute, options.key_concurrent
        self._accounts: dict[str, _Account] = {}
        self.stopping = False
        self.inside = 0

    @contextmanager
    def enter(self, key: str) -> Iterator[None]:
        """Be inside while it lasts.

        Raises:
            Refusal: the server is being stopped, or the key asks too often or too much at once.
        """
        if self.stopping:
            raise full("the server is being stopped", 5.0, "server_stopping")
        account = self._account(key)
        if self._at_once is not None and account.now >= self._at_once:
            raise _too_much(f"the key has {account.now} requests at once, and may have {self._at_once}", 1.0)
        if self._a_minute is not None and account.left < 1:
            after = (1 - account.left) * 60 / self._a_minute
            raise _too_much(f"the key may make {self._a_minute} requests a minute", after)
        account.left -= 1
        account.now += 1
        self.inside += 1
        try:
            yield
        finally:
            account.now -= 1
            self.inside -= 1

    def _account(self, key: str) -> _Account:
        most, now = float(self._a_minute or 1), time.monotonic()
        account = self._accounts.setdefault(key, _Account(most, now))
        account.left = min(most, account.left + (now - account.at) * most / 60)
        account.at = now
        return account


def _too_much(message: str, retry_after_s: float) -> Refusal:
    return Refusal(message, "rate_limit_exceeded", 429, retry_after_s=retry_after_s)
