"""Encoded texts with a label for each of their words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.data.examples import TokenExamples
from tunesmith.outputs import chain_marginals
from tunesmith.text import token_words
from tunesmith.text.encode import Encoded
from tunesmith.text.spans import Place, Span
from tunesmith.text.tags import Scheme
from tunesmith.text.token_words import Floats, Numbers


class WordExamples(TokenExamples):
    """Texts with the labels of their words.

    Args:
        encoded: the texts, with offsets.
        pad_id: as for ``Examples``.
        words: where the words of each text stand.
        marked: spans of each text, in characters; None where only answers are wanted.
        names: of the labels that mark them.
        scheme: of these.
        slots: S, how many words a token may speak for, each with a label of its own.

    Attributes:
        units: of each text, see ``token_words``.
    """

    def __init__(
        self,
        encoded: Encoded,
        pad_id: int,
        words: Sequence[Sequence[Place]],
        marked: Sequence[Sequence[Span]] | None = None,
        names: Sequence[str] = (),
        scheme: Scheme = "iob2",
        slots: int = 1,
    ) -> None:
        self.units = list(token_words.units(encoded, words, slots))
        self._slots = slots
        if marked is None:
            super().__init__([encoded], pad_id)
            return
        learned = [
            codes
            for text, spans in zip(self.units, marked, strict=True)
            for codes in token_words.targets(text, token_words.labels(text, spans, names, scheme), slots)
        ]
        super().__init__([encoded], pad_id, learned)

    def probabilities(self, outputs: Sequence[np.ndarray], labels: int, *, chain: bool) -> list[Floats]:
        """The probability of each label for each unit of each text, (N, O).

        Args:
            outputs: of each sequence: (tokens, SO), or a packed chain of S places a token (see ``heads.crf.Chain``).
            labels: O.
            chain: whether outputs are chains; their probabilities are marginals, all sequences weighed.
        """
        sequences = iter(outputs)
        read = chain_marginals if chain else _softmax
        return [
            token_words.joined(
                text, [read(next(sequences), text.cells(window, self._slots), labels) for window in text.windows]
            )
            for text in self.units
        ]


def _softmax(output: np.ndarray, cells: Numbers, labels: int) -> Floats:
    scores = output.reshape(-1, labels)[cells].astype(np.float64)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
    shares: Floats = weights / weights.sum(axis=1, keepdims=True)
    return shares
