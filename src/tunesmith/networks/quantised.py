"""Linear layers of four bits (Dettmers et al. 2023, "QLoRA"), by bitsandbytes."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from tunesmith.errors import UsageError
from tunesmith.networks.backbones import Backbone

Format = Literal["nf4", "fp4"]


def quantise(backbone: Backbone, format: Format, *, twice: bool) -> None:
    """Put four-bit layers in place of the linear layers in the blocks of a base model.

    Args:
        backbone: with weights of 16 or 32 bits.
        format: of a weight.
        twice: whether the scales of the weights are quantised too.

    Raises:
        UsageError: bitsandbytes is missing, does not run here, or knows none of the layers.
    """
    library = _library()
    # T5 turns what goes into these into the number format of their weights.
    kept = getattr(backbone.model, "_keep_in_fp32_modules", None) or ()
    found = [
        (block, name, layer)
        for block in backbone.layers
        for name, layer in block.named_modules()
        if type(layer) is nn.Linear and _fits(layer) and name.rpartition(".")[2] not in kept
    ]
    if not found:
        kind = backbone.model.config.model_type
        raise UsageError(f"a model of type '{kind}' has no layers that can be quantised", hint="take adapter.name lora")
    for block, name, layer in found:
        parent, _, last = name.rpartition(".")
        setattr(block.get_submodule(parent), last, _quantised(library, layer, format, twice=twice))
    backbone.model.is_loaded_in_4bit = True  # where PEFT looks


def _library() -> Any:
    try:
        import bitsandbytes
    except Exception as error:  # it fails in many ways where its binary does not fit the machine
        hint = "pip install 'tunesmith[qlora]', or take adapter.name lora"
        raise UsageError(f"qlora needs bitsandbytes, which cannot be loaded: {error}", hint=hint) from None
    return bitsandbytes


def _fits(layer: nn.Linear) -> bool:
    """Whether a layer's sizes are those that the kernels for CPUs take; those of real models are."""
    return layer.in_features % 64 == 0 and layer.out_features % 32 == 0


def _quantised(library: Any, layer: nn.Linear, format: Format, *, twice: bool) -> nn.Module:
    made: nn.Module = library.nn.Linear4bit(
        layer.in_features,
        layer.out_features,
        bias=layer.bias is not None,
        compute_dtype=None,  # that of what comes in
        compress_statistics=twice,
        quant_type=format,
        device="meta",
    )
    made.weight = library.nn.Params4bit(
        layer.weight.detach(), requires_grad=False, quant_type=format, compress_statistics=twice, module=made
    )
    made.bias = layer.bias
    # On some CPUs it would turn its weight, once evaluated, into a form that has no gradient for what comes in.
    made.support_avx512bf16_for_cpu = False  # type: ignore[assignment]
    try:
        return made.to("cuda" if torch.cuda.is_available() else "cpu")
    except Exception as error:
        raise UsageError(
            f"bitsandbytes cannot quantise on this machine: {error}", hint="take adapter.name lora"
        ) from None
