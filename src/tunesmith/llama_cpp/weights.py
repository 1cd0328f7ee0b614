"""Weights and sizes of a decoder by llama.cpp's names, into a GGUF file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunesmith.errors import UsageError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Family:
    """How a family of transformers is called and laid out there.

    Args:
        architecture: llama.cpp's name.
        interleaved: whether it turns neighbouring numbers of a head together, where transformers turns halves.
    """

    architecture: str
    interleaved: bool = False


FAMILIES = {
    "llama": Family("llama", interleaved=True),
    "mistral": Family("llama", interleaved=True),
    "qwen2": Family("qwen2"),
    "qwen3": Family("qwen3"),
    "gpt2": Family("gpt2"),
}
"""By transformers' ``model_type``."""


def family_of(config: Any) -> Family:
    """The family of a config.

    Raises:
        UsageError: it is none that can be written, or has something that cannot.
    """
    kind = config.model_type
    if kind not in FAMILIES:
        raise UsageError(f"no GGUF is written of models of type '{kind}'", hint=f"known: {', '.join(FAMILIES)}")
    scaling = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if scaling != "default":
        raise UsageError(f"no GGUF is written of positions scaled by '{scaling}'", where=kind)
    if set(getattr(config, "layer_types", None) or ()) - {"full_attention"}:
        raise UsageError("no GGUF is written of attention that slides", where=kind)
    return FAMILIES[kind]


def add_sizes(writer: Any, config: Any, family: Family) -> None:
    """Tell the sizes."""
    heads = config.num_attention_heads
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(heads)
    writer.add_vocab_size(config.vocab_size)
    if family.architecture == "gpt2":
        writer.add_feed_forward_length(config.n_inner or 4 * config.hidden_size)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))
    writer.add_rope_dimension_count(size)
    writer.add_key_length(size)
    writer.add_value_length(size)


def add_tensors(writer: Any, model: Any, family: Family, precision: str) -> None:
    """Write the weights: matrices in the number format asked for, where it divides their rows, vectors in 32 bits."""
    import gguf

    named = gguf.get_tensor_name_map(_architecture(family), model.config.num_hidden_layers)
    tied = bool(model.config.tie_word_embeddings)
    for name, tensor in model.state_dict().items():
        if (name == "lm_head.weight" and tied) or name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        own = named.get_name(name, try_suffixes=(".weight", ".bias"))
        if own is None:
            raise UsageError(f"no GGUF is written of a model with weights '{name}'", where=model.config.model_type)
        values = tensor.detach().float().cpu().numpy()
        values = _laid_out(name, values, model.config, family)
        kind = _kind(values, precision)
        writer.add_tensor(own, gguf.quantize(values, kind), raw_dtype=kind)


def _architecture(family: Family) -> Any:
    import gguf

    return next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == family.architecture)


def _laid_out(name: str, values: np.ndarray, config: Any, family: Family) -> np.ndarray:
    """Numbers in the order in which llama.cpp has them."""
    import numpy as np

    if family.architecture == "gpt2" and name.endswith(
        ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    ):
        return np.ascontiguousarray(values.T)
    if family.interleaved and "self_attn.q_proj" in name:
        return _interleaved(values, config.num_attention_heads)
    if family.interleaved and "self_attn.k_proj" in name:
        return _interleaved(values, config.num_key_value_heads)
    return values


def _interleaved(values: np.ndarray, heads: int) -> np.ndarray:
    """Rows of each head: the first of each half, then the second of each."""
    import numpy as np

    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))


def _kind(values: np.ndarray, precision: str) -> Any:
    import gguf

    kinds = gguf.GGMLQuantizationType
    wanted = kinds[{"fp32": "F32", "fp16": "F16", "bf16": "BF16"}.get(precision, precision.upper())]
    if values.ndim == 1:
        return kinds.F32
    fits: Callable[[Any], bool] = lambda kind: values.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0] == 0  # noqa: E731
    return wanted if fits(wanted) else kinds.F16
