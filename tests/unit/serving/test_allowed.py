"""Only what lies below the operator's folder is loaded, whatever a path says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunesmith.serving import allowed
from tunesmith.serving.refusal import Refusal


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("bundles/reviews", "bundles/team/chat", "bundles-of-others/secret"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "bundle.json").write_text("{}", encoding="utf-8")
    return tmp_path / "bundles"


def test_what_lies_below_is_found_by_both_ways_of_writing_it(root: Path) -> None:
    assert allowed.place(str(root), "reviews") == root / "reviews"
    assert allowed.place(str(root), "team/chat") == root / "team/chat"
    assert allowed.place(str(root), str(root / "reviews")) == root / "reviews"


def test_the_folder_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert allowed.place(str(tmp_path / "link"), str(tmp_path / "link" / "reviews")) == root / "reviews"


@pytest.mark.parametrize(
    "given",
    [
        "..",
        "../bundles-of-others/secret",
        "reviews/../../bundles-of-others/secret",
        "reviews/../reviews",
        "{root}/../bundles-of-others/secret",
        "{root}-of-others/secret",
        "/etc",
        "~",
        "reviews\0",
        "link",
        "link/secret",
        "inner",
        "ensemble",
    ],
)
def test_no_trick_leads_out(root: Path, given: str) -> None:
    others = root.parent / "bundles-of-others"
    (root / "link").symlink_to(others)
    (root / "inner").mkdir()
    (root / "inner" / "bundle.json").symlink_to(others / "secret" / "bundle.json")
    (root / "ensemble").mkdir()
    members = ["../reviews", "../../bundles-of-others/secret"]
    (root / "ensemble" / "ensemble.json").write_text(json.dumps({"members": members}), encoding="utf-8")
    with pytest.raises(Refusal) as refused:
        allowed.place(str(root), given.format(root=root))
    assert refused.value.code in ("loading_not_allowed", "bundle_not_found")
    assert (refused.value.code == "bundle_not_found") == (given == "~")


def test_what_lies_elsewhere_is_not_told(root: Path) -> None:
    """Whether something is there or not, the refusal is the same."""
    told = []
    for given in ("/etc/passwd", "/nothing/at/all"):
        with pytest.raises(Refusal) as refused:
            allowed.place(str(root), given)
        told.append(str(refused.value).replace(given, ""))
    assert told[0] == told[1]


def test_an_ensemble_of_what_lies_below_is_allowed(root: Path) -> None:
    (root / "both").mkdir()
    members = {"members": ["../reviews", "../team/chat"]}
    (root / "both" / "ensemble.json").write_text(json.dumps(members), encoding="utf-8")
    assert allowed.place(str(root), "both") == root / "both"


def test_without_a_folder_nothing_is_loaded(root: Path) -> None:
    with pytest.raises(Refusal, match="--bundle-folder"):
        allowed.place(None, str(root / "reviews"))
