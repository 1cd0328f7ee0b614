"""What the guides to parameters show of the embedded models: told and drawn from records of what was measured.

A guide has a mark for each record. What is missing or stale is made by ``make docs``; remove docs/records/parameters to have
all measured anew, and docs/images/parameters to have all drawn anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docs.chinese import CHINESE
from pydantic import TypeAdapter

from tunesmith.explaining.found import Found, said
from tunesmith.explaining.phrases import ENGLISH, say

DOCS = Path(__file__).parent
RECORDS, PICTURES = DOCS / "records" / "parameters", DOCS / "images" / "parameters"
WRITER, READER, FILMS = "SmolLM2-135M-Instruct", "all-MiniLM-L6-v2", "films"
PROMPTS = (
    "What is the capital of France?",
    "Write two sentences about the sea.",
    "List five things to take on a walk in the rain.",
    "My parcel has not come. What should I do?",
    "Explain to a child why the sky is blue.",
    "Continue: it was a dark night, and the old lighthouse",
)


@dataclass(frozen=True)
class Written:
    """A parameter of the embedded model that writes, as it comes, on a few prompts.

    Args:
        parameter: its name.
        held: others beside it.
        prompts: that are answered.
        tokens: most of an answer.
    """

    parameter: str
    held: Mapping[str, str] = field(default_factory=dict)
    prompts: tuple[str, ...] = PROMPTS
    tokens: int = 48


@dataclass(frozen=True)
class Read:
    """A parameter of the embedded encoder, after training on some rows, on others of the same data.

    Args:
        parameter: its name.
        task: that is learned.
        data: ``FILMS``, the sentences of the demo, or a file of ``examples/data``.
        learned: rows to train on.
        looked_at: rows that come after them.
        values: to try; None: those declared.
    """

    parameter: str
    task: str
    data: str
    learned: int
    looked_at: int
    values: str | None = None


_ALONE = (
    "temperature", "top_k", "top_p", "min_p", "typical_p", "top_n_sigma", "epsilon_cutoff", "eta_cutoff", "min_tokens",
    "repetition_penalty", "frequency_penalty", "presence_penalty", "dry_multiplier", "no_repeat_ngram_size", "num_beams",
    "early_stopping",
)  # fmt: skip
SHOWN: dict[str, Written | Read] = {
    **{name: Written(name) for name in _ALONE},
    "xtc_probability": Written("xtc_probability", {"xtc_threshold": "0.1"}),
    "length_penalty": Written("length_penalty", {"num_beams": "8"}),
    "text-classification.threshold": Read(
        "threshold", "text-classification", FILMS, 1200, 400, "0.5,0.55,0.6,0.65,0.7,0.75,0.8,0.85,0.9,0.95"
    ),
    "token-classification.word_threshold": Read(
        "word_threshold", "token-classification", "token-classification/en.jsonl", 28, 14
    ),
    "sentence-similarity.dimensions": Read("dimensions", "sentence-similarity", "sentence-similarity/en.csv", 31, 30),
}
"""What there are records of, by name."""


@dataclass(frozen=True)
class Language:
    """One of the guides.

    Args:
        guide: its file.
        ending: of its pictures' names.
        words: for what was found.
        alt: what a picture shows.
        heading: over what was found.
        comma: before parameters that were held.
    """

    guide: Path
    ending: str
    words: Mapping[str, str]
    alt: str
    heading: str
    comma: str


LANGUAGES = (
    Language(
        DOCS / "guide" / "parameters.md",
        ".svg",
        ENGLISH,
        "what {name} does to {model}{held}",
        "Measured on {about}{held}:",
        ", ",
    ),
    Language(
        DOCS / "guide" / "parameters.zh-CN.md",
        ".zh-CN.svg",
        CHINESE,
        "{name} 对 {model} 的作用{held}",
        "实测：{about}{held}。",
        "，",
    ),
)


def wanted() -> list[str]:
    """The records that the guides have marks for."""
    texts = [language.guide.read_text(encoding="utf-8") for language in _guides()]
    return list(dict.fromkeys(name for text in texts for name in re.findall(r"<!-- measured (\S+) -->", text)))


def stale() -> list[Path]:
    """Records and pictures that are missing, that are of something else than what is declared, or that nothing shows."""
    return [*map(_record, unmeasured()), *undrawn(), *unshown()]


def unmeasured() -> list[str]:
    """Records that are missing, or of something else than what is declared."""
    return [name for name in wanted() if _read(name).get("asked") != _plain(SHOWN[name])]


def undrawn() -> dict[Path, tuple[Found, Language]]:
    """Pictures that are missing, or of other records or words, with what they should show."""
    known = {name: found(name) for name in wanted() if _record(name).exists()}
    each = {_picture(name, language): (one, language) for name, one in known.items() for language in _guides()}
    return {path: (one, language) for path, (one, language) in each.items() if not _is_of(path, one, language)}


def unshown() -> list[Path]:
    """Records and pictures that no guide shows."""
    records = {_record(name) for name in wanted()}
    pictures = {_picture(name, language) for name in wanted() for language in _guides()}
    return [path for path in (*RECORDS.glob("*.json"), *PICTURES.glob("*.svg")) if path not in records | pictures]


def renew() -> None:
    """Measure, draw and remove what ``stale`` names."""
    if missing := {name: SHOWN[name] for name in unmeasured()}:
        from docs.measuring import measured

        RECORDS.mkdir(parents=True, exist_ok=True)
        for name, one in measured(missing):
            _record(name).write_text(_written(SHOWN[name], one), encoding="utf-8")
            print(f"measured: {name}", flush=True)
    for path, (one, language) in undrawn().items():
        _draw(path, one, language)
    for path in unshown():
        path.unlink()


def found(name: str) -> Found:
    """What a record holds."""
    return TypeAdapter(Found).validate_python(_read(name)["found"])


def guides() -> dict[Path, dict[str, str]]:
    """Of each guide the parts that are made of records, by their marks."""
    names = [name for name in wanted() if _record(name).exists()]
    prompts = "".join(f"{number}. {prompt}\n" for number, prompt in enumerate(PROMPTS, 1))
    return {
        language.guide: {
            "prompts": prompts,
            **{f"measured {name}": told(found(name), _picture(name, language), language) for name in names},
        }
        for language in _guides()
    }


def told(one: Found, picture: Path, language: Language) -> str:
    """A picture with what was found, as Markdown."""
    held = "".join(f"{language.comma}{name} {said(value)}" for name, value in one.held.items() if name != "max_tokens")
    alt = language.alt.format(name=one.name, model=one.model, held=held)
    heading = language.heading.format(about=one.about.told(language.words), held=held)
    lines = "".join(f"- {sentence.told(language.words)}\n" for sentence in one.sentences)
    return f"![{alt}](../images/parameters/{picture.name})\n\n{heading}\n\n{lines}"


def _guides() -> list[Language]:
    return [language for language in LANGUAGES if language.guide.exists()]


# records


def _record(name: str) -> Path:
    return RECORDS / f"{name}.json"


def _read(name: str) -> dict[str, Any]:
    path = _record(name)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _written(asked: Written | Read, one: Found) -> str:
    """A record: what was asked, and what was found, without what no guide shows."""
    shown = dataclasses.replace(one, samples=(), details={})
    plain = {"asked": _plain(asked), "found": _rounded(TypeAdapter(Found).dump_python(shown, mode="json"))}
    return re.sub(r"\[[^][{}]*\]", _in_a_line, json.dumps(plain, ensure_ascii=False, indent=1)) + "\n"


def _plain(asked: Written | Read) -> Any:
    return json.loads(json.dumps(dataclasses.asdict(asked)))


def _rounded(value: Any) -> Any:
    """With six digits of each number: more are noise, and differ from one machine to another."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value


def _in_a_line(numbers: re.Match[str]) -> str:
    return " ".join(numbers[0].split())


# pictures


def _picture(name: str, language: Language) -> Path:
    return PICTURES / f"{name}{language.ending}"


def _draw(path: Path, one: Found, language: Language) -> None:
    from tunesmith.explaining import pictures

    path.parent.mkdir(parents=True, exist_ok=True)
    pictures.save(one, path, language.words)
    path.write_text(path.read_text(encoding="utf-8") + _mark(one, language), encoding="utf-8")


def _is_of(path: Path, one: Found, language: Language) -> bool:
    return path.exists() and path.read_text(encoding="utf-8").endswith(_mark(one, language))


def _mark(one: Found, language: Language) -> str:
    """What a picture ends with: a digest of all that it shows. The lines themselves may differ with matplotlib's version."""
    headings = (one.about, say("without", name="", usual=""), *(column.meaning for column in one.columns))
    words = [heading.told(language.words) for heading in headings]
    shown = json.dumps([words, TypeAdapter(Found).dump_python(one, mode="json")], ensure_ascii=False)
    return f"<!-- {hashlib.sha256(shown.encode()).hexdigest()[:16]} -->\n"
