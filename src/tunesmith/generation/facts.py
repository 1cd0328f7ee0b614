"""What must be known of a model that writes, whatever runs it: where answers begin and end, and how long they may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Facts:
    """What the check of a request, and an engine, need to know of a model.

    Args:
        size: tokens of its vocabulary.
        has_encoder: whether it reads a source and writes beside it.
        start: tokens with which an encoder-decoder's answers begin; a decoder has none.
        ends: its end tokens.
        suppressed: tokens that its makers say it must never give.
        context: most tokens that a row may have; of an encoder-decoder, each side's; None: there is no limit.
    """

    size: int
    has_encoder: bool = False
    start: tuple[int, ...] = ()
    ends: frozenset[int] = frozenset()
    suppressed: tuple[int, ...] = ()
    context: int | None = None

    @classmethod
    def of(cls, config: Any, settings: Any, size: int) -> Facts:
        """From a model's config and its generation settings, as transformers has them."""
        has_encoder = bool(config.is_encoder_decoder)
        ends = settings.eos_token_id
        ends = config.eos_token_id if ends is None else ends
        banned = [words[0] for words in settings.bad_words_ids or () if len(words) == 1]
        return cls(
            size,
            has_encoder,
            tuple(_start(config, settings)) if has_encoder else (),
            frozenset([] if ends is None else [ends] if isinstance(ends, int) else ends),
            tuple(dict.fromkeys([*banned, *(settings.suppress_tokens or ())])),
            getattr(config.get_text_config(decoder=True), "max_position_embeddings", None),
        )

    @classmethod
    def of_model(cls, model: Any) -> Facts:
        """Of a model of transformers."""
        return cls.of(model.config, model.generation_config, int(model.get_output_embeddings().out_features))

    @classmethod
    def in_folder(cls, folder: Path) -> Facts:
        """Of a model that is not loaded, from the files beside its weights."""
        from transformers import AutoConfig, GenerationConfig

        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        told = (folder / "generation_config.json").is_file()
        settings = GenerationConfig.from_pretrained(folder) if told else GenerationConfig.from_model_config(config)
        return cls.of(config, settings, int(config.get_text_config(decoder=True).vocab_size))

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "ends": sorted(self.ends)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Facts:
        """From what ``to_json`` gave."""
        lists = {name: tuple(values[name]) for name in ("start", "suppressed")}
        return cls(**{**values, **lists, "ends": frozenset(values["ends"])})


def _start(config: Any, settings: Any) -> list[int]:
    """The start token, and a first one that the answers are held to."""
    named = [getattr(settings, "decoder_start_token_id", None)]
    named += [getattr(config, name, None) for name in ("decoder_start_token_id", "bos_token_id")]
    start = next(token for token in named if token is not None)
    forced = getattr(settings, "forced_bos_token_id", None)
    return [start] if forced is None else [start, forced]
