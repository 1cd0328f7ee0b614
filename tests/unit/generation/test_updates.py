"""Rows with adapters of their own share a batch, and each answers as its adapter does by itself."""

from __future__ import annotations

import copy
import gc
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch

from generators import FAMILIES, Generator
from tunesmith.errors import UsageError
from tunesmith.generation.decode import Job, Scheduler, generate
from tunesmith.generation.lora import Lora, read
from tunesmith.generation.network import Network
from tunesmith.generation.request import GenerationRequest as Request
from tunesmith.networks import int8

Of = Callable[[str], Generator]
TARGETS = {
    "llama": (["q_proj", "v_proj"], "all-linear", ["down_proj", "gate_proj"]),
    "gpt2": (["c_attn"], "all-linear", ["c_proj", "c_fc"]),
    "t5": (["q", "v"], "all-linear", ["wo", "wi"]),
    "bart": (["q_proj", "v_proj"], "all-linear", ["fc1"]),
    "marian": (["q_proj", "k_proj"], "all-linear", ["fc2"]),
}
GREEDY = Request(max_tokens=10)


class Made:
    """Three adapters of a generator with other ranks, scales and layers, as PEFT saves them, and the models with each."""

    def __init__(self, made: Generator, family: str, root: Path) -> None:
        self.base, self.folders, self.models = made, {}, {None: made.model}
        for number, targets in enumerate(TARGETS[family]):
            config = peft.LoraConfig(
                r=(2, 3, 4)[number],
                lora_alpha=8,
                target_modules=targets,
                use_rslora=number == 1,
                fan_in_fan_out=family == "gpt2",
                rank_pattern={"v_proj": 5} if "v_proj" in targets else {},
                alpha_pattern={"v_proj": 2} if "v_proj" in targets else {},
            )
            torch.manual_seed(number)
            wrapped = peft.get_peft_model(copy.deepcopy(made.model), config)
            for name, weight in wrapped.named_parameters():
                if "lora_" in name:
                    weight.data.normal_(0, 0.6)
            name = f"adapter-{number}"
            self.folders[name] = root / name
            wrapped.save_pretrained(str(root / name))
            self.models[name] = wrapped.eval().base_model.model

    def alone(self, prompt: list[int], name: str | None, request: Request = GREEDY) -> tuple[tuple[int, ...], ...]:
        ((*answers,),) = generate(self.models[name], self.base.tokenizer, [prompt], request, prefix_bytes=0)
        return tuple(answer.tokens for answer in answers)


@pytest.fixture(scope="module")
def made(generator: Of, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    kept: dict[str, Made] = {}

    def of(family: str) -> Made:
        if family not in kept:
            kept[family] = Made(generator(family), family, tmp_path_factory.mktemp(family))
        return kept[family]

    return of


def run(scheduler: Scheduler) -> None:
    while not scheduler.idle:
        scheduler.step()


@pytest.mark.parametrize("family", FAMILIES)
def test_each_row_answers_as_its_adapter_does_alone(made: Callable[[str], Made], prompts: Any, family: str) -> None:
    mine = made(family)
    names = [None, *mine.folders]
    named = [names[number % 4] for number in range(16)]
    answers = generate(
        *mine.base, prompts[:16], GREEDY, named=named, adapters=mine.folders, max_rows=6, prefill_tokens=60
    )
    found = [tuple(answer.tokens for answer in each) for each in answers]
    assert found == [mine.alone(prompt, name) for prompt, name in zip(prompts, named, strict=False)]
    other = [mine.alone(prompt, None) for prompt in prompts[:16]]
    assert sum(one != two for one, two in zip(found, other, strict=True)) > 5  # the adapters do something


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("alone", [False, True])
def test_logits_are_those_of_each_adapter_alone(made: Callable[[str], Made], family: str, alone: bool) -> None:
    mine = made(family)
    network = Network(mine.base.model, alone=alone)
    fitted = {name: network.updates.fit(read(name, folder)) for name, folder in mine.folders.items()}
    named = [None, "adapter-2", "adapter-0", "adapter-1", "adapter-0", None]
    prompts = [[50 + number, 60, 70, 80] for number in range(6)]
    rows = [fitted[name] if name else None for name in named]
    begin = [[0]] * 6 if network.has_encoder else prompts
    sources = network.encode(prompts, rows) if network.has_encoder else ()
    state = network.start(begin, sources, loras=rows)
    found = [network.feed(state, torch.tensor(begin)), network.feed(state, torch.full((6, 1), 90))]
    for number, name in enumerate(named):
        single = Network(mine.models[name])
        source = single.encode([prompts[number]], [None]) if network.has_encoder else ()
        state = single.start([begin[number]], source)
        for logits, tokens in zip(found, (begin[number], [90]), strict=True):
            expected = single.feed(state, torch.tensor([tokens]))[0]
            scale = float(expected.abs().max())
            torch.testing.assert_close(logits[number] / scale, expected / scale, atol=1e-5, rtol=0)


def test_beams_samples_and_reused_beginnings_keep_to_their_adapter(made: Callable[[str], Made]) -> None:
    mine = made("llama")
    scheduler = Scheduler(*mine.base, adapters=mine.folders)
    system = [40 + number for number in range(36)]
    requests = [GREEDY, Request(max_tokens=8, num_beams=3), Request(max_tokens=8, temperature=1.3, seed=5, n=2)]
    for name in (None, *mine.folders):
        for request in requests:
            job = scheduler.submit([*system, 99], request, adapter=name)
            run(scheduler)
            assert tuple(answer.tokens for answer in job.results) == mine.alone([*system, 99], name, request)
    assert scheduler.counts.prefix_hits == 8  # all but the first of each adapter and of none


@pytest.mark.parametrize("seed", range(2))
def test_adapters_come_and_go_while_others_answer(made: Callable[[str], Made], prompts: Any, seed: int) -> None:
    mine, source = made("llama"), random.Random(seed)
    scheduler, jobs = Scheduler(*mine.base, max_rows=5, prefill_tokens=40), []
    for _ in range(50):
        name = source.choice([None, *mine.folders])
        if name is not None and name not in scheduler.adapters:
            scheduler.add_adapter(name, mine.folders[name])
        elif name is not None and source.random() < 0.3:
            scheduler.remove_adapter(name)
            with pytest.raises(UsageError, match="no adapter"):
                scheduler.submit(prompts[0], GREEDY, adapter=name)
            name = None
        jobs.append((name, scheduler.submit(source.choice(prompts[:8]), GREEDY, adapter=name)))
        if source.random() < 0.2:
            scheduler.cancel(source.choice(jobs)[1])
        scheduler.step()
    run(scheduler)
    expected: dict[Any, Any] = {}
    for name, job in jobs:
        if job.results[0].finish_reason != "cancelled":
            prompt = list(job.plan.prompt)
            key = (name, *prompt)
            expected[key] = expected[key] if key in expected else mine.alone(prompt, name)
            assert (job.results[0].tokens,) == expected[key]


def test_a_removed_adapter_goes_with_the_last_of_its_rows(made: Callable[[str], Made]) -> None:
    import weakref

    mine = made("llama")
    scheduler = Scheduler(*mine.base, adapters=mine.folders)
    job: Job | None = scheduler.submit([50] * 40, GREEDY.but(ignore_eos=True), adapter="adapter-0")
    other = scheduler.submit([51] * 3, GREEDY.but(ignore_eos=True), adapter="adapter-1")
    scheduler.step()
    assert job is not None
    weights = weakref.ref(job.lora)
    scheduler.remove_adapter("adapter-0")
    scheduler.step()
    run(scheduler)
    assert (job.results[0].tokens,) == mine.alone([50] * 40, "adapter-0", GREEDY.but(ignore_eos=True))
    assert (other.results[0].tokens,) == mine.alone([51] * 3, "adapter-1", GREEDY.but(ignore_eos=True))
    job = None
    scheduler.submit([51] * 3, GREEDY, adapter="adapter-1")
    scheduler.submit([51] * 3, GREEDY, adapter="adapter-2")
    run(scheduler)
    gc.collect()
    assert weights() is None


def broken(mine: Made, how: float) -> Lora:
    good = read("broken", mine.folders["adapter-1"])
    return Lora("broken", {name: (below, above * how) for name, (below, above) in good.layers.items()})


def test_an_adapter_that_overflows_fails_by_itself(made: Callable[[str], Made], prompts: Any) -> None:
    mine = made("llama")
    scheduler = Scheduler(*mine.base, max_rows=6, adapters={**mine.folders, "bad": broken(mine, 1e30)})
    named = [None, "bad", "adapter-0", "bad", "adapter-1", None, "adapter-2", "bad"] * 2
    requests = [GREEDY, GREEDY.but(num_beams=2), GREEDY.but(temperature=1.0, seed=1, n=2)]
    jobs = [scheduler.submit(prompts[n], requests[n % 3], adapter=name) for n, name in enumerate(named)]
    run(scheduler)
    for number, (name, job) in enumerate(zip(named, jobs, strict=True)):
        if name == "bad":
            assert {answer.finish_reason for answer in job.results} == {"error"}
            assert "with adapter 'broken'" in str(job.results[0].error)
        else:
            assert tuple(answer.tokens for answer in job.results) == mine.alone(
                prompts[number], name, requests[number % 3]
            )
    assert (scheduler.free_rows, scheduler.counts.failed) == (6, 6)


def test_a_row_that_breaks_on_its_way_leaves_nothing_behind(made: Callable[[str], Made], prompts: Any) -> None:
    """Its numbers stay in the batch's memory, where others come to lie."""
    mine = made("llama")
    scheduler = Scheduler(*mine.base, max_rows=3, adapters=mine.folders)
    jobs = [scheduler.submit(prompt, GREEDY.but(ignore_eos=True)) for prompt in prompts[:3]]
    scheduler.step()
    with torch.inference_mode():
        for layer in scheduler._batch.state.own.layers:
            for buffer in layer.buffers:
                buffer[jobs[0].places] = float("nan")
    jobs += [scheduler.submit(prompt, GREEDY.but(ignore_eos=True)) for prompt in prompts[3:6]]
    run(scheduler)
    assert jobs[0].results[0].finish_reason == "error"
    for job, prompt in zip(jobs[1:], prompts[1:], strict=False):
        assert (job.results[0].tokens,) == mine.alone(prompt, None, GREEDY.but(ignore_eos=True))


def test_updates_go_onto_a_base_of_eight_bits(made: Callable[[str], Made], prompts: Any) -> None:
    """Whose layers may be computed joined, past each one's own module."""
    mine, request = made("llama"), Request(max_tokens=1, logprobs=True, top_logprobs=3)
    model = copy.deepcopy(mine.base.model)
    int8.quantise(model)
    with_, without = Scheduler(model, mine.base.tokenizer, adapters=mine.folders), Scheduler(model, mine.base.tokenizer)
    for name in (None, "adapter-1"):
        jobs = [
            scheduler.submit(prompts[3], request, adapter=name)
            for scheduler in (with_, without if name is None else with_)
        ]
        run(with_)
        run(without)
        ((exact,),) = generate(mine.models[name], mine.base.tokenizer, [prompts[3]], request)
        found = [[value for _, value in job.results[0].logprobs[0].top] for job in jobs]
        assert found[0] == pytest.approx(found[1], abs=1e-6)
        assert found[0] == pytest.approx([value for _, value in exact.logprobs[0].top], abs=0.2)


def test_the_model_is_left_as_it_was(made: Callable[[str], Made], prompts: Any) -> None:
    mine = made("llama")
    scheduler = Scheduler(*mine.base, adapters=mine.folders)
    job = scheduler.submit(prompts[0], GREEDY, adapter="adapter-1")
    scheduler.step()
    assert generate(*mine.base, [prompts[0]], GREEDY)[0][0].tokens == mine.alone(prompts[0], None)[0]
    run(scheduler)
    del scheduler, job
    gc.collect()
    assert not any(module._forward_hooks for module in mine.base.model.modules())


@pytest.mark.parametrize("place", [0, 1])
def test_numbers_that_are_none_are_refused(made: Callable[[str], Made], place: int) -> None:
    lora = read("bad", made("llama").folders["adapter-0"])
    next(iter(lora.layers.values()))[place][0, 0] = float("nan")
    with pytest.raises(UsageError, match=r"adapter 'bad'.*not all of its numbers for 'model.layers.0.*' are finite"):
        Scheduler(*made("llama").base, adapters={"bad": lora})


def test_what_does_not_fit_is_refused_by_name(made: Callable[[str], Made]) -> None:
    scheduler = Scheduler(*made("llama").base, adapters=made("llama").folders)
    with pytest.raises(UsageError, match=r"adapter 'theirs' cannot share.*no such linear layer"):
        scheduler.add_adapter("theirs", made("gpt2").folders["adapter-0"])
    wrong = Lora("wide", {"model.layers.0.self_attn.q_proj": (torch.zeros(2, 99), torch.zeros(32, 2))})
    with pytest.raises(UsageError, match=r"adapter 'wide'.*99 inputs and 32 outputs, but that layer has 32 and 32"):
        scheduler.add_adapter("wide", wrong)
    with pytest.raises(UsageError, match="already"):
        scheduler.add_adapter("adapter-0", made("llama").folders["adapter-0"])
    with pytest.raises(UsageError, match="no adapter 'adaptor-1'") as caught:
        scheduler.submit([50], GREEDY, adapter="adaptor-1")
    assert "did you mean .adapter-1" in str(caught.value).replace(chr(39), ".")
    with pytest.raises(UsageError, match="no adapter 'x'"):
        scheduler.remove_adapter("x")
    assert scheduler.adapters == ("adapter-0", "adapter-1", "adapter-2")
    assert scheduler.idle
