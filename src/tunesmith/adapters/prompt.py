"""Vectors that stand before each text as if they were its first tokens (Lester et al. 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.adapting import prompts

if TYPE_CHECKING:
    from tunesmith.networks.backbones import Backbone
    from tunesmith.networks.virtual_tokens import VirtualTokens


class Params(prompts.Params):
    """Length of the prompt."""


class Adapter(prompts.PromptAdapter):
    """Prompt tuning; the vectors start as those of tokens drawn from the vocabulary."""

    learning_rate = 3e-2
    peft_type = "PROMPT_TUNING"

    def tokens(self, backbone: Backbone) -> VirtualTokens:
        from tunesmith.networks import virtual_tokens

        return virtual_tokens.VirtualTokens(virtual_tokens.sample(backbone, self.options.tokens))
