"""Which bundles may be loaded while the server runs: those below the operator's folder, reached without tricks."""

from __future__ import annotations

from pathlib import Path

from tunesmith.serving.refusal import Refusal


def place(root: str | None, given: str) -> Path:
    """The bundle that a caller means.

    Args:
        root: the operator's folder; None: nothing may be loaded.
        given: the bundle's path, from that folder or whole.

    Raises:
        Refusal: it may not be loaded, or is not there. What lies elsewhere is not told.
    """
    if root is None:
        hint = "start it with --bundle-folder FOLDER, and it loads what lies below"
        raise Refusal("this server loads no bundles while it runs", "loading_not_allowed", 403, hint=hint)
    whole = Path(root).resolve()
    inner = _inner(whole, Path(root).absolute(), given)
    if inner is None or ".." in inner.parts:
        raise _refused(given, "it does not lie below the folder of bundles")
    steps = [whole.joinpath(*inner.parts[: count + 1]) for count in range(len(inner.parts))]
    if any(step.is_symlink() for step in steps):
        raise _refused(given, "there is a symbolic link on its way")
    folder = whole / inner
    if not folder.is_dir():
        raise Refusal(f"there is no bundle '{given}'", "bundle_not_found", 404, param="bundle")
    _check_inside(whole, folder, given)
    return folder


def _inner(whole: Path, as_given: Path, given: str) -> Path | None:
    """The path from the folder of bundles, if it is below as it is written."""
    if "\0" in given:
        return None
    path = Path(given)
    if not path.is_absolute():
        return path
    return next((path.relative_to(one) for one in (whole, as_given) if path.is_relative_to(one)), None)


def _check_inside(whole: Path, folder: Path, given: str) -> None:
    """Refuse links in a bundle, and an ensemble whose models lie elsewhere."""
    from tunesmith import ensemble

    for one in (folder, *ensemble.places(folder)):
        real = one.resolve()
        if not real.is_relative_to(whole):
            raise _refused(given, "one of its models does not lie below the folder of bundles")
        if any(inner.is_symlink() for inner in real.rglob("*")):
            raise _refused(given, "there is a symbolic link in it")


def _refused(given: str, why: str) -> Refusal:
    return Refusal(f"the bundle '{given}' may not be loaded: {why}", "loading_not_allowed", 403, param="bundle")
