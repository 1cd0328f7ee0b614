"""What every adapter keeps to, on every family of base models: it trains, is saved, opened, and read by other libraries."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from adapted import ADAPTERS, CLOSE, FAMILIES, OURS, SMALL, SOME, Build, Trained, outputs
from tunesmith import bundle as bundles
from tunesmith.errors import BundleError, UsageError
from tunesmith.train.journal import read

every_adapter = pytest.mark.parametrize("adapter", ADAPTERS)
every_family = pytest.mark.parametrize("family", FAMILIES)


@every_family
@every_adapter
def test_it_trains(trained: Callable[..., Trained], adapter: str, family: str) -> None:
    made = trained(adapter, family)
    assert made.losses[-1] < made.losses[0]
    backbone = made.learner.network.backbone
    for name, weight in backbone.named_parameters():
        if not weight.requires_grad:
            assert torch.equal(weight, made.before[name]), name
    moved = [name for name, weight in backbone.named_parameters() if not torch.equal(weight, made.before[name])]
    assert bool(moved) == (made.learner.adapter.frozen_depth(backbone) < backbone.depth)


def share(made: Trained) -> float:
    weights = list(made.learner.network.backbone.parameters())
    return sum(w.numel() for w in weights if w.requires_grad) / sum(w.numel() for w in weights)


@every_family
def test_the_trainable_share(trained: Callable[..., Trained], family: str) -> None:
    """Full trains all but the embeddings, freeze the top block alone, lora little, head nothing of the base model."""
    shares = {adapter: share(trained(adapter, family)) for adapter in ADAPTERS}
    assert shares["head"] == 0
    assert 0 < shares["lora"] < 0.15
    assert shares["lora"] < shares["freeze"] < shares["full"] < 1
    network = trained("freeze", family).learner.network
    training = {name for name, weight in network.backbone.named_parameters() if weight.requires_grad}
    upper = {id(weight) for weight in network.backbone.layers[1].parameters()}
    assert training == {name for name, weight in network.backbone.named_parameters() if id(weight) in upper}


@every_family
@every_adapter
def test_a_bundle_opens_as_it_was(trained: Callable[..., Trained], adapter: str, family: str) -> None:
    made = trained(adapter, family)
    opened = bundles.open_bundle(made.bundle.folder)
    assert opened == made.bundle
    network = opened.network()
    assert not network.training
    torch.testing.assert_close(outputs(network, made.learner), made.outputs, **CLOSE)
    assert (
        opened.tokenizer()("the film was fine")["input_ids"] == made.learner.tokenizer("the film was fine")["input_ids"]
    )


@pytest.mark.filterwarnings("ignore:The following rank_pattern keys:RuntimeWarning")
@every_family
@every_adapter
def test_transformers_and_peft_read_it(
    trained: Callable[..., Trained], model: Callable[..., Path], adapter: str, family: str
) -> None:
    if adapter in OURS or (adapter in ("oft", "peft") and family == "gpt2"):
        pytest.skip("PEFT has no such layers")
    made = trained(adapter, family)
    folder, inputs = made.bundle.folder, made.learner.validation.tokens(SOME)
    kind: Any = transformers.T5EncoderModel if family == "t5" else transformers.AutoModel
    if made.learner.adapter.needs_base:
        stock = peft.PeftModel.from_pretrained(kind.from_pretrained(model(family)), folder)
    else:
        stock = kind.from_pretrained(folder)
    with torch.no_grad():
        theirs = stock.eval()(**inputs).last_hidden_state[:, made.learner.adapter.taken_tokens :]
        ours = made.learner.network.eval().backbone(**{"attention_mask": None, **inputs})
    torch.testing.assert_close(theirs, ours, **CLOSE)
    names = transformers.AutoTokenizer.from_pretrained(folder)("dull plot")["input_ids"]
    assert names == made.learner.tokenizer("dull plot")["input_ids"]


@every_family
@every_adapter
def test_base_weights_are_in_the_bundle_only_where_it_stands_alone(
    trained: Callable[..., Trained], model: Callable[..., Path], adapter: str, family: str
) -> None:
    made = trained(adapter, family)
    sizes = {file: file.stat().st_size for file in made.bundle.folder.glob("*.safetensors")}
    base = (model(family) / "model.safetensors").stat().st_size
    if made.learner.adapter.needs_base:
        assert sum(sizes.values()) < base / 3
        names = {name for file in sizes for name in load_file(file)}
        whole = {name for name in load_file(model(family) / "model.safetensors") if "norm" not in name.lower()}
        assert names
        assert not names & whole
        assert made.bundle.base_fingerprint
    else:
        assert made.bundle.base_fingerprint is None
    head = load_file(made.bundle.folder / "head" / "model.safetensors")
    assert head["linear.weight"].shape == (2, 32)


@pytest.mark.parametrize("adapter", SMALL)
def test_a_changed_base_is_refused(build: Build, model: Callable[..., Path], adapter: str, tmp_path: Path) -> None:
    base = Path(shutil.copytree(model("bert"), tmp_path / "base"))
    learned = build(adapter, **{"model.base": str(base)})
    folder = tmp_path / "bundle"
    folder.mkdir()
    bundles.write(folder, learned.network, learned.tokenizer, learned.config, learned.target, learned.adapter)
    bundles.open_bundle(folder).network()
    weights = load_file(base / "model.safetensors")
    first = next(iter(weights))
    save_file(weights | {first: weights[first] + 1}, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(BundleError, match="has changed since this bundle was made"):
        bundles.open_bundle(folder).network()


@every_family
@pytest.mark.parametrize("pooling", ["mean", "attention"])
@pytest.mark.parametrize("adapter", ["freeze", "head"])
def test_kept_states_change_nothing(build: Build, adapter: str, pooling: str, family: str) -> None:
    learned = build(adapter, family, **{"model.pooling": pooling})
    network = learned.network.eval()
    kept, fresh = learned.validation.collate(SOME), learned.validation.tokens(SOME)
    falls_back = adapter == "freeze" and family == "t5"
    assert ("input_ids" in kept) == falls_back
    assert ("features" in kept) == (adapter == "head" and pooling == "mean")
    with torch.no_grad():
        torch.testing.assert_close(network(kept), network(fresh), **CLOSE)


@pytest.mark.parametrize("adapter", ["freeze", "head"])
def test_kept_states_of_pairs_and_windows(build: Build, adapter: str) -> None:
    for kind, more in (
        ("similarity", {}),
        ("binary", {"model.max_length": 8, "model.long_text": "windows", "model.window_overlap": 2}),
    ):
        learned = build(adapter, kind=kind, **more)
        kept, fresh = (give(SOME) for give in (learned.validation.collate, learned.validation.tokens))
        assert "input_ids" not in kept
        network = learned.network.eval()
        with torch.no_grad():
            torch.testing.assert_close(network(kept), network(fresh), **CLOSE)


def test_where_states_cannot_be_kept_the_run_says_so(build: Build, tmp_path: Path) -> None:
    learned = build("freeze", "t5", folder=tmp_path)
    assert learned.network.depth == 0
    assert any("cannot be kept" in entry["message"] for entry in read(tmp_path / "log.jsonl"))


def test_the_saved_config_names_the_labels(trained: Callable[..., Trained]) -> None:
    config = json.loads((trained("full", "bert").bundle.folder / "config.json").read_text())
    assert config["id2label"] == {"0": "negative", "1": "positive"}


def test_lora_names_layers_that_are_not_there(build: Build) -> None:
    learned = build("lora", **{"adapter.targets": ["query", "output.dense"]})
    wrapped = {name for name, _ in learned.network.backbone.named_parameters() if "lora_A" in name}
    assert {name.split(".lora_A")[0].rpartition(".")[2] for name in wrapped} == {"query", "dense"}
    with pytest.raises(UsageError, match=r"no linear layer is named 'qeury'\n    did you mean 'query'"):
        build("lora", **{"adapter.targets": ["qeury", "value"]})
