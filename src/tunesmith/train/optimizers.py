"""Optimizers: how gradients become steps. A public function here is an optimizer.

Each takes parameter groups (with their own ``lr`` and ``weight_decay``) and the training parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from tunesmith.config import Train

    Groups = list[dict[str, Any]]


def adamw(groups: Groups, train: Train) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), fused into one pass over the weights."""
    from torch.optim import AdamW

    return AdamW(groups, betas=(train.beta1, train.beta2), eps=train.epsilon, fused=True)


def adam(groups: Groups, train: Train) -> Optimizer:
    """Adam (Kingma and Ba 2015); weight decay is added to the gradient."""
    from torch.optim import Adam

    return Adam(groups, betas=(train.beta1, train.beta2), eps=train.epsilon, fused=True)


def nadam(groups: Groups, train: Train) -> Optimizer:
    """Adam with Nesterov momentum (Dozat 2016)."""
    from torch.optim import NAdam

    return NAdam(groups, betas=(train.beta1, train.beta2), eps=train.epsilon, decoupled_weight_decay=True)


def radam(groups: Groups, train: Train) -> Optimizer:
    """Rectified Adam (Liu et al. 2020), which needs no warmup."""
    from torch.optim import RAdam

    return RAdam(groups, betas=(train.beta1, train.beta2), eps=train.epsilon, decoupled_weight_decay=True)


def sgd(groups: Groups, train: Train) -> Optimizer:
    """Stochastic gradient descent with ``momentum`` and, if asked, Nesterov's."""
    from torch.optim import SGD

    return SGD(groups, lr=1e-3, momentum=train.momentum, nesterov=train.nesterov)


def adafactor(groups: Groups, train: Train) -> Optimizer:
    """Adafactor (Shazeer and Stern 2018): second moments by rows and columns, little memory."""
    from torch.optim import Adafactor

    return Adafactor(groups)


def rmsprop(groups: Groups, train: Train) -> Optimizer:
    """RMSprop (Tieleman and Hinton 2012)."""
    from torch.optim import RMSprop

    return RMSprop(groups, eps=train.epsilon, momentum=train.momentum)


def adagrad(groups: Groups, train: Train) -> Optimizer:
    """Adagrad (Duchi et al. 2011)."""
    from torch.optim import Adagrad

    return Adagrad(groups)


def adadelta(groups: Groups, train: Train) -> Optimizer:
    """Adadelta (Zeiler 2012)."""
    from torch.optim import Adadelta

    return Adadelta(groups)


def lion(groups: Groups, train: Train) -> Optimizer:
    """Lion (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms"): the sign of an averaged gradient.

    It wants a learning rate of a third to a tenth of AdamW's.
    """
    from tunesmith.train.lion import Lion

    return Lion(groups, betas=(train.beta1, min(train.beta2, 0.99)))


def muon(groups: Groups, train: Train) -> Optimizer:
    """Muon (Jordan et al. 2024) for matrices inside the network, AdamW for everything else."""
    from tunesmith.train.muon import MuonWithAdamW

    return MuonWithAdamW(groups, train)
