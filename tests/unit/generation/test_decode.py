"""Answers of a shared batch are those of transformers' ``generate``, and of the request by itself."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from generators import ENDS, FAMILIES, Generator
from tunesmith.errors import UsageError
from tunesmith.generation.decode import Job, Scheduler, arrange, generate, stream
from tunesmith.generation.request import GenerationRequest as Request

Of = Callable[[str], Generator]
Prompts = list[list[int]]


def reference(made: Generator, prompts: Prompts, **options: Any) -> list[list[int]]:
    """Tokens of transformers' answers up to the end token, prompts read in one batch."""
    width = max(map(len, prompts))
    two_sided = made.model.config.is_encoder_decoder
    pads = [[0] * (width - len(prompt)) for prompt in prompts]
    rows = [[*prompt, *pad] if two_sided else [*pad, *prompt] for prompt, pad in zip(prompts, pads, strict=False)]
    ones = [[1] * len(prompt) for prompt in prompts]
    mask = [[*one, *pad] if two_sided else [*pad, *one] for one, pad in zip(ones, pads, strict=False)]
    found = made.model.generate(
        torch.tensor(rows), attention_mask=torch.tensor(mask), do_sample=False, max_new_tokens=16, **options
    )
    return [until_end(row[1 if two_sided else width :]) for row in found.tolist()]


def until_end(tokens: Sequence[int]) -> list[int]:
    ends = [place for place, token in enumerate(tokens) if token in ENDS]
    return list(tokens[: ends[0] + 1] if ends else tokens)


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_answers_are_transformers_own(generator: Of, prompts: Prompts, family: str) -> None:
    made = generator(family)
    answers = generate(*made, prompts, Request(max_tokens=16), max_rows=7, prefill_tokens=40)
    found = [list(answer.tokens) for (answer,) in answers]
    assert found == reference(made, prompts)
    assert len({tuple(tokens) for tokens in found}) > 5  # a model that always says the same would prove nothing
    assert {answer.finish_reason for (answer,) in answers} <= {"stop", "length"}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "options",
    [
        {"num_beams": 3},
        {"num_beams": 4, "length_penalty": 0.0, "early_stopping": True},
        {"num_beams": 2, "length_penalty": 2.0, "early_stopping": "never"},
    ],
    ids=str,
)
def test_beam_answers_are_transformers_own(generator: Of, prompts: Prompts, family: str, options: Any) -> None:
    made = generator(family)
    answers = generate(*made, prompts[:20], Request(max_tokens=16, **options), max_rows=10, prefill_tokens=40)
    assert [until_end(answer.tokens) for (answer,) in answers] == reference(made, prompts[:20], **options)


def test_several_answers_of_a_beam_search_come_best_first(generator: Of, prompts: Prompts) -> None:
    made = generator("t5")
    answers = generate(*made, prompts[:6], Request(max_tokens=12, num_beams=4, n=3))
    for found in answers:
        scores = [answer.score or 0.0 for answer in found]
        assert len({answer.tokens for answer in found}) == 3
        assert scores == sorted(scores, reverse=True)


def test_penalties_work_in_a_beam_search_as_in_transformers(generator: Of, prompts: Prompts) -> None:
    made, options = generator("llama"), {"num_beams": 3, "repetition_penalty": 1.3, "no_repeat_ngram_size": 2}
    answers = generate(*made, prompts[:10], Request(max_tokens=16, **options))
    assert [until_end(answer.tokens) for (answer,) in answers] == reference(made, prompts[:10], **options)


SAMPLED = Request(
    max_tokens=14,
    temperature=1.2,
    top_p=0.95,
    seed=7,
    n=2,
    xtc_probability=0.3,
    frequency_penalty=0.3,
    dry_multiplier=0.5,
    stop=("zz",),
)
MATES = (
    Request(max_tokens=5),
    Request(max_tokens=20, num_beams=3),
    Request(max_tokens=9, temperature=2.0, seed=1, top_k=5, logprobs=True),
)


@pytest.mark.parametrize("family", FAMILIES)
def test_batch_mates_never_change_an_answer(generator: Of, prompts: Prompts, family: str) -> None:
    made = generator(family)
    for number in range(4):
        ((first, second),) = generate(*made, [prompts[number]], SAMPLED)
        assert first.tokens != second.tokens
        order = random.Random(number)
        mates = [order.choice(MATES) for _ in range(7)]
        scheduler = Scheduler(*made, max_rows=8, prefill_tokens=20)
        for mate in mates[:4]:
            scheduler.submit(order.choice(prompts), mate)
        for _ in range(order.randrange(4)):
            scheduler.step()
        job = scheduler.submit(prompts[number], SAMPLED)
        for mate in mates[4:]:
            scheduler.submit(order.choice(prompts), mate)
        run(scheduler)
        assert [answer.tokens for answer in job.results] == [first.tokens, second.tokens]


def run(scheduler: Scheduler) -> None:
    while not scheduler.idle:
        scheduler.step()


@pytest.mark.parametrize("family", ["llama", "bart"])
def test_alone_gives_the_same_numbers_to_the_last_bit(generator: Of, prompts: Prompts, family: str) -> None:
    request = Request(max_tokens=10, logprobs=True, top_logprobs=3)
    made = generator(family)
    together = generate(*made, prompts[:6], request, alone=True)
    apart = [generate(*made, [prompt], request, alone=True)[0] for prompt in prompts[:6]]
    assert [answer.logprobs for (answer,) in together] == [answer.logprobs for (answer,) in apart]


def test_a_seed_is_told_and_gives_the_same_answer_again(generator: Of, prompts: Prompts) -> None:
    made, request = generator("gpt2"), Request(max_tokens=12, temperature=1.5)
    ((first,),) = generate(*made, prompts[:1], request)
    ((again,),) = generate(*made, prompts[:1], request.but(seed=first.terms.seed))
    ((other,),) = generate(*made, prompts[:1], request)
    assert first.tokens == again.tokens != other.tokens


def test_best_of_gives_the_answers_with_the_best_mean(generator: Of, prompts: Prompts) -> None:
    made = generator("gpt2")
    request = Request(max_tokens=8, temperature=1.5, seed=3, logprobs=True)
    ((*all_five,),) = generate(*made, prompts[:1], request.but(n=5))
    ((*best,),) = generate(*made, prompts[:1], request.but(n=2, best_of=5))
    means = {
        answer.tokens: sum(one.logprob or 0 for one in answer.logprobs) / len(answer.tokens) for answer in all_five
    }
    assert [answer.tokens for answer in best] == sorted(means, key=lambda tokens: -means[tokens])[:2]
    assert best[0].score == pytest.approx(means[best[0].tokens])


@pytest.mark.parametrize("kind", ["raw", "processed"])
def test_logprobs_are_those_of_the_model_or_of_the_samplers(generator: Of, prompts: Prompts, kind: Any) -> None:
    made, prompt = generator("llama"), prompts[1]
    request = Request(
        max_tokens=5, temperature=0.7, seed=1, ignore_eos=True, logprobs=True, top_logprobs=2, logprobs_of=kind
    )
    ((answer,),) = generate(*made, [prompt], request)
    with torch.no_grad():
        logits = made.model(torch.tensor([[*prompt, *answer.tokens]])).logits[0, len(prompt) - 1 : -1]
    expected = (logits / 0.7 if kind == "processed" else logits).log_softmax(1)
    for one, row in zip(answer.logprobs, expected, strict=True):
        assert one.logprob == pytest.approx(float(row[one.token]), abs=1e-4)
        assert [token for token, _ in one.top] == row.topk(2).indices.tolist()


@pytest.mark.parametrize("piece", [4, 512])
def test_echo_scores_the_prompt(generator: Of, prompts: Prompts, piece: int) -> None:
    made, prompt = generator("gpt2"), prompts[2]
    request = Request(max_tokens=0, echo=True, logprobs=True)
    ((answer,),) = generate(*made, [prompt], request, prefill_tokens=piece)
    with torch.no_grad():
        expected = made.model(torch.tensor([prompt])).logits[0].log_softmax(1)
    assert answer.text == made.tokenizer.decode(prompt)
    assert (answer.tokens, answer.logprobs[0].logprob) == ((), None)
    found = [one.logprob for one in answer.logprobs[1:]]
    assert found == pytest.approx([float(expected[i, token]) for i, token in enumerate(prompt[1:])], abs=1e-4)
    ((longer,),) = generate(*made, [prompt], request.but(max_tokens=3, ignore_eos=True))
    assert longer.text.startswith(answer.text)
    assert len(longer.logprobs) == len(prompt) + 3


def test_an_answer_ends_at_a_stop_string_a_stop_token_or_the_end(generator: Of, prompts: Prompts) -> None:
    made = generator("llama")
    ((whole,),) = generate(*made, prompts[:1], Request(max_tokens=12, ignore_eos=True))
    assert (whole.finish_reason, len(whole.tokens)) == ("length", 12)
    stop = whole.text[4:6]
    ((stopped,),) = generate(*made, prompts[:1], Request(max_tokens=12, ignore_eos=True, stop=(stop,)))
    assert (stopped.text, stopped.finish_reason, stopped.stopped_by) == (
        whole.text[: whole.text.find(stop)],
        "stop",
        stop,
    )
    token = whole.tokens[3]
    ((cut,),) = generate(*made, prompts[:1], Request(max_tokens=12, ignore_eos=True, stop_token_ids=(token,)))
    assert (cut.tokens, cut.stopped_by) == (whole.tokens[: whole.tokens.index(token) + 1], token)
    assert whole.text.startswith(cut.text)


def test_a_beam_search_ends_at_a_stop_string(generator: Of, prompts: Prompts) -> None:
    made = generator("llama")
    ((whole,),) = generate(*made, prompts[:1], Request(max_tokens=8, num_beams=2))
    ((first, second),) = generate(*made, prompts[:1], Request(max_tokens=8, num_beams=2, stop=(whole.text[1],), n=2))
    assert all(whole.text[1] not in answer.text for answer in (first, second))
    assert whole.text[1] in {answer.stopped_by for answer in (first, second)}


def test_constraints_hold_in_the_answer(generator: Of, prompts: Prompts) -> None:
    made = generator("gpt2")
    request = Request(max_tokens=16, temperature=2.0, seed=2, min_tokens=16)
    ((free,),) = generate(*made, prompts[:1], request)
    assert len(free.tokens) == 16
    assert not set(free.tokens) & set(ENDS)
    spelt = {token: made.tokenizer.decode([token]) for token in free.tokens}
    token = next(
        token for token, word in spelt.items() if made.tokenizer.encode(word) == [token]
    )  # no half of a letter
    ((without,),) = generate(*made, prompts[:1], request.but(bad_words=(spelt[token],)))
    assert token not in without.tokens
    ((few,),) = generate(*made, prompts[:1], request.but(allowed_token_ids=(50, 51)))
    assert set(few.tokens) == {50, 51}
    ((biased,),) = generate(*made, prompts[:1], request.but(logit_bias={60: 100}))
    assert set(biased.tokens) == {60}


def test_a_row_that_cannot_go_on_harms_no_other(generator: Of, prompts: Prompts) -> None:
    made = generator("gpt2")
    stuck = Request(max_tokens=4, allowed_token_ids=(50,), bad_words=(made.tokenizer.decode([50]),), min_tokens=4)
    beams = stuck.but(num_beams=2)
    (bad,), (good,), (worse,) = generate(*made, prompts[:3], [stuck, Request(max_tokens=4), beams])
    assert (bad.finish_reason, worse.finish_reason) == ("error", "error")
    assert "no token" in (bad.error or "")
    assert good == generate(*made, prompts[1:2], Request(max_tokens=4, seed=good.terms.seed))[0][0] or good.tokens


def test_cancelling_frees_the_rows_at_once(generator: Of, prompts: Prompts) -> None:
    made = generator("t5")
    scheduler = Scheduler(*made, max_rows=4, prefill_tokens=16)
    request = Request(max_tokens=30, ignore_eos=True, seed=1, temperature=1.0)
    jobs = [scheduler.submit(prompt, request.but(n=1 + number % 2)) for number, prompt in enumerate(prompts[:6])]
    assert (scheduler.free_rows, scheduler.unasked_rows) == (4, 4 - 9)
    scheduler.step()
    scheduler.step()
    scheduler.cancel(jobs[5])  # waiting
    running = next(job for job in jobs if job.places)
    before = scheduler.free_rows
    scheduler.cancel(running)
    assert scheduler.free_rows == before + running.plan.terms.request.n
    assert {answer.finish_reason for answer in running.results} == {"cancelled"}
    run(scheduler)
    assert scheduler.free_rows == scheduler.unasked_rows == 4
    for job, prompt in zip(jobs[1:5], prompts[1:5], strict=False):
        alone = generate(*made, [prompt], job.plan.terms.request)[0]
        assert [answer.tokens for answer in job.results] == [answer.tokens for answer in alone]


def test_storms_of_cancellations_leak_no_row(generator: Of, prompts: Prompts) -> None:
    scheduler, source = Scheduler(*generator("llama"), max_rows=5, prefill_tokens=30), random.Random(0)
    jobs: list[Job] = []
    for _ in range(120):
        jobs.append(scheduler.submit(source.choice(prompts), source.choice(MATES)))
        for job in source.sample(jobs, min(len(jobs), 2)):
            scheduler.cancel(job)
        scheduler.step()
    run(scheduler)
    assert scheduler.free_rows == 5
    assert all(job.done and job.results for job in jobs)


def test_news_add_up_to_the_answer(generator: Of, prompts: Prompts) -> None:
    scheduler = Scheduler(*generator("llama"))
    request = Request(max_tokens=10, temperature=1.5, seed=3, n=2, logprobs=True, stop=("e",))
    job = scheduler.submit(prompts[0], request)
    pieces = list(stream(scheduler, job))
    for number, answer in enumerate(job.results):
        mine = [piece for piece in pieces if piece.choice == number]
        assert "".join(piece.text for piece in mine) == answer.text
        assert tuple(piece.token for piece in mine if piece.token is not None) == answer.tokens
        assert tuple(piece.logprob for piece in mine if piece.logprob is not None) == answer.logprobs
        assert mine[-1].answer == answer


def test_leaving_a_stream_cancels_its_job(generator: Of, prompts: Prompts) -> None:
    scheduler = Scheduler(*generator("llama"))
    job = scheduler.submit(prompts[0], Request(max_tokens=40, ignore_eos=True))
    news = stream(scheduler, job)
    next(news)
    news.close()
    assert scheduler.idle
    assert job.results[0].finish_reason == "cancelled"


def test_too_long_a_prompt_is_refused_with_the_counts_or_cut_as_asked(generator: Of) -> None:
    made, prompt = generator("gpt2"), list(range(100, 160))
    with pytest.raises(UsageError, match=r"60 tokens.*max_tokens 10.*64 tokens") as caught:
        generate(*made, [prompt], Request(max_tokens=10))
    assert caught.value.code == "context_length_exceeded"
    ((answer,),) = generate(*made, [prompt], Request(max_tokens=10, truncate_prompt="start"))
    assert "prompt cut from 60 to 54 tokens" in answer.terms.warnings
    assert answer.tokens == generate(*made, [prompt[6:]], Request(max_tokens=10))[0][0].tokens
    ((rest,),) = generate(*made, [prompt], Request(ignore_eos=True))
    assert len(rest.tokens) == 4
    with pytest.raises(UsageError, match="context"):
        generate(*generator("bart"), [prompt * 2], Request(max_tokens=4))


@pytest.mark.parametrize(
    ("family", "parameters", "named"),
    [
        ("gpt2", {"n": 17, "temperature": 1.0}, "n"),
        ("gpt2", {"logit_bias": {100_000: 1.0}}, "logit_bias"),
        ("t5", {"echo": True}, "echo"),
    ],
)
def test_what_the_model_cannot_do_is_refused(generator: Of, family: str, parameters: Any, named: str) -> None:
    with pytest.raises(UsageError) as caught:
        generate(*generator(family), [[50]], Request(**parameters))
    assert [problem.where for problem in caught.value.problems] == [named]


def test_an_answer_can_begin_with_given_tokens(generator: Of, prompts: Prompts) -> None:
    made = generator("bart")
    scheduler = Scheduler(*made)
    job = scheduler.submit(prompts[0], Request(max_tokens=6), start=[0, 77])
    run(scheduler)
    found = made.model.generate(
        torch.tensor(prompts[:1]), decoder_input_ids=torch.tensor([[0, 77]]), max_new_tokens=6, do_sample=False
    )
    assert list(job.results[0].tokens) == until_end(found[0, 2:].tolist())


def test_arrange_moves_as_few_rows_as_possible() -> None:
    source = random.Random(0)
    for _ in range(200):
        sources = [source.randrange(8) for _ in range(source.randrange(9))]
        places = arrange(sources)
        assert sorted(places) == list(range(len(sources)))
        stay = sum(one == place for one, place in zip(sources, places, strict=True))
        assert stay == len({one for one in sources if one < len(sources)})


@pytest.mark.parametrize("family", FAMILIES)
def test_a_scheduler_at_rest_holds_no_room_for_rows_and_answers_as_before(
    generator: Of, prompts: Prompts, family: str
) -> None:
    scheduler = Scheduler(*generator(family), max_rows=4)

    def answered() -> list[Sequence[int]]:
        jobs = [scheduler.submit(prompt, Request(max_tokens=6)) for prompt in prompts]
        while not scheduler.idle:
            scheduler.step()
            scheduler.rest()
        return [job.results[0].tokens for job in jobs]

    first = answered()
    assert not scheduler._batch.state.own.layers
    assert answered() == first
