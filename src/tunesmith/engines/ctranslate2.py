"""Writes texts with CTranslate2, a runtime of its own for decoders and encoder-decoders, in 32 or 8 bits.

It has its own order of samplers (penalties, temperature, top_k, top_p), its own rule of when a beam search is over, and
random numbers that no request can set. What cannot be said exactly in its terms is refused.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.engines import base
from tunesmith.errors import UsageError
from tunesmith.generation.facts import Facts
from tunesmith.generation.honours import ALWAYS, Case, When

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from tunesmith.bundle import Bundle
    from tunesmith.data.examples import Examples
    from tunesmith.generation.admit import Plan
    from tunesmith.generation.answers import Generated
    from tunesmith.generation.request import GenerationRequest

FACTS, TOKENIZER = "facts.json", "tokenizer"
"""In its folder: what must be known of the model, and a folder with the tokenizer."""

_MOST_ROWS = 128
_BATCH = 16
_PENALTIES = ("repetition_penalty", "no_repeat_ngram_size", "min_tokens")
_DRAWN = ("top_k", "top_p", "temperature")


def in_order(case: Case) -> bool:
    """Whether the samplers that a request uses run in CTranslate2's order, or in one that comes to the same."""
    request = case.request
    if request.greedy:
        return True
    off = {"top_k": 0, "top_p": 1.0, "temperature": 1.0, "repetition_penalty": 1.0}
    used = [name for name in _order(request) if getattr(request, name) != off.get(name, 0)]
    place = {name: used.index(name) for name in used}
    pairs = [(first, then) for first in _PENALTIES for then in _DRAWN]
    # What is likeliest stays so at any temperature, so top_k may come on either side of it.
    pairs += [("top_k", "top_p"), ("temperature", "top_p")]
    return all(place[first] < place[then] for first, then in pairs if first in place and then in place)


def _order(request: GenerationRequest) -> list[str]:
    usual = [*_PENALTIES, "temperature", "top_k", "top_p"]
    named = [name for name in request.sampler_order or () if name in usual]
    return [*(name for name in usual if name not in named), *named]


def _beams(case: Case) -> bool:
    return case.request.num_beams > 1


def _ends(case: Case) -> frozenset[int]:
    return (frozenset() if case.request.ignore_eos else case.facts.ends) | set(case.request.stop_token_ids)


def _one_end(case: Case) -> bool:
    return len(_ends(case)) < 2 and not set(case.facts.suppressed) - _ends(case)


def _seen_again(case: Case) -> bool:
    """Its history of a prompt is all of it but the first token, so that one must come again to be in it."""
    again = bool(set(case.prompt[:1]) & set(case.prompt[1:]))
    return again and not case.facts.has_encoder and not _beams(case) and bool(_ends(case))


_ONCE_MORE = "of decoders without beams, with an end token, where the prompt's first token comes in it again"
_IN_ORDER = "in the order penalties, temperature, top_k, top_p, which is the usual one, where the order matters"
HONOURS = {
    "max_tokens": ALWAYS,
    "min_tokens": When("without beams", lambda case: not _beams(case)),
    "temperature": When(_IN_ORDER, in_order),
    "top_k": When(_IN_ORDER, in_order),
    "top_p": When(_IN_ORDER, in_order),
    "sampler_order": When(_IN_ORDER, in_order),
    "repetition_penalty": When(_ONCE_MORE, _seen_again),
    "no_repeat_ngram_size": When(_ONCE_MORE, _seen_again),
    "stop": When("without beams", lambda case: not _beams(case)),
    "stop_token_ids": ALWAYS,
    "ignore_eos": ALWAYS,
    "seed": When("where nothing is drawn", lambda case: case.request.greedy),
    "n": ALWAYS,
    "logprobs": ALWAYS,
    "top_logprobs": ALWAYS,
    "num_beams": When(
        "with early_stopping true, of models with one end token and none that must never come",
        lambda case: case.request.early_stopping is True and _one_end(case),
    ),
    "early_stopping": When("where it is true", lambda case: case.request.early_stopping is True),
    "length_penalty": When(
        "other than 0, or with n 1 or num_beams",
        lambda case: case.request.length_penalty != 0 or case.request.n in (1, case.request.num_beams),
    ),
    "truncate_prompt": ALWAYS,
}


class Engine(base.Engine):
    """A converted model."""

    place = "ctranslate2"
    needs = "ctranslate2"
    honours = HONOURS

    def __init__(self, folder: Path) -> None:
        ctranslate2 = _package()
        from tunesmith import machine

        self._facts = Facts.from_json(json.loads((folder / FACTS).read_text(encoding="utf-8")))
        name = "shared_vocabulary" if self._facts.has_encoder else "vocabulary"
        self._tokens: list[str] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        kind = ctranslate2.Translator if self._facts.has_encoder else ctranslate2.Generator
        self._model = kind(str(folder), device="auto", inter_threads=1, intra_threads=machine.cores())
        self._numbers = {token: number for number, token in enumerate(self._tokens)}

    @classmethod
    def finds(cls, folder: Path) -> bool:
        return (folder / cls.place / "model.bin").is_file()

    @classmethod
    def tokenizer(cls, bundle: Bundle) -> Any:
        folder = bundle.folder / cls.place / TOKENIZER
        return bundle.task.load_tokenizer(folder, folder)

    @classmethod
    def open(cls, bundle: Bundle) -> Engine:
        return cls(bundle.folder / cls.place)

    @property
    def facts(self) -> Facts:
        return self._facts

    def inputs(self, examples: Examples, indices: np.ndarray) -> Mapping[str, Any]:
        return examples.collate(indices)

    def outputs(self, inputs: Mapping[str, Any]) -> np.ndarray:
        """What each sequence costs (B, 2), as the network says it."""
        import numpy as np

        from tunesmith.heads import IGNORED

        ids, labels = np.asarray(inputs["input_ids"]), np.asarray(inputs["labels"])
        found = np.zeros((len(ids), 2), np.float32)
        learned = [np.flatnonzero(row != IGNORED) for row in labels]
        if self._facts.has_encoder:
            mask = np.asarray(inputs["attention_mask"])
            sources = [row[kept != 0] for row, kept in zip(ids, mask, strict=True)]
            targets = [self._without_end(row[places]) for row, places in zip(labels, learned, strict=True)]
            scored = self._model.score_batch(self._spelt(sources), self._spelt(targets), max_batch_size=_BATCH)
            places_of = [list(range(len(places))) for places in learned]
        else:
            rows = [np.append(row[: places[-1] + 1], own[places[-1]]) if len(places) else row[:2]
                    for row, own, places in zip(ids, labels, learned, strict=True)]  # fmt: skip
            scored = self._model.score_batch(self._spelt(rows), max_batch_size=_BATCH)
            places_of = [places.tolist() for places in learned]
        for number, (one, places) in enumerate(zip(scored, places_of, strict=True)):
            found[number] = -sum(one.log_probs[place] for place in places), len(places)
        return found

    def write(
        self, prompts: Sequence[Sequence[int]], requests: Sequence[GenerationRequest], tokenizer: Any
    ) -> list[list[Generated]]:
        from tunesmith.generation.admit import Admission

        admission = Admission(self._facts, tokenizer, _MOST_ROWS, base.engine_name(type(self)))
        plans = [admission.plan(prompt, request, None) for prompt, request in zip(prompts, requests, strict=True)]
        together: dict[Any, list[int]] = defaultdict(list)
        for number, plan in enumerate(plans):
            together[self._kind(plan)].append(number)
        found: list[list[Generated]] = [[]] * len(plans)
        for numbers in together.values():
            for number, answers in zip(numbers, self._batch([plans[n] for n in numbers], tokenizer), strict=True):
                found[number] = answers
        return found

    def _kind(self, plan: Plan) -> tuple[Any, ...]:
        """Requests of one kind are answered in one call: all options are those of the call.

        Among prompts of several lengths a beam search is not exact, one of a single token comes out among the answers, and
        where nothing ends an answer, the number that then stands for its end is taken for a token of another row.
        """
        prompt = plan.prompt
        alone = not self._facts.has_encoder and (
            plan.terms.request.num_beams > 1 or self._reads_slowly(plan) or len(prompt) == 1 or not plan.vocabulary.ends
        )
        options = self._options(plan)
        return (len(prompt) if alone else 0, plan.terms.request.stop, json.dumps(options, sort_keys=True))

    def _reads_slowly(self, plan: Plan) -> bool:
        """Whether the prompt must be read token by token, for it to count as what may not be repeated."""
        asked = plan.terms.request
        return not self._facts.has_encoder and (asked.repetition_penalty != 1 or asked.no_repeat_ngram_size > 0)

    def _options(self, plan: Plan) -> dict[str, Any]:
        asked, ends = plan.terms.request, sorted(plan.vocabulary.ends)
        drawn = not asked.greedy
        options: dict[str, Any] = {
            "beam_size": asked.num_beams,
            "num_hypotheses": asked.n,
            "length_penalty": asked.length_penalty,
            "repetition_penalty": asked.repetition_penalty,
            "no_repeat_ngram_size": asked.no_repeat_ngram_size,
            "sampling_topk": min(asked.top_k, len(self._tokens)) if drawn else 1,
            "sampling_topp": asked.top_p if drawn else 1,
            "sampling_temperature": asked.temperature if drawn else 1,
            "end_token": ends or [len(self._tokens)],
            "return_end_token": True,
            "return_scores": asked.num_beams > 1,
            "suppress_sequences": [[self._tokens[token]] for token in plan.vocabulary.suppressed] or None,
        }
        shortest, limit = asked.min_tokens if ends else 0, plan.terms.limit
        if self._facts.has_encoder:
            forced = len(plan.prompt) - 1
            longest = {
                "max_decoding_length": limit + forced,
                "min_decoding_length": shortest + (forced if shortest else 0),
            }
            return {**options, **longest, "max_input_length": 0}
        before = len(plan.prompt) - 1 if self._reads_slowly(plan) else 0
        lengths = {"max_length": limit + before, "min_length": shortest + (before if shortest else 0)}
        return {**options, **lengths, "include_prompt_in_result": self._reads_slowly(plan)}

    def _batch(self, plans: Sequence[Plan], tokenizer: Any) -> list[list[Generated]]:
        """Answers to requests of one kind."""
        first, options = plans[0], self._options(plans[0])
        slowly = self._reads_slowly(first)
        if first.terms.request.stop and first.terms.request.n == 1:
            options["callback"] = _Stops(first.terms.request.stop, tokenizer, (slowly and len(first.prompt)) or 0)
            options["max_batch_size"] = 1
        else:
            options["max_batch_size"] = _BATCH
        if self._facts.has_encoder:
            forced = [self._spelt([plan.prompt[1:]])[0] for plan in plans]
            sources = self._spelt([plan.source for plan in plans])
            results = self._model.translate_batch(sources, target_prefix=forced, **options)
            before = [len(one) for one in forced]
        else:
            results = self._model.generate_batch(self._spelt([plan.prompt for plan in plans]), **options)
            before = [len(plan.prompt) if slowly else 0 for plan in plans]
        return [self._told(plan, one, skip, tokenizer) for plan, one, skip in zip(plans, results, before, strict=True)]

    def _told(self, plan: Plan, result: Any, skip: int, tokenizer: Any) -> list[Generated]:
        from tunesmith.generation.choosing import chosen_elsewhere

        found = getattr(result, "sequences_ids", None) or [
            [self._numbers[token] for token in tokens] for tokens in result.hypotheses
        ]
        scores = result.scores or [None] * len(found)
        answers = []
        for number, (tokens, score) in enumerate(zip(found, scores, strict=True)):
            own = tokens[skip:]
            log_p = self._log_probabilities(plan, own) if plan.terms.request.logprobs else ()
            answers.append(chosen_elsewhere(plan, tokenizer, number, own, log_p, score))
        return answers

    def _log_probabilities(self, plan: Plan, tokens: Sequence[int]) -> Sequence[Tensor]:
        """Of the model itself at each token's place: the answer is read once more, as nothing then bends its logits."""
        import numpy as np
        import torch

        if not self._facts.has_encoder:
            whole = self._spelt([[*plan.prompt, *tokens]])
            logits = np.array(self._model.forward_batch(whole))[0, len(plan.prompt) - 1 : -1]
        else:
            written = [*plan.prompt[1:], *tokens]
            (one,) = self._model.translate_batch(
                self._spelt([plan.source]),
                target_prefix=self._spelt([written]),
                beam_size=1,
                max_input_length=0,
                min_decoding_length=0,
                max_decoding_length=len(written),
                end_token=sorted(self._facts.ends) or [0],
                return_logits_vocab=True,
            )
            logits = np.array([np.array(row) for row in one.logits[0]])[len(plan.prompt) - 1 :]
        return list(torch.from_numpy(logits.astype(np.float32)).log_softmax(1))

    def _spelt(self, rows: Sequence[Any]) -> list[list[str]]:
        """Tokens as CTranslate2 takes them."""
        return [[self._tokens[token] for token in row] for row in rows]

    def _without_end(self, labels: np.ndarray) -> np.ndarray:
        """A text to be scored without its end token, which CTranslate2 appends."""
        return labels[:-1] if len(labels) and int(labels[-1]) in self._facts.ends else labels


class _Stops:
    """Tells CTranslate2 that an answer holds a stop string, each answer alone; the rest of it is then never made."""

    def __init__(self, stops: Sequence[str], tokenizer: Any, skip: int) -> None:
        self._stops, self._tokenizer, self._skip = stops, tokenizer, skip
        self._texts: dict[tuple[int, int], Any] = {}

    def __call__(self, step: Any) -> bool:
        from tunesmith.generation.text import TextStream

        if step.step < self._skip - 1:
            return False
        key = (step.batch_id, step.hypothesis_id)
        if step.step == max(0, self._skip - 1) or key not in self._texts:
            self._texts[key] = TextStream(self._tokenizer, self._stops)
        self._texts[key].push(step.token_id)
        return self._texts[key].stop is not None


def _package() -> Any:
    try:
        import ctranslate2
    except ImportError:
        hint = "pip install 'tunesmith[ctranslate2]'"
        raise UsageError("the package ctranslate2 is not installed", where="engine ctranslate2", hint=hint) from None
    return ctranslate2
