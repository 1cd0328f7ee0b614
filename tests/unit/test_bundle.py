"""A saved model: whole or refused, and readable by the field's own libraries."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import small
from tunesmith import bundle, predict, quiet
from tunesmith.decisions.calibration import uncalibrated
from tunesmith.errors import BundleError

MakeRun = Callable[..., Any]
SAME_LAYOUT = ("mean", "cls", "max", "last")
TEXT = "a fine film and then one more card"


@pytest.fixture(scope="module")
def finished(parameters: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tunesmith as ts

    folder = tmp_path_factory.mktemp("bundle") / "run"
    return ts.train(quiet=True, out=str(folder), **parameters("multi-class", **{"train.max_steps": 6})).folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def test_what_it_says_of_itself(finished: Path) -> None:
    opened = bundle.open_bundle(finished)
    assert opened.target.labels == tuple(sorted(small.TOPICS))
    assert opened.config.task_name == "text-classification"
    assert opened.precision == "fp32"
    assert opened.base_fingerprint is None
    described = json.loads((finished / "bundle.json").read_text())
    assert {"tunesmith", "python", "torch", "transformers"} <= described["versions"].keys()


def test_labels_keep_their_names_in_every_file(finished: Path) -> None:
    for file in finished.rglob("*"):
        if file.is_file():
            assert b"LABEL_" not in file.read_bytes(), file
    saved = json.loads((finished / "config.json").read_text())
    assert saved["id2label"] == {str(number): label for number, label in enumerate(sorted(small.TOPICS))}
    assert saved["label2id"] == {label: number for number, label in enumerate(sorted(small.TOPICS))}


def test_nothing_in_it_is_pickled_or_of_training(finished: Path) -> None:
    names = {file.name for file in finished.rglob("*")}
    assert not any(name.endswith((".bin", ".pt", ".pkl", ".pth")) for name in names)
    assert ".work" not in names
    assert not any(name.startswith((".new-", ".old-")) for name in names)


def test_others_may_read_it(finished: Path) -> None:
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in finished.rglob("*") if file.is_file())


def test_transformers_reads_the_same_hidden_states(finished: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    with quiet.transformers():
        model = AutoModel.from_pretrained(finished, attn_implementation="sdpa").eval()
        tokens = AutoTokenizer.from_pretrained(finished)([TEXT], return_tensors="pt")
    network = bundle.open_bundle(finished).network()
    with torch.no_grad():
        assert torch.allclose(
            model(**tokens).last_hidden_state,
            network.backbone(tokens["input_ids"], tokens["attention_mask"]),
            atol=1e-6,
        )


def by_the_layout(folder: Path, text: str) -> np.ndarray:
    """What sentence-transformers computes of a folder: the modules that modules.json lists, one after the other."""
    from transformers import AutoModel, AutoTokenizer

    modules = json.loads((folder / "modules.json").read_text())
    assert [module["idx"] for module in modules] == list(range(len(modules)))
    kinds = [module["type"].rpartition(".")[2] for module in modules]
    assert kinds == ["Transformer", "Pooling", "Dense"]
    places = [folder / module["path"] for module in modules]
    with quiet.transformers():
        model = AutoModel.from_pretrained(places[0]).eval()
        tokens = AutoTokenizer.from_pretrained(places[0])([text, text + " and more"], return_tensors="pt", padding=True)
    mask = tokens["attention_mask"]
    with torch.no_grad():
        hidden = model(**tokens).last_hidden_state
    pooling = json.loads((places[1] / "config.json").read_text())
    assert pooling["word_embedding_dimension"] == hidden.shape[2]
    (mode,) = [name for name, on in pooling.items() if name.startswith("pooling_mode_") and on]
    vectors = {
        "pooling_mode_mean_tokens": (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True),
        "pooling_mode_cls_token": hidden[:, 0],
        "pooling_mode_max_tokens": hidden.masked_fill(mask[..., None] == 0, -1e9).amax(1),
        "pooling_mode_lasttoken": hidden[torch.arange(2), mask.sum(1) - 1],
    }[mode]
    dense = json.loads((places[2] / "config.json").read_text())
    assert dense.keys() == {"in_features", "out_features", "bias", "activation_function"}
    assert dense["activation_function"] == "torch.nn.modules.linear.Identity"
    weights = load_file(places[2] / "model.safetensors")
    assert {name: list(weight.shape) for name, weight in weights.items()} == {
        "linear.weight": [dense["out_features"], dense["in_features"]],
        "linear.bias": [dense["out_features"]],
    }
    outputs: np.ndarray = (vectors @ weights["linear.weight"].T + weights["linear.bias"])[0].numpy()
    return outputs


def ours(folder: Path, text: str) -> np.ndarray:
    """Probabilities as the network gives them, which calibration changes."""
    model = predict.load(folder)
    scores = np.asarray(model.scores(model.rows([text])))
    found: np.ndarray = uncalibrated(scores, model.target.decision.calibration, exclusive=True)[0]
    return found


@pytest.mark.parametrize("pooling", SAME_LAYOUT)
def test_the_layout_of_sentence_transformers_gives_the_same_answers(run: MakeRun, pooling: str) -> None:
    folder = run("multi-class", **{"train.max_steps": 3, "model.pooling": pooling}).folder
    outputs = by_the_layout(folder, TEXT)
    chances = np.exp(outputs) / np.exp(outputs).sum()
    assert chances == pytest.approx(ours(folder, TEXT), abs=1e-4)


def test_sentence_transformers_itself_gives_the_same_answers(finished: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    with quiet.transformers():
        outputs = library.SentenceTransformer(str(finished), device="cpu").encode([TEXT])[0]
    chances = np.exp(outputs) / np.exp(outputs).sum()
    assert chances == pytest.approx(ours(finished, TEXT), abs=1e-4)


@pytest.mark.parametrize(
    ("kind", "more"), [("binary", {"model.pooling": "attention"}), ("similarity", {})], ids=["attention", "pair"]
)
def test_what_that_layout_cannot_say_is_not_written_in_it(run: MakeRun, kind: str, more: dict[str, Any]) -> None:
    folder = run(kind, **more, **{"train.max_steps": 3}).folder
    assert not (folder / "modules.json").exists()
    assert predict.load(folder).replay() < 1e-5


# what is refused


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such bundle"):
        bundle.open_bundle(tmp_path / "none")


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a bundle"):
        bundle.open_bundle(tmp_path)


def test_a_run_that_is_not_finished(copied: Path) -> None:
    (copied / "bundle.json").unlink()
    with pytest.raises(BundleError, match=f"tunesmith resume {copied}"):
        bundle.open_bundle(copied)


@pytest.mark.parametrize("name", ["model.safetensors", "head/model.safetensors"])
def test_other_weights_are_refused(copied: Path, name: str) -> None:
    weights = load_file(copied / name)
    first = sorted(weights)[0]
    weights[first].view(-1)[0] += 1e-3
    save_file(weights, copied / name, metadata={"format": "pt"})
    with pytest.raises(BundleError, match=f"damaged: {name} changed"):
        bundle.open_bundle(copied)


def test_all_missing_files_are_named(copied: Path) -> None:
    (copied / "model.safetensors").unlink()
    (copied / "tokenizer.json").unlink()
    with pytest.raises(BundleError, match=r"damaged: model\.safetensors, tokenizer\.json changed or missing"):
        bundle.open_bundle(copied)


@pytest.mark.parametrize("content", [None, "task: [", "train: {lerning_rate: 1}"])
def test_a_config_that_cannot_be_read(copied: Path, content: str | None) -> None:
    (copied / "config.yaml").unlink()
    if content:
        (copied / "config.yaml").write_text(content)
    with pytest.raises(BundleError, match="its config cannot be read"):
        bundle.open_bundle(copied)


def test_a_config_that_is_legal_and_another_is_refused(copied: Path) -> None:
    whole = (copied / "config.yaml").read_text()
    for part in ("", whole[: whole.index("model:")], whole.replace("max_length: ", "max_length: 1")):
        (copied / "config.yaml").write_text(part)
        with pytest.raises(BundleError, match=r"damaged: config\.yaml changed.*|its config cannot be read"):
            bundle.open_bundle(copied)
    (copied / "config.yaml").write_text(whole.replace("max_length: ", "max_length: 1"))
    with pytest.raises(BundleError, match=r"damaged: config\.yaml changed") as error:
        bundle.open_bundle(copied)
    assert "presets.json" in str(error.value)
    bundle.open_bundle(copied, whole=False)
    (copied / "config.yaml").write_text(whole)
    assert predict.load(copied).replay() < 1e-6


def test_a_bundle_whose_config_was_not_hashed_yet_opens(copied: Path) -> None:
    described = json.loads((copied / "bundle.json").read_text())
    del described["files"]["config.yaml"]
    (copied / "bundle.json").write_text(json.dumps(described))
    assert predict.load(copied).replay() < 1e-6


def test_a_newer_format_is_refused(copied: Path) -> None:
    described = json.loads((copied / "bundle.json").read_text())
    (copied / "bundle.json").write_text(json.dumps({**described, "format": bundle.FORMAT + 1}))
    with pytest.raises(BundleError, match="newer version") as error:
        bundle.open_bundle(copied)
    assert "upgrade" in str(error.value)


def test_it_opens_anywhere(copied: Path) -> None:
    moved = copied.rename(copied.parent / "elsewhere")
    assert predict.load(moved).replay() < 1e-6


def test_the_environment_does_not_change_it(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_MODEL_MAX_LENGTH", "4")
    assert predict.load(copied).replay() < 1e-6


def test_a_trained_model_can_be_the_base_of_another(finished: Path, run: MakeRun) -> None:
    again = run("binary", **{"model.base": str(finished), "train.max_steps": 2, "model.pooling": "auto"})
    assert bundle.open_bundle(again.folder).target.labels == ("negative", "positive")
    assert bundle.open_bundle(again.folder).config.model.pooling == "mean"
    assert json.loads((again.folder / "config.json").read_text())["id2label"] == {"0": "negative", "1": "positive"}
