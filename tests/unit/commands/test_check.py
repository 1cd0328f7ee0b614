import json

import pytest

import tiny
from tunesmith import cli


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return str(tiny.write_tiny(tmp_path_factory.mktemp("base") / "bert", "bert"))


def data(tmp_path, *more):
    path = tmp_path / "reviews.csv"
    lines = [f"a fine film {n},pos\na dull plot {n},neg" for n in range(20)]
    path.write_text("\n".join(["review,stars", *lines, *more]))
    return str(path)


def test_prints_columns_counts_and_tokens(tmp_path, base, capsys):
    assert cli.main(["check", data(tmp_path), "--task", "text-classification", "--model.base", base]) == 0
    printed = capsys.readouterr().out
    assert "columns: text = review, label = stars" in printed
    assert "[CLS]·a·fine·film" in printed
    assert "0 errors" in printed


def test_errors_give_exit_code_2_with_file_and_line(tmp_path, base, capsys):
    path = data(tmp_path, '"open,pos')
    assert cli.main(["check", path, "--model.base", base]) == 2
    assert f"{path}:42: a quote opens here and is never closed" in capsys.readouterr().out


def test_json(tmp_path, base, capsys):
    assert cli.main(["check", data(tmp_path, ",pos"), "--model.base", base, "--json", "--preview", "1"]) == 2
    facts = json.loads(capsys.readouterr().out)
    assert facts["columns"] == {"text": "review", "label": "stars"}
    assert facts["rows"] == {"train": 32, "validation": 4, "test": 4}
    assert facts["labels"]["train"] == {"neg": 16, "pos": 16}
    assert facts["findings"][0]["code"] == "bad_text"
    assert facts["preview"][0]["tokens"][0] == "[CLS]"


def test_missing_column_gives_exit_code_2(tmp_path, base, capsys):
    assert cli.main(["check", data(tmp_path), "--columns.text", "reviw", "--model.base", base]) == 2
    assert "did you mean 'review'?" in capsys.readouterr().err
