"""Backbones: any base model gives one vector a token, and its upper blocks can be run by themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tiny import Family, write_tiny
from tunesmith import quiet
from tunesmith.errors import SourceError, UsageError
from tunesmith.networks import backbones
from tunesmith.text import encode as text

FAMILIES: dict[Family, str] = {
    "bert": "autoencoding",
    "roberta": "autoencoding",
    "gpt2": "autoregressive",
    "llama": "autoregressive",
    "t5": "encoder-decoder",
}
TEXTS = ["the film was fine", "a new card has not arrived yet: where is it?"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {family: write_tiny(root / family, family) for family in FAMILIES}


def batch_for(folder: Path) -> dict[str, torch.Tensor]:
    return dict(text.load_tokenizer(folder)(TEXTS, return_tensors="pt", padding=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_shapes_and_facts(folders: dict[str, Path], family: Family, capfd: pytest.CaptureFixture[str]) -> None:
    backbone = backbones.load(folders[family], attention_dropout=0.0)
    batch = batch_for(folders[family])
    hidden = backbone(**batch)
    assert hidden.shape == (*batch["input_ids"].shape, 32)
    assert hidden.dtype == torch.float32
    assert (backbone.family, backbone.width, backbone.depth, backbone.max_length) == (FAMILIES[family], 32, 2, 64)
    assert len(backbone.layers) == 2
    assert not backbone.is_sentence_encoder
    assert not backbone.training
    assert backbone.embeddings.weight.shape[1] == 32
    assert not any("pooler" in name or "lm_head" in name for name, _ in backbone.named_parameters())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("family", FAMILIES)
def test_longest_text_fits(folders: dict[str, Path], family: Family) -> None:
    backbone = backbones.load(folders[family])
    assert backbone.max_length
    ids = torch.full((1, backbone.max_length), 7)
    assert backbone(ids, torch.ones_like(ids)).shape == (1, 64, 32)


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_changes_nothing(folders: dict[str, Path], family: Family) -> None:
    backbone = backbones.load(folders[family])
    tokenizer = text.load_tokenizer(folders[family])
    alone, padded = backbone(**tokenizer(TEXTS[:1], return_tensors="pt")), backbone(**batch_for(folders[family]))
    torch.testing.assert_close(padded[:1, : alone.shape[1]], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama"])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_upper_of_lower_is_forward(folders: dict[str, Path], family: Family, depth: int) -> None:
    backbone = backbones.load(folders[family])
    batch = batch_for(folders[family])
    rest = {name: value for name, value in batch.items() if name != "input_ids"}
    hidden = backbone.lower(batch, depth)
    split, whole = backbone.upper(hidden, depth=depth, **rest), backbone(**batch)
    assert backbone.can_split
    assert not hidden.requires_grad
    assert (split - whole).abs().max() <= 1e-6
    assert (backbone.upper(hidden + torch.randn_like(hidden), depth=depth, **rest) - whole).abs().max() > 1e-3


def test_split_leaves_the_model_as_it_was(folders: dict[str, Path]) -> None:
    backbone = backbones.load(folders["bert"])
    batch = batch_for(folders["bert"])
    whole = backbone(**batch)
    backbone.layers[1].train()
    backbone.upper(backbone.lower(batch, 1), batch["attention_mask"], 1)
    assert backbone.layers[1].training
    assert not backbone.layers[0].training
    assert torch.equal(backbone.eval()(**batch), whole)


def test_upper_trains_only_what_it_runs(folders: dict[str, Path]) -> None:
    backbone = backbones.load(folders["llama"])
    batch = batch_for(folders["llama"])
    backbone.upper(backbone.lower(batch, 1), batch["attention_mask"], 1).sum().backward()
    assert all(weight.grad is None for weight in backbone.layers[0].parameters())
    assert all(weight.grad is not None for weight in backbone.layers[1].parameters())


def test_shared_position_bias_cannot_be_split(folders: dict[str, Path]) -> None:
    backbone = backbones.load(folders["t5"])
    assert not backbone.can_split
    with pytest.raises(UsageError, match="'t5' cannot be run from block 1"):
        backbone.lower(batch_for(folders["t5"]), 1)
    with pytest.raises(UsageError, match="legal: 0 to 2"):
        backbone.lower(batch_for(folders["t5"]), 3)


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "t5"])
def test_dropout_is_set(folders: dict[str, Path], family: Family) -> None:
    batch = batch_for(folders[family])
    off = backbones.load(folders[family], hidden_dropout=0.0, attention_dropout=0.0).train()
    assert torch.equal(off(**batch), off(**batch))
    for which in ({"hidden_dropout": 0.5, "attention_dropout": 0.0}, {"hidden_dropout": 0.0, "attention_dropout": 0.5}):
        on = backbones.load(folders[family], **which).train()
        assert not torch.equal(on(**batch), on(**batch)), which


def test_dropout_that_a_model_does_not_have(folders: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match=r"hidden_dropout = 0.1: a model of type 'llama' has no such dropout"):
        backbones.load(folders["llama"], hidden_dropout=0.1)
    backbones.load(folders["llama"], hidden_dropout=0.0)


@pytest.mark.parametrize(("family", "pooling"), [("bert", "mean"), ("gpt2", "last"), ("t5", "mean")])
def test_pooling_by_family(folders: dict[str, Path], family: Family, pooling: str) -> None:
    assert backbones.load(folders[family]).pooling == pooling


@pytest.mark.parametrize(
    ("mode", "pooling"), [("mean_tokens", "mean"), ("cls_token", "cls"), ("max_tokens", "max"), ("lasttoken", "last")]
)
def test_pooling_of_a_sentence_encoder(tmp_path: Path, mode: str, pooling: str) -> None:
    folder = write_tiny(tmp_path)
    stages = [
        {"path": "", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (folder / "modules.json").write_text(json.dumps(stages))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"pooling_mode_mean_tokens": False, f"pooling_mode_{mode}": True})
    )
    backbone = backbones.load(folder)
    assert backbone.is_sentence_encoder
    assert backbone.pooling == pooling


def test_pretrained_pooler_means_cls(tmp_path: Path) -> None:
    import transformers

    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "vocab_size": 50,
    }
    with quiet.transformers():
        transformers.BertForPreTraining(transformers.BertConfig(**sizes)).save_pretrained(tmp_path)
    assert backbones.load(tmp_path).pooling == "cls"


@pytest.mark.parametrize("name", ["BartModel", "MarianModel", "MarianMTModel"])
def test_encoder_is_taken_out_saved_and_loaded(tmp_path: Path, name: str) -> None:
    import transformers

    sizes = {
        f"{side}_{what}": n
        for side in ("encoder", "decoder")
        for what, n in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 32))
    }
    config = getattr(transformers, f"{name[: 4 if name[0] == 'B' else 6]}Config")(
        d_model=32, vocab_size=50, pad_token_id=1, decoder_start_token_id=1, max_position_embeddings=64, **sizes
    )
    torch.manual_seed(0)
    whole = getattr(transformers, name)(config).eval()
    ids = torch.arange(4, 10)[None]
    with quiet.transformers():
        whole.save_pretrained(tmp_path / "whole")
        backbone = backbones.load(tmp_path / "whole")
        backbone.model.save_pretrained(tmp_path / "encoder")
    expected = whole.get_encoder()(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    assert backbone.family == "encoder-decoder"
    assert backbone.max_length == 64
    for folder in ("whole", "encoder"):
        assert torch.equal(backbones.load(tmp_path / folder)(ids, torch.ones_like(ids)), expected)


def test_missing_weights_are_not_made_up(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path)
    weights = load_file(folder / "model.safetensors")
    removed = next(name for name in weights if name.endswith("layer.1.output.dense.weight"))
    save_file(
        {name: weight for name, weight in weights.items() if name != removed},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    with pytest.raises(SourceError, match=r"1 weights of the model are missing[^$]*layer\.1\.output\.dense\.weight"):
        backbones.load(folder)


def test_models_that_cannot_be_read(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(SourceError, match="no base model can be read"):
        backbones.load(folder)
    (folder / "config.json").write_text('{"model_type": "no-such-thing"}')
    with pytest.raises(SourceError, match="no base model can be read"):
        backbones.load(folder)


def test_code_in_a_model_folder_is_not_run(tmp_path: Path) -> None:
    folder, marker = write_tiny(tmp_path / "model"), tmp_path / "marker"
    config = json.loads((folder / "config.json").read_text())
    (folder / "own.py").write_text(f"open({str(marker)!r}, 'w')\n")
    (folder / "config.json").write_text(
        json.dumps({**config, "model_type": "own", "auto_map": {"AutoConfig": "own.C", "AutoModel": "own.M"}})
    )
    with pytest.raises(SourceError, match="no base model can be read"):
        backbones.load(folder)
    assert not marker.exists()


def test_decoder_pads_with_its_end_token(folders: dict[str, Path]) -> None:
    tokenizer = text.load_tokenizer(folders["gpt2"])
    assert tokenizer.pad_token == "<|endoftext|>"
    assert tokenizer.is_fast


def test_tokenizers_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no tokenizer can be read"):
        text.load_tokenizer(tmp_path)
    folder = write_tiny(tmp_path / "gpt2", "gpt2")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(
        json.dumps({name: value for name, value in config.items() if name != "eos_token"})
    )
    with pytest.raises(SourceError, match="neither a padding nor an end token"):
        text.load_tokenizer(folder)


def test_tiny_models_are_the_same_every_time(tmp_path: Path) -> None:
    for family in FAMILIES:
        one, two = (write_tiny(tmp_path / family / name, family) for name in "ab")
        for file in one.iterdir():
            assert file.read_bytes() == (two / file.name).read_bytes(), file
