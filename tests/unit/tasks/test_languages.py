"""Translation by models of many languages: the source names its language, the translation begins with its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

import tiny
from tunesmith import machine, plugins, quiet
from tunesmith.config import Model
from tunesmith.engines.pytorch import Engine
from tunesmith.errors import UsageError
from tunesmith.heads import IGNORED
from tunesmith.tasks.base import Reader

GERMAN = {"nllb": ("eng_Latn", "deu_Latn"), "mbart50": ("en_XX", "de_DE"), "mbart": ("en_XX", "de_DE")}
LETTERS = sorted({letter for text in tiny.TEXTS for letter in text if letter != " "})


def write(folder: Path, kind: str) -> Path:
    """A tiny random model with a tokenizer of letters and the real codes of languages."""
    import transformers as t

    if kind == "nllb":
        pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", *LETTERS]
        tokenizer: Any = t.NllbTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[])
    else:
        made = {"mbart50": t.MBart50Tokenizer, "mbart": t.MBartTokenizer}[kind]
        tokenizer = made(
            vocab=[
                ("<s>", 0.0),
                ("<pad>", 0.0),
                ("</s>", 0.0),
                ("<unk>", 0.0),
                ("▁", -2.0),
                *((x, -3.0) for x in LETTERS),
            ]
        )
    sizes = {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 32))}  # fmt: skip
    shape = {"vocab_size": len(tokenizer), "d_model": 16, "max_position_embeddings": 64, "pad_token_id": 1, **sizes}
    torch.manual_seed(0)
    if kind == "nllb":
        model: Any = t.M2M100ForConditionalGeneration(t.M2M100Config(**shape, decoder_start_token_id=2))
    else:
        start = 2 if kind == "mbart50" else None
        model = t.MBartForConditionalGeneration(t.MBartConfig(**shape, decoder_start_token_id=start))
    with quiet.transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def reader(tmp_path: Path) -> Callable[..., tuple[Any, Reader]]:
    """Gives a task between two languages, and a tiny model that reads for it."""

    def of(kind: str, source: str, target: str) -> tuple[Any, Reader]:
        folder, module = write(tmp_path / "base", kind), plugins.module("tasks", "translation")
        task = module.Task(module.Params(source_language=source, target_language=target))
        learned = task.learn(None)
        network = task.network(task.load_base(folder), learned, Model())
        tokenizer = task.load_tokenizer(folder, folder)
        return task, Reader(Engine(network, machine.prepare("fp32")), tokenizer, Model(max_length=60), learned)

    return of


def rows(task: Any) -> pa.Table:
    return pa.Table.from_pylist([task.read_row({"source": "the film", "target": "a plot"})], schema=task.schema())


@pytest.mark.parametrize("kind", GERMAN)
def test_languages_are_named(reader: Callable[..., tuple[Any, Reader]], tmp_path: Path, kind: str) -> None:
    task, made = reader(kind, *GERMAN[kind])
    english, german = (made.tokenizer.convert_tokens_to_ids(code) for code in GERMAN[kind])
    examples = task.encode(rows(task), made.tokenizer, made.reading, tmp_path / "rows", made.target)
    (inputs,) = [examples.tokens(np.array([0]))]
    assert english in inputs["input_ids"][0].tolist()
    labels = inputs["labels"][0][inputs["labels"][0] != IGNORED].tolist()
    begun = inputs["decoder_input_ids"][0].tolist()
    assert german in (labels[0], labels[-1])
    assert begun[1:] == labels[:-1]
    assert begun[0] == (german if kind == "mbart" else 2)


@pytest.mark.parametrize("kind", GERMAN)
@pytest.mark.parametrize("beams", [1, 3])
def test_translations_are_transformers_own(
    reader: Callable[..., tuple[Any, Reader]], tmp_path: Path, kind: str, beams: int
) -> None:
    task, made = reader(kind, *GERMAN[kind])
    request = plugins.module("tasks", "translation").Request(max_tokens=8, num_beams=beams)
    given = task.read(made, rows(task), request, tmp_path / "rows").scores
    (written,) = given
    model: Any = made.engine.network.backbone.model
    german = made.tokenizer.convert_tokens_to_ids(GERMAN[kind][1])
    begin = {"decoder_start_token_id": german} if kind == "mbart" else {"forced_bos_token_id": german}
    with quiet.transformers():
        found = model.generate(
            **made.tokenizer("the film", return_tensors="pt"),
            **begin, num_beams=beams, do_sample=False, max_new_tokens=8 + (kind != "mbart"), forced_eos_token_id=None,
        )[0].tolist()  # fmt: skip
    expected = found[1:] if kind == "mbart" else found[2:]
    assert found[0 if kind == "mbart" else 1] == german
    assert list(written.parts[0][0].tokens) == expected


def test_an_unknown_language_is_told(reader: Callable[..., tuple[Any, Reader]], tmp_path: Path) -> None:
    task, made = reader("nllb", "eng_Latn", "deu_Latm")
    with pytest.raises(UsageError, match="did you mean 'deu_Latn'"):
        task.encode(rows(task), made.tokenizer, made.reading, tmp_path / "rows", made.target)
