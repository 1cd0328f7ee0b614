"""What a check of the data found, and the rows that cannot be used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from tunesmith.errors import DataError, Problem

Severity = Literal["error", "warning", "note"]
MOST_EXAMPLES = 5
_MOST_BAD_ROWS = 20


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Args:
        severity: ``error`` stops training, ``warning`` likely harms the model, ``note`` is worth knowing.
        code: name of the kind of finding, such as ``duplicate_text``.
        message: what was found, in one sentence.
        count: how many rows, texts or labels it concerns.
        examples: some of them, led by ``file:line``.
        hint: what to do.
    """

    severity: Severity
    code: str
    message: str
    count: int = 1
    examples: tuple[str, ...] = ()
    hint: str | None = None


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Findings with errors first, then warnings, then notes; else in their order."""
    severities = ("error", "warning", "note")
    return sorted(findings, key=lambda finding: severities.index(finding.severity))


def stop_on_errors(findings: Iterable[Finding]) -> None:
    """Raise one error that tells all findings of severity ``error``, if there are any.

    Raises:
        DataError: with a problem for each finding and its examples.
    """
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise DataError("the data cannot be used as it is", problems=[_problem(finding) for finding in errors])


def _problem(finding: Finding) -> Problem:
    more = finding.count - len(finding.examples)
    lines = [
        *finding.examples,
        *([f"… and {more} more"] if finding.examples and more > 0 else ()),
        *([finding.hint] if finding.hint else ()),
    ]
    return Problem(finding.message, hint="\n    ".join(lines) or None)


@dataclass
class _Kind:
    code: str
    message: str
    count: int = 0
    examples: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)


@dataclass
class BadRows:
    """Collects the rows that cannot be used, by what is wrong with them; remembers the first ones of each kind.

    Args:
        drop: whether the user asked to go on without them.
    """

    drop: bool
    _kinds: dict[str, _Kind] = field(default_factory=dict)

    def unreadable(self, problem: Problem) -> None:
        """A row that the format's reader could not make out."""
        self._add("unreadable_row", "rows cannot be read", f"{problem.where}: {problem.message}", problem.hint)

    def unfit(self, column: str, message: str, where: str) -> None:
        """A row that the task cannot use."""
        self._add(f"bad_{column}", f"{column} {message}", where, None)

    @property
    def count(self) -> int:
        """How many rows were left out."""
        return sum(kind.count for kind in self._kinds.values())

    def findings(self) -> list[Finding]:
        """One finding for each kind of fault."""
        return [self._finding(kind) for kind in self._kinds.values()]

    def _add(self, code: str, message: str, example: str, hint: str | None) -> None:
        kind = self._kinds.setdefault(message, _Kind(code, message))
        kind.count += 1
        if len(kind.examples) < _MOST_BAD_ROWS:
            kind.examples.append(example)
        if hint and hint not in kind.hints and len(kind.hints) < MOST_EXAMPLES:
            kind.hints.append(hint)

    def _finding(self, kind: _Kind) -> Finding:
        advice = "; ".join([*kind.hints, *([] if self.drop else ["leave such rows out with --data.bad_rows drop"])])
        message = (
            f"{kind.message}: {kind.count:,} {'row' if kind.count == 1 else 'rows'}{' left out' if self.drop else ''}"
        )
        severity: Severity = "warning" if self.drop else "error"
        return Finding(severity, kind.code, message, kind.count, tuple(kind.examples), advice or None)
