"""Low-rank updates whose ranks go where they matter most (Zhang et al. 2023, "AdaLoRA: Adaptive Budget Allocation"), by PEFT."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.adapting import by_peft
from tunesmith.errors import UsageError
from tunesmith.params import Choices, Range, param

if TYPE_CHECKING:
    from tunesmith.networks.backbones import Backbone

_MANY_STEPS = 1_000_000_000
_MEMORIES = ("ipt", "exp_avg_ipt", "exp_avg_unc")


class Params(by_peft.Targets):
    """Size and place of the updates, and how their ranks are cut."""

    rank: int = param(8, "Mean rank of the updates in the end.", ge=1, search=Choices((4, 8, 16)))
    first_rank: int = param(12, "Rank of each update in the beginning, above rank.", ge=2)
    alpha: float = param(32, "Scale of the updates: they are multiplied by alpha / first_rank.", gt=0)
    dropout: float = param(0.0, "Dropout before each update.", ge=0, lt=1, search=Range(0, 0.2))
    before: float = param(0.1, "Share of the steps before the first rank is cut.", ge=0, lt=0.5)
    after: float = param(0.3, "Share of the steps after the last rank is cut.", ge=0, lt=0.5)
    every: int = param(10, "Steps between two cuts.", ge=1)
    orthogonality: float = param(
        0.1, "Weight of the term in the loss that keeps the updates' singular vectors orthogonal.", ge=0
    )


class Adapter(by_peft.PeftAdapter):
    """AdaLoRA. What is kept are the best weights with the ranks that they had, which may be from before the last cut."""

    learning_rate = 2e-3
    options: Params

    def config(self, backbone: Backbone) -> Any:
        import peft

        if self.options.first_rank <= self.options.rank:
            hint = f"legal: above adapter.rank, which is {self.options.rank}"
            found = f"adapter.first_rank = {self.options.first_rank} leaves no rank to cut"
            raise UsageError(found, where="adapter.first_rank", hint=hint)
        return peft.AdaLoraConfig(
            init_r=self.options.first_rank,
            target_r=self.options.rank,
            lora_alpha=self.options.alpha,
            lora_dropout=self.options.dropout,
            target_modules=by_peft.targets(backbone, self.options.targets),
            fan_in_fan_out=by_peft.is_turned(backbone),
            deltaT=self.options.every,
            orth_reg_weight=self.options.orthogonality,
            total_step=_MANY_STEPS,  # until the loop says how many
        )

    @property
    def _peft(self) -> Any:
        return self._wrapped.peft_config["default"]

    @property
    def _allocator(self) -> Any:
        return self._wrapped.base_model.rankallocator

    def plan(self, total_steps: int) -> None:
        # At least one step lies between the first cut and the last.
        self._peft.total_step = total_steps
        self._peft.tfinal = int(self.options.after * total_steps)
        self._peft.tinit = max(0, min(int(self.options.before * total_steps), total_steps - self._peft.tfinal - 1))

    def shape_gradients(self) -> None:
        """Equation 4 of the paper as PEFT has it: the mean over A and B of the norm of ``P P' - I``."""
        import torch

        factors = [
            weight if ".lora_A." in name else weight.T
            for name, weight in self._wrapped.named_parameters()
            if (".lora_A." in name or ".lora_B." in name) and weight.requires_grad
        ]
        if not self.options.orthogonality or not factors:
            return
        loss = torch.stack([torch.linalg.norm(p @ p.T - torch.eye(len(p)).to(p)) for p in factors]).mean()
        (self.options.orthogonality * loss).backward()  # type: ignore[no-untyped-call]

    def after_step(self, step: int) -> None:
        is_last_cut = step >= self._peft.total_step - self._peft.tfinal
        if is_last_cut and not (self._allocator.ipt or self._peft.rank_pattern):
            return  # so few steps that none was looked at before
        self._wrapped.base_model.update_and_allocate(step)

    def state(self) -> dict[str, Any]:
        memories = {memory: dict(getattr(self._allocator, memory)) for memory in _MEMORIES}
        return {**memories, "ranks": self._peft.rank_pattern or {}}

    def set_state(self, state: Mapping[str, Any]) -> None:
        places = {name: weight.device for name, weight in self._wrapped.base_model.model.named_parameters()}
        for memory in _MEMORIES:
            setattr(self._allocator, memory, {name: kept.to(places[name]) for name, kept in state[memory].items()})
        self._peft.rank_pattern = dict(state["ranks"]) or None

    def restore(self, backbone: Backbone, folder: Path) -> None:
        with warnings.catch_warnings():
            # PEFT does not recognise the names that it wrote itself, and uses them nevertheless.
            warnings.filterwarnings("ignore", "The following rank_pattern keys", RuntimeWarning)
            super().restore(backbone, folder)

    def save(self, backbone: Backbone, folder: Path) -> None:
        """Only the ranks that these weights use, and one where they use none; a singular value of 0 adds nothing."""
        last = self._peft.rank_pattern
        used = {
            name.removeprefix("base_model.model."): (weight != 0).flatten().tolist()
            for name, weight in self._wrapped.named_parameters()
            if ".lora_E." in name
        }
        self._peft.rank_pattern = {name: [not any(ranks) or ranks[0], *ranks[1:]] for name, ranks in used.items()}
        try:
            super().save(backbone, folder)
        finally:
            self._peft.rank_pattern = last
