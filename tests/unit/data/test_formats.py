import csv
import gzip
import json
import sqlite3

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import plugins
from tunesmith.data import formats
from tunesmith.data.files import Source, guess_encoding
from tunesmith.data.read import format_of
from tunesmith.errors import DataError, Problem

ROWS = [{"text": "fine film", "label": "pos"}, {"text": 'so "bad",\nreally', "label": "neg"}]


def items(path, **options):
    source = Source(str(path), format_of(path.name), **options)
    return list(getattr(formats, source.format)(source))


def rows(path, **options):
    return [item for _, item in items(path, **options)]


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def problems(found):
    return [str(item) for _, item in found if isinstance(item, Problem)]


def csv_text(delimiter=",", table=ROWS):
    import io

    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, list(table[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(table)
    return buffer.getvalue()


def test_names_are_the_public_functions():
    assert {
        "csv",
        "tsv",
        "jsonl",
        "json",
        "parquet",
        "arrow",
        "xlsx",
        "sql",
        "conll",
        "squad",
        "parallel",
        "brat",
    } == set(plugins.names("data.formats"))


def test_csv_gives_the_line_where_a_row_starts(tmp_path):
    path = write(tmp_path / "a.csv", csv_text() + "last,pos\r\n")
    assert items(path) == [(2, ROWS[0]), (3, ROWS[1]), (5, {"text": "last", "label": "pos"})]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_csv_takes_another_delimiter_from_the_header(tmp_path, delimiter):
    assert rows(write(tmp_path / "a.csv", csv_text(delimiter))) == ROWS


def test_csv_stays_with_the_comma_when_the_header_is_ambiguous(tmp_path):
    assert rows(write(tmp_path / "a.csv", "a;b,c\n1;2,3\n")) == [{"a;b": "1;2", "c": "3"}]


def test_tsv(tmp_path):
    assert rows(write(tmp_path / "a.tsv", csv_text("\t"))) == ROWS


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_line_ends(tmp_path, end):
    path = write(tmp_path / "a.csv", f"text,label{end}one,pos{end}two,neg{end}")
    assert items(path) == [(2, {"text": "one", "label": "pos"}), (3, {"text": "two", "label": "neg"})]


def test_csv_byte_order_mark(tmp_path):
    assert rows(write(tmp_path / "a.csv", b"\xef\xbb\xbftext,label\none,pos\n")) == [{"text": "one", "label": "pos"}]


def test_csv_compressed(tmp_path):
    plain = csv_text().encode()
    assert rows(write(tmp_path / "a.csv.gz", gzip.compress(plain))) == ROWS
    assert rows(write(tmp_path / "a.csv.zst", zstandard.compress(plain))) == ROWS


def test_damaged_compression_names_the_file(tmp_path):
    packed = gzip.compress(("text,label\n" + "some words,pos\n" * 50_000).encode())
    with pytest.raises(DataError, match=r"a\.csv\.gz: damaged"):
        rows(write(tmp_path / "a.csv.gz", packed[: len(packed) // 2]))
    with pytest.raises(DataError, match=r"b\.csv\.zst: damaged"):
        rows(write(tmp_path / "b.csv.zst", b"not zstandard at all"))


def test_csv_unclosed_quote_is_told_where_it_opened_and_reading_goes_on(tmp_path):
    text = 'text,label\none,pos\n"never closed,neg\nthree,pos\n"four",neg\n'
    found = items(write(tmp_path / "a.csv", text))
    assert [line for line, item in found if isinstance(item, Problem)] == [3]
    assert "a.csv:3: a quote opens here" in problems(found)[0]
    assert [item["text"] for _, item in found if isinstance(item, dict)] == ["one", "three", "four"]


def test_csv_unclosed_quote_at_the_end(tmp_path):
    found = items(write(tmp_path / "a.csv", 'text,label\none,pos\n"open,neg\ntwo,pos\n'))
    assert "a.csv:3: a quote opens here and is never closed" in problems(found)[0]
    assert [(line, item["text"]) for line, item in found if isinstance(item, dict)] == [(2, "one"), (4, "two")]


def test_csv_text_behind_a_closing_quote(tmp_path):
    found = items(write(tmp_path / "a.csv", 'text,label\n"a "fine" film",pos\ntwo,neg\n'))
    assert "a.csv:2: a quote opens here, and text follows where it closes" in problems(found)[0]
    assert found[-1] == (3, {"text": "two", "label": "neg"})


def test_csv_field_counts(tmp_path):
    found = items(write(tmp_path / "a.csv", "text,label\nhello, world,pos\nshort\nfine,neg\n"))
    assert "a.csv:2: 3 fields, more than the header's 2 (text, label)" in problems(found)[0]
    assert "a.csv:3: 1 fields, fewer than" in problems(found)[1]
    assert found[-1][1] == {"text": "fine", "label": "neg"}


def test_csv_nul_bytes(tmp_path):
    found = items(write(tmp_path / "a.csv", b"text,label\none,pos\nt\0wo,neg\nthree,pos\n"))
    assert "a.csv:3: NUL byte at character 2" in problems(found)[0]
    assert len(found) == 3


def test_csv_not_utf8(tmp_path):
    found = items(write(tmp_path / "a.csv", "text,label\nfine,pos\ntrès bien,pos\n".encode("cp1252")))
    assert "a.csv:3: not utf-8: byte 0xe8 at byte 3 of the line" in problems(found)[0]
    assert "--data.encoding cp1252" in problems(found)[0]


def test_csv_in_other_encodings(tmp_path):
    for encoding in ("cp1252", "utf-16", "gb18030"):
        text = "text,label\n好,pos\n" if encoding == "gb18030" else "text,label\ntrès,pos\n"
        path = write(tmp_path / f"{encoding}.csv", text.encode(encoding))
        assert rows(path, encoding=encoding)[0]["text"] in ("好", "très")


def test_unknown_encoding(tmp_path):
    with pytest.raises(DataError, match="no such encoding 'utf-9'"):
        rows(write(tmp_path / "a.csv", "a,b\n1,2\n"), encoding="utf-9")


def test_guess_encoding_of_a_byte_order_mark():
    assert guess_encoding("text".encode("utf-16")) == "utf-16"


def test_csv_empty_file(tmp_path):
    with pytest.raises(DataError, match=r"a\.csv: is empty"):
        rows(write(tmp_path / "a.csv", ""))


def test_csv_duplicate_header(tmp_path):
    with pytest.raises(DataError, match=r"a\.csv:1: two columns are named 'text'"):
        rows(write(tmp_path / "a.csv", "text,text\n1,2\n"))


def test_csv_nameless_index_column(tmp_path):
    assert rows(write(tmp_path / "a.csv", ",text\n0,one\n")) == [{"column_1": "0", "text": "one"}]


def test_csv_text_of_a_megabyte(tmp_path):
    long = "word " * 300_000
    assert rows(write(tmp_path / "a.csv", f"text,label\n{long},pos\n"))[0]["text"] == long


@given(
    st.lists(
        st.fixed_dictionaries(
            {name: st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))) for name in ("a", "b")}
        ),
        min_size=1,
        max_size=5,
    )
)
def test_csv_round_trip(tmp_path_factory, table):
    path = write(tmp_path_factory.mktemp("csv") / "a.csv", csv_text(table=table))
    assert rows(path) == table


def test_jsonl_bad_line_17(tmp_path):
    lines = [json.dumps({"text": f"row {number}", "label": "pos"}) for number in range(1, 21)]
    lines[16] = '{"text": "row 17", "label": }'
    found = items(write(tmp_path / "a.jsonl", "\n".join(lines)))
    assert problems(found) == [f"{tmp_path}/a.jsonl:17: is not JSON: Expecting value at column 29"]
    assert [line for line, _ in found] == list(range(1, 21))


def test_jsonl_other_faults(tmp_path):
    found = items(write(tmp_path / "a.jsonl", b'[1, 2]\n{"text": "\\ud83d"}\n\n{"text": "\xff"}\n{"text": "ok"}\n'))
    texts = problems(found)
    assert "a.jsonl:1: is a list, not an object" in texts[0]
    assert "a.jsonl:2: holds half a character" in texts[1]
    assert "a.jsonl:4: not utf-8" in texts[2]
    assert found[-1] == (5, {"text": "ok"})


@pytest.mark.parametrize("document", [ROWS, {"data": ROWS}])
def test_json(tmp_path, document):
    assert rows(write(tmp_path / "a.json", json.dumps(document))) == ROWS


def test_json_faults(tmp_path):
    with pytest.raises(DataError, match=r"a\.json:2: is not JSON"):
        rows(write(tmp_path / "a.json", "[\nnope]"))
    with pytest.raises(DataError, match=r"b\.json:3: is not JSON: Extra data(.|\n)*name it \.jsonl"):
        rows(write(tmp_path / "b.json", '{"a":\n1}\n{"a": 2}'))
    with pytest.raises(DataError, match="holds no list of rows"):
        rows(write(tmp_path / "c.json", '{"a": 1}'))


def test_json_with_one_object_a_line(tmp_path):
    path = write(tmp_path / "a.json", '{"a": 1}\n\n{"a": \n{"a": 2}\n')
    assert [line for line, _ in items(path)] == [1, 3, 4]
    assert "a.json:3: is not JSON" in problems(items(path))[0]


def test_json_rows_have_the_line_where_they_start(tmp_path):
    document = {"note": [1, 2], "rows": [{"a": [{"b": "[{\\n"}, []]}, {"a": []}, 3, {"a": 4}], "more": {"c": [5]}}
    text = json.dumps(document, indent=1)
    found = items(write(tmp_path / "a.json", text))
    shown = text.splitlines()
    assert [shown[line - 1].strip().rstrip(",") for line, _ in found] == ["{", "{", "3", "{"]
    assert [shown[line].strip() for line, row in found if isinstance(row, dict)] == ['"a": [', '"a": []', '"a": 4']
    assert problems(found)[0].startswith(f"{tmp_path}/a.json:{found[2][0]}: is a number, not an object")
    assert [line for line, _ in items(write(tmp_path / "a.json", json.dumps(document)))] == [1, 2, 3, 4]


def test_json_with_half_a_character(tmp_path):
    found = items(write(tmp_path / "a.json", '[{"a": "\\ud83d"},\n{"a": "\\ud83d\\ude00"}]'))
    assert problems(found) == [f"{tmp_path}/a.json:1: holds half a character (a lone surrogate)"]
    assert found[1] == (2, {"a": "😀"})


def test_squad(tmp_path):
    answers = [{"text": "Paris", "answer_start": 3}]
    paragraph = {
        "context": "In Paris.",
        "qas": [{"id": "1", "question": "Where?", "answers": answers}, {"id": "2", "question": "Who?", "answers": []}],
    }
    document = {"data": [{"title": "T", "paragraphs": [paragraph]}]}
    numbered = items(write(tmp_path / "a.json", json.dumps(document)))
    assert [line for line, _ in numbered] == [1, 2]
    found = [row for _, row in numbered]
    spread = json.dumps(document, indent=1)
    lines = [line for line, _ in items(write(tmp_path / "b.json", spread))]
    assert ['"id": "1",' in spread.splitlines()[lines[0]], '"id": "2",' in spread.splitlines()[lines[1]]] == [True] * 2
    assert found[0]["answers"] == {"text": ["Paris"], "answer_start": [3]}
    assert found[1] == {
        "id": "2",
        "title": "T",
        "context": "In Paris.",
        "question": "Who?",
        "answers": {"text": [], "answer_start": []},
    }


def test_parquet_and_arrow(tmp_path):
    table = pa.Table.from_pylist(ROWS)
    pq.write_table(table, tmp_path / "a.parquet")
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    with pa.ipc.new_stream(tmp_path / "b.feather", table.schema) as writer:
        writer.write_table(table)
    for name in ("a.parquet", "a.arrow", "b.feather"):
        assert items(tmp_path / name) == [(1, ROWS[0]), (2, ROWS[1])]
    packed = write(tmp_path / "c.parquet.gz", gzip.compress((tmp_path / "a.parquet").read_bytes()))
    assert rows(packed) == ROWS


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.xlsx"])
def test_binary_formats_refuse_other_content(tmp_path, name):
    with pytest.raises(DataError, match=rf"{name}: is not"):
        rows(write(tmp_path / name, "text,label\n1,2\n"))


def test_xlsx(tmp_path):
    import openpyxl

    book = openpyxl.Workbook()
    for values in (["text", "stars"], ["fine", 5], [None, None], ["bad", 1]):
        book.active.append(values)
    book.create_sheet("Other").append(["x"])
    book.save(tmp_path / "a.xlsx")
    assert items(tmp_path / "a.xlsx") == [(2, {"text": "fine", "stars": 5}), (4, {"text": "bad", "stars": 1})]
    with pytest.raises(DataError, match="did you mean 'Other'"):
        rows(tmp_path / "a.xlsx", part="Othr")


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table reviews (text text, label text)")
        connection.executemany("insert into reviews values (?, ?)", [("one", "pos"), ("two", "neg")])
    connection.close()
    return f"sqlite:///{path}"


@pytest.mark.parametrize("part", ["reviews", None, "select text, label from reviews order by text"])
def test_sql(database, part):
    assert next(formats.sql(Source(database, "sql", part=part))) == (1, {"text": "one", "label": "pos"})


def test_sql_faults(database):
    with pytest.raises(DataError, match="did you mean 'reviews'"):
        list(formats.sql(Source(database, "sql", part="review")))
    with pytest.raises(DataError, match="the database refused"):
        list(formats.sql(Source(database, "sql", part="select nothing from reviews")))


def test_conll(tmp_path):
    text = "# id 1\n-DOCSTART- -X- O O\n\nEU NNP B-ORG\nrejects VBZ O\n\n\n#tag\tNN\tO\nParis\tNNP\tB-LOC\n"
    assert items(write(tmp_path / "a.conll", text)) == [
        (4, {"tokens": ["EU", "rejects"], "tags": ["B-ORG", "O"]}),
        (8, {"tokens": ["#tag", "Paris"], "tags": ["O", "B-LOC"]}),
    ]


def test_conll_token_without_a_tag(tmp_path):
    found = items(write(tmp_path / "a.conll", "EU B-ORG\nrejects\n\nParis B-LOC\n"))
    assert "a.conll:2: token 'rejects' has no tag" in problems(found)[0]
    assert found[-1] == (4, {"tokens": ["Paris"], "tags": ["B-LOC"]})


def test_conll_lines_with_other_columns(tmp_path):
    text = "EU NNP B-NP B-ORG\nrejects VBZ O\n\nParis NNP B-NP B-LOC x\n\nRome NNP B-NP B-LOC\n"
    found = items(write(tmp_path / "a.conll", text))
    assert problems(found) == [
        f"{tmp_path / 'a.conll'}:2: has 3 columns, and the file's first line has 4",
        f"{tmp_path / 'a.conll'}:4: has 5 columns, and the file's first line has 4",
    ]
    assert found[-1] == (6, {"tokens": ["Rome"], "tags": ["B-LOC"]})


def test_conll_of_two_columns_with_tabs_and_windows_line_ends(tmp_path):
    text = "New York\tB-LOC\r\n.\tO\r\n\r\n\r\n上\tB-LOC\r\n海\tI-LOC\r\n"
    assert items(write(tmp_path / "a.bio", text)) == [
        (1, {"tokens": ["New York", "."], "tags": ["B-LOC", "O"]}),
        (5, {"tokens": ["上", "海"], "tags": ["B-LOC", "I-LOC"]}),
    ]
