"""A model's tokenizer without transformers: what ``encode`` asks of one, over the ``tokenizers`` library alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunesmith.errors import BundleError
from tunesmith.text.sequence import Template

_TOKENIZER, _READING = "tokenizer.json", "reading.json"


def save(tokenizer: Any, folder: Path) -> None:
    """Write what ``load`` needs of a fast tokenizer of transformers into a folder."""
    tokenizer.backend_tokenizer.save(str(folder / _TOKENIZER))
    told = {
        "model_input_names": list(tokenizer.model_input_names),
        "pad_token_id": tokenizer.pad_token_id,
        "unk_token_id": tokenizer.unk_token_id,
        "model_max_length": int(tokenizer.model_max_length),
    }
    (folder / _READING).write_text(json.dumps(told, indent=1), encoding="utf-8")


def load(folder: Path) -> PlainTokenizer:
    """The tokenizer that ``save`` wrote.

    Raises:
        BundleError: it is missing or damaged.
    """
    from tokenizers import Tokenizer

    try:
        told = json.loads((folder / _READING).read_text(encoding="utf-8"))
        return PlainTokenizer(Tokenizer.from_file(str(folder / _TOKENIZER)), **told)
    except Exception as error:  # the library raises nothing more exact
        raise BundleError("the tokenizer cannot be read", where=str(folder)) from error


class PlainTokenizer:
    """Called as transformers' tokenizers are, as far as ``encode`` calls them; it neither cuts nor pads.

    Args:
        core: of the ``tokenizers`` library.
        model_input_names: what the model reads.
        pad_token_id: id that fills up.
        unk_token_id: id of what is not known; None: there is none.
        model_max_length: most tokens.
    """

    is_fast = True

    def __init__(
        self,
        core: Any,
        model_input_names: Sequence[str],
        pad_token_id: int,
        unk_token_id: int | None,
        model_max_length: int,
    ) -> None:
        core.no_truncation()
        core.no_padding()
        self.backend_tokenizer = core
        self.model_input_names = list(model_input_names)
        self.pad_token_id, self.unk_token_id = pad_token_id, unk_token_id
        self.model_max_length = model_max_length
        self.templates: dict[bool, Template] = {}

    def __call__(
        self, texts: str | list[str], pair: str | None = None, *, add_special_tokens: bool = True, **asked: Any
    ) -> dict[str, Any]:
        """Ids, segment numbers and offsets of a text, of a pair, or of each of several texts, whatever else is asked."""
        if isinstance(texts, list):
            return _told(self.backend_tokenizer.encode_batch(texts, add_special_tokens=add_special_tokens))
        given = (texts,) if pair is None else (texts, pair)
        one = _told([self.backend_tokenizer.encode(*given, add_special_tokens=add_special_tokens)])
        return {name: rows[0] for name, rows in one.items()}


def _told(encodings: Sequence[Any]) -> dict[str, list[Any]]:
    return {
        "input_ids": [encoding.ids for encoding in encodings],
        "token_type_ids": [encoding.type_ids for encoding in encodings],
        "offset_mapping": [encoding.offsets for encoding in encodings],
    }
