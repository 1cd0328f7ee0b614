"""A bundle of whole weights: the adapter goes into the base model's; needs no base model any more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith import params
from tunesmith.errors import UsageError
from tunesmith.exports import base

if TYPE_CHECKING:
    from tunesmith.bundle import Bundle


class Params(params.Params):
    """Merging has no options."""


class Export(base.Export):
    """What ``tunesmith merge`` writes."""

    engine = "pytorch"

    def check(self, bundle: Bundle) -> None:
        if bundle.base_fingerprint is None:
            raise UsageError("the bundle is a whole model already", where=str(bundle.folder), hint="copy the folder")

    def write(self, bundle: Bundle, folder: Path) -> None:
        from tunesmith import bundle as bundles
        from tunesmith import plugins

        whole: Any = plugins.load("adapters", "full")(None)
        network = bundle.network(merged=True)
        bundles.write(folder, network, bundle.tokenizer(), bundle.config, bundle.target, whole)
