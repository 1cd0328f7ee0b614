"""Large requests in pieces: whoever waits longest comes to an end, whoever has least left goes before the others."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.errors import TunesmithError
from tunesmith.params import Params
from tunesmith.serving import pieces
from tunesmith.serving.asked import Answered, Asked
from tunesmith.serving.pieces import Whole


def whole(inputs: int, each: int = 10) -> tuple[Whole, list[Any]]:
    told: list[Any] = []
    names = tuple(f"{inputs}:{number}" for number in range(inputs))
    return Whole(Asked("m", Params(), told.append, prompts=names, size=inputs * each)), told


def answered(piece: Asked) -> Answered:
    return Answered([{"of": prompt} for prompt in piece.prompts], (), 2 * piece.inputs, piece.inputs)


def test_what_fits_is_the_request_itself() -> None:
    small, told = whole(3)
    (piece,) = pieces.turn([small], 1000)
    assert piece is small.asked
    piece.end(answered(piece))
    assert small.is_over
    assert len(told) == 1


def test_a_large_one_is_read_in_pieces_and_answered_once() -> None:
    large, told = whole(25)
    turns = []
    while not large.is_over:
        assert not told
        (piece,) = pieces.turn([large], 80)
        turns.append(piece.inputs)
        piece.end(answered(piece))
    assert turns == [4] * 6 + [1]
    assert told[0].answers == [{"of": f"25:{number}"} for number in range(25)]
    assert (told[0].prompt_tokens, told[0].tokens) == (50, 25)


def test_the_oldest_has_half_of_the_turn_and_the_smallest_comes_before_the_larger() -> None:
    large, larger, small = whole(100)[0], whole(200)[0], whole(1)[0]
    found = pieces.turn([large, larger, small], 100)
    assert [(piece.prompts[0].split(":")[0], piece.inputs) for piece in found] == [("100", 5), ("1", 1), ("200", 4)]


def test_one_input_larger_than_a_turn_is_read_all_the_same() -> None:
    (piece,) = pieces.turn([whole(2, each=5000)[0]], 100)
    assert piece.inputs == 1


def test_a_piece_that_fails_ends_the_whole_and_what_is_cancelled_has_none() -> None:
    large, told = whole(25)
    (piece,) = pieces.turn([large], 80)
    wrong = TunesmithError("no")
    piece.end(wrong)
    assert told == [wrong]
    assert pieces.turn([large], 80) == []
    gone, _ = whole(25)
    gone.asked.cancelled = True
    assert pieces.turn([gone], 80) == []


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 200)), min_size=1, max_size=8),
    st.integers(1, 500),
)
def test_everything_is_answered_completely_and_in_its_order(sizes: list[tuple[int, int]], tokens: int) -> None:
    going = [whole(inputs, each) for inputs, each in sizes]
    for _ in range(sum(inputs for inputs, _ in sizes)):
        for piece in pieces.turn([one for one, _ in going], tokens):
            piece.end(answered(piece))
    for (inputs, _), (one, told) in zip(sizes, going, strict=True):
        assert one.is_over
        assert [answer["of"] for answer in told[0].answers] == [f"{inputs}:{number}" for number in range(inputs)]


def test_small_ones_keep_their_order_however_small_the_later_ones_are() -> None:
    large, first, *rest = whole(50)[0], whole(2)[0], *(whole(1)[0] for _ in range(6))
    found = pieces.turn([large, first, *rest], 100)
    assert [(piece.prompts[0].split(":")[0], piece.inputs) for piece in found] == [("50", 5), ("2", 2), *[("1", 1)] * 3]
