"""Answers token by token, with the model's own logits at each place: computed once, for all values of all parameters.

A path is the answer that stands in the data, or the one that the model gives when it always takes the likeliest token.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path as File
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from tunesmith import bundle as bundles
from tunesmith import sources
from tunesmith.errors import DataError
from tunesmith.generation.network import Network
from tunesmith.generation.request import GenerationRequest
from tunesmith.outputs import IGNORED

if TYPE_CHECKING:
    import pyarrow as pa

    from tunesmith.predict import Model

Kind = Literal["greedy", "reference"]


@dataclass(frozen=True)
class Path:
    """One answer.

    Args:
        number: of its input.
        source: tokens that an encoder reads, where there is one.
        prompt: tokens that the decoder reads before.
        output: the answer's tokens.
    """

    number: int
    source: tuple[int, ...]
    prompt: tuple[int, ...]
    output: tuple[int, ...]

    def key(self, model: str) -> str:
        """A name that no other path, and no other model's, has."""
        told = repr((model, self.source, self.prompt, self.output))
        return hashlib.sha256(told.encode()).hexdigest()


def of(model: Model, rows: pa.Table, kind: Kind, most: int) -> list[Path]:
    """The path of each row, of at most so many tokens; of a long text that is read in windows, of its first window.

    Raises:
        DataError: a row has no answer to go along.
    """
    with model.reading() as folder:
        task: Any = model.task
        examples = task.encode(rows, model.tokenizer, model.bundle.config.model, folder / "asked")
        prompts, numbers = examples.prompts(), examples.rows.tolist()
        first = [numbers.index(row) for row in range(len(rows))]
        asked = [prompts[place] for place in first]
        answers = _greedy(model, asked, most) if kind == "greedy" else _references(model, rows, asked, folder)
    facts: Any = model.engine.facts
    begin = facts.start if facts.has_encoder else ()
    return [
        Path(number, tuple(prompt) if begin else (), begin or tuple(prompt), tuple(answer[:most]))
        for number, (prompt, answer) in enumerate(zip(asked, answers, strict=True))
    ]


class Logits:
    """The logits of paths.

    Args:
        model: a bundle with the engine ``pytorch``.
        folder: keeps them between calls, a file of 4 bytes * places * vocabulary each; None: nothing is kept.
    """

    def __init__(self, model: Model, folder: File | None = None) -> None:
        engine: Any = model.engine
        self._network = Network(engine.network.eval().backbone.model, alone=True)
        self._folder = folder
        self._name = fingerprint(model) if folder else ""
        self.read = 0
        """Paths that were read, and not taken from the folder."""

    def along(self, path: Path) -> Tensor:
        """The model's logits of each token of the path (T, V), float32."""
        file = self._folder / f"{path.key(self._name)}.npy" if self._folder else None
        if file is not None and file.exists():
            return torch.from_numpy(np.load(file))
        self.read += 1
        found = self._compute(path)
        if file is not None:
            _keep(file, found)
        return found

    @torch.inference_mode()
    def _compute(self, path: Path) -> Tensor:
        network, prompt = self._network, [path.prompt]
        made = network.encode([path.source], [None]) if path.source else []
        state = network.start(prompt, made)
        if len(path.prompt) > 1:
            network.feed(state, torch.tensor([path.prompt[:-1]]))
        last = torch.tensor([[path.prompt[-1], *path.output[:-1]]])
        return network.feed(state, last, all_logits=True)[0].float().cpu().clone()


def fingerprint(model: Model) -> str:
    """What the model's logits depend on: its weights, the number format and the device."""
    bundle = model.bundle
    base = bundle.base_fingerprint or ""
    if bundle.untuned:
        base = sources.fingerprint(sources.resolve(bundle.config.model.base or "").path)
    own = [] if bundle.untuned else sorted(bundle.folder.glob("*.safetensors"))
    network: Any = model.engine.network
    device = str(network.backbone.model.device)
    return repr((base, [bundles.digest(file) for file in own], bundle.precision, device))


def _greedy(model: Model, prompts: list[list[int]], most: int) -> Iterator[Sequence[int]]:
    task: Any = model.task
    asked = task.asked_of(model.reader, prompts, GenerationRequest(max_tokens=most))
    found = model.engine.generate(prompts, asked, model.tokenizer)
    return (choices[0].tokens for choices in found)


def _references(model: Model, rows: pa.Table, prompts: list[list[int]], folder: File) -> Iterator[Sequence[int]]:
    """The answer of each row after its prompt, tokenised as in training."""
    task: Any = model.task
    told = task.encode(rows, model.tokenizer, model.bundle.config.model, folder / "told", _written(model))
    everything = np.arange(len(told))
    learned = [told.encoded[0].lists(name).take(everything) for name in ("input_ids", "labels")]
    last = {row: place for place, row in enumerate(told.rows.tolist())}
    forced = model.engine.facts.start[1:] if model.engine.facts.has_encoder else ()
    for row, prompt in enumerate(prompts):
        if row not in last:
            raise DataError("the answer of a row cannot be told", where=f"row {row}", hint="--path greedy")
        ids, labels = (column[last[row]].tolist() for column in learned)
        answer = labels if model.engine.facts.has_encoder else _after(prompt, ids, labels)
        answer = answer[len(forced) :] if forced and tuple(answer[: len(forced)]) == tuple(forced) else answer
        if not len(answer):
            raise DataError("a row has no answer to go along", where=f"row {row}", hint="--path greedy")
        yield answer


def _written(model: Model) -> Any:
    """The target, as what is learned of single answers."""
    return dataclasses.replace(model.target, counts=())


def _after(prompt: Sequence[int], ids: list[int], labels: list[int]) -> list[int]:
    """The tokens of a decoder's last answer: what follows the prompt; where a cut has changed that, what is learned last."""
    end = next((place for place in range(len(ids), 0, -1) if labels[place - 1] != IGNORED), 0)
    if ids[: len(prompt)] == list(prompt):
        return ids[len(prompt) : end]
    start = end
    while start and labels[start - 1] != IGNORED:
        start -= 1
    return ids[start:end]


def _keep(file: File, found: Tensor) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".new-{file.name}")
    with unfinished.open("wb") as out:
        np.save(out, found.numpy())
    unfinished.replace(file)
