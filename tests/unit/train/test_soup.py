"""Soups: what joins, what is kept on disk."""

from __future__ import annotations

from pathlib import Path

import torch

from tunesmith.train import soup, state


def made(*values: float) -> list:
    return [lambda value=value: {"w": torch.tensor([value]), "count": torch.tensor(3)} for value in values]


def judged(best: float):
    """Scores that are higher the nearer the weight is to ``best``."""
    return lambda weights: {"nearness": -abs(float(weights["w"]) - best)}


def test_only_what_improves_joins() -> None:
    found = soup.greedy(made(1.0, 9.0, 3.0), judged(2.0), lambda scores: scores["nearness"], {"nearness": -1.0})
    assert found.members == (0, 2)
    assert found.weights["w"].item() == 2.0
    assert found.scores == {"nearness": 0.0}
    assert found.weights["count"].item() == 3


def test_the_mean_is_of_all_that_joined() -> None:
    found = soup.greedy(made(1.0, 2.0, 6.0), judged(3.0), lambda scores: scores["nearness"], {"nearness": -2.0})
    assert found.members == (0, 1, 2)
    assert found.weights["w"].item() == 3.0


def test_outputs_that_are_not_finite_do_not_join() -> None:
    def judge(weights: soup.Weights) -> dict[str, float]:
        raise FloatingPointError("not finite")

    found = soup.greedy(made(1.0, 2.0), judge, lambda scores: scores["s"], {"s": 0.5})
    assert found.members == (0,)


def test_the_best_are_kept_on_disk(tmp_path: Path) -> None:
    kept: dict[int, float] = {}
    for step, score in ((1, 0.3), (2, 0.1), (3, 0.2), (4, 0.3)):
        kept = soup.keep(tmp_path, kept, step, score, 2, {"w": torch.tensor([float(step)])})
    assert list(kept) == [1, 4]
    assert sorted(path.name for path in (tmp_path / "soup").iterdir()) == ["step-00000001", "step-00000004"]
    assert state.read(soup.place(tmp_path, 4))["w"].item() == 4.0
    assert soup.there(tmp_path, {1: 0.3, 2: 0.1}) == {1: 0.3}
