"""What an engine is: something that computes a bundle's outputs from batches of token ids."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith import plugins
from tunesmith.generation.honours import Case, Honours, check

if TYPE_CHECKING:
    import numpy as np

    from tunesmith.bundle import Bundle
    from tunesmith.data.examples import Examples
    from tunesmith.generation.answers import Generated
    from tunesmith.generation.facts import Facts
    from tunesmith.generation.request import GenerationRequest
    from tunesmith.networks.network import Network


class Engine(ABC):
    """Computes outputs, and writes texts where it can; knows nothing of tasks and labels."""

    place: ClassVar[str] = ""
    """Folder in a bundle that holds the model in the form that it opens; empty: it opens the bundle's own weights."""

    needs: ClassVar[str] = ""
    """The package that it computes with; empty: none but what every engine needs."""

    honours: ClassVar[Honours] = {}
    """The parameters of generation that it honours, each with the condition; none: it writes no texts."""

    exact: ClassVar[bool] = True
    """Whether its answers are the model's own, or were held against them when the form that it opens was made."""

    weights: ClassVar[str] = ""
    """Number format of the weights, where it is not that of the form that it opens."""

    network: Network | None = None
    """The network, where it is run here."""

    batch_tokens: int = 16384
    """Padded tokens that one call should hold."""

    @classmethod
    def finds(cls, folder: Path) -> bool:
        """Whether a bundle's folder holds a model in the form that it opens."""
        return bool(cls.place) and (folder / cls.place).is_dir()

    @classmethod
    @abstractmethod
    def open(cls, bundle: Bundle) -> Engine:
        """Load a bundle's weights."""

    @abstractmethod
    def outputs(self, inputs: Mapping[str, Any]) -> np.ndarray:
        """What ``inputs`` makes, to raw outputs in float32: (B, O), or (B, T, ...) of every token."""

    @classmethod
    def tokenizer(cls, bundle: Bundle) -> Any:
        """What stands in front of it."""
        return bundle.tokenizer()

    def inputs(self, examples: Examples, indices: np.ndarray) -> Mapping[str, Any]:
        """Some sequences as ``outputs`` takes them: arrays, unless an engine wants something else."""
        return examples.arrays(indices)

    def sequences(self, examples: Examples, among: np.ndarray | None = None) -> list[np.ndarray]:
        """Raw outputs of each sequence, (O,) or (its tokens, ...), computed in batches of near-equal length.

        Args:
            examples: the sequences.
            among: numbers of those that are wanted, whose outputs come in this order; None: all.

        Raises:
            FloatingPointError: outputs are not finite numbers.
        """
        import numpy as np

        from tunesmith.data import batch

        wanted = np.arange(len(examples)) if among is None else among
        lengths = examples.lengths[wanted]
        found: list[Any] = [None] * len(wanted)
        for places in batch.SortedBatches.of(lengths, micro_tokens=self.batch_tokens).batches:
            outputs = self.outputs(self.inputs(examples, wanted[places]))
            if not np.isfinite(outputs).all():
                raise FloatingPointError("outputs of the network were not finite")
            for place, output in zip(places.tolist(), outputs, strict=True):
                found[place] = output if output.ndim == 1 else output[: lengths[place]].copy()
        return found

    @classmethod
    def declared(cls) -> dict[str, Honours]:
        """What it honours, for documentation: by its name, or by those of its several kinds."""
        return {engine_name(cls): cls.honours}

    @property
    def facts(self) -> Facts:
        """What must be known of a model that writes."""
        raise NotImplementedError(f"{type(self).__module__} writes no texts")

    def generate(
        self, prompts: Sequence[Sequence[int]], requests: Sequence[GenerationRequest], tokenizer: Any
    ) -> list[list[Generated]]:
        """Answer prompts.

        Args:
            prompts: token ids of each, with whatever special tokens the model expects.
            requests: parameters of each.
            tokenizer: the model's.

        Returns:
            For each prompt its ``n`` answers, best first where they are ranked.

        Raises:
            UsageError: a request cannot be answered, or sets a parameter that the engine does not honour; nothing is
                generated then.
        """
        facts = self.facts
        cases = [Case(request, facts, prompt) for prompt, request in zip(prompts, requests, strict=True)]
        check(engine_name(type(self)), self.honours, cases, _Others())
        return self.write(prompts, requests, tokenizer)

    def write(
        self, prompts: Sequence[Sequence[int]], requests: Sequence[GenerationRequest], tokenizer: Any
    ) -> list[list[Generated]]:
        """What ``generate`` gives, for requests whose parameters are honoured."""
        raise NotImplementedError(f"{type(self).__module__} writes no texts")


def engine_name(engine: type[Engine]) -> str:
    """What users call an engine."""
    return engine.__module__.rpartition(".")[2].replace("_", "-")


class _Others(Mapping[str, Honours]):
    """What each engine that can be named honours; they are imported only when an error tells of them."""

    def __getitem__(self, name: str) -> Honours:
        honours: Honours = plugins.load("engines", name).honours
        return honours

    def __iter__(self) -> Iterator[str]:
        return iter(plugins.names("engines"))

    def __len__(self) -> int:
        return len(plugins.names("engines"))


def fed(name: str, inputs: Mapping[str, Any]) -> np.ndarray:
    """An input of a traced graph; a batch without padding has no mask, and one without segments none of these."""
    import numpy as np

    if name in inputs:
        return np.asarray(inputs[name], np.int64)
    return np.full(inputs["input_ids"].shape, int(name == "attention_mask"), np.int64)


def side_by_side(vectors: np.ndarray, inputs: Mapping[str, Any]) -> np.ndarray:
    """Vectors of the texts of rows (P * B, D), first texts first, as outputs (B, P * D), where rows have several ``parts``."""
    parts = len(inputs.get("parts", ())) or 1
    return (
        vectors
        if parts == 1
        else vectors.reshape(parts, -1, vectors.shape[1]).swapaxes(0, 1).reshape(-1, parts * vectors.shape[1])
    )
