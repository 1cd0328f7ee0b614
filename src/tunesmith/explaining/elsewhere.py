"""What other programs call each request parameter, what they default it to, and where they mean something else.

OpenAI's chat API as its Python client 3.57 documents it; vLLM as its documentation of 2026 says; llama.cpp's server as in
xllamacpp 2026.10; transformers 5.24 (``generate``, and its pipelines for tasks that read). An entry without a name says that
the program has no such parameter; where nothing is known, there is no entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class There:
    """A parameter in another program.

    Args:
        name: what it is called; empty: there is none.
        default: in words.
        differs: where it means something else than here, or has other limits.
    """

    name: str = ""
    default: str = ""
    differs: str = ""


PROGRAMS = ("OpenAI", "vLLM", "llama.cpp", "transformers")

_NONE = There()
_MODEL = "the model's generation_config.json comes first"
_SAMPLES = "only with do_sample true"
_LAST = "computed at temperature 1, as the temperature comes last"
_WINDOW = "only the last repeat_last_n tokens count (64), of the prompt too"


def _row(openai: There, vllm: There, llama_cpp: There, transformers: There) -> Mapping[str, There]:
    return MappingProxyType(dict(zip(PROGRAMS, (openai, vllm, llama_cpp, transformers), strict=True)))


ELSEWHERE: Mapping[str, Mapping[str, There]] = MappingProxyType(
    {
        "max_tokens": _row(
            There("max_completion_tokens", "no limit", "counts tokens of reasoning too; max_tokens is its older name"),
            There("max_tokens", "16 for completions; in chat what the context leaves"),
            There("n_predict", "-1, no limit"),
            There("max_new_tokens", "none; max_length is 20 then"),
        ),
        "min_tokens": _row(
            _NONE, There("min_tokens", "0", "stop strings wait for it too"), _NONE, There("min_new_tokens", "none")
        ),
        "temperature": _row(
            There("temperature", "1", "0 to 2; several reasoning models refuse it"),
            There("temperature", "1", f"0 to 2; between 0 and 0.01 it is raised to 0.01; {_MODEL}"),
            There("temperature", "0.8", "comes last, after all truncations; 0 or less: the likeliest token"),
            There("temperature", "1", f"{_SAMPLES}; 0 is refused; {_MODEL}"),
        ),
        "top_k": _row(
            _NONE,
            There("top_k", "0, all", f"-1 is all too; {_MODEL}"),
            There("top_k", "40", "exactly k tokens: of ties some are cut"),
            There("top_k", "50", f"{_SAMPLES}; {_MODEL}"),
        ),
        "top_p": _row(
            There("top_p", "1", "OpenAI advises to change it or the temperature, not both"),
            There("top_p", "1", f"after min_p and top_k; {_MODEL}"),
            There("top_p", "0.95", _LAST),
            There("top_p", "1", _SAMPLES),
        ),
        "min_p": _row(
            _NONE,
            There("min_p", "0", "before top_k and top_p"),
            There("min_p", "0.05", _LAST),
            There("min_p", "none", _SAMPLES),
        ),
        "typical_p": _row(
            _NONE, _NONE, There("typical_p", "1", f"before top_p; {_LAST}"), There("typical_p", "1", _SAMPLES)
        ),
        "top_n_sigma": _row(_NONE, _NONE, There("top_n_sigma", "-1, off", "before top_k"), _NONE),
        "epsilon_cutoff": _row(_NONE, _NONE, _NONE, There("epsilon_cutoff", "0", _SAMPLES)),
        "eta_cutoff": _row(_NONE, _NONE, _NONE, There("eta_cutoff", "0", _SAMPLES)),
        "xtc_probability": _row(_NONE, _NONE, There("xtc_probability", "0", _LAST), _NONE),
        "xtc_threshold": _row(_NONE, _NONE, There("xtc_threshold", "0.1", _LAST), _NONE),
        "dry_multiplier": _row(
            _NONE, _NONE, There("dry_multiplier", "0", "only the last dry_penalty_last_n tokens count (64)"), _NONE
        ),
        "dry_base": _row(_NONE, _NONE, There("dry_base", "1.75"), _NONE),
        "dry_allowed_length": _row(_NONE, _NONE, There("dry_allowed_length", "2"), _NONE),
        "dry_sequence_breakers": _row(_NONE, _NONE, There("dry_sequence_breakers", 'line break : " *'), _NONE),
        "repetition_penalty": _row(
            _NONE,
            There("repetition_penalty", "1", "after logit_bias"),
            There("repeat_penalty", "1", _WINDOW),
            There("repetition_penalty", "1"),
        ),
        "frequency_penalty": _row(
            There("frequency_penalty", "0"),
            There("frequency_penalty", "0"),
            There("frequency_penalty", "0", _WINDOW),
            _NONE,
        ),
        "presence_penalty": _row(
            There("presence_penalty", "0"),
            There("presence_penalty", "0"),
            There("presence_penalty", "0", _WINDOW),
            _NONE,
        ),
        "no_repeat_ngram_size": _row(_NONE, _NONE, _NONE, There("no_repeat_ngram_size", "0")),
        "logit_bias": _row(
            There("logit_bias", "none"),
            There("logit_bias", "none", "before repetition_penalty; what is over 100 is cut to it"),
            There("logit_bias", "none", "takes texts too, and false for a ban"),
            There("sequence_bias", "none", "takes sequences of tokens"),
        ),
        "bad_words": _row(_NONE, There("bad_words", "none"), _NONE, There("bad_words_ids", "none", "takes token ids")),
        "allowed_token_ids": _row(
            _NONE, There("allowed_token_ids", "none"), _NONE, There("prefix_allowed_tokens_fn", "none", "a function")
        ),
        "stop": _row(
            There("stop", "none", "at most 4 texts; reasoning models refuse it"),
            There("stop", "none", "looked for only after min_tokens"),
            There("stop", "none"),
            There("stop_strings", "none", "the stop string stays in the answer"),
        ),
        "stop_token_ids": _row(_NONE, There("stop_token_ids", "none"), _NONE, There("eos_token_id", "the model's")),
        "ignore_eos": _row(_NONE, There("ignore_eos", "false"), There("ignore_eos", "false"), _NONE),
        "seed": _row(
            There("seed", "none", "best effort: the same answer is not promised"),
            There("seed", "none", "the batch may change the numbers that are drawn from"),
            There("seed", "random"),
            There("", "", "the random state of the whole process"),
        ),
        "n": _row(
            There("n", "1"), There("n", "1", "1 at temperature 0"), There("n", "1"), There("num_return_sequences", "1")
        ),
        "best_of": _row(There("best_of", "1", "only of completions"), _NONE, _NONE, _NONE),
        "logprobs": _row(
            There("logprobs", "false"),
            There("logprobs", "none"),
            There("n_probs", "0"),
            There("output_scores", "false", "logits as processed; output_logits gives the model's own"),
        ),
        "top_logprobs": _row(
            There("top_logprobs", "none", "0 to 20"), There("top_logprobs", "0"), There("n_probs", "0"), _NONE
        ),
        "logprobs_of": _row(
            _NONE,
            There("logprobs_mode", "raw", "of the whole server"),
            There("post_sampling_probs", "false, raw"),
            _NONE,
        ),
        "echo": _row(There("echo", "false", "only of completions"), There("echo", "false"), _NONE, _NONE),
        "num_beams": _row(_NONE, There("use_beam_search", "false", "n is the width"), _NONE, There("num_beams", "1")),
        "length_penalty": _row(_NONE, There("length_penalty", "1"), _NONE, There("length_penalty", "1")),
        "early_stopping": _row(_NONE, _NONE, _NONE, There("early_stopping", "false")),
        "sampler_order": _row(
            There("", "", "not told"),
            There("", "", "fixed: biases, penalties, temperature, min_p, top_k, top_p"),
            There("samplers", "penalties, dry, top_n_sigma, top_k, typ_p, top_p, min_p, xtc, temperature"),
            There("", "", "fixed: penalties, biases, temperature, top_k, top_p, min_p, typical_p, epsilon, eta"),
        ),
        "truncate_prompt": _row(
            _NONE, There("truncate_prompt_tokens", "none", "a number of tokens, the last of which stay"), _NONE, _NONE
        ),
        "response_format": _row(
            There("response_format", "text", "json_object and json_schema"),
            There("response_format", "text", "structured_outputs has regex, choice and grammar"),
            There("json_schema, grammar", "none", "grammars in GBNF"),
            _NONE,
        ),
        "text-classification.top_k": MappingProxyType({"transformers": There("top_k", "1", "none gives all")}),
        "text-classification.activation": MappingProxyType(
            {
                "transformers": There("function_to_apply", "sigmoid or softmax, by the kind of labels"),
                "vLLM": There("use_activation", "true"),
            }
        ),
        "token-classification.aggregation": MappingProxyType(
            {"transformers": There("aggregation_strategy", "none", "average, max and first pool the pieces of a word")}
        ),
        "token-classification.window_overlap": MappingProxyType({"transformers": There("stride", "none: no windows")}),
        "sentence-similarity.dimensions": MappingProxyType(
            {"OpenAI": There("dimensions", "all", "of embeddings"), "vLLM": There("dimensions", "all", "of embeddings")}
        ),
    }
)
"""By name of the parameter, or by task and name where it is one of tasks that read; then by program."""


def of(name: str, task: str, *, writes: bool) -> Mapping[str, There]:
    """What is known of a parameter of a task elsewhere, by program."""
    return ELSEWHERE.get(name if writes else f"{task}.{name}", {})
