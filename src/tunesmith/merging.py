"""An adapter goes into its base model's weights: a bundle that is small and needs its base becomes one that stands alone."""

from __future__ import annotations

import shutil
from pathlib import Path

from tunesmith import bundle as bundles
from tunesmith import plugins, predict
from tunesmith.errors import UsageError

_TOLD = ("golden.jsonl", "log.jsonl", "predictions.jsonl", "README.md", "report.html", "report.json")
"""What the run left beside the model, which holds for the merged one too."""


def merge(folder: str | Path, out: str | Path) -> float:
    """Write the bundle of a whole model that answers as an adapter's bundle does.

    Args:
        folder: the adapter's bundle.
        out: where the new one goes, all at once; a folder that is not there yet, or empty.

    Returns:
        The largest difference between the golden answers and those of the new bundle, which was opened for that.

    Raises:
        UsageError: the adapter cannot be merged, the bundle is a whole model already, or the folder is taken.
        BundleError: the bundle is damaged, or its answers drifted.
    """
    opened, out = bundles.open_bundle(folder), Path(out)
    if opened.base_fingerprint is None:
        raise UsageError("the bundle is a whole model already", where=str(folder), hint="copy the folder")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError("the folder is taken", where=str(out), hint="choose another --out, or move it away")
    network = opened.network(merged=True)
    unfinished = out.with_name(f".new-{out.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        whole = plugins.load("adapters", "full")(None)
        bundles.write(unfinished, network, opened.tokenizer(), opened.config, opened.target, whole)
        for name in _TOLD:
            if (opened.folder / name).is_file():
                shutil.copyfile(opened.folder / name, unfinished / name)
        difference = predict.load(unfinished).replay()
        if out.exists():
            out.rmdir()
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return difference
