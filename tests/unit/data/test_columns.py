import pytest

from tunesmith.data.columns import map_columns
from tunesmith.errors import DataError

NONE = {"text": None, "text_pair": None, "label": None, "group": None}
NEEDED = ["text", "label"]


def guess(*names, **declared):
    return map_columns(dict.fromkeys(names, "value"), {**NONE, **declared}, [NEEDED], "a.csv")


@pytest.mark.parametrize(
    ("names", "mapping"),
    [
        (("text", "label"), {"text": "text", "label": "label"}),
        (("Review", "Stars"), {"text": "Review", "label": "Stars"}),
        (("id", "text", "label", "rating"), {"text": "text", "label": "label"}),
        (("text1", "text2", "score"), {"text": "text1", "text_pair": "text2", "label": "score"}),
        (("premise", "hypothesis", "label"), {"text": "premise", "text_pair": "hypothesis", "label": "label"}),
    ],
)
def test_guesses(names, mapping):
    assert guess(*names) == mapping


def test_declared_columns_win():
    assert guess("text", "body", "label", text="body") == {"text": "body", "label": "label"}


def test_ambiguous_label_is_not_guessed():
    with pytest.raises(DataError, match="which column is the label\\? 'intent' and 'category' could be it") as caught:
        guess("text", "intent", "category")
    assert "--columns.label NAME" in str(caught.value)
    assert "text: 'value'" in str(caught.value)


def test_misspelt_column():
    with pytest.raises(DataError, match=r"a\.csv: (.|\n)*--columns\.text: there is no column 'reveiw'(.|\n)*'review'"):
        guess("review", "label", text="reveiw")


def test_missing_column():
    with pytest.raises(DataError, match="which column is the label\\? no column is named like one"):
        guess("text", "wing_length")


def test_all_problems_at_once():
    with pytest.raises(DataError) as caught:
        guess("a", "b", text="c", label="d")
    assert len([problem for problem in caught.value.problems if problem.where]) == 2
