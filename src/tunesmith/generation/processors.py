"""The samplers' formulas: each takes logits z (B, V) with one parameter a row (B,) and gives new logits.

p is softmax(z), H its entropy in nats; what is ruled out becomes -inf. Rows do not see one another. At least one
token of a row is kept by every truncation. Histories are one list of token ids a row.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

OUT = float("-inf")
FIRST = 256
"""Tokens that are sorted at first: sorting the whole vocabulary is slow and seldom needed."""


def temperature(z: Tensor, value: Tensor) -> Tensor:
    """Z / T (Ackley, Hinton & Sejnowski 1985)."""
    return z / value[:, None]


def top_k(z: Tensor, value: Tensor) -> Tensor:
    """Keep z >= the k-th largest z; ties stay (Fan, Lewis & Dauphin 2018, arXiv 1805.04833)."""
    k = value.long().clamp(max=z.shape[1])
    largest = z.topk(int(k.max()), dim=1).values
    return z.masked_fill(z < largest.gather(1, k[:, None] - 1), OUT)


def top_p(z: Tensor, value: Tensor, *, first: int = FIRST) -> Tensor:
    """Keep the smallest set of likeliest tokens whose p sum to P (Holtzman et al. 2020, arXiv 1904.09751)."""
    likeliest, tokens = z.topk(min(first, z.shape[1]), dim=1)
    weights = (likeliest - likeliest[:, :1]).exp().double()
    sums = weights.cumsum(1)
    keep = sums - weights < value[:, None] * _total(z, likeliest, sums)
    kept = torch.full_like(z, OUT).scatter(1, tokens, likeliest.masked_fill(~keep, OUT))
    return _wider(top_p, kept, (keep & likeliest.isfinite())[:, -1], z, value, first)


def min_p(z: Tensor, value: Tensor) -> Tensor:
    """Keep p >= m * max p, that is z >= max z + ln m (Nguyen et al. 2024, arXiv 2407.01082)."""
    return z.masked_fill(z < z.amax(1, keepdim=True) + value[:, None].log(), OUT)


def typical_p(z: Tensor, value: Tensor, *, first: int = FIRST) -> Tensor:
    """Keep the smallest set, by |-ln p - H|, whose p sum to tau; ties stay (Meister et al. 2023, arXiv 2202.00666)."""
    log_p = z.log_softmax(1)
    surprise = (-log_p - entropy(log_p)[:, None]).abs()
    least, tokens = surprise.topk(min(first, z.shape[1]), dim=1, largest=False)
    short = log_p.gather(1, tokens).exp().cumsum(1) < value[:, None]
    last = short.sum(1, keepdim=True).clamp(max=least.shape[1] - 1)
    kept = z.masked_fill(surprise > least.gather(1, last), OUT)
    return _wider(typical_p, kept, (short & least.isfinite())[:, -1], z, value, first)


def epsilon_cutoff(z: Tensor, value: Tensor) -> Tensor:
    """Keep p >= epsilon (Hewitt, Manning & Liang 2022, arXiv 2210.15191)."""
    return _keep_best(z, z.softmax(1) < value[:, None])


def eta_cutoff(z: Tensor, value: Tensor) -> Tensor:
    """Keep p >= min(eta, sqrt(eta) * exp(-H)) (Hewitt, Manning & Liang 2022, arXiv 2210.15191)."""
    log_p = z.log_softmax(1)
    bound = torch.minimum(value, value.sqrt() * (-entropy(log_p)).exp())
    return _keep_best(z, log_p.exp() < bound[:, None])


def top_n_sigma(z: Tensor, value: Tensor) -> Tensor:
    """Keep z >= max z - n * sigma(z), sigma over tokens not ruled out (Tang et al. 2024, arXiv 2411.07641)."""
    stays = z.isfinite()
    count = stays.sum(1, keepdim=True)
    mean = z.masked_fill(~stays, 0).sum(1, keepdim=True) / count
    sigma = (((z - mean).masked_fill(~stays, 0) ** 2).sum(1, keepdim=True) / count).sqrt()
    return z.masked_fill(z < z.amax(1, keepdim=True) - value[:, None] * sigma, OUT)


def xtc(z: Tensor, threshold: Tensor) -> Tensor:
    """Of the tokens with p >= threshold, when there are two or more, drop all but the least likely.

    "Exclude top choices" (P. E. Weidmann 2024). That it happens only with a given probability is the caller's part.
    """
    p = z.softmax(1)
    top = p >= threshold[:, None]
    least = p.masked_fill(~top, 2).argmin(1, keepdim=True)
    return z.masked_fill(top.scatter(1, least, False), OUT)


def repetition_penalty(z: Tensor, value: Tensor, tokens: Sequence[Sequence[int]]) -> Tensor:
    """Each token of the history once: z / r where z > 0, else z * r (Keskar et al. 2019, arXiv 1909.05858)."""
    rows, columns, _ = _counts(tokens, z.device)
    old, r = z[rows, columns], value[rows]
    return z.index_put((rows, columns), torch.where(old > 0, old / r, old * r))


def frequency_penalty(z: Tensor, value: Tensor, tokens: Sequence[Sequence[int]]) -> Tensor:
    """Z - alpha * count in the history (OpenAI's API, 2020)."""
    rows, columns, counts = _counts(tokens, z.device)
    return z.index_put((rows, columns), z[rows, columns] - value[rows] * counts)


def presence_penalty(z: Tensor, value: Tensor, tokens: Sequence[Sequence[int]]) -> Tensor:
    """Z - alpha for each token in the history (OpenAI's API, 2020)."""
    rows, columns, _ = _counts(tokens, z.device)
    return z.index_put((rows, columns), z[rows, columns] - value[rows])


def dry(
    z: Tensor,
    multiplier: Tensor,
    base: Tensor,
    allowed: Tensor,
    tokens: Sequence[Sequence[int]],
    breakers: Sequence[Collection[int]],
) -> Tensor:
    """A token that prolongs a repetition of n >= allowed tokens: z - multiplier * base^(n - allowed).

    "Don't repeat yourself" (P. E. Weidmann 2024). A repetition does not reach across a breaker token.
    """
    z = z.clone()
    for row, (history, walls) in enumerate(zip(tokens, breakers, strict=True)):
        for token, length in repetitions(history, walls).items():
            over = length - int(allowed[row])
            if over >= 0:
                z[row, token] -= float(multiplier[row]) * min(float(base[row]) ** min(over, 200), 1e6)
    return z


def repetitions(history: Sequence[int], breakers: Collection[int]) -> dict[int, int]:
    """{next token: how many of the last tokens it once followed}, longest first kept.

    >>> repetitions([1, 2, 3, 9, 2, 3], ())
    {9: 2}
    """
    text = np.asarray(history)
    found: dict[int, int] = {}
    length, ends = 0, np.arange(len(text) - 1)
    while len(ends):
        token = text[len(text) - 1 - length]
        if int(token) in breakers:
            break
        ends = ends[ends >= length]
        ends = ends[text[ends - length] == token]
        length += 1
        found.update((int(text[end + 1]), length) for end in ends)
    return found


def no_repeat_ngram_size(z: Tensor, value: Tensor, tokens: Sequence[Sequence[int]]) -> Tensor:
    """Rule out tokens that would complete an n-gram of the history (Paulus, Xiong & Socher 2017, arXiv 1705.04304)."""
    return _ruled_out(z, [_completions(history, int(n)) for n, history in zip(value.tolist(), tokens, strict=True)])


def bad_words(z: Tensor, words: Sequence[Sequence[Sequence[int]]], tokens: Sequence[Sequence[int]]) -> Tensor:
    """Rule out the last token of each banned sequence (of token ids) whose first ones stand at the end of the history."""
    banned = [
        [
            word[-1]
            for word in row
            if list(word[:-1]) == list(history[max(0, len(history) - len(word) + 1) :][: len(word) - 1])
        ]
        for row, history in zip(words, tokens, strict=True)
    ]
    return _ruled_out(z, banned)


def logit_bias(z: Tensor, bias: Sequence[dict[int, float]]) -> Tensor:
    """Z + b."""
    rows = torch.tensor([row for row, pairs in enumerate(bias) for _ in pairs], device=z.device)
    columns = torch.tensor([token for pairs in bias for token in pairs], device=z.device)
    values = torch.tensor([b for pairs in bias for b in pairs.values()], device=z.device, dtype=z.dtype)
    return z.index_put((rows, columns), values, accumulate=True)


def allowed(z: Tensor, tokens: Sequence[Sequence[int]]) -> Tensor:
    """Rule out all tokens but these."""
    out = torch.ones_like(z, dtype=torch.bool)
    for row, ids in enumerate(tokens):
        out[row, torch.as_tensor(list(ids), device=z.device)] = False
    return z.masked_fill(out, OUT)


def forbidden(z: Tensor, tokens: Sequence[Sequence[int]]) -> Tensor:
    """Rule out these tokens."""
    return _ruled_out(z, tokens)


def entropy(log_p: Tensor) -> Tensor:
    """Entropy (B,) in nats of log-probabilities (B, V)."""
    return -(log_p.exp() * log_p).nansum(1)


def _total(z: Tensor, likeliest: Tensor, sums: Tensor) -> Tensor:
    """Sum of exp(z - max z) of all tokens (B, 1), by the running sums of the likeliest where no other token is left."""
    total = sums[:, -1:].clone()
    more = likeliest[:, -1].isfinite() if likeliest.shape[1] < z.shape[1] else torch.zeros(len(z), dtype=torch.bool)
    if more.any():
        total[more] = (z[more] - likeliest[more, :1]).exp().sum(1, keepdim=True, dtype=torch.float64)
    return total


def _wider(function: Any, kept: Tensor, short: Tensor, z: Tensor, value: Tensor, first: int) -> Tensor:
    """What was kept; rows that may need more tokens than were sorted (``short``) are done again with more."""
    if first < z.shape[1] and short.any():
        kept[short] = function(z[short], value[short], first=16 * first)
    return kept


def _keep_best(z: Tensor, out: Tensor) -> Tensor:
    return z.masked_fill(out & (z < z.amax(1, keepdim=True)), OUT)


def _ruled_out(z: Tensor, tokens: Sequence[Sequence[int]]) -> Tensor:
    rows = torch.tensor([row for row, ids in enumerate(tokens) for _ in ids], dtype=torch.long, device=z.device)
    columns = torch.tensor([token for ids in tokens for token in ids], dtype=torch.long, device=z.device)
    return z.index_put((rows, columns), z.new_tensor(OUT))


def _completions(history: Sequence[int], n: int) -> list[int]:
    """Tokens that once followed the last n - 1 tokens."""
    if len(history) < n:
        return []
    text = np.asarray(history)
    starts = np.arange(len(text) - n + 1)
    for place in range(n - 1):
        starts = starts[text[starts + place] == text[len(text) - n + 1 + place]]
    return [int(token) for token in np.unique(text[starts + n - 1])]


def _counts(tokens: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Row, token and count of each distinct token of each row's history, flat."""
    rows, columns, counts = [], [], []
    for row, history in enumerate(tokens):
        distinct, count = np.unique(np.asarray(history, dtype=np.int64), return_counts=True)
        rows.append(np.full(len(distinct), row))
        columns.append(distinct)
        counts.append(count)
    return (
        torch.from_numpy(np.concatenate(rows)).to(device),
        torch.from_numpy(np.concatenate(columns)).to(device),
        torch.from_numpy(np.concatenate(counts)).to(device),
    )
