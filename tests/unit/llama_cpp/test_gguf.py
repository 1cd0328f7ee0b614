"""What is written for llama.cpp gives in llama.cpp what the network gives here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import small
import tiny_generators
from tunesmith.errors import UsageError
from tunesmith.generation.decode import generate
from tunesmith.generation.network import Network
from tunesmith.generation.request import GenerationRequest as Request
from tunesmith.llama_cpp import modelfile, running, vocabulary, weights
from tunesmith.networks import generators
from tunesmith.plugins import load, module

gguf = pytest.importorskip("gguf")
runs = pytest.mark.skipif(not running.is_here(), reason="the package xllamacpp is not installed")
TEXTS = ("the film was soup", "rain wind 12 and then!", "a  b\nc", "team goal 雨 salt", "wind", "it's very <s> good")


def model_of(kind: str, folder: Path) -> tuple[Any, Any]:
    """A tiny model of a family, sharp enough that its answers differ, with its tokenizer."""
    import transformers as t

    base: Any = kind if kind in ("llama", "gpt2") else "gpt2"
    tiny_generators.write(folder, base, small.TEXTS)
    tokenizer = generators.load_tokenizer(folder)
    if kind in ("llama", "gpt2"):
        model = generators.load(folder).model
    else:
        made: Any = {"qwen2": t.Qwen2Config, "qwen3": t.Qwen3Config, "mistral": t.MistralConfig}[kind]
        more: dict[str, Any] = {"qwen2": {}, "qwen3": {"head_dim": 24}, "mistral": {"sliding_window": None}}[kind]
        shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
        torch.manual_seed(0)
        config = made(
            vocab_size=len(tokenizer), intermediate_size=96, max_position_embeddings=256, bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=None, **shape, **more,
        )  # fmt: skip
        model = t.AutoModelForCausalLM.from_config(config)
    for name, weight in model.named_parameters():
        if weight.dim() > 1:
            weight.data *= 4
        elif name.endswith("bias"):
            weight.data.normal_()
    return model.eval(), tokenizer


def write(file: Path, model: Any, tokenizer: Any, precision: str = "fp32") -> Path:
    facts, family = Network(model).facts, weights.family_of(model.config)
    writer = gguf.GGUFWriter(str(file), family.architecture)
    weights.add_sizes(writer, model.config, family)
    vocabulary.add(writer, tokenizer, facts.size, facts.ends)
    weights.add_tensors(writer, model, family, precision)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


@runs
@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "qwen3", "gpt2"])
def test_llama_cpp_gives_what_the_network_gives(tmp_path: Path, kind: str) -> None:
    model, tokenizer = model_of(kind, tmp_path / "model")
    engine = running.Engine(write(tmp_path / "x.gguf", model, tokenizer), Network(model).facts, tokenizer)
    prompts = [tokenizer(text)["input_ids"] for text in TEXTS]
    first = Request(max_tokens=1, logprobs=True, top_logprobs=5, ignore_eos=True)
    found = engine.generate(prompts, [first] * len(prompts), tokenizer)
    for theirs, own in zip(found, generate(model, tokenizer, prompts, first), strict=True):
        mine, other = own[0].logprobs[0].top, theirs[0].logprobs[0].top
        assert [score for _, score in other] == pytest.approx([score for _, score in mine], abs=5e-3)
    request = Request(max_tokens=12)
    texts = [one[0].text for one in engine.generate(prompts, [request] * len(prompts), tokenizer)]
    assert texts == [one[0].text for one in generate(model, tokenizer, prompts, request)]
    assert all(engine.reads_as(text, prompt) for text, prompt in zip(TEXTS, prompts, strict=True) if "<s>" not in text)
    assert not engine.reads_as(TEXTS[0], prompts[1])


@runs
def test_pieces_with_bytes_to_fall_back_on_are_read_as_here(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, normalizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])  # fmt: skip
    special = ["<unk>", "<s>", "</s>", *(f"<0x{number:02X}>" for number in range(256))]
    core.train_from_iterator(
        small.TEXTS, trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    )
    core = Tokenizer.from_str(core.to_str())
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    import transformers as t

    torch.manual_seed(0)
    model = t.LlamaForCausalLM(t.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, bos_token_id=1, eos_token_id=2,
    )).eval()  # fmt: skip
    engine = running.Engine(write(tmp_path / "x.gguf", model, tokenizer), Network(model).facts, tokenizer)
    for text in ("the film was fine", "loved soup and rain", "xyz 雨", "bread"):
        assert engine.reads_as(text, tokenizer(text)["input_ids"]), text


@runs
@pytest.mark.parametrize(
    ("precision", "bound"), [("fp16", 0.05), ("bf16", 0.5), ("q8_0", 0.5), ("q4_1", 4.0), ("q4_0", 4.0)]
)
def test_smaller_numbers_come_close(tmp_path: Path, precision: str, bound: float) -> None:
    model, tokenizer = model_of("llama", tmp_path / "model")
    whole = write(tmp_path / "whole.gguf", model, tokenizer)
    file = write(tmp_path / "x.gguf", model, tokenizer, precision)
    assert file.stat().st_size < whole.stat().st_size
    engine = running.Engine(file, Network(model).facts, tokenizer)
    prompts = [tokenizer(text)["input_ids"] for text in TEXTS[:3]]
    request = Request(max_tokens=1, logprobs=True, top_logprobs=1, ignore_eos=True)
    found = engine.generate(prompts, [request] * 3, tokenizer)
    for theirs, own in zip(found, generate(model, tokenizer, prompts, request), strict=True):
        assert theirs[0].logprobs[0].top[0][1] == pytest.approx(own[0].logprobs[0].top[0][1], abs=bound)


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    import transformers as t

    with pytest.raises(UsageError, match="type 'opt'"):
        weights.family_of(t.OPTConfig())
    with pytest.raises(UsageError, match="scaled by 'llama3'"):
        weights.family_of(t.LlamaConfig(rope_parameters={"rope_type": "llama3", "factor": 8.0, "rope_theta": 10000.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}))  # fmt: skip
    for steps in ({"type": "Whitespace"}, {"type": "ByteLevel", "add_prefix_space": True}, None):
        with pytest.raises(UsageError, match="split texts"):
            vocabulary._split(steps)
    known = {
        "type": "Sequence",
        "pretokenizers": [{"type": "Digits", "individual_digits": True}, {"type": "ByteLevel"}],
    }
    assert vocabulary._split(known) == "smollm"


def test_a_modelfile_writes_a_conversation_as_the_template_does(tmp_path: Path) -> None:
    tokenizer = generators.load_tokenizer(tiny_generators.write(tmp_path / "llama", "llama"))
    chat = load("tasks", "chat")(module("tasks", "chat").Params())
    text = modelfile.text("model.gguf", chat, tokenizer, frozenset({1}), {"temperature": 0.7, "max_tokens": 99})
    assert text.splitlines()[0] == "FROM ./model.gguf"
    assert 'PARAMETER stop "</s>"' in text
    assert "PARAMETER temperature 0.7" in text
    assert "PARAMETER num_predict 99" in text
    assert '{{ if eq .Role "user" }}{{ .Content }}</s><|assistant|>' in text
    assert text.count("{{ if .System }}<|system|>{{ .System }}</s><|user|>{{ else }}<|user|>{{ end }}") == 1
    module_of = module("tasks", "translation")
    asked = module_of.Task(module_of.Params(instruction="Say it in German: {text}!"))
    assert "Say it in German: {{ else }}" not in text
    assert "{{ else }}<|user|>Say it in German: {{ end }}" in modelfile.text("m", asked, tokenizer, frozenset(), {})
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    assert 'TEMPLATE "' not in modelfile.text("m", chat, tokenizer, frozenset(), {})
