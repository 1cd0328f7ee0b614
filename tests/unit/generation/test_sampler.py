"""Each sampler is its formula; the draw follows the probabilities and depends on its own request alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers.generation.logits_process as theirs
from scipy.stats import chisquare

from tunesmith.generation import processors
from tunesmith.generation.request import GenerationRequest as Request
from tunesmith.generation.sampler import SAMPLERS, Row, Vocabulary, draw, order, process, uniform

SIZE = 3000
OUT = float("-inf")
HISTORY = [[5, 6, 7, 8, 5, 6], [9, 9, 9, 9, 9, 9], [1, 2, 3, 1, 2, 4]]


@pytest.fixture
def logits() -> torch.Tensor:
    return 3 * torch.randn(3, SIZE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scale", [0.2, 1.0, 3.0])
@pytest.mark.parametrize(
    ("parameters", "processor"),
    [
        ({"temperature": 0.7}, theirs.TemperatureLogitsWarper(0.7)),
        ({"top_k": 7}, theirs.TopKLogitsWarper(7)),
        ({"top_k": 5000}, theirs.TopKLogitsWarper(5000)),
        ({"top_p": 0.5}, theirs.TopPLogitsWarper(0.5)),
        ({"top_p": 0.999}, theirs.TopPLogitsWarper(0.999)),
        ({"min_p": 0.05}, theirs.MinPLogitsWarper(0.05)),
        ({"typical_p": 0.4}, theirs.TypicalLogitsWarper(0.4)),
        ({"epsilon_cutoff": 0.003}, theirs.EpsilonLogitsWarper(0.003)),
        ({"eta_cutoff": 0.003}, theirs.EtaLogitsWarper(0.003)),
        ({"repetition_penalty": 1.3}, theirs.RepetitionPenaltyLogitsProcessor(1.3)),
        ({"no_repeat_ngram_size": 3}, theirs.NoRepeatNGramLogitsProcessor(3)),
        ({"no_repeat_ngram_size": 1}, theirs.NoRepeatNGramLogitsProcessor(1)),
        (
            {"bad_words": ("x",)},
            theirs.NoBadWordsLogitsProcessor([[7], [5, 6, 9], [9, 11], [2, 4, 12]], eos_token_id=0),
        ),
        ({"min_tokens": 5}, theirs.MinNewTokensLengthLogitsProcessor(2, 5, 0)),
        ({"logit_bias": {4: 2.5, 9: -1.0}}, theirs.SequenceBiasLogitsProcessor([[[4], 2.5], [[9], -1.0]])),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else type(value).__name__,
)
def test_samplers_equal_transformers(logits: torch.Tensor, parameters: Any, processor: Any, scale: float) -> None:
    request = Request(**{"temperature": 1.0, **parameters})
    words = ((7,), (5, 6, 9), (9, 11), (2, 4, 12)) if request.bad_words else ()
    vocabulary = Vocabulary(ends=frozenset([0]), bad_words=words)
    rows = [Row(request, history[:2], list(history[2:]), vocabulary) for history in HISTORY]
    expected = processor(torch.tensor(HISTORY), (logits * scale).clone())
    torch.testing.assert_close(process(logits * scale, rows), expected, atol=1e-6, rtol=1e-6)


def test_a_whole_chain_equals_transformers(logits: torch.Tensor) -> None:
    chain = [
        theirs.RepetitionPenaltyLogitsProcessor(1.2),
        theirs.TemperatureLogitsWarper(0.8),
        theirs.TopKLogitsWarper(200),
        theirs.TopPLogitsWarper(0.9),
        theirs.MinPLogitsWarper(0.01),
    ]
    expected = logits.clone()
    for processor in chain:
        expected = processor(torch.tensor(HISTORY), expected)
    request = Request(repetition_penalty=1.2, temperature=0.8, top_k=200, top_p=0.9, min_p=0.01)
    found = process(logits, [Row(request, history) for history in HISTORY])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_rows_have_parameters_of_their_own(logits: torch.Tensor) -> None:
    requests = [Request(temperature=1, top_k=3), Request(), Request(temperature=2, min_p=0.1, sampler_order=("min_p",))]
    rows = [Row(request, [1]) for request in requests]
    together = process(logits, rows)
    for number, row in enumerate(rows):
        torch.testing.assert_close(together[number : number + 1], process(logits[number : number + 1], [row]))


def test_the_logits_given_are_left_alone(logits: torch.Tensor) -> None:
    before = logits.clone()
    process(logits, [Row(Request(temperature=0.5, frequency_penalty=1, top_k=2), [1], [2])] * 3)
    assert torch.equal(logits, before)


def test_penalties_count_the_answer_alone(logits: torch.Tensor) -> None:
    request = Request(frequency_penalty=0.5, presence_penalty=0.25)
    found = process(logits[:1], [Row(request, [3, 3], [7, 7, 8])])[0] - logits[0]
    expected = torch.zeros(SIZE)
    expected[7], expected[8] = -1.25, -0.75
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_dry_grows_with_the_repetition() -> None:
    request = Request(dry_multiplier=2, dry_base=3, dry_allowed_length=2)
    history = [1, 2, 3, 9, 4, 2, 3, 8, 1, 2, 3]
    found = process(torch.zeros(1, 20), [Row(request, history)])[0]
    assert found[9] == -2 * 3**1  # prolongs 1 2 3, three tokens
    assert found[8] == -2 * 3**0  # prolongs 2 3
    assert found.count_nonzero() == 2
    walled = process(torch.zeros(1, 20), [Row(request, history, vocabulary=Vocabulary(breakers=frozenset([2])))])
    assert walled.count_nonzero() == 0


def test_repetitions_are_those_of_a_slow_search() -> None:
    source = np.random.default_rng(0)
    for _ in range(50):
        history = source.integers(0, 3, 30).tolist()
        slow: dict[int, int] = {}
        for end in range(29):
            size = 0
            while size <= end and history[end - size] == history[29 - size]:
                size += 1
            if size:
                slow[history[end + 1]] = max(size, slow.get(history[end + 1], 0))
        assert processors.repetitions(history, ()) == slow


def test_top_n_sigma_ignores_what_is_ruled_out() -> None:
    z = torch.tensor([[4.0, 2.0, 0.0, OUT]])  # sigma is sqrt(8/3) = 1.63
    assert processors.top_n_sigma(z, torch.tensor([1.0])).isfinite().tolist() == [[True, False, False, False]]
    assert processors.top_n_sigma(z, torch.tensor([2.0])).isfinite().tolist() == [[True, True, False, False]]


def test_xtc_leaves_the_least_likely_of_the_top() -> None:
    z = torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.9, 0.06, 0.03, 0.01]]).log()
    kept = processors.xtc(z, torch.tensor([0.1, 0.1])).isfinite().tolist()
    assert kept == [[False, False, True, True], [True, True, True, True]]


def test_xtc_happens_with_its_probability() -> None:
    z = torch.tensor([[0.5, 0.4, 0.1]]).log().expand(2000, 3)
    rows = [Row(Request(temperature=1, xtc_probability=0.3), [1], seed=seed) for seed in range(2000)]
    dropped = process(z, rows)[:, 0].isinf().float().mean()
    assert abs(float(dropped) - 0.3) < 0.05


def test_words_and_ends_are_ruled_out() -> None:
    vocabulary = Vocabulary(ends=frozenset([0]), suppressed=(5,), bad_words=((7,), (1, 2, 3)))
    row = Row(Request(min_tokens=3), [9], [1, 2], vocabulary)
    assert set(process(torch.zeros(1, 10), [row])[0].isinf().nonzero()[:, 0].tolist()) == {0, 5, 7, 3}
    only = Row(Request(allowed_token_ids=(4,)), [9], [1, 1], vocabulary)
    assert process(torch.zeros(1, 10), [only])[0].isfinite().nonzero()[:, 0].tolist() == [0, 4]


def test_order_can_be_chosen() -> None:
    z = torch.tensor([[0.6, 0.25, 0.1, 0.05]]).log()
    hot = {"temperature": 3.0, "top_p": 0.7}
    usual, last = (
        process(z, [Row(Request(**hot, sampler_order=names), [1])]) for names in (None, ("top_p", "temperature"))
    )
    assert usual.isfinite().sum() == 3
    assert last.isfinite().sum() == 2
    assert order(Request(sampler_order=("top_p", "temperature")))[-2:] == ("top_p", "temperature")
    assert sorted(order(Request(sampler_order=("top_p",)))) == sorted(sampler.name for sampler in SAMPLERS)


def test_every_sampler_tells_its_formula() -> None:
    assert all(sampler.formula for sampler in SAMPLERS)


@pytest.mark.parametrize("parameters", [{}, {"top_p": 0.8}, {"min_p": 0.05, "temperature": 2.0}], ids=str)
def test_draws_follow_the_probabilities(parameters: Any) -> None:
    """100,000 draws over known logits: chi-square."""
    count = 100_000
    request = Request(**{"temperature": 1.0, **parameters})
    z = torch.randn(1, 40, generator=torch.Generator().manual_seed(5)) * 2
    row = Row(request, [1], seed=11)
    processed = process(z, [row])
    p = processed[0].double().softmax(0).numpy()
    rows = [Row(request, [1], output=[0] * (step % 100), seed=11, choice=step // 100) for step in range(count)]
    found = np.bincount(draw(processed.expand(count, 40), rows), minlength=40)
    assert (found[p == 0] == 0).all()
    assert chisquare(found[p > 0], count * p[p > 0] / p.sum()).pvalue > 1e-3


def test_a_greedy_row_takes_the_likeliest(logits: torch.Tensor) -> None:
    rows = [Row(Request(), [1]), Row(Request(temperature=1e-6), [1]), Row(Request(temperature=1, top_k=1), [1])]
    assert draw(process(logits, rows), rows) == logits.argmax(1).tolist()


def test_random_numbers_differ_by_seed_choice_step_and_purpose() -> None:
    rows = [
        Row(Request(), [], [0] * step, seed=seed, choice=choice)
        for seed in (0, 1)
        for choice in (0, 1)
        for step in (0, 1)
    ]
    numbers = [uniform(row, purpose) for row in rows for purpose in (0, 1)]
    assert len(set(numbers)) == len(numbers)
    assert numbers == [uniform(row, purpose) for row in rows for purpose in (0, 1)]
