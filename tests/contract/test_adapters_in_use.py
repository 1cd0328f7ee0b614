"""What every adapter that is saved without its base model keeps to: where it starts, that it resumes, merges, and shares."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import small
from adapted import CLOSE, FAMILIES, OPTIONS, SMALL, SOME, Build, Trained, outputs, steps
from tunesmith import bundle as bundles
from tunesmith import exporting, predict
from tunesmith.errors import UsageError
from tunesmith.networks import backbones
from tunesmith.networks.shared import Bases
from tunesmith.train import loop
from tunesmith.train.job import Job
from tunesmith.train.run import Run

CHANGES_AT_START = ("prefix", "prompt", "p-tuning")
"""What these put before a text is read from the first."""
CANNOT_MERGE = ("bottleneck", "prefix", "prompt", "p-tuning")

every_family = pytest.mark.parametrize("family", FAMILIES)
every_small_adapter = pytest.mark.parametrize("adapter", SMALL)


def rounded(value: Any) -> Any:
    """An answer without the digits that another order of adding changes."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return round(value, 4) if isinstance(value, float) else value


def vectors(learned: Any) -> torch.Tensor:
    """Token vectors of some rows."""
    inputs = {"attention_mask": None, **learned.validation.tokens(SOME)}
    with torch.no_grad():
        found: torch.Tensor = learned.network.eval().backbone(**inputs)
        return found


@every_family
@pytest.mark.parametrize("adapter", [name for name in SMALL if name not in CHANGES_AT_START])
def test_it_starts_as_the_base_model(build: Build, model: Callable[..., Path], adapter: str, family: str) -> None:
    learned = build(adapter, family)
    untouched = backbones.load(model(family))
    with torch.no_grad():
        before = untouched(**{"attention_mask": None, **learned.validation.tokens(SOME)})
    torch.testing.assert_close(vectors(learned), before, **CLOSE)
    steps(learned, 3)
    assert (vectors(learned) - before).abs().max() > 1e-4


@every_family
@every_small_adapter
def test_merged_it_gives_the_same(trained: Callable[..., Trained], adapter: str, family: str, tmp_path: Path) -> None:
    made = trained(adapter, family)
    if adapter in CANNOT_MERGE:
        with pytest.raises(UsageError, match=f"a {adapter} adapter is no change of the base model's weights"):
            made.bundle.network(merged=True)
        return
    network = made.bundle.network(merged=True)
    torch.testing.assert_close(outputs(network, made.learner), made.outputs, atol=1e-5, rtol=0)
    network.backbone.model.save_pretrained(tmp_path)
    again = backbones.load(tmp_path)
    with torch.no_grad():
        alone = again(**{"attention_mask": None, **made.learner.validation.tokens(SOME)})
    torch.testing.assert_close(alone, vectors(made.learner), **CLOSE)


@every_family
@every_small_adapter
def test_several_share_the_weights_of_a_base_model(
    trained: Callable[..., Trained], model: Callable[..., Path], adapter: str, family: str
) -> None:
    """Each answers as it does alone, and nothing that it puts in or puts back changes the others."""
    bases = Bases()
    first, second = trained(adapter, family), trained("bottleneck", family)
    networks = [replace(made.bundle, bases=bases).network() for made in (first, second, first)]
    for network, made in zip(networks, (first, second, first), strict=True):
        torch.testing.assert_close(outputs(network, made.learner), made.outputs, **CLOSE)
    shape = backbones.load(model(family)).embeddings.weight.shape  # type: ignore[union-attr]
    places = [{weight.untyped_storage().data_ptr() for weight in network.backbone.parameters()} for network in networks]
    sizes = {weight.untyped_storage().data_ptr(): weight.numel() for weight in networks[0].backbone.parameters()}
    shared = sum(sizes[place] for place in set.intersection(*places))
    whole = sum(weight.numel() for weight in backbones.load(model(family)).parameters())
    assert shape.numel() < shared <= whole
    assert shared > 0.97 * whole  # all but the norms, of which a bottleneck brings its own


@every_small_adapter
def test_resumed_is_the_same_to_the_bit(job: Callable[..., Job], adapter: str) -> None:
    options = {"adapter.name": adapter, **OPTIONS.get(adapter, {}), "train.evaluate_every": "3 steps"}
    options["train.checkpoint_every"] = 0.001

    def finished(made: Job, *, resume: bool = False) -> tuple[dict[str, torch.Tensor], list[float]]:
        loop.fit(made, resume=resume)
        weights = {name: weight.clone() for name, weight in made.network.named_parameters()}
        return weights, [entry["loss"] for entry in small.log_of(made.folder, "step")]

    class Killed(BaseException):
        pass

    seen = []

    def evaluate() -> dict[str, float]:
        seen.append(1)
        if len(seen) > 3:
            raise Killed
        return dict(killed.evaluate())

    expected = finished(job(out="whole", **options))
    killed = job(out="killed", **options)
    with pytest.raises(Killed):
        loop.fit(replace(killed, evaluate=evaluate))
    found = finished(job(out="killed", **options), resume=True)
    assert found[1] == expected[1]
    assert all(torch.equal(found[0][name], weight) for name, weight in expected[0].items())


@pytest.mark.parametrize(("adapter", "kind"), [("lora", "tagged"), ("bottleneck", "pairs"), ("adalora", "multi-label")])
def test_a_run_with_it_is_merged_by_a_command(
    run: Callable[..., Run], adapter: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tunesmith.cli import main

    made = run(kind, adapter=adapter, **OPTIONS.get(adapter, {}))
    log = [entry["message"] for entry in small.log_of(made.folder, "note")]
    trained, whole = made.report.weights or (0, 0)
    assert 0 < trained < whole
    assert f"training {trained:,} of {whole:,} weights ({trained / whole:.2%}) of the base model" in log
    assert f"({trained / whole:.2%})" in (made.folder / "README.md").read_text()
    out = tmp_path / "merged"
    code = main(["merge", str(made.folder), "--out", str(out)])
    if adapter == "bottleneck":
        assert code == 2
        assert not out.exists()
        assert "cannot be merged" in capsys.readouterr().err
        return
    assert not code
    assert "golden answers differ by at most" in capsys.readouterr().out
    opened = bundles.open_bundle(out)
    assert opened.base_fingerprint is None
    assert (out / "model.safetensors").exists()
    assert not (out / "adapter_model.safetensors").exists()
    inputs = [json.loads(line)["input"] for line in (made.folder / "golden.jsonl").read_text().splitlines()]
    for one, other in zip(*(predict.load(place).answers(inputs) for place in (out, made.folder)), strict=True):
        assert rounded(one) == rounded(other)
    with pytest.raises(UsageError, match="whole model already"):
        exporting.export(out, "merged", tmp_path / "again")
    with pytest.raises(UsageError, match="folder is taken"):
        exporting.export(made.folder, "merged", out)


def test_many_are_loaded_over_one_base(run: Callable[..., Run]) -> None:
    runs = [run("binary", out=name, adapter=name, **OPTIONS[name]) for name in ("lora", "prefix")]
    runs.append(run("tagged", out="tags", adapter="vera", **OPTIONS["vera"]))
    together = predict.load_many([made.folder for made in runs])
    alone = [predict.load(made.folder) for made in runs]
    for one, other in zip(together, alone, strict=True):
        assert one.answers(["the film was fine"]) == other.answers(["the film was fine"])
    tables = {model.reader.engine.network.backbone.embeddings.weight.data_ptr() for model in together}  # type: ignore[attr-defined]
    assert len(tables) == 1


def test_saved_low_rank_updates_that_began_as_the_base_weights_are_plain_lora(
    build: Build, model: Callable[..., Path], tmp_path: Path
) -> None:
    import peft
    from transformers import AutoModel

    for start in ("pissa", "olora"):
        for stable in (False, True):
            learned = build("lora", **{"adapter.start": start, "adapter.rslora": stable})
            untouched = load_file(model("bert") / "model.safetensors")
            name = "encoder.layer.0.attention.self.query.base_layer.weight"
            rest = learned.network.backbone.model.get_parameter(name)
            assert (rest - untouched[name.replace("base_layer.", "")]).abs().max() > 1e-3
            steps(learned, 3)
            trained, folder = vectors(learned), tmp_path / f"{start}-{stable}"
            folder.mkdir()
            learned.adapter.save(learned.network.backbone, folder)
            saved = json.loads((folder / "adapter_config.json").read_text())
            assert (saved["r"], saved["init_lora_weights"]) == (4, True)
            stock = peft.PeftModel.from_pretrained(AutoModel.from_pretrained(model("bert")), str(folder)).eval()
            with torch.no_grad():
                theirs = stock(**learned.validation.tokens(SOME)).last_hidden_state
            torch.testing.assert_close(theirs, trained, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(vectors(learned), trained, atol=1e-4, rtol=1e-4)
