"""The same numbers in other engines: their order of samplers, their defaults, and parameter sets carried over to them.

Temperature and truncations do not commute: after a temperature above 1 a nucleus of 0.9 holds more tokens than before it.
What may change places without changing which tokens are left:

- top_k with temperature, as ranks stay; with min_p, as both keep the likeliest tokens by a rule that what else was cut
  does not touch.
- top_n_sigma with temperature, as a logit and its standard deviation scale alike (Tang et al. 2024).
- min_p with temperature T: p >= m * max p before it is p' >= m^(1/T) * max p' after it, since p' ~ p^(1/T).

Everything else keeps its place or is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith import params
from tunesmith.errors import Problem, UsageError, did_you_mean
from tunesmith.generation import honours, protocol, sampler
from tunesmith.generation import request as requests
from tunesmith.generation.honours import DEFAULTS
from tunesmith.generation.request import GenerationRequest

ORDERS: dict[str, tuple[str, ...]] = {
    "transformers": ("temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"),
    "vllm": ("temperature", "min_p", "top_k", "top_p"),
    "llama.cpp": ("top_n_sigma", "top_k", "typical_p", "top_p", "min_p", "xtc", "temperature"),
    "ctranslate2": ("top_k", "temperature", "top_p"),
}
"""Temperature and truncations in the order in which an engine runs them, unless it is told otherwise."""

THEIR_DEFAULTS: dict[str, dict[str, Any]] = {
    "transformers": {"temperature": 0.0, "top_k": 50, "max_tokens": 20},
    "vllm": {"temperature": 1.0, "max_tokens": 16},
    "llama.cpp": {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05},
    "ctranslate2": {"temperature": 1.0, "top_k": 1},
}
"""What an engine does where nothing is asked, in our terms, where it is not what we do. A model's own
generation_config.json overrides those of transformers and vLLM."""

_LEAST_TEMPERATURE = 0.01
_SAMPLERS = {name for order in ORDERS.values() for name in order}
_SETS: dict[str, tuple[str, ...]] = {"xtc": ("xtc_probability", "xtc_threshold")}
_COMMUTE = {frozenset(pair) for pair in (("top_k", "temperature"), ("top_k", "min_p"), ("top_n_sigma", "temperature"))}

NAMES: dict[str, dict[str, str]] = {
    "transformers": {
        "max_tokens": "max_new_tokens",
        "min_tokens": "min_new_tokens",
        "n": "num_return_sequences",
        "stop": "stop_strings",
        **{
            name: name
            for name in (
                "temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff",
                "repetition_penalty", "no_repeat_ngram_size", "num_beams", "length_penalty", "early_stopping",
            )
        },
    },
    "vllm": {
        name: name
        for name in (
            "max_tokens", "min_tokens", "temperature", "top_k", "top_p", "min_p", "repetition_penalty",
            "frequency_penalty", "presence_penalty", "logit_bias", "allowed_token_ids", "bad_words", "stop", "stop_token_ids",
            "ignore_eos", "seed", "n",
        )
    },
    "llama.cpp": {
        "max_tokens": "n_predict",
        "repetition_penalty": "repeat_penalty",
        **{
            name: name
            for name in (
                "temperature", "top_k", "top_p", "min_p", "typical_p", "top_n_sigma", "xtc_probability", "xtc_threshold",
                "stop", "ignore_eos", "seed",
            )
        },
    },
    "ctranslate2": {
        "max_tokens": "max_length",
        "temperature": "sampling_temperature",
        "top_k": "sampling_topk",
        "top_p": "sampling_topp",
        "n": "num_hypotheses",
        "num_beams": "beam_size",
        "repetition_penalty": "repetition_penalty",
        "no_repeat_ngram_size": "no_repeat_ngram_size",
        "length_penalty": "length_penalty",
    },
}  # fmt: skip
"""What an engine calls each parameter whose meaning it shares."""

WHY = {
    ("llama.cpp", "frequency_penalty"): "it counts the prompt's tokens too, not the answer's alone",
    ("llama.cpp", "presence_penalty"): "it counts the prompt's tokens too, not the answer's alone",
    ("transformers", "frequency_penalty"): "it has none",
    ("transformers", "presence_penalty"): "it has none",
    ("transformers", "seed"): "it has no seed of a request; set_seed draws otherwise",
    ("ctranslate2", "seed"): "its seed is the process's",
}


@dataclass(frozen=True)
class Translation:
    """Parameters in an engine's own terms.

    Args:
        engine: its name.
        parameters: complete: also those that we leave out as our default, where the engine's is another.
        notes: what was changed, and what stays different.
    """

    engine: str
    parameters: Mapping[str, Any]
    notes: tuple[str, ...]


def to_engine(request: GenerationRequest, engine: str) -> Translation:
    """A parameter set in an engine's terms, with which it draws from the very same distributions.

    Args:
        request: in our terms.
        engine: one of ``ORDERS``.

    Raises:
        UsageError: the engine is not known, or something cannot be said in its terms; all of it is named.
    """
    _check_engine(engine)
    idle = {warning.partition(" ")[0] for warning in requests.check(request)}
    names = NAMES[engine]
    problems: list[Problem] = []
    notes: list[str] = []
    active = {name for name, default in DEFAULTS.items() if getattr(request, name) != default and name not in idle}
    for name in sorted(active - names.keys() - {"sampler_order", "logprobs", "top_logprobs"}):
        why = WHY.get((engine, name), f"{engine} has nothing like it")
        problems.append(Problem(f"cannot be said: {why}", name, "leave it out"))
    if engine == "vllm":
        problems += _refused_by_vllm(request)
    values = {name: getattr(request, name) for name in names}
    wanted = [] if request.greedy else _steps(request)
    if engine != "llama.cpp":
        values["min_p"] = _reordered(engine, request, wanted, problems, notes)
    if problems:
        raise UsageError(f"the parameters cannot be carried over to {engine}", problems=problems)
    if request.greedy and engine == "transformers":
        values = {name: value for name, value in values.items() if name not in _SAMPLERS}  # it warns of each otherwise
    parameters = {names[name]: plain(value) for name, value in values.items() if name in names and says(value)}
    return Translation(engine, parameters | _besides(engine, request, wanted), (*notes, *_remarks(engine, request)))


def from_engine(engine: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """An engine's parameters in our terms, its defaults and its order of samplers among them.

    Args:
        engine: one of ``ORDERS``.
        given: by the engine's names or by ours.

    Raises:
        UsageError: the engine is not known, or a parameter has no counterpart.
    """
    _check_engine(engine)
    ours = {theirs: name for name, theirs in NAMES[engine].items()}
    ours |= {name: name for name in NAMES[engine]}
    if unknown := [name for name in given if name not in ours]:
        problems = [Problem("has no counterpart here", name, did_you_mean(name, list(ours))) for name in unknown]
        raise UsageError(f"parameters of {engine} that cannot be carried over", problems=problems)
    asked = THEIR_DEFAULTS[engine] | {ours[name]: value for name, value in given.items()}
    request = params.check(GenerationRequest, asked)
    steps = _steps(request)
    theirs = [name for name in ORDERS[engine] if name in steps]
    values = {name: plain(getattr(request, name)) for name in asked}
    found = {name: value for name, value in values.items() if getattr(request, name) != DEFAULTS[name]}
    return found | ({"sampler_order": theirs} if not request.greedy and theirs != steps else {})


def _refused_by_vllm(request: GenerationRequest) -> list[Problem]:
    """What vLLM does in another way than we do, beside the order of samplers."""
    nothing: Any = None  # no condition asks for facts of a model
    found = [
        Problem(why.replace("honoured", "the same"), name)
        for name, why in honours.refused(protocol.VLLM, honours.Case(request, nothing))
        if name in NAMES["vllm"] and name not in ("top_p", "min_p")
    ]
    if 0 < request.temperature < _LEAST_TEMPERATURE and not request.greedy:
        found.append(Problem(f"vLLM raises it to {_LEAST_TEMPERATURE}", "temperature"))
    return found


def _check_engine(engine: str) -> None:
    if engine not in ORDERS:
        hint = did_you_mean(engine, list(ORDERS)) or f"legal: {', '.join(ORDERS)}"
        raise UsageError(f"nothing is known of the engine '{engine}'", where="--translate", hint=hint)


def _steps(request: GenerationRequest) -> list[str]:
    """Temperature and truncations that a request uses, in the order in which they run."""
    used = {
        name
        for name in _SAMPLERS
        if any(getattr(request, one) != DEFAULTS[one] for one in _SETS.get(name, (name,))[:1])
    }
    if request.temperature == 1:
        used.discard("temperature")
    return [name for name in sampler.order(request) if name in used]


def _reordered(
    engine: str, request: GenerationRequest, steps: Sequence[str], problems: list[Problem], notes: list[str]
) -> float:
    """What ``min_p`` becomes in the engine's order; what cannot change places is a problem."""
    theirs = [name for name in ORDERS[engine] if name in steps]
    value = request.min_p
    for place, first in enumerate(steps):
        for second in steps[place + 1 :]:
            if first not in theirs or second not in theirs or theirs.index(first) < theirs.index(second):
                continue
            pair = frozenset((first, second))
            if pair in _COMMUTE:
                continue
            if pair == {"min_p", "temperature"}:
                moved = 1 / request.temperature if first == "min_p" else request.temperature
                value = float(f"{value**moved:.12g}")
                notes.append(
                    f"min_p {request.min_p:g} became {value:g}, as {engine} runs it on the other side of temperature"
                )
                continue
            message = f"runs before {second} here and after it in {engine}, which keeps other tokens"
            hint = "take temperature 1" if "temperature" in pair else "take only one of the two"
            problems.append(Problem(message, first, hint))
    return value


def _besides(engine: str, request: GenerationRequest, steps: Sequence[str]) -> dict[str, Any]:
    """What an engine must be told beside the parameters."""
    if engine == "transformers":
        return {"do_sample": not request.greedy}
    if engine == "ctranslate2":
        return {"sampling_topk": 1 if request.greedy else request.top_k}
    if engine != "llama.cpp":
        return {}
    called = {"typical_p": "typ_p"}
    order = ["penalties", *(called.get(name, name) for name in steps)]
    if "temperature" not in order:  # also of 0, which it alone heeds: without it something is drawn
        order.append("temperature")
    window = {"repeat_last_n": -1} if request.repetition_penalty != 1 else {}
    return {"samplers": order, "top_n_sigma": request.top_n_sigma or -1, **window}


def _remarks(engine: str, request: GenerationRequest) -> list[str]:
    remarks = []
    if not request.greedy:
        remarks.append("the distributions are the same, the draws are not: every engine has its own random numbers")
    if engine == "llama.cpp" and request.top_k == 0:
        remarks.append("top_k 0 means all tokens in both")
    return remarks


def says(value: Any) -> bool:
    """Whether a value asks for anything; lists that are empty ask for nothing everywhere."""
    return value is not None and value not in ((), [], {})


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    return list(value) if isinstance(value, tuple) else value
