"""Virtual tokens before each text that a small network makes (Liu et al. 2021, "GPT Understands, Too"); they are saved without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.adapting import prompts
from tunesmith.params import Choices, param

if TYPE_CHECKING:
    from tunesmith.networks.backbones import Backbone
    from tunesmith.networks.virtual_tokens import VirtualTokens


class Params(prompts.Params):
    """Length of the prompt, and the network that makes it."""

    encoder_size: int = param(
        128, "Width of the two inner layers of the network.", ge=1, search=Choices((64, 128, 256, 512))
    )


class Adapter(prompts.PromptAdapter):
    """P-tuning."""

    learning_rate = 1e-3
    peft_type = "P_TUNING"
    options: Params

    def tokens(self, backbone: Backbone) -> VirtualTokens:
        from tunesmith.networks import virtual_tokens

        start = virtual_tokens.sample(backbone, self.options.tokens)
        return virtual_tokens.VirtualTokens(start, encoder_width=self.options.encoder_size)
