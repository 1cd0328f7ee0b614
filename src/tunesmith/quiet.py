"""Silences what libraries print while they work; errors still arrive as exceptions."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def transformers() -> Iterator[None]:
    """No progress bars, load reports or warnings of transformers inside; its settings are put back afterwards.

    Nor what it and PEFT say to one another of names that will be gone in a later version: no user can mend that.
    """
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings("ignore", "Unsupported layer type", UserWarning)  # PEFT, of norms that it trains
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def first_line(error: Exception) -> str:
    """What an exception says, shortened to its first line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
