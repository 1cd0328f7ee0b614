import numpy as np
import pyarrow as pa
import pytest

from tunesmith.data import store

SCHEMA = pa.schema({"text": pa.string(), "label": pa.list_(pa.string())})


def rows(count):
    return ({"text": f"t{n}", "label": ["a"], "_line": n + 2, "_source": n % 2} for n in range(count))


def test_rows_come_back_mapped_in_batches(tmp_path):
    table = store.store(rows(25_000), SCHEMA, tmp_path / "a.arrow", ["x.csv", "y.csv"])
    assert len(table) == 25_000
    assert table["text"].num_chunks == 3
    assert store.where(table, 24_999) == "y.csv:25001"
    assert pa.total_allocated_bytes() < 1_000_000


def test_long_texts_make_smaller_batches(tmp_path):
    long = ({"text": "x" * 1_000_000, "label": [], "_line": n, "_source": 0} for n in range(10))
    assert store.store(long, SCHEMA, tmp_path / "a.arrow", ["x"])["text"].num_chunks == 2


def test_no_rows(tmp_path):
    assert len(store.store([], SCHEMA, tmp_path / "a.arrow", ["x"])) == 0


def test_an_interrupted_write_leaves_nothing(tmp_path):
    def broken():
        yield from rows(20_000)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.store(broken(), SCHEMA, tmp_path / "a.arrow", ["x", "y"])
    assert list(tmp_path.iterdir()) == []


def test_batches_of_some_rows(tmp_path):
    table = store.store(rows(25_000), SCHEMA, tmp_path / "a.arrow", ["x", "y"])
    wanted = np.array([0, 9_999, 10_000, 24_999])
    found = [
        (number, text)
        for numbers, batch in store.batches(table, wanted)
        for number, text in zip(numbers, batch["text"].to_pylist(), strict=True)
    ]
    assert found == [(n, f"t{n}") for n in wanted]
