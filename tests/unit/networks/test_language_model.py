"""The loss over the vocabulary is transformers' own, made only where it counts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import tiny_generators
from tiny_generators import DECODERS, KINDS, Kind
from tunesmith.heads import IGNORED
from tunesmith.networks import generators, language_model
from tunesmith.networks.generators import Generator
from tunesmith.networks.language_model import LanguageModel


def generator(folder: Path, kind: Kind) -> Generator:
    return generators.load(tiny_generators.write(folder / kind, kind))


def batch(backbone: Generator, rows: int = 3, tokens: int = 9) -> dict[str, Tensor]:
    """Random ids whose labels stand on some positions of each row; the last row is padded."""
    random = torch.Generator().manual_seed(1)
    size = backbone.model.config.vocab_size
    ids, labels = (torch.randint(5, size, (rows, tokens), generator=random) for _ in range(2))
    labels[torch.rand(labels.shape, generator=random) < 0.4] = IGNORED
    labels[-1, -3:] = IGNORED
    if backbone.is_decoder:
        return {"input_ids": ids, "labels": labels}
    mask = torch.ones_like(ids)
    mask[-1, -4:] = 0
    written = torch.randint(5, size, (rows, tokens), generator=random)
    return {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": written, "labels": labels}


def by_transformers(backbone: Generator, inputs: dict[str, Tensor], smoothing: float = 0.0) -> Tensor:
    """The loss of each sequence from the logits of all positions."""
    given = {name: tensor for name, tensor in inputs.items() if name != "labels"}
    logits = backbone.model(**given).logits
    losses = F.cross_entropy(
        logits.transpose(1, 2), inputs["labels"], ignore_index=IGNORED, reduction="none", label_smoothing=smoothing
    )
    return losses.sum(1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_that_of_transformers(tmp_path: Path, kind: Kind) -> None:
    backbone = generator(tmp_path, kind)
    inputs = batch(backbone)
    found = LanguageModel(backbone).eval()(inputs)
    torch.testing.assert_close(found[:, 0], by_transformers(backbone, inputs), atol=1e-5, rtol=1e-5)
    assert found[:, 1].tolist() == (inputs["labels"] != IGNORED).sum(1).tolist()


@pytest.mark.parametrize("kind", DECODERS)
def test_the_mean_is_the_loss_that_transformers_reports(tmp_path: Path, kind: Kind) -> None:
    backbone = generator(tmp_path, kind)
    ids = batch(backbone)["input_ids"]
    totals = LanguageModel(backbone).eval()({"input_ids": ids[:, :-1], "labels": ids[:, 1:]}).sum(0)
    theirs = backbone.model(input_ids=ids, labels=ids).loss
    torch.testing.assert_close(totals[0] / totals[1], theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["t5", "bart", "marian"])
def test_encoder_decoders_report_it_too(tmp_path: Path, kind: Kind) -> None:
    backbone = generator(tmp_path, kind)
    inputs = batch(backbone)
    inputs["labels"] = torch.randint(5, 100, inputs["labels"].shape)
    given = {name: tensor for name, tensor in inputs.items() if name != "decoder_input_ids"}
    theirs = backbone.model(**given).loss
    inputs["decoder_input_ids"] = backbone.model.prepare_decoder_input_ids_from_labels(inputs["labels"])
    totals = LanguageModel(backbone).eval()(inputs).sum(0)
    torch.testing.assert_close(totals[0] / totals[1], theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("chunk", [1 << 24, 2000])
@pytest.mark.parametrize("frozen_head", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["llama", "cohere", "gemma2", "t5", "marian"])
def test_gradients_are_those_of_the_plain_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, smoothing: float, frozen_head: bool, chunk: int
) -> None:
    monkeypatch.setattr(language_model, "CHUNK_LOGITS", chunk)
    backbone = generator(tmp_path, kind)
    backbone.model.get_output_embeddings().weight.requires_grad_(not frozen_head)
    network = LanguageModel(backbone, label_smoothing=smoothing)
    for module in network.modules():  # training mode without dropout
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    backbone.model.config.dropout = 0.0
    network.eval()
    network.training = True
    inputs = batch(backbone)
    weights = torch.tensor([1.0, 2.0, 0.5])
    names = [name for name, weight in network.named_parameters() if weight.requires_grad]
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    mine = torch.autograd.grad((network(inputs)[:, 0] * weights).sum(), trained, allow_unused=True)
    theirs = torch.autograd.grad(
        (by_transformers(backbone, inputs, smoothing) * weights).sum(), trained, allow_unused=True
    )
    for name, found, expected in zip(names, mine, theirs, strict=True):
        if expected is not None:
            assert torch.allclose(found, expected, atol=2e-5, rtol=1e-4), name


def test_logits_are_found_to_be_affine_or_not(tmp_path: Path) -> None:
    found = {kind: generator(tmp_path, kind).projection() for kind in KINDS}
    assert {kind for kind, projection in found.items() if projection is None} == {"gemma2"}
    assert found["cohere"].scale == pytest.approx(0.25)
    assert found["t5"].scale == pytest.approx(32**-0.5)
    assert {kind for kind, one in found.items() if one is not None and one.bias is not None} == {"bart", "marian"}


def test_logits_are_made_only_where_there_is_something_to_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    plain = language_model._logits
    monkeypatch.setattr(
        language_model, "_logits", lambda hidden, *rest: seen.append(len(hidden)) or plain(hidden, *rest)
    )
    backbone = generator(tmp_path, "llama")
    inputs = batch(backbone)
    LanguageModel(backbone)(inputs)
    assert sum(seen) == int((inputs["labels"] != IGNORED).sum()) < inputs["labels"].numel()


def test_nothing_to_learn_costs_nothing(tmp_path: Path) -> None:
    for kind in ("llama", "gemma2"):
        backbone = generator(tmp_path, kind)
        inputs = batch(backbone)
        inputs["labels"][:] = IGNORED
        assert LanguageModel(backbone)(inputs).tolist() == [[0.0, 0.0]] * 3


def test_smoothing_is_for_training_alone(tmp_path: Path) -> None:
    backbone = generator(tmp_path, "llama")
    inputs = batch(backbone)
    network = LanguageModel(backbone, label_smoothing=0.2)
    assert torch.equal(network.eval()(inputs), LanguageModel(backbone).eval()(inputs))
    assert not torch.equal(network.train()(inputs), network.eval()(inputs))


def test_padding_after_a_row_changes_nothing(tmp_path: Path) -> None:
    backbone = generator(tmp_path, "gpt2")
    network = LanguageModel(backbone).eval()
    inputs = batch(backbone, rows=1)
    longer = {
        "input_ids": F.pad(inputs["input_ids"], (0, 4), value=0),
        "labels": F.pad(inputs["labels"], (0, 4), value=IGNORED),
    }
    torch.testing.assert_close(network(inputs), network(longer))


@pytest.mark.parametrize("kind", ["t5", "marian"])
def test_what_an_evaluation_finds_out_serves_training(tmp_path: Path, kind: Kind) -> None:
    network = LanguageModel(generators.load(tiny_generators.write(tmp_path, kind)))
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        first = network.backbone.projection()
    again = generators.load(tmp_path).projection()
    assert first is not None
    assert again is not None
    assert first.scale == again.scale
    hidden = torch.randn(3, network.backbone.width, requires_grad=True)
    network.token_losses(hidden, torch.tensor([1, 2, 3])).sum().backward()
    assert hidden.grad is not None
    assert hidden.grad.any()
