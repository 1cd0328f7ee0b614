"""The lean forward pass computes what transformers' does, for every build of the Llama kind, or says that it cannot."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers as t

from generators import Generator
from tunesmith.generation import lean
from tunesmith.generation.cache import RowCache
from tunesmith.generation.decode import Scheduler, generate
from tunesmith.generation.graphs import FixedStep
from tunesmith.generation.lora import Lora
from tunesmith.generation.network import Network, left_padded
from tunesmith.generation.request import GenerationRequest
from tunesmith.networks import int8

_SIZES = {
    "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "max_position_embeddings": 128,
}  # fmt: skip
_BUILDS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "llama": (t.LlamaConfig, t.LlamaForCausalLM, {"num_key_value_heads": 2}),
    "llama, one key head": (t.LlamaConfig, t.LlamaForCausalLM, {"num_key_value_heads": 1}),
    "llama, all biases": (t.LlamaConfig, t.LlamaForCausalLM, {"attention_bias": True, "mlp_bias": True}),
    "mistral": (t.MistralConfig, t.MistralForCausalLM, {"num_key_value_heads": 2, "sliding_window": None}),
    "qwen2": (t.Qwen2Config, t.Qwen2ForCausalLM, {"num_key_value_heads": 2}),
    "qwen3": (t.Qwen3Config, t.Qwen3ForCausalLM, {"num_key_value_heads": 2, "head_dim": 24}),
}


def _built(name: str) -> Any:
    config, model, more = _BUILDS[name]
    torch.manual_seed(5)
    made = model(config(**_SIZES, **more)).eval()
    for parameter in made.parameters():  # norms and biases too, which begin as ones and zeros
        parameter.data += 0.1 * torch.randn_like(parameter)
    return made


def test_rows_that_see_far_are_computed_apart_and_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _built("qwen2")
    made = lean.of(model)
    assert made is not None
    monkeypatch.setattr(lean, "_APART_COLUMNS", 4)
    rows = [[5, 6], list(range(3, 70)), [11, 12, 13], [21], list(range(9, 59)), [8, 8, 8, 8]]
    cache, tokens = RowCache([len(row) for row in rows]), left_padded(rows)
    with torch.no_grad():
        cache.reserve(tokens.shape[1])
        made(tokens, cache.positions(tokens.shape[1]), cache)
        cache.advance(tokens.shape[1])
        assert lean._near(cache) == lean._Near(5, (1, 4))
        cache.reserve(1)
        found = made(torch.full((len(rows), 1), 40), cache.positions(1), cache)
        for row, ids in enumerate(rows):
            expected = model(input_ids=torch.tensor([[*ids, 40]])).logits[0, -1]
            torch.testing.assert_close(found[row, 0], expected, rtol=1e-4, atol=1e-4)


def test_rows_of_like_length_stay_together() -> None:
    for lengths in ([40, 41, 45, 60], [700]):
        cache = RowCache(lengths)
        cache.advance(max(lengths))
        assert lean._near(cache) is None


@pytest.mark.parametrize("name", _BUILDS)
def test_builds_of_the_kind_have_the_same_logits(name: str) -> None:
    model = _built(name)
    made = lean.of(model)
    assert made is not None
    rows = [[5, 6, 7, 8, 9], [11, 12], [21, 22, 23]]
    cache, tokens = RowCache([len(row) for row in rows]), left_padded(rows)
    found = []
    with torch.no_grad():
        for piece in (tokens[:, :3], tokens[:, 3:4], tokens[:, 4:]):
            cache.reserve(piece.shape[1])
            found.append(made(piece, cache.positions(piece.shape[1]), cache, all_logits=True))
            cache.advance(piece.shape[1])
        for row, ids in enumerate(rows):
            expected = model(input_ids=torch.tensor([ids])).logits[0]
            torch.testing.assert_close(torch.cat(found, 1)[row, -len(ids) :], expected, rtol=1e-4, atol=1e-4)


def test_another_build_is_left_to_transformers(generator: Callable[[str], Generator]) -> None:
    assert lean.of(generator("gpt2").model) is None
    config, model, _ = _BUILDS["mistral"]
    assert lean.of(model(config(**_SIZES, sliding_window=4)).eval()) is None


def test_a_build_that_looks_alike_and_computes_otherwise_is_found_out() -> None:
    model = _built("llama")
    before = model.model.layers[1].mlp.forward
    model.model.layers[1].mlp.forward = lambda x: 1.5 * before(x)
    assert lean.of(model) is None


def test_it_is_made_once_and_anew_when_modules_are_replaced() -> None:
    model = _built("llama")
    first = lean.of(model)
    assert lean.of(model) is first
    int8.quantise(model)
    assert lean.of(model) not in (first, None)


def test_weights_that_change_are_seen() -> None:
    model = _built("llama")
    made = lean.of(model)
    assert made is not None
    model.model.layers[0].mlp.down_proj.weight.data *= 3
    model.model.norm.weight.data *= 2
    assert lean._agrees(made, model)


@pytest.mark.parametrize("eight_bit", [False, True])
def test_answers_are_those_of_transformers_pass(
    generator: Callable[[str], Generator], prompts: list[list[int]], monkeypatch: pytest.MonkeyPatch, eight_bit: bool
) -> None:
    given = generator("llama")
    model = copy.deepcopy(given.model)
    if eight_bit:
        int8.quantise(model)
    requests = [GenerationRequest(max_tokens=4 + number % 7, ignore_eos=True) for number in range(len(prompts))]
    assert Network(model)._lean is not None
    found = generate(model, given.tokenizer, prompts, requests)
    monkeypatch.setattr(lean, "of", lambda _: None)
    expected = generate(model, given.tokenizer, prompts, requests)
    same = sum(a[0].tokens == b[0].tokens for a, b in zip(found, expected, strict=True))
    assert same == len(prompts) if not eight_bit else same >= 0.8 * len(prompts)  # ties are rounded either way


def _lora(name: str, model: Any, ranks: int) -> Lora:
    """A random update of some layers."""
    torch.manual_seed(ranks)
    layers = {
        place: (torch.randn(ranks, layer.in_features), torch.randn(layer.out_features, ranks) / 20)
        for place, layer in model.named_modules()
        if place.endswith(("q_proj", "down_proj")) or (ranks > 2 and place.endswith("up_proj"))
    }
    return Lora(name, layers)


@pytest.mark.parametrize("whose", ["", "aaa", "a.b"])
def test_fixed_steps_give_the_logits_of_free_ones(prompts: list[list[int]], whose: str) -> None:
    """What a graph would replay, without one: rows join, leave and outgrow the buffers, and some have updates."""
    model = _built("llama")
    made, network = lean.of(model), Network(model)
    updates = network.updates
    assert made is not None
    known = {name: updates.fit(_lora(name, model, ranks)) for name, ranks in (("a", 2), ("b", 3))}
    loras = [known.get(name) for name in whose.ljust(3, ".")]
    states = [network.start(rows) for rows in (prompts[:3], prompts[:3])]
    for state in states:
        network.feed(state, left_padded([row[:] for row in prompts[:3]]))
    own, free = (state.own for state in states)
    step, made_anew = None, 0
    with torch.no_grad():
        for number in range(90):
            if number == 20:
                for cache in (own, free):
                    cache.move([2, 0])
                loras = [loras[2], loras[0]]
            tokens = torch.arange(len(own.starts))[:, None] + number
            for cache in (own, free):
                cache.reserve(1)
            stack, owners = updates.placed(loras)
            if step is None or not step.fits(own):
                step, made_anew = FixedStep(made, own, updates, stack), made_anew + 1
            step.take(tokens, own, owners)
            found = step.run()[: len(tokens)]
            with updates.of(loras):
                expected = made(tokens, free.positions(1), free)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
            for cache in (own, free):
                cache.advance(1)
    assert 1 < made_anew < 6


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_graphs_give_the_tokens_of_free_steps(
    generator: Callable[[str], Generator], prompts: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = generator("llama")
    model = copy.deepcopy(given.model).to("cuda")
    adapters = [_lora(name, model, ranks) for name, ranks in (("a", 2), ("b", 3))]
    requests = [GenerationRequest(max_tokens=5 + number % 30, ignore_eos=True) for number in range(len(prompts))]
    assert Network(model)._graphs is not None
    found = [
        _written(model, given.tokenizer, prompts, requests, adapters, names) for names in ("..", "aa", "ab.", "bb")
    ]
    monkeypatch.setattr(Network, "_is_plain_step", lambda *_: False)
    for written, names in zip(found, ("..", "aa", "ab.", "bb"), strict=True):
        assert written == _written(model, given.tokenizer, prompts, requests, adapters, names)


def _written(
    model: Any,
    tokenizer: Any,
    prompts: list[list[int]],
    requests: list[GenerationRequest],
    adapters: list[Lora],
    names: str,
) -> list[Any]:
    """Tokens of each prompt, with the adapters whose names come round; ``.`` is none."""
    scheduler = Scheduler(model, tokenizer, adapters={one.name: one for one in adapters}, max_rows=8)
    whose = [None if name == "." else name for name in itertools.islice(itertools.cycle(names), len(prompts))]
    jobs = [
        scheduler.submit(prompt, request, adapter=name)
        for prompt, request, name in zip(prompts, requests, whose, strict=True)
    ]
    while not scheduler.idle:
        scheduler.step()
    return [job.results[0].tokens for job in jobs]
