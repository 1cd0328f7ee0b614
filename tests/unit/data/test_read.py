import gzip

import pytest

from tunesmith.data import read
from tunesmith.errors import DataError


def write(path, text="text,label\na,b\n"):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def names(found):
    return {split: [source.path.rpartition("/")[2] for source in sources] for split, sources in found.items()}


def test_a_file_is_the_split_asked_for(tmp_path):
    path = write(tmp_path / "a.csv")
    assert names(read.find(str(path), split="test")) == {"test": ["a.csv"]}


def test_a_folder_holds_splits(tmp_path):
    for name in ("train.csv.gz", "dev.jsonl", "test.csv", "test_clean.csv", "META.json", "notes.md"):
        write(tmp_path / name)
    found = read.find(str(tmp_path))
    assert names(found) == {"train": ["train.csv.gz"], "validation": ["dev.jsonl"], "test": ["test.csv"]}
    assert found["validation"][0].format == "jsonl"


def test_a_folder_with_shards_below_data(tmp_path):
    for name in ("train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "validation-00000-of-00001.parquet"):
        write(tmp_path / "data" / name)
    assert names(read.find(str(tmp_path))) == {
        "train": ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
        "validation": ["validation-00000-of-00001.parquet"],
    }


def test_a_folder_with_one_file(tmp_path):
    write(tmp_path / "reviews.csv")
    assert names(read.find(str(tmp_path))) == {"train": ["reviews.csv"]}


def test_a_folder_with_two_files_for_one_split(tmp_path):
    write(tmp_path / "train.csv"), write(tmp_path / "train.csv.gz")
    with pytest.raises(DataError, match=r"several train files: train\.csv, train\.csv\.gz"):
        read.find(str(tmp_path))


def test_a_folder_without_splits(tmp_path):
    write(tmp_path / "one.csv"), write(tmp_path / "two.csv")
    with pytest.raises(DataError, match=r"found one\.csv, two\.csv"):
        read.find(str(tmp_path))


def test_missing_file_names_its_neighbour(tmp_path):
    write(tmp_path / "reviews.csv.gz")
    with pytest.raises(
        DataError, match=r"revews\.csv: no such file or folder(.|\n)*did you mean '.*/reviews\.csv\.gz'"
    ):
        read.find(str(tmp_path / "revews.csv"))


def test_missing_folder_names_its_neighbour(tmp_path):
    write(tmp_path / "reviews" / "train.csv")
    with pytest.raises(DataError, match=r"did you mean '.*/reviews'"):
        read.find(str(tmp_path / "review" / "train.csv"))


def test_unknown_format(tmp_path):
    with pytest.raises(DataError, match=r"does not tell its format: '\.doc'"):
        read.find(str(write(tmp_path / "a.doc")))


def test_missing_database(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read.find(f"sqlite:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()


def test_passwords_are_not_shown():
    [source] = read.find("postgresql://me:secret@host/db#reviews")["train"]
    assert "secret" not in str(source)
    assert source.part == "reviews"


def test_sheet_behind_a_hash(tmp_path):
    [source] = read.find(f"{write(tmp_path / 'a.xlsx')}#Second")["train"]
    assert (source.path.rpartition("/")[2], source.part) == ("a.xlsx", "Second")


def test_header_only(tmp_path):
    sources = read.find(str(write(tmp_path / "a.csv", "text,label\n")))["train"]
    with pytest.raises(DataError, match=r"a\.csv: holds no rows"):
        list(read.read(sources))


def test_header_has_the_first_value_that_is_not_empty():
    assert read.header([{"a": "", "b": 1}, {"a": "x", "c": None}]) == {"a": "x", "b": 1, "c": None}
