"""Find out what request parameters do to a saved model's answers on your rows, and which setting to take.

Any request parameter may hold several values: a,b,c, or START:STOP:STEP, or LOW:HIGH:log5; with --design random, sobol or race
also LOW:HIGH. All settings answer the same rows with the same seeds. Rows that took no part in choosing say whether the best
setting is at least as good as the defaults. With --engines the settings are put to several engines instead; --verify asks
again whether a preset holds; --translate says parameters in another engine's terms and needs no bundle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.params import param
from tunesmith.sweeping.settings import Settings

MORE = "request"


class Arguments(Settings):
    """Which model, which rows, how to sweep; request parameters are flags too (``--temperature 0:1.4:0.2``)."""

    bundle: str | None = param(None, "Folder of the saved model.", positional=True)
    data: str | None = param(None, "Labelled rows; their columns are found as in training.", positional=True)
    verify: str | None = param(
        None,
        "Ask again whether this preset of the bundle is at least as good as the defaults; exit code 1 if it is not.",
    )
    translate: str | None = param(
        None,
        "Say the parameters given in the terms of transformers, vllm, llama.cpp or ctranslate2, or why they cannot be.",
    )
    translate_from: str | None = param(
        None,
        "The other way: parameters of that engine, its defaults and its order in our terms.",
        name="translate-from",
    )
    as_json: bool = param(False, "Print what was found as JSON.", name="json")


def main(arguments: Arguments, flags: Mapping[str, str]) -> int:
    """Sweep, or what was asked for instead, and print what was found."""
    from tunesmith.errors import UsageError

    if arguments.translate or arguments.translate_from:
        return _translate(arguments, flags)
    if arguments.bundle is None or arguments.data is None:
        hint = "tunesmith sweep runs/bot rows.jsonl --temperature 0:1.4:0.2"
        raise UsageError("give the folder of a bundle and labelled rows", hint=hint)
    own = {field.alias or name: getattr(arguments, name) for name, field in Settings.model_fields.items()}
    settings = Settings(**own)
    if arguments.verify:
        return _verify(arguments.bundle, arguments.data, arguments, settings, flags)
    if settings.engines:
        from tunesmith.sweeping import across

        found = across.compare(arguments.bundle, arguments.data, settings, flags, quiet=arguments.as_json)
        _print(found.to_json() if arguments.as_json else str(found))
        return 0
    from tunesmith.sweeping import run

    swept = run.sweep(arguments.bundle, arguments.data, settings, flags, quiet=arguments.as_json)
    swept.show(as_json=arguments.as_json)
    return 0


def _verify(bundle: str, data: str, arguments: Arguments, settings: Settings, flags: Mapping[str, str]) -> int:
    from dataclasses import asdict

    from tunesmith.errors import UsageError
    from tunesmith.sweeping import preset
    from tunesmith.sweeping.found import as_plain

    if flags:
        named = ", ".join(f"--{name}" for name in flags)
        raise UsageError("a preset has its own parameters", where=named, hint="leave them out")
    found = preset.verify(bundle, data, arguments.verify or "", settings, quiet=arguments.as_json)
    _print(as_plain(asdict(found)) if arguments.as_json else found.words)
    return 0 if found.holds else 1


def _translate(arguments: Arguments, flags: Mapping[str, str]) -> int:
    from tunesmith import params
    from tunesmith.errors import UsageError
    from tunesmith.generation.request import GenerationRequest
    from tunesmith.sweeping import orders

    if arguments.bundle or (arguments.translate and arguments.translate_from):
        raise UsageError("parameters are carried over without a bundle, one way at a time", hint="leave out the rest")
    given = params.read_texts(GenerationRequest, flags)
    if arguments.translate_from:
        _print(orders.from_engine(arguments.translate_from, given))
        return 0
    request = params.check(GenerationRequest, given, {name: f"--{name}" for name in given})
    found = orders.to_engine(request, arguments.translate or "")
    _print({"engine": found.engine, "parameters": dict(found.parameters), "notes": list(found.notes)})
    return 0


def _print(found: Any) -> None:
    import json

    print(found if isinstance(found, str) else json.dumps(found, ensure_ascii=False))
