"""A PEFT folder is read as plain matrices where it is plain LoRA, and refused by name where it is not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch

from generators import Generator
from tunesmith.errors import UsageError
from tunesmith.generation.lora import read

Of = Callable[[str], Generator]
LAYER = "model.layers.0.self_attn.q_proj"


def save(generator: Of, folder: Path, config: Any) -> Path:
    wrapped = peft.get_peft_model(copy.deepcopy(generator("llama").model), config)
    for name, weight in wrapped.named_parameters():
        if "lora_B" in name:
            weight.data.normal_()
    wrapped.save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize(
    "options", [{}, {"use_rslora": True}, {"rank_pattern": {"q_proj": 5}, "alpha_pattern": {"q_proj": 3}}]
)
def test_the_product_is_what_peft_adds(generator: Of, tmp_path: Path, options: Any) -> None:
    config = peft.LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj", "v_proj"], **options)
    below, above = read("it", save(generator, tmp_path / "it", config)).layers[LAYER]
    loaded = peft.PeftModel.from_pretrained(copy.deepcopy(generator("llama").model), str(tmp_path / "it"))
    layer = loaded.base_model.model.get_submodule(LAYER)
    torch.testing.assert_close(above @ below, layer.get_delta_weight("default").detach())


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (lambda: peft.LoraConfig(target_modules=["q_proj"], use_dora=True), "DoRA"),
        (lambda: peft.LoraConfig(target_modules=["q_proj"], init_lora_weights="pissa"), "part of the base weights"),
        (lambda: peft.LoraConfig(target_modules=["q_proj"], bias="all"), "bias 'all'"),
        (lambda: peft.LoraConfig(target_modules=["q_proj"], lora_bias=True), "lora_bias True"),
        (lambda: peft.LoraConfig(target_modules=["q_proj"], modules_to_save=["lm_head"]), "modules_to_save"),
        (lambda: peft.LoraConfig(target_modules=["q_proj"], trainable_token_indices=[1]), "trainable_token_indices"),
        (lambda: peft.LoraConfig(target_modules=["embed_tokens"]), "embed_tokens"),
        (lambda: peft.AdaLoraConfig(target_modules=["q_proj"], total_step=9), "ADALORA"),
        (lambda: peft.IA3Config(target_modules=["q_proj"], feedforward_modules=[]), "IA3"),
        (lambda: peft.VeraConfig(target_modules=["q_proj"], r=4), "VERA"),
        (lambda: peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3), "PROMPT_TUNING"),
        (lambda: peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3), "PREFIX_TUNING"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_more_than_a_product_is_refused(generator: Of, tmp_path: Path, config: Any, why: str) -> None:
    with pytest.raises(UsageError, match="adapter 'mine' cannot share a batch with others") as caught:
        read("mine", save(generator, tmp_path / "it", config()))
    assert why in str(caught.value)


def test_a_folder_that_holds_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"adapter 'mine'.*holds no adapter"):
        read("mine", tmp_path / "nowhere")


def test_an_option_that_is_not_known_is_refused(generator: Of, tmp_path: Path) -> None:
    folder = save(generator, tmp_path / "it", peft.LoraConfig(target_modules=["q_proj"]))
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "use_magic": True}))
    with pytest.raises(UsageError, match="use_magic True"):
        read("mine", folder)
