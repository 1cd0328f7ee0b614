"""Linear layers with their weights in blocks: what the plain layer gives, for every shape, number format and neighbour."""

from __future__ import annotations

import copy
import weakref
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import generators
from tunesmith.networks import packed, shared
from tunesmith.networks.packed import PackedLinear

pytestmark = pytest.mark.skipif(not packed.runs_here(), reason="needs products of oneDNN on a CPU")
SHAPES = [(192, 576), (1536, 96), (96, 1536), (130, 129)]


def layers(outputs: int, inputs: int, *, bias: bool = True) -> tuple[nn.Module, nn.Module]:
    """A plain layer, and the same packed."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(inputs, outputs, bias=bias)).eval()
    made = copy.deepcopy(plain)
    packed.pack(made, leaves_file=True)
    assert type(made[0]) is PackedLinear
    return plain, made


def given(layer: nn.Module, x: Tensor) -> Tensor:
    with torch.inference_mode():
        found: Tensor = layer(x)
        return found


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", [(1,), (2, 3), (1, 1, 1), (70,), (0,), ()])
def test_it_gives_what_the_plain_layer_gives(shape: tuple[int, int], rows: tuple[int, ...], bias: bool) -> None:
    plain, made = layers(*shape, bias=bias)
    x = torch.randn(*rows, shape[1])
    found = given(made, x)
    assert found.shape == (*rows, shape[0])
    torch.testing.assert_close(found, given(plain, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", [1, 7, 64])
def test_in_bf16_it_is_the_same_to_the_bit(shape: tuple[int, int], rows: int) -> None:
    plain, made = layers(*shape)
    x = torch.randn(rows, shape[1])
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = given(made, x), given(plain, x)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected)
    torch.testing.assert_close(given(made, x), given(plain, x), rtol=1e-5, atol=1e-5)  # which autocast leaves as it was


@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_is_the_same_to_the_bit_whatever_else_is_in_the_batch(shape: tuple[int, int]) -> None:
    _, made = layers(*shape)
    x = torch.randn(40, shape[1])
    together = given(made, x)
    for count in (1, 2, 5, 16, 33):
        assert torch.equal(given(made, x[3 : 3 + count]), together[3 : 3 + count])


def test_whoever_asks_for_gradients_gets_those_of_the_plain_layer() -> None:
    plain, made = layers(96, 576)
    given(made, torch.randn(2, 576))
    x = torch.randn(5, 576)
    slopes = []
    for layer in (plain, made):
        own = x.clone().requires_grad_()
        layer(own).square().sum().backward()
        assert own.grad is not None
        slopes.append(own.grad)
    assert torch.equal(*slopes)


def test_the_plain_weight_is_given_up_and_made_again() -> None:
    plain, made = layers(192, 576)
    before = weakref.ref(made[0].weight)
    given(made, torch.randn(2, 576))
    assert before() is None
    assert torch.equal(made[0].weight, plain[0].weight)
    assert not made[0].weight.is_inference()
    assert made[0].weight.dtype == torch.float32


def test_a_weight_that_is_a_table_too_stays_one() -> None:
    model = nn.ModuleDict({"table": nn.Embedding(300, 96), "head": nn.Linear(96, 300, bias=False)}).eval()
    model["head"].weight = model["table"].weight
    packed.pack(model, leaves_file=True)
    given(model["head"], torch.randn(2, 96))
    assert model["head"].weight is model["table"].weight


def test_models_over_the_same_weights_have_one_packed() -> None:
    base = nn.Sequential(nn.Linear(576, 192)).eval()
    one, other = shared.twin(base), shared.twin(base)
    for made in (one, other):
        packed.pack(made, leaves_file=True)
    assert one[0].blocks is other[0].blocks
    assert type(base[0]) is nn.Linear


def test_what_would_gain_nothing_stays_as_it_is() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(576, 192).to(torch.bfloat16), nn.LayerNorm(8))
    packed.pack(model, leaves_file=True)
    assert [type(layer) for layer in model] == [nn.Linear, nn.Linear, nn.LayerNorm]


@pytest.mark.parametrize("family", generators.FAMILIES)
def test_models_give_what_they_gave(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_WORTH", 1)
    model = generators.make(tmp_path, family).model.eval()
    asked = {"input_ids": torch.tensor([[3, 4, 5, 6]])}
    if model.config.is_encoder_decoder:
        asked["decoder_input_ids"] = torch.tensor([[0, 7, 8]])
    with torch.inference_mode():
        expected = model(**asked).logits
        packed.pack(model, leaves_file=True)
        assert any(isinstance(layer, PackedLinear) for layer in model.modules())
        torch.testing.assert_close(model(**asked).logits, expected, rtol=1e-4, atol=1e-4)
