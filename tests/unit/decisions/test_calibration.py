"""Calibration makes probabilities mean what they say, keeps their order, and can be undone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, softmax

from tunesmith.decisions.calibration import calibrated, fit_each, fit_temperature, told, uncalibrated
from tunesmith.metrics import reliability


def one_label(sharpness: float, rows: int = 4000, labels: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a model whose log probabilities are ``sharpness`` times what they should be, and the truth."""
    random = np.random.default_rng(seed)
    honest = softmax(1.5 * random.normal(size=(rows, labels)), axis=1)
    truth = (honest.cumsum(1) < random.random((rows, 1))).sum(1)
    return softmax(sharpness * np.log(honest), axis=1), truth


def several_labels(rows: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of three labels, each wrong in its own way, and the truth."""
    random = np.random.default_rng(seed)
    honest = random.normal(-1, 1.5, size=(rows, 3))
    truth = (random.random(honest.shape) < expit(honest)).astype(int)
    return expit(honest * [3.0, 0.5, 1.0] + [0.0, 0.0, 1.5]), truth


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_a_temperature_is_found_again(sharpness: float) -> None:
    chances, truth = one_label(sharpness)
    ((factor, shift),) = fit_temperature(chances, truth, exclusive=True)
    assert factor == pytest.approx(1 / sharpness, rel=0.06)
    assert shift == 0


def test_what_was_fitted_holds_on_other_rows() -> None:
    pairs = fit_temperature(*one_label(3.0, seed=1), exclusive=True)
    chances, truth = one_label(3.0, seed=2)
    given = chances.argmax(1)
    found = calibrated(chances, pairs, exclusive=True)
    np.testing.assert_allclose(found.sum(1), 1)
    assert (found.argmax(1) == given).all(), "answers stay as they are"
    before, after = (reliability(each.max(1), given == truth).error for each in (chances, found))
    assert after < before / 4


def test_each_label_gets_its_own_factor_and_shift() -> None:
    chances, truth = several_labels()
    pairs = fit_each(chances, truth)
    assert [factor for factor, _ in pairs] == pytest.approx([1 / 3, 2.0, 1.0], rel=0.12)
    assert [shift for _, shift in pairs] == pytest.approx([0.0, 0.0, -1.5], abs=0.15)
    others, right = several_labels(seed=5)
    before, after = (reliability(each, right).error for each in (others, calibrated(others, pairs, exclusive=False)))
    assert after < before / 4
    one = fit_temperature(chances, truth, exclusive=False)
    assert len(one) == 1


def test_a_label_without_rows_is_calibrated_like_the_others() -> None:
    chances, truth = several_labels()
    few = np.concatenate([chances, chances[:, :1]], axis=1)
    never = np.concatenate([truth, np.zeros((len(truth), 1), int)], axis=1)
    *others, (factor, shift) = fit_each(few[:60], never[:60])
    factors, shifts = np.array(others).T
    assert factors.min() / 1.5 < factor < factors.max() * 1.5
    assert shifts.min() - 1.5 < shift < shifts.max(), "that it never held is borne out by sixty rows only"


@pytest.mark.parametrize("exclusive", [True, False])
def test_it_can_be_undone(exclusive: bool) -> None:
    chances = one_label(1.0, rows=50)[0]
    pairs = ((0.4, 0.0),) if exclusive else tuple((0.5 + n / 3, n - 2.0) for n in range(5))
    found = calibrated(chances, pairs, exclusive=exclusive)
    np.testing.assert_allclose(uncalibrated(found, pairs, exclusive=exclusive), chances, rtol=1e-9)
    assert calibrated(chances, (), exclusive=exclusive) is chances
    assert uncalibrated(chances, (), exclusive=exclusive) is chances


def test_certain_scores_stay_finite() -> None:
    votes = np.array([[1.0, 0.0], [0.5, 0.5]])
    for exclusive in (True, False):
        truth = np.array([1, 0]) if exclusive else np.array([[0, 1], [1, 0]])
        pairs = fit_temperature(votes, truth, exclusive=exclusive)
        assert np.isfinite(calibrated(votes, pairs, exclusive=exclusive)).all()
    assert np.isfinite(fit_each(votes, np.array([[0, 1], [1, 0]]))).all()


def test_a_few_rows_that_are_all_right_make_no_model_certain() -> None:
    chances = np.tile([0.8, 0.2], (8, 1))
    pairs = fit_temperature(chances, np.zeros(8, int), exclusive=True)
    assert calibrated(chances, pairs, exclusive=True).max() < 0.99


def test_it_is_told_in_words() -> None:
    assert told(((0.5, 0.0),)) == "temperature 2.000"
    assert "0.500 to 2.000" in told(((0.5, 0.0), (2.0, 1.0)))
