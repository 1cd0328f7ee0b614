"""Pictures and measured effects for docs/guide/parameters.md, on the embedded model that writes: ``make docs-pictures``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from docs.generate import filled

from tunesmith.explaining import opening, pictures
from tunesmith.explaining.found import Found, said
from tunesmith.explaining.study import Wanted, explain

ROOT = Path(__file__).parents[1]
PICTURES, GUIDE = ROOT / "docs" / "images" / "parameters", ROOT / "docs" / "guide" / "parameters.md"
MODEL = "SmolLM2-135M-Instruct"
PROMPTS = (
    "What is the capital of France?",
    "Write two sentences about the sea.",
    "List five things to take on a walk in the rain.",
    "My parcel has not come. What should I do?",
    "Explain to a child why the sky is blue.",
    "Continue: it was a dark night, and the old lighthouse",
)
TOKENS = 48
SHOWN: dict[str, dict[str, str]] = {
    "temperature": {},
    "top_k": {},
    "top_p": {},
    "min_p": {},
    "typical_p": {},
    "top_n_sigma": {},
    "epsilon_cutoff": {},
    "xtc_probability": {"xtc_threshold": "0.1"},
    "repetition_penalty": {},
    "frequency_penalty": {},
    "presence_penalty": {},
    "dry_multiplier": {},
    "no_repeat_ngram_size": {},
    "num_beams": {},
    "length_penalty": {"num_beams": "8"},
}
"""The parameters with a picture, and what is held beside them."""


def main() -> None:
    """Look at each parameter; draw it, and write what was found into the guide."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    model = opening.open_model(MODEL)
    parts = {}
    with tempfile.TemporaryDirectory() as kept:
        for name, held in SHOWN.items():
            found = explain(Wanted(name, MODEL, PROMPTS, tokens=TOKENS, held=held, keep=kept), model)
            pictures.save(found, PICTURES / f"{name}.svg")
            parts[f"measured {name}"] = told(found)
            print(name, *found.sentences, sep="\n  ", flush=True)
    GUIDE.write_text(filled(GUIDE.read_text(encoding="utf-8"), parts), encoding="utf-8")


def told(found: Found) -> str:
    """The picture with what was found, as Markdown."""
    held = "".join(f", {name} {said(value)}" for name, value in found.held.items() if name != "max_tokens")
    alt = f"what {found.name} does to {found.model}{held}"
    lines = "".join(f"- {sentence}\n" for sentence in found.sentences)
    return f"![{alt}](../images/parameters/{found.name}.svg)\n\nMeasured on {found.about}{held}:\n\n{lines}"


if __name__ == "__main__":
    main()
