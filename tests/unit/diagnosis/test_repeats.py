from __future__ import annotations

import numpy as np

from tunesmith.diagnosis import repeats


def test_nearly_equal_texts_are_pairs_of_different_digests_nearest_first() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(200, 16)) + 40
    features[7] = features[3] + 0.05 * random.normal(size=16)
    features[150] = features[20] + 0.2 * random.normal(size=16)
    features[9] = features[3]
    digests = np.arange(200)
    digests[9] = digests[3]
    found = repeats.nearly_equal(features, digests, 0.95)
    assert [one.rows for one in found if one.rows != (7, 9)] == [(3, 7), (20, 150)]
    assert all(0.95 <= one.similarity <= 1 for one in found)
    assert [one.similarity for one in found] == sorted((one.similarity for one in found), reverse=True)


def test_blocks_of_a_large_table_miss_no_pair(monkeypatch) -> None:
    features = np.random.default_rng(1).normal(size=(60, 8))
    whole = repeats.nearly_equal(features, np.arange(60), 0.5)
    monkeypatch.setattr(repeats, "_CELLS_AT_ONCE", 7 * 60)
    assert [one.rows for one in repeats.nearly_equal(features, np.arange(60), 0.5)] == [one.rows for one in whole]
    assert len(whole) > 5
