"""Reads a base model's folder: its module without a head, and what it says of itself (family, lengths, pooling)."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from tunesmith.errors import SourceError, UsageError
from tunesmith.networks import attention

Family = Literal["autoencoding", "autoregressive", "encoder-decoder"]
Pooling = Literal["mean", "cls", "max", "last"]

_NO_LIMIT = 1_000_000  # transformers writes 1e30 where a tokenizer knows no limit
_HIDDEN_DROPOUTS = (
    *("hidden_dropout_prob", "hidden_dropout", "dropout", "dropout_rate", "dropout_prob"),
    *("resid_pdrop", "resid_dropout", "residual_dropout", "mlp_dropout"),
    *("embd_pdrop", "embed_dropout", "embedding_dropout"),
)
_ATTENTION_DROPOUTS = ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop")
_SENTENCE_POOLINGS: dict[str, Pooling] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
    "pooling_mode_mean_tokens": "mean",
}


def read(
    path: Path,
    *,
    hidden_dropout: float | None,
    attention_dropout: float | None,
    dtype: torch.dtype,
    writes: bool = False,
) -> Any:
    """The transformers module in a folder with its dropout set; arguments as for `backbones.load`.

    It has no head, or with ``writes`` the whole of a decoder or encoder-decoder with its head over the vocabulary.

    Raises:
        SourceError: weights are missing; whatever transformers raises on a folder that it cannot read passes through.
        UsageError: the model has no dropout of the kind that is to be set.
    """
    config = _config(path)
    # T5 and its kin have one rate for everything in their config; that of attention is set in the modules.
    has_one_rate = hasattr(config, "dropout_rate")
    _set_dropout(config, _HIDDEN_DROPOUTS, hidden_dropout, "hidden_dropout")
    if not has_one_rate:
        _set_dropout(config, _ATTENTION_DROPOUTS, attention_dropout, "attention_dropout")
    model = _whole(path, config, dtype) if writes else _headless(path, config, dtype)
    if has_one_rate and attention_dropout is not None:
        for module in model.modules():
            if "Attention" in type(module).__name__ and isinstance(getattr(module, "dropout", None), float):
                module.dropout = attention_dropout
    return model


def family(config: Any) -> Family:
    """How a model was pretrained, by its type."""
    from transformers.models.auto import modeling_auto as auto

    if config.is_encoder_decoder or config.model_type in auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        return "encoder-decoder"
    if config.model_type in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES:  # asked first: BERT is listed as a causal model too
        return "autoencoding"
    return "autoregressive" if config.model_type in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES else "autoencoding"


def is_sentence_encoder(path: Path) -> bool:
    """Whether the folder is laid out as sentence-transformers does."""
    return (path / "modules.json").is_file()


def pooling(path: Path, config: Any) -> Pooling:
    """How token vectors became one vector in training.

    A sentence encoder says so itself. Otherwise the last token of an autoregressive model has read all others; an
    autoencoding model with a pooler over [CLS] that pretraining trained (BERT) is read there; all else is averaged.
    """
    if is_sentence_encoder(path):
        return _sentence_pooling(path)
    if family(config) == "autoregressive":
        return "last"
    return "cls" if family(config) == "autoencoding" and _has_trained_pooler(path, config) else "mean"


def max_length(path: Path, model: nn.Module) -> int | None:
    """Most tokens, special ones included: positions of the model, or less where its tokenizer says so; None: no limit."""
    config: Any = model.config
    limits = [
        getattr(config, "max_position_embeddings", None),
        getattr(config, "n_positions", None),
        _tokenizer_limit(path),
    ]
    # RoBERTa and its kin count positions from padding_idx + 1, so 514 positions take 512 tokens.
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding) and module.padding_idx is not None:
            limits.append(module.num_embeddings - module.padding_idx - 1)
    known = [int(limit) for limit in limits if limit and 0 < limit < _NO_LIMIT]
    return min(known, default=None)


def _config(path: Path) -> Any:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    config.use_cache = False  # keys and values are kept for generation only
    return config


def _headless(path: Path, config: Any, dtype: torch.dtype) -> Any:
    kind = _model_class(config)
    has_pooler = "add_pooling_layer" in inspect.signature(kind.__init__).parameters
    model = _model(kind, path, config, dtype, **({"add_pooling_layer": False} if has_pooler else {}))
    is_whole = model.config.is_encoder_decoder and not kind.__name__.endswith(("Encoder", "EncoderModel"))
    return model.get_encoder() if is_whole else model


def _whole(path: Path, config: Any, dtype: torch.dtype) -> Any:
    from transformers.models.auto import modeling_auto as auto

    found = family(config)
    if found == "autoencoding":
        raise SourceError(
            f"the model in {path} reads texts and cannot write any",
            hint="take a decoder such as SmolLM2-135M-Instruct, or an encoder-decoder such as T5",
        )
    whole = (
        auto.MODEL_FOR_CAUSAL_LM_MAPPING if found == "autoregressive" else auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
    )
    return _model(whole[type(config)], path, config, dtype)


def _model(kind: Any, path: Path, config: Any, dtype: torch.dtype, **options: Any) -> Any:
    if kind._supports_sdpa:
        asks = hasattr(inspect.getmodule(kind), "ALL_ATTENTION_FUNCTIONS")
        options["attn_implementation"] = attention.register() if asks else "sdpa"
    # As kind.from_pretrained, no code in the folder is ever looked at.
    model, found = kind.from_pretrained(
        path,
        config=config,
        dtype=dtype,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
        **options,
    )
    # Positions that are computed (Marian's sinusoids) are not saved.
    computed = {f"{name}.weight" for name, module in model.named_modules() if "Sinusoidal" in type(module).__name__}
    if missing := sorted(found["missing_keys"] - computed):
        raise SourceError(
            f"{len(missing)} weights of the model are missing in {path}", hint=f"the first: {', '.join(missing[:3])}"
        )
    return model


def _model_class(config: Any) -> Any:
    """The class without a head; for an encoder-decoder the encoder alone, where it has a class or was saved alone."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING, MODEL_MAPPING

    if family(config) == "encoder-decoder" and type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING:
        return MODEL_FOR_TEXT_ENCODING_MAPPING[type(config)]
    if type(config) not in MODEL_MAPPING:
        raise SourceError(f"models of type '{config.model_type}' have no form without a head")
    kind = MODEL_MAPPING[type(config)]
    kind = kind[0] if isinstance(kind, tuple) else kind
    saved = (config.architectures or [""])[0]
    return getattr(inspect.getmodule(kind), saved) if saved.endswith("Encoder") else kind


def hidden_dropout(config: Any) -> float | None:
    """The dropout inside a model, as its config has it; None: it has no such dropout."""
    own = [getattr(config, name, None) for name in _HIDDEN_DROPOUTS]
    return next((float(rate) for rate in own if rate is not None), None)


def _set_dropout(config: Any, names: tuple[str, ...], dropout: float | None, parameter: str) -> None:
    own = [name for name in names if getattr(config, name, None) is not None]
    if dropout and not own:
        raise UsageError(
            f"{parameter} = {dropout}: a model of type '{config.model_type}' has no such dropout", hint="leave it unset"
        )
    if dropout is not None:
        for name in own:
            setattr(config, name, dropout)


def _sentence_pooling(path: Path) -> Pooling:
    stages = json.loads((path / "modules.json").read_text(encoding="utf-8"))
    folder = next((stage["path"] for stage in stages if stage["type"].endswith("Pooling")), None)
    if folder is None or not (path / folder / "config.json").is_file():
        return "mean"
    modes = json.loads((path / folder / "config.json").read_text(encoding="utf-8"))
    return next((pooling for mode, pooling in _SENTENCE_POOLINGS.items() if modes.get(mode)), "mean")


def _has_trained_pooler(path: Path, config: Any) -> bool:
    """Whether the weights hold a pooler and come from pretraining; one saved with a bare model was never trained."""
    architecture = (config.architectures or [""])[0]
    if not architecture.endswith(("ForPreTraining", "ForMaskedLM", "ForNextSentencePrediction")):
        return False
    from safetensors import safe_open

    for file in sorted(path.glob("*.safetensors")):
        with safe_open(file, "pt") as weights:
            if any(name.endswith("pooler.dense.weight") for name in weights.keys()):  # noqa: SIM118 - not a mapping
                return True
    return False


def _tokenizer_limit(path: Path) -> int | None:
    file = path / "tokenizer_config.json"
    return json.loads(file.read_text(encoding="utf-8")).get("model_max_length") if file.is_file() else None
