"""GGUF checkpoints, read once and kept as a safetensors folder."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from tunesmith import quiet
from tunesmith.errors import SourceError
from tunesmith.sources import cache


def folder_of(file: Path) -> Path:
    """Where the cache keeps the converted form of a GGUF file (whether it is there or not)."""
    return folder_of_digest(cache.sha256(file))


def folder_of_digest(sha256: str) -> Path:
    """The same, from the digest of the file."""
    return cache.folder() / "gguf" / sha256


def converted(file: Path) -> Path:
    """A model folder with the weights of a GGUF file, dequantized to float32, its config, tokenizer and chat template.

    The first call reads the file, which takes about half a minute for 135 million weights; later ones find it in the cache.

    Raises:
        SourceError: the file is damaged, or of an architecture that transformers cannot read.
    """
    return cache.filled(folder_of(file), lambda folder: _convert(file, folder))


def _convert(file: Path, folder: Path) -> None:
    from safetensors import SafetensorError

    # The bar that counts tensors belongs to no logger: it goes straight to stderr.
    with quiet.transformers(), contextlib.redirect_stderr(io.StringIO()):
        model, tokenizer = _read(file)
        try:
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        except SafetensorError as error:  # how a full disk looks from here
            raise OSError(str(error)) from error


def _read(file: Path) -> tuple[Any, Any]:
    try:
        from transformers import AutoTokenizer

        return _plain_model(file), AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    except ImportError as error:
        raise SourceError(f"{file.name} cannot be read: {error}", hint="pip install 'tunesmith[gguf]'") from error
    except Exception as error:  # a damaged file fails in whichever of three libraries meets the damage
        raise SourceError(f"{file} cannot be read as GGUF: {error}") from error


def _plain_model(file: Path) -> Any:
    """The model with float32 weights and nothing left that says it was quantized: else it could not be saved."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model = kind.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    values = {key: value for key, value in model.config.to_dict().items() if key != "quantization_config"}
    with torch.device("meta"):  # no second copy of the weights
        plain = kind.from_config(type(model.config).from_dict(values))
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = model.generation_config
    return plain
