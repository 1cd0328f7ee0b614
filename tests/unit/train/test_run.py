import time

import pytest

import small


@pytest.mark.parametrize("kind", small.KINDS)
def test_trains(run, kind):
    t = time.time()
    r = run(kind)
    print(kind, time.time() - t, r.report.headline, r.report.timing)
