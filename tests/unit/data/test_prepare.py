"""Bad input, end to end: every fault is told with file and line."""

import json

import pytest

from tunesmith import config, plugins
from tunesmith.data.prepare import prepare
from tunesmith.errors import DataError, UsageError


def run(tmp_path, train, **options):
    """Prepare files given as text (CSV) or as a list of rows (JSONL)."""
    files = {"train": train, **{name: options.pop(name) for name in ("validation", "test") if name in options}}
    keywords = {f"data.{name}": write(tmp_path, name, content) for name, content in files.items()}
    asked = config.resolve(keywords={"task.name": "text-classification", **keywords, **options})
    return prepare(asked, plugins.load("tasks", "text-classification")(asked.task), tmp_path / "work")


def write(tmp_path, name, content):
    path = tmp_path / f"{name}.csv"
    if isinstance(content, list):
        path = tmp_path / f"{name}.jsonl"
        content = "\n".join(map(json.dumps, content))
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def rows(count=40, labels=("pos", "neg")):
    return [f"text number {number},{labels[number % len(labels)]}" for number in range(count)]


def csv(lines):
    return "\n".join(["text,label", *lines]) + "\n"


def finding(splits, code):
    [found] = [found for found in splits.findings if found.code == code]
    return found


def codes(splits):
    return {found.code for found in splits.findings}


def test_clean_data_has_no_findings(tmp_path):
    splits = run(tmp_path, csv(rows()))
    assert splits.findings == ()
    assert {name: len(table) for name, table in splits.tables.items()} == {"train": 32, "validation": 4, "test": 4}
    assert splits.target.labels == ("neg", "pos")
    assert splits.columns == {"text": "text", "label": "label"}
    splits.stop_on_errors()


def test_blank_text(tmp_path):
    lines = rows()
    lines[4] = "   ,pos"
    splits = run(tmp_path, csv(lines))
    found = finding(splits, "bad_text")
    assert (found.severity, found.count) == ("error", 1)
    assert found.examples == (f"{tmp_path}/train.csv:6",)
    with pytest.raises(DataError, match=r"text is blank(.|\n)*train\.csv:6"):
        splits.stop_on_errors()


def test_missing_label(tmp_path):
    lines = rows()
    lines[9] = "no label,"
    assert finding(run(tmp_path, csv(lines)), "bad_label").examples == (f"{tmp_path}/train.csv:11",)


def test_all_bad_rows_are_told_at_once_or_dropped(tmp_path):
    lines = rows()
    lines[1], lines[3], lines[5] = ",pos", '"open,neg', "a,b,c"
    splits = run(tmp_path, csv(lines))
    assert [found.severity for found in splits.findings] == ["error", "error"]
    assert [
        example.partition(": ")[0].rpartition(":")[2] for example in finding(splits, "unreadable_row").examples
    ] == [
        "5",
        "7",
    ]
    dropped = run(tmp_path, csv(lines), **{"data.bad_rows": "drop"})
    assert [found.severity for found in dropped.findings] == ["warning", "warning"]
    assert sum(len(table) for table in dropped.tables.values()) == 37
    dropped.stop_on_errors()


def test_jsonl_bad_line_17(tmp_path):
    lines = [json.dumps({"text": f"text {n}", "label": "ab"[n % 2]}) for n in range(40)]
    lines[16] = "{nonsense}"
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(lines))
    asked = config.resolve(keywords={"task.name": "text-classification", "data.train": str(path)})
    splits = prepare(asked, plugins.load("tasks", "text-classification")(asked.task), tmp_path / "work")
    assert finding(splits, "unreadable_row").examples[0].startswith(f"{path}:17: is not JSON")


def test_no_usable_row(tmp_path):
    with pytest.raises(DataError, match=r"text is blank: 2 rows(.|\n)*train\.csv:2"):
        run(tmp_path, csv([" ,pos", " ,neg"]))


@pytest.mark.parametrize(
    ("content", "message"),
    [("", r"train\.csv: is empty"), ("text,label\n", r"train\.csv: holds no rows")],
)
def test_nothing_in_the_file(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        run(tmp_path, content)


def test_missing_file(tmp_path):
    write(tmp_path, "train", csv(rows()))
    asked = config.resolve(keywords={"task.name": "text-classification", "data.train": f"{tmp_path}/tran.csv"})
    with pytest.raises(DataError, match=r"tran\.csv: no such file(.|\n)*train\.csv"):
        prepare(asked, plugins.load("tasks", "text-classification")(asked.task), tmp_path / "work")


def test_no_file_named(tmp_path):
    asked = config.resolve(keywords={"task.name": "text-classification"})
    with pytest.raises(UsageError, match="which data"):
        prepare(asked, plugins.load("tasks", "text-classification")(asked.task), tmp_path / "work")


def test_misspelt_column(tmp_path):
    with pytest.raises(DataError, match=r"train\.csv: (.|\n)*no column 'lable'\n *did you mean 'label'"):
        run(tmp_path, csv(rows()), **{"columns.label": "lable"})


def test_column_missing_from_the_test_file(tmp_path):
    with pytest.raises(DataError, match=r"test\.csv: "):
        run(tmp_path, csv(rows()), test="text,wings\na,b\n")


def test_one_class_only(tmp_path):
    found = finding(run(tmp_path, csv(rows(labels=("pos",)))), "one_class")
    assert found.severity == "error"
    assert "'pos'" in found.message


def test_label_in_one_split_only(tmp_path):
    test = csv([*rows(10), "surprise,new"])
    found = finding(run(tmp_path, csv(rows()), test=test), "unseen_label")
    assert found.severity == "error"
    assert found.examples == (f"{tmp_path}/test.csv:12: 'new'",)
    dropped = run(tmp_path, csv(rows()), test=test, **{"data.bad_rows": "drop"})
    assert finding(dropped, "unseen_label").severity == "warning"
    assert len(dropped.tables["test"]) == 10


def test_label_missing_from_test(tmp_path):
    found = finding(run(tmp_path, csv(rows(labels="abc")), test=csv(rows(10, "ab"))), "missing_label")
    assert "'c'" in found.message


def test_label_variants_are_reported_and_merged_only_when_asked(tmp_path):
    lines = [*rows(), *(f"other {n}, Pos " for n in range(10))]
    splits = run(tmp_path, csv(lines))
    assert splits.target.labels == (" Pos ", "neg", "pos")
    found = finding(splits, "label_variant")
    assert found.severity == "warning"
    assert "' Pos ', elsewhere 'pos'" in found.examples[0]
    merged = run(tmp_path, csv(lines), **{"data.merge_labels": True})
    assert merged.target.labels == ("neg", "pos")
    assert "label_variant" not in codes(merged)


def test_duplicates_and_conflicts(tmp_path):
    lines = [*rows(), "Text  number 0,pos", "text number 1,pos"]
    splits = run(tmp_path, csv(lines), test=csv(["a,pos", "b,neg"]), **{"data.seed": 3})
    texts = splits.tables["train"]["text"].to_pylist()
    where = "train" if "text number 0" in texts else "validation"
    assert finding(splits, "duplicate_text").examples[0].startswith(f"{tmp_path}/train.csv:42 = {tmp_path}/train.csv:2")
    assert where in finding(splits, "duplicate_text").message
    assert f"{tmp_path}/train.csv:43 = {tmp_path}/train.csv:3" in finding(splits, "conflicting_label").examples[0]


def test_the_same_text_never_on_two_sides_of_a_split(tmp_path):
    lines = [f"text number {n % 25},{'ab'[n % 25 % 2]}" for n in range(100)]
    for seed in range(5):
        splits = run(tmp_path, csv(lines), **{"data.seed": seed})
        assert "leak" not in codes(splits)
        assert "test" in splits.tables


def test_leaks(tmp_path):
    test = csv(["TEXT NUMBER 3,neg", "fresh,pos"])
    found = finding(run(tmp_path, csv(rows()), test=test, **{"data.validation_share": 0.05}), "leak")
    assert found.examples == (f"{tmp_path}/test.csv:2 = {tmp_path}/train.csv:5: TEXT NUMBER 3",)
    dropped = run(tmp_path, csv(rows()), test=test, **{"data.leaks": "drop"})
    assert "leak" not in codes(dropped)
    assert finding(dropped, "leak_dropped").count == 1
    assert "text number 3" not in dropped.tables["train"]["text"].to_pylist()


def test_encoding_damage(tmp_path):
    lines = rows()
    lines[2], lines[4] = "trÃ¨s bien,pos", "broken \ufffd sign,pos"
    splits = run(tmp_path, csv(lines), **{"data.validation_share": 0.03, "data.test_share": 0})
    assert finding(splits, "mojibake").examples[0].startswith(f"{tmp_path}/train.csv:4: ")
    assert finding(splits, "encoding_damage").examples[0].startswith(f"{tmp_path}/train.csv:6: ")


def test_good_accents_are_not_damage(tmp_path):
    lines = rows()
    lines[2], lines[3] = "NÃO é café à la crème,pos", "好片子 “quoted”,neg"
    assert not run(tmp_path, csv(lines)).findings


def test_nul_in_csv_and_in_json(tmp_path):
    splits = run(tmp_path, csv(rows()).encode().replace(b"number 5", b"num\0er 5"))
    assert f"{tmp_path}/train.csv:7: NUL byte" in finding(splits, "unreadable_row").examples[0]
    table = [{"text": f"text {n}", "label": "ab"[n % 2]} for n in range(20)]
    table[5]["text"] = "a\0b"
    splits = run(tmp_path, table, **{"data.test_share": 0})
    assert finding(splits, "control_character").examples == (f"{tmp_path}/train.jsonl:6: a\u2400b",)


def test_not_utf8(tmp_path):
    splits = run(tmp_path, csv([*rows(), "très bien,pos"]).encode("latin-1"))
    assert f"{tmp_path}/train.csv:42: not utf-8" in finding(splits, "unreadable_row").examples[0]


def test_broken_quotes(tmp_path):
    lines = rows()
    lines[7] = '"never closed,pos'
    splits = run(tmp_path, csv(lines))
    assert f"{tmp_path}/train.csv:9: a quote opens here" in finding(splits, "unreadable_row").examples[0]


def test_a_text_of_a_megabyte(tmp_path):
    lines = rows()
    lines[0] = "word " * 210_000 + ",pos"
    splits = run(tmp_path, csv(lines), **{"data.test_share": 0, "data.validation_share": 0.03})
    assert finding(splits, "huge_text").examples[0].startswith(f"{tmp_path}/train.csv:2: word word")


def test_rare_and_unbalanced_labels(tmp_path):
    lines = [*rows(100), "single,rare"]
    splits = run(tmp_path, csv(lines))
    assert "'rare'" in finding(splits, "rare_label").message
    assert "rare" in splits.target.labels
    assert finding(splits, "imbalance").severity == "note"


def test_numbers(tmp_path):
    values = [f"text {n},{n / 7:.3f}" for n in range(60)]
    splits = run(tmp_path, csv([*values, "far,4000.5"]), **{"data.test_share": 0, "data.validation_share": 0.02})
    assert splits.target.kind == "regression"
    assert finding(splits, "outlier").examples == (f"{tmp_path}/train.csv:62: 4000.5",)


def test_not_a_number(tmp_path):
    values = [f"text {n},{n / 7:.3f}" for n in range(60)]
    splits = run(tmp_path, csv([*values, "odd,n/a"]))
    found = finding(splits, "not_a_number")
    assert (found.severity, found.examples) == ("error", (f"{tmp_path}/train.csv:62: 'n/a'",))
    assert splits.target is None


def test_a_column_of_free_text_is_no_label(tmp_path):
    with pytest.raises(DataError, match="most labels have a single row: is it the right label column"):
        run(tmp_path, csv([f"text {n},answer {n}" for n in range(50)]))


def test_limit_is_seeded_and_in_proportion(tmp_path):
    lines = rows(400, ("a", "a", "a", "b"))
    first, again, other = (
        run(tmp_path, csv(lines), test=csv(["x,a", "y,b"]), **{"data.limit": 100, "data.seed": seed})
        for seed in (1, 1, 2)
    )
    texts = [splits.tables["train"]["text"].to_pylist() for splits in (first, again, other)]
    assert texts[0] == texts[1] != texts[2]
    assert len(texts[0]) == 90
    counts = first.labels.counts("train") + first.labels.counts("validation")
    assert sorted(counts.tolist()) == [25, 75]


def test_groups(tmp_path):
    lines = [f"text {n},{'ab'[n % 2]},{n // 5}" for n in range(200)]
    splits = run(tmp_path, "text,label,user\n" + "\n".join(lines), **{"columns.group": "user"})
    groups = [set(table["group"].to_pylist()) for table in splits.tables.values()]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 40


def test_several_labels(tmp_path):
    lines = [f"text {n},{'a;b' if n % 3 else 'b'}" for n in range(60)]
    splits = run(tmp_path, csv(lines), **{"data.label_separator": ";"})
    assert splits.target.kind == "multi-label"
    assert dict(zip(splits.labels.names, splits.labels.counts("train").tolist(), strict=True)) == {"a": 32, "b": 48}


def test_rows_know_where_they_come_from(tmp_path):
    splits = run(tmp_path, csv(rows()))
    row = splits.tables["test"].slice(0, 1).to_pylist()[0]
    assert row["_source"] == f"{tmp_path}/train.csv"
    assert row["text"] == f"text number {row['_line'] - 2}"


def test_a_full_or_forbidden_folder(tmp_path):
    (tmp_path / "work").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot be written"):
        run(tmp_path, csv(rows()))
