"""What an export is: a bundle's model in another form, which an engine here or another program opens.

``exporting.export`` is the story. It has the plugin write into a folder that it made, opens what was written, compares its
golden answers with those of the network, and only then puts it in its place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith.errors import UsageError

if TYPE_CHECKING:
    from tunesmith.bundle import Bundle
    from tunesmith.generation.facts import Facts
    from tunesmith.networks.traced import Traceable


@dataclass(frozen=True)
class Writer:
    """A model of transformers that writes, with its tokenizer and what else must be known of it."""

    model: Any
    tokenizer: Any
    facts: Facts

    def save_tokenizer(self, folder: Path) -> None:
        """The tokenizer, with the configs that it needs beside it."""
        from tunesmith import quiet

        with quiet.transformers():
            self.tokenizer.save_pretrained(str(folder))
            self.model.config.save_pretrained(str(folder))
            self.model.generation_config.save_pretrained(str(folder))


class Export(ABC):
    """A form of a model. ``options`` are the ``Params`` that its file declares beside it."""

    engine: ClassVar[str | None] = None
    """The engine that opens it, whose ``place`` is the folder that ``write`` fills; None: only other programs open it."""

    place: ClassVar[str] = ""
    """Name of its folder in a bundle; empty: it is a bundle of its own, whole weights for PyTorch."""

    tolerance: float = 1e-4
    """How far golden answers may be from the network's in 32 bits: of a probability, or as ``Task.drift`` says."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @property
    def precision(self) -> str:
        """Number format of the weights that ``write`` writes, such as ``fp32``."""
        return "fp32"

    @property
    def smaller(self) -> str | None:
        """Number format of the smaller weights that are asked for instead, if they score as well; None: none are."""
        return None

    def check(self, bundle: Bundle) -> None:
        """Refuse, before anything is computed, what this form cannot hold.

        Raises:
            UsageError: what it is, and what to do instead.
        """
        return

    @abstractmethod
    def write(self, bundle: Bundle, folder: Path) -> None:
        """Write the model as it is into an empty folder.

        Raises:
            UsageError: a package is missing, or the model has no such form.
        """

    def shrink(self, bundle: Bundle, written: Path, folder: Path) -> None:
        """Write the smaller form into an empty folder; only where ``smaller`` names one.

        Args:
            bundle: the model.
            written: what ``write`` left.
            folder: where it goes.
        """
        raise NotImplementedError(f"{type(self).__module__} has no smaller form")

    def drift(self, bundle: Bundle, inputs: list[Any], then: list[Any], folder: Path) -> float | None:
        """How far another program's golden answers are from the network's; only where no engine opens the form.

        Args:
            bundle: the model.
            inputs: the golden inputs.
            then: what the network gives for them (see ``Task.golden``).
            folder: what ``write`` left.

        Returns:
            None where nothing on this machine can tell.
        """
        return None


def traceable(bundle: Bundle) -> Traceable:
    """A bundle's network ready to be traced, its adapter in its weights.

    Raises:
        UsageError: it does not read texts into outputs, but writes; or its adapter cannot be merged.
    """
    from tunesmith.networks import traced
    from tunesmith.networks.network import Network

    network: Any = bundle.network(merged=True)
    if not isinstance(network, Network):
        hint = "tasks that write have other forms: ctranslate2, gguf"
        raise UsageError("the model writes texts, and this form holds models that read them", hint=hint)
    segments = "token_type_ids" in bundle.tokenizer().model_input_names
    longest = bundle.config.model.max_length or 512
    return traced.traceable(network, ("token_type_ids",) if segments else (), longest)


def writer(bundle: Bundle, form: str) -> Writer:
    """A bundle's model that writes, its adapter in its weights.

    Args:
        bundle: the model.
        form: what it is wanted for, for the error.

    Raises:
        UsageError: its task does not write, or its adapter cannot be merged.
    """
    from tunesmith.generation.network import Network
    from tunesmith.networks.language_model import LanguageModel

    network: Any = bundle.network(merged=True)
    if not isinstance(network, LanguageModel):
        hint = "tasks that read texts have other forms: onnx, torch-export"
        raise UsageError(f"{form} holds models that write, and {bundle.config.task_name} does not", hint=hint)
    tokenizer = bundle.tokenizer()
    task: Any = bundle.task
    task.point(network.backbone, tokenizer)
    return Writer(network.backbone.model, tokenizer, Network(network.backbone.model).facts)


def missing_package(package: str, extra: str) -> UsageError:
    """The error where a package is needed that is not installed."""
    return UsageError(f"the package {package} is not installed", hint=f"pip install 'tunesmith[{extra}]'")
