"""What single adapters promise beside the contract that all keep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tunesmith import plugins
from tunesmith.adapters.adalora import Adapter as AdaLora
from tunesmith.config import Config
from tunesmith.errors import UsageError
from tunesmith.networks import backbones, generators
from tunesmith.networks.preferences import PreferenceModel
from tunesmith.train import loop, optim
from tunesmith.train.loop import Job
from tunesmith.train.run import Run


def made(name: str, **options: Any) -> Any:
    """An adapter with options."""
    module = plugins.module("adapters", name)
    return module.Adapter(module.Params(**options))


def test_adalora_has_the_ranks_that_were_asked_for_in_the_end(job: Callable[..., Job], tmp_path: Path) -> None:
    options = {"adapter.rank": 2, "adapter.first_rank": 4, "adapter.every": 1, "train.epochs": 2}
    work = job("binary", adapter="adalora", **options)
    adapter = work.adapter
    assert isinstance(adapter, AdaLora)
    loop.fit(work)
    singular = [w for name, w in work.network.named_parameters() if ".lora_E." in name]
    assert {len(values) for values in singular} == {4}
    assert adapter._peft.rank_pattern
    kept = sum(map(sum, adapter._peft.rank_pattern.values()))
    assert kept <= 2 * len(singular)
    adapter.save(work.network.backbone, tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert all(0 not in weight.shape for weight in saved.values())


def test_adalora_keeps_its_factors_orthogonal(model: Callable[..., Path]) -> None:
    for weight, expected in ((0.5, True), (0.0, False)):
        backbone = backbones.load(model("bert"))
        adapter = made("adalora", rank=1, first_rank=2, orthogonality=weight)
        adapter.apply(backbone)
        adapter.shape_gradients()
        grads = [w.grad is not None for name, w in backbone.named_parameters() if ".lora_A." in name]
        assert set(grads) == {expected}


def test_adalora_with_nothing_to_cut_is_refused(model: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="first_rank = 4 leaves no rank to cut"):
        made("adalora", rank=4, first_rank=4).apply(backbones.load(model("bert")))


def test_lora_plus_is_a_rate_of_the_b_matrices(job: Callable[..., Job]) -> None:
    work = job("binary", adapter="lora", **{"adapter.lora_plus": 4, "train.learning_rate": 1e-3})
    optimizer = optim.build(work.network, work.train, work.adapter.rate_factor)
    names = {id(weight): name for name, weight in work.network.named_parameters()}
    rates = {names[id(w)]: group["peak"] for group in optimizer.param_groups for w in group["params"]}
    assert {rate for name, rate in rates.items() if ".lora_B." in name} == {4e-3}
    assert {rate for name, rate in rates.items() if ".lora_A." in name} == {1e-3}


def test_stabilised_ranks_scale_by_their_root(model: Callable[..., Path]) -> None:
    for stable, scale in ((False, 2.0), (True, 8.0)):
        backbone = backbones.load(model("bert"))
        made("lora", rank=16, alpha=32, rslora=stable).apply(backbone)
        layers = [part for part in backbone.modules() if hasattr(part, "scaling") and hasattr(part, "lora_A")]
        assert {layer.scaling["default"] for layer in layers} == {scale}


def test_the_frozen_model_of_preferences_is_the_one_before(writer: Callable[..., Path]) -> None:
    """Updates that began as a part of the base weights cannot just be switched off."""
    folder = writer("llama")
    ids = torch.arange(5, 14)[None]
    before = generators.load(folder)(ids)
    for name, options in (("lora", {"start": "pissa"}), ("lora", {}), ("bottleneck", {}), ("prefix", {"tokens": 2})):
        backbone = generators.load(folder)
        made(name, **options).apply(backbone)
        model = PreferenceModel(backbone, beta=0.1)
        assert (model.reference is None) == (name == "lora" and not options)
        if name != "prefix" and model.reference is not None:
            torch.testing.assert_close(model.reference.backbone(ids), before, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_golden_answers_are_those_of_what_was_saved(run: Callable[..., Run], start: str) -> None:
    """In few bits the form in which such updates train rounds otherwise than the one in which they are saved."""
    given = {"adapter.start": start, "train.precision": "bf16", "train.epochs": 3, "train.learning_rate": 1e-2}
    made = run("binary", adapter="lora", **given)
    assert made.model().replay() < 1e-4
    plain = run("binary", adapter="lora", out="plain", **{**given, "adapter.start": "zero"})
    assert made.report.weights == plain.report.weights, "twice the rank is saved and not trained"


@pytest.mark.parametrize("name", ["prompt", "p-tuning"])
def test_virtual_tokens_are_refused_where_texts_are_written(run: Callable[..., Run], name: str) -> None:
    with pytest.raises(UsageError, match="read, not written\n    take prefix") as caught:
        run("summaries", adapter=name, out="refused", **{"model.max_length": 224})
    assert caught.value.exit_code == 2


def test_virtual_tokens_leave_fewer_positions_for_texts(config: Callable[..., Config], run: Callable[..., Run]) -> None:
    with pytest.raises(UsageError, match="the base model reads 60 tokens"):
        run(adapter="prompt", **{"adapter.tokens": 4, "model.max_length": 62})
    assert run(adapter="prompt", out="ok", **{"adapter.tokens": 4}).folder.exists()


@pytest.mark.parametrize("name", ["prefix", "bottleneck"])
def test_ours_write(run: Callable[..., Run], name: str) -> None:
    finished = run("summaries", adapter=name, **{"model.max_length": 224})
    (answer,) = finished.model().answers(["the film was fine"], max_tokens=3)
    assert answer["tokens"]


def test_methods_of_peft_by_name(model: Callable[..., Path]) -> None:
    backbone = backbones.load(model("gpt2"))
    made("peft", type="hra", options={"r": 2}).apply(backbone)
    trained = [name for name, weight in backbone.named_parameters() if weight.requires_grad]
    assert trained
    assert all("hra" in name for name in trained)
    backbone = backbones.load(model("bert"))
    made("peft", type="LN_TUNING").apply(backbone)
    assert all("LayerNorm" in name for name, weight in backbone.named_parameters() if weight.requires_grad)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"type": "LOHAA"}, "'LOHAA' is no method of PEFT that is only layers\n    did you mean 'LOHA'"),
        ({"type": "PREFIX_TUNING"}, "take adapter.name prefix, prompt or p-tuning"),
        ({"type": "ADALORA"}, "take adapter.name adalora"),
        ({"type": "LOHA", "options": {"rr": 3}}, "LOHA has no option 'rr'"),
        ({"type": "VBLORA", "options": {"vector_length": 7}}, "cannot put VBLORA into this base model"),
        ({"type": "LOHA", "options": {"target_modules": ["nothing"]}}, "cannot put LOHA into this base model"),
    ],
    ids=["near", "prompt", "own", "option", "value", "target"],
)
def test_what_peft_cannot_do_is_said(model: Callable[..., Path], given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        made("peft", **given).apply(backbones.load(model("bert")))
    assert said in str(caught.value)


def test_ia3_says_what_it_does_not_know(model: Callable[..., Path]) -> None:
    backbone = backbones.load(model("bert"))
    backbone.model.config.model_type = "unheard-of"
    with pytest.raises(UsageError, match=r"'unheard-of' is not known\n    name them by adapter\.targets"):
        made("ia3").apply(backbone)
    with pytest.raises(UsageError, match="no linear layer is named 'vaule'"):
        made("ia3", targets=["vaule"], feedforward=["vaule"]).apply(backbones.load(model("bert")))


def test_olora_is_refused_where_layers_are_turned(model: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="OLoRA does not know the layers of type 'gpt2'"):
        made("lora", start="olora").apply(backbones.load(model("gpt2")))
