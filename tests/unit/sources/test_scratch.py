"""Fresh models with tokenizers of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tunesmith import sources
from tunesmith.errors import SourceError, UsageError
from tunesmith.networks import generators
from tunesmith.sources import scratch

TEXTS = [
    "the cat sat on the mat",
    "das Wetter ist schön",
    "今天天气很好，我们去公园吧",
    "I don't know.  Two spaces!",
] * 20
UNSEEN = ["Ünïcode ∑ 🎈 stays", "龘 is rare", "  led by spaces", "tab\tand\nline"]
FAMILIES = ("t5", "bart", "marian", "gpt2", "llama")
SMALL = "layers=1&width=32&heads=2&vocabulary=400&positions=64"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fresh_model_can_be_loaded_like_any_other(tmp_path: Path, family: str) -> None:
    folder = scratch.build(f"scratch://{family}?{SMALL}", TEXTS, tmp_path / "base")
    assert sources.resolve(str(folder)).path == folder
    generator, tokenizer = generators.load(folder), generators.load_tokenizer(folder)
    assert (generator.width, generator.max_length) == (32, 64)
    assert generator.depth == (1 if generator.is_decoder else 2)
    assert tokenizer.is_decoder == generator.is_decoder
    assert len(tokenizer) == generator.model.config.vocab_size <= 400
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_any_text_survives_the_tokenizer(tmp_path: Path) -> None:
    tokenizer = generators.load_tokenizer(scratch.build(f"scratch://t5?{SMALL}", TEXTS, tmp_path / "base"))
    for text in [*TEXTS[:4], *UNSEEN]:
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_the_same_reference_gives_the_same_files(tmp_path: Path) -> None:
    reference = f"scratch://marian?{SMALL}&seed=3"
    torch.manual_seed(1)
    first = scratch.build(reference, TEXTS, tmp_path / "a")
    before = torch.random.get_rng_state()
    second = scratch.build(reference, TEXTS, tmp_path / "b")
    assert torch.equal(before, torch.random.get_rng_state())
    assert sources.fingerprint(first) == sources.fingerprint(second)
    assert sources.fingerprint(first) != sources.fingerprint(scratch.build(reference[:-1] + "4", TEXTS, tmp_path / "c"))


def test_a_folder_that_is_there_stays(tmp_path: Path) -> None:
    folder = scratch.build(f"scratch://gpt2?{SMALL}", TEXTS, tmp_path / "base")
    before = sources.fingerprint(folder)
    scratch.build(f"scratch://gpt2?{SMALL}", ["other texts"], folder)
    assert sources.fingerprint(folder) == before


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("scratch://t6?layers=2", "known: t5, bart"),
        ("scratch://t5?layer=2", "did you mean 'layers'"),
        ("scratch://t5?layers=0", "layers = .0.: .*1"),
        ("scratch://t5?layers=many", "layers"),
        ("scratch://t5?width=30&heads=4", "4 heads cannot share it"),
    ],
)
def test_mistakes_are_told(reference: str, said: str) -> None:
    with pytest.raises((SourceError, UsageError), match=said):
        scratch.parse(reference)


def test_no_text_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no text"):
        scratch.build("scratch://t5", ["", ""], tmp_path / "base")
    assert not (tmp_path / "base").exists()


def test_other_references_are_not_fresh() -> None:
    assert scratch.is_scratch("scratch://t5")
    assert not scratch.is_scratch("hf://google-t5/t5-small")
    assert not scratch.is_scratch(None)
