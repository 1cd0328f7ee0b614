"""Graphs of networks give what the networks give, for any number of rows of any length."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import transformers

from tunesmith import quiet
from tunesmith.exports.onnx import _program, _quietly
from tunesmith.heads import Head, TextHead
from tunesmith.heads.embeddings import EmbeddingHead
from tunesmith.heads.relations import MarkedHead, TripleHead
from tunesmith.heads.spans import SpanHead
from tunesmith.heads.tokens import ChainHead, TokenHead
from tunesmith.networks import backbones, traced
from tunesmith.networks.network import Network

SIZES: dict[str, Any] = {"vocab_size": 120, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZES |= {"intermediate_size": 64, "max_position_embeddings": 66}
ENDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
RELATIVE = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8, "type_vocab_size": 0}
MODELS: dict[str, Callable[[], Any]] = {
    "albert": lambda: transformers.AlbertModel(transformers.AlbertConfig(**SIZES, embedding_size=16)),
    "bert": lambda: transformers.BertModel(transformers.BertConfig(**SIZES)),
    "deberta-v2": lambda: transformers.DebertaV2Model(transformers.DebertaV2Config(**SIZES, **RELATIVE)),
    "distilbert": lambda: transformers.DistilBertModel(
        transformers.DistilBertConfig(
            vocab_size=120, dim=32, hidden_dim=64, n_layers=2, n_heads=2, max_position_embeddings=66
        )
    ),
    "electra": lambda: transformers.ElectraModel(transformers.ElectraConfig(**SIZES, embedding_size=16)),
    "modernbert": lambda: transformers.ModernBertModel(transformers.ModernBertConfig(**SIZES, **ENDS)),
    "mpnet": lambda: transformers.MPNetModel(transformers.MPNetConfig(**SIZES)),
    "xlm-roberta": lambda: transformers.XLMRobertaModel(transformers.XLMRobertaConfig(**SIZES)),
}
HEADS: dict[str, Callable[[int], Head]] = {
    "attention": lambda width: TextHead(width, 3, pooling="attention", dropout=0.1),
    "chain": lambda width: ChainHead(width, 5, slots=2, dropout=0.1),
    "cls": lambda width: TextHead(width, 3, pooling="cls", dropout=0.1),
    "embedding": lambda width: EmbeddingHead(width, 16, pooling="mean", dropout=0.1),
    "last": lambda width: TextHead(width, 3, pooling="last", dropout=0.1),
    "marked": lambda width: MarkedHead(width, 5, pooling="max", dropout=0.1),
    "pair": lambda width: TextHead(width, 3, pooling="mean", dropout=0.1, pair=True),
    "spans": lambda width: SpanHead(width, dropout=0.1),
    "tokens": lambda width: TokenHead(width, 5, dropout=0.1),
    "triples": lambda width: TripleHead(width, 5, 3, rank=8, dropout=0.1),
}
TOGETHER = [
    *[("albert", "cls"), ("bert", "attention"), ("bert", "chain"), ("bert", "last"), ("deberta-v2", "tokens")],
    *[("distilbert", "spans"), ("electra", "pair"), ("modernbert", "triples"), ("mpnet", "embedding")],
    ("xlm-roberta", "marked"),
]


def batch(names: tuple[str, ...], rows: int, tokens: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(rows * 100 + tokens)
    mask = np.ones((rows, tokens), np.int64)
    mask[-1, max(1, tokens // 2) :] = 0
    found = {"input_ids": random.integers(3, 90, mask.shape), "attention_mask": mask}
    found |= {"token_type_ids": np.zeros_like(mask), "marks": random.integers(0, 4, mask.shape)}
    return {name: found[name] for name in names}


@pytest.mark.slow
@pytest.mark.parametrize(("family", "head"), TOGETHER)
def test_a_graph_gives_what_the_network_gives(family: str, head: str, tmp_path: Path) -> None:
    with quiet.transformers():
        MODELS[family]().save_pretrained(tmp_path)
    backbone = backbones.load(tmp_path)
    network = Network(backbone, HEADS[head](backbone.width)).eval()
    graph = traced.traceable(network, ("token_type_ids",) if family == "bert" else (), 64)
    with _quietly():
        _program(graph).save(str(tmp_path / "model.onnx"))
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    for rows, tokens in ((2, 7), (1, 1), (4, 12), (1, 40)):
        inputs = batch(graph.names, 2 * rows if head == "pair" else rows, tokens)
        with torch.no_grad():
            expected = network({name: torch.from_numpy(array) for name, array in inputs.items()}).numpy()
        np.testing.assert_allclose(session.run(None, inputs)[0], expected, atol=1e-5, rtol=1e-4)
