"""Libraries are silenced while they work, and only then."""

from __future__ import annotations

import warnings

import pytest
from transformers.utils import logging

from tunesmith import quiet


def test_warnings_about_later_versions_are_held_back_inside_only() -> None:
    level = logging.get_verbosity()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with quiet.transformers():
            warnings.warn("gone in the next version", FutureWarning, stacklevel=1)
            assert logging.get_verbosity() == logging.CRITICAL
        with pytest.raises(FutureWarning):
            warnings.warn("gone in the next version", FutureWarning, stacklevel=1)
        with quiet.transformers(), pytest.raises(UserWarning):
            warnings.warn("weights are missing", UserWarning, stacklevel=1)
    assert logging.get_verbosity() == level


def test_an_exception_is_said_in_one_line() -> None:
    assert quiet.first_line(ValueError("no such file\nat line 3")) == "ValueError: no such file"
