"""Put a bundle's adapter into its base model's weights: the new bundle stands alone and gives the same answers."""

from __future__ import annotations

from tunesmith.params import Params, param


class Arguments(Params):
    """Which bundle, and where the merged one goes."""

    bundle: str = param(..., "Folder of the bundle, which holds an adapter alone.", positional=True)
    out: str = param(..., "Folder for the merged bundle; it must not hold anything.")


def main(arguments: Arguments) -> None:
    """Merge and say how far the golden answers moved."""
    from tunesmith import exporting

    record = exporting.export(arguments.bundle, "merged", arguments.out)
    print(f"merged into {arguments.out}; its golden answers differ by at most {record.drift:.1e}")
