"""Keeps what was answered in a database, where that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.serving.keeping import Kept

if TYPE_CHECKING:
    from tunesmith.serving.state import Serving


def observer(serving: Serving) -> Kept | None:
    """Who keeps the answers of a server; None: nothing is kept.

    Raises:
        UsageError: there is no such database, or it is no log.
    """
    return Kept(serving.options) if serving.options.prediction_log else None
