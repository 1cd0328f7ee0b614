"""What is said of a parameter on a model: facts apart from their words, so that another language can say the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ENGLISH: Mapping[str, str] = {
    # what was looked at
    "greedy path": "{places} places of one answer (that the model gives by its likeliest tokens); exact, nothing is drawn",
    "greedy paths": "{places} places of {answers} answers (answers that the model gives by its likeliest tokens); exact, nothing is drawn",
    "reference path": "{places} places of one answer (of the data); exact, nothing is drawn",
    "reference paths": "{places} places of {answers} answers (answers of the data); exact, nothing is drawn",
    "answered anew": "{inputs} inputs, each answered with every value",
    "read once": "{inputs} inputs, read once",
    "read anew": "{inputs} inputs, read anew for each value",
    # what a number means; a picture's heading ends at the semicolon
    "entropy": "entropy of the next token, mean, nats",
    "nucleus": "tokens that may come, mean",
    "median": "tokens that may come, median",
    "cut": "probability that is cut, mean",
    "distance": "how much probability moved (total variation), mean",
    "kl": "KL to the distribution without it, nats; mean; none where it is infinite: tokens may come that could not",
    "flip": "places whose likeliest token changed",
    "path": "log-probability of the path's tokens; mean over those that can come, nats",
    "lost": "places whose token in the answer is cut",
    "tokens": "expected tokens; if an answer went along its path and ended at each place with the probability that the model "
    "gives to an end there",
    "ended": "probability that it ended by then; likewise",
    "other answers": "answers that differ from those with {usual}",
    "answer tokens": "tokens of an answer, mean",
    "answer log p": "log-probability of an answer as a whole; mean, nats",
    "answered": "inputs that get an answer",
    "given": "things given for an input, mean",
    "changed": "answers that differ from the usual ones",
    "against labels": "{metric} against the labels",
    "score": "score of what is given, mean",
    "label share": "inputs answered '{label}'",
    "without": "dashed: {name} {usual}",
    # along fixed answers
    "inert along": "{name} has no effect here: with none of {values} values does any of the {places} distributions differ "
    "from that with {name} {usual} (largest difference: {largest:.1g}).",
    "idle values": "It changes nothing at all with {idle}.",
    "flips nowhere": "{name} changes the likeliest token nowhere.",
    "flips": "{name} {value} changes the likeliest token at {flips} of {places} places.",
    "flips but": "{name} {value} changes the likeliest token at {flips} of {places} places; with {never} it changes nowhere.",
    "cuts": "{name} {value} cuts {cut:.1f} % of the probability on average and leaves {left:,.1f} tokens; it cuts most, "
    "{most:.1f} %, at token {token} of answer {answer}.",
    "entropy goes": "The entropy of the next token goes from {low:.3f} nats ({at_low}) to {high:.3f} ({at_high}); with "
    "{name} {usual} it is {before:.3f}.",
    "paths gone": "With {name} {value}, {gone} of the {answers} answers could not have been given: {tokens} of their tokens "
    "cannot come.",
    "length goes": "The expected length goes from {low:.1f} tokens ({at_low}) to {high:.1f} ({at_high}), if answers keep to "
    "the path and end as the model's probabilities say.",
    # answers of a search, and of chance
    "num_beams": "A beam search has no exact curve: it ranks whole answers.",
    "length_penalty": "A length penalty has no exact curve over tokens; it ranks the finished beams, which is exact for those "
    "that the search with length_penalty 1 finished. Another penalty may also finish others.",
    "early_stopping": "When a beam search stops has no exact curve: it ranks whole answers.",
    "seed": "A seed has no curve: any is as good as any other. What differs between them is chance.",
    "inert answers": "{name} has no effect here: all {values} values give the same {inputs} answers.",
    "changes answers": "{name} {value} changes {changed} of {inputs} answers, compared with {name} {usual}.",
    # decided anew
    "note": "{note}",
    "inert decided": "{name} has no effect here: with none of {values} values does any of the {inputs} answers differ, in "
    "what it says or in a score.",
    "moves scores": "{name} changes what none of the {inputs} answers says; scores move by up to {largest:.3g}.",
    "changes none": "{name} {values} changes none.",
    "stays": "{metric} stays {score:.3f} with all values.",
    "stays with withheld": "{metric}, in which answers count that were withheld, stays {score:.3f} with all values.",
    "best": "The best {metric} is {score:.3f} (95 % interval {low:.3f} to {high:.3f}) with {value}; with {usual} it is "
    "{before:.3f} ({before_low:.3f} to {before_high:.3f}). The best of {values} values on the same inputs looks better than it "
    "is: try it on others.",
    "of answered": "With {value}, {answered} of {inputs} inputs get an answer, of which {right:.0f} % are right (95 % interval "
    "{low:.0f} to {high:.0f} %).",
}


@dataclass(frozen=True)
class Said:
    """Facts, and how they are put.

    Args:
        phrase: its name in ``ENGLISH``.
        facts: what stands in it; values of parameters as users write them.
    """

    phrase: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def told(self, words: Mapping[str, str] = ENGLISH) -> str:
        """In the words of a language."""
        return words[self.phrase].format(**self.facts)

    def __str__(self) -> str:
        return self.told()


def say(phrase: str, /, **facts: Any) -> Said:
    """Facts by the name of a phrase.

    >>> str(say("flips nowhere", name="top_p"))
    'top_p changes the likeliest token nowhere.'
    """
    return Said(phrase, facts)
