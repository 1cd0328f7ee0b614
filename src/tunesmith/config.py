"""The config: everything that a run needs, in one checked, frozen, savable value.

Values come, later ones winning, from: declarations, the YAML file, ``TUNESMITH_...`` variables, flags or Python keywords.
Which parameters there are depends on the task and on the adapter, so these two names are read first.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import create_model

from tunesmith import given, kinds, params, plugins
from tunesmith.errors import Problem, UsageError, did_you_mean
from tunesmith.given import PLUGIN_SECTIONS, Given
from tunesmith.params import Choices, Interval, Params, Range, Seconds, param


class Data(Params):
    """Which rows train, choose and test the model."""

    train: str | None = param(
        None, "Training data: a file, a folder with train/validation/test files, an SQL or hf:// or pypi:// reference."
    )
    validation: str | None = param(None, "Rows that choose the best weights; none: split off the training rows.")
    test: str | None = param(None, "Rows for the final report; none: split off the training rows.")
    query: str | None = param(None, "SQL query, when the data is a database URL.")
    limit: int | None = param(
        None, "Use at most this many rows of the training data, drawn at random within each label.", ge=1
    )
    validation_share: float = param(0.1, "Share of the training rows split off for validation.", gt=0, lt=0.9)
    test_share: float = param(0.1, "Share of the training rows split off for the test; 0: none.", ge=0, lt=0.9)
    seed: int = param(0, "Seed of limit and split.", ge=0)
    encoding: str = param("utf-8", "Text encoding of the files.")
    label_separator: str | None = param(None, "Text between the labels of a multi-label cell, such as ';'.")
    merge_labels: bool = param(False, "Merge labels that differ only in case or in spaces around them.")
    bad_rows: Literal["stop", "drop"] = param(
        "stop", "What to do with rows that cannot be used: stop and list them, or drop and count them."
    )
    leaks: Literal["keep", "drop"] = param(
        "keep", "Training rows whose text is also in validation or test: keep and warn, or drop."
    )
    corrections: str | None = param(
        None, "CSV with labels to correct and rows to drop, as `tunesmith doctor` writes it and people fill it in."
    )


class Model(Params):
    """The base model and how it reads a text."""

    base: str | None = param(
        None,
        "Base model: an alias of `tunesmith models`, a folder, hf://org/name or pypi://package==version#path; none: the task's default.",
    )
    max_length: int | None = param(
        None,
        "Tokens of a text that the model reads at once, special ones included; none: 256, or less where the model or the data is shorter.",
        ge=4,
    )
    long_text: Literal["keep-ends", "keep-start", "keep-end", "windows"] | None = param(
        None,
        "A text over max_length: keep a quarter from its start and the rest from its end, cut one side, or read all of it in windows; none: keep-ends, but windows where every word is labelled.",
    )
    window_overlap: int = param(32, "Tokens that neighbouring windows share.", ge=0)
    pooling: Literal["auto", "mean", "cls", "max", "attention", "last"] = param(
        "auto", "How token vectors become a text vector; auto: as the base model was trained."
    )
    dropout: float = param(0.1, "Dropout before the head.", ge=0, lt=1, search=Range(0, 0.4))
    hidden_dropout: float | None = param(
        None, "Dropout inside the base model; none: its own.", ge=0, lt=1, search=Range(0, 0.3)
    )
    attention_dropout: float = param(0.0, "Dropout of attention weights; 0 allows the fused kernel.", ge=0, lt=1)


class Train(Params):
    """Optimization, regularisation, evaluation and limits of the training run."""

    seed: int = param(0, "Seed of everything random in training.", ge=0)
    epochs: float | None = param(
        None,
        "Passes over the training rows; none: 2, or 1 where a pass is over a million tokens.",
        gt=0,
        search=Range(1, 10),
    )
    max_steps: int | None = param(None, "Stop after this many optimizer steps.", ge=1)
    folds: int | None = param(
        None,
        "Train this many times beforehand, each time without another part of the training rows, and score those; none: only train on all.",
        ge=2,
        le=100,
    )
    max_time: Seconds | None = param(None, "Stop in this time ('90s', '10m', '2h'), report included.")
    batch_size: int = param(32, "Rows in an optimizer step.", ge=1, search=Choices((8, 16, 32, 64)))
    batch_tokens: int | None = param(None, "Tokens in an optimizer step, instead of batch_size.", ge=16)
    micro_tokens: int | None = param(
        None, "Tokens in one forward pass; none: measured. It changes speed and memory, not the step.", ge=16
    )
    optimizer: str = param(
        "adamw",
        "How gradients become steps.",
        plugin="train.optimizers",
        search=Choices(("adamw", "lion", "adafactor")),
    )
    learning_rate: float | None = param(
        None,
        "Peak learning rate of the base model; none: the adapter's.",
        gt=0,
        le=10,
        search=Range(1e-6, 1e-3, log=True),
    )
    head_learning_rate: float | None = param(
        None,
        "Peak learning rate of the head; none: learning_rate after a warm start, else 10 times that, at most 1e-3.",
        gt=0,
        le=10,
    )
    layer_decay: float = param(
        1.0, "Learning rate of each layer, as a share of the layer above.", gt=0, le=1, search=Range(0.7, 1.0)
    )
    schedule: str = param("linear", "Course of the learning rate after the warmup.", plugin="train.schedules")
    warmup: float = param(
        0.06, "Share of the steps over which the learning rate rises from 0.", ge=0, lt=1, search=Range(0, 0.2)
    )
    cycles: int = param(1, "Restarts of the cosine schedule.", ge=1)
    power: float = param(1.0, "Exponent of the polynomial schedule.", gt=0)
    patience: int = param(
        2, "Evaluations without a better score before the plateau schedule lowers the learning rate.", ge=1
    )
    momentum: float = param(0.9, "Momentum of sgd and rmsprop and muon.", ge=0, lt=1)
    nesterov: bool = param(False, "Nesterov momentum for sgd.")
    beta1: float = param(0.9, "Decay of the gradient average of Adam-like optimizers.", ge=0, lt=1)
    beta2: float = param(0.999, "Decay of the squared gradient average of Adam-like optimizers.", ge=0, lt=1)
    epsilon: float = param(1e-8, "Term that keeps Adam-like optimizers from dividing by zero.", gt=0)
    weight_decay: float = param(
        0.01, "L2: decoupled weight decay; biases and norms are spared.", ge=0, search=Range(1e-4, 0.3, log=True)
    )
    l1: float = param(0.0, "Weight of the L1 norm of the trained weights in the loss.", ge=0)
    label_smoothing: float = param(0.0, "Share of the target spread over all labels.", ge=0, lt=1, search=Range(0, 0.2))
    r_drop: float = param(0.0, "Weight of the divergence between two dropout passes (R-Drop, Liang et al. 2021).", ge=0)
    mixout: float = param(
        0.0, "Chance that a weight is the pretrained one in a step (Mixout, Lee et al. 2020).", ge=0, lt=1
    )
    gradient_clip: float | None = param(1.0, "Largest norm of the gradient; none: no limit.", gt=0)
    gradient_noise: float = param(
        0.0,
        "Standard deviation of noise added to the gradient at the first step; its variance decays as (1 + step)^-0.55.",
        ge=0,
    )
    ema: float | None = param(
        None,
        "Decay of an average of the weights, which is evaluated beside them and kept where it scores better; none: no average.",
        gt=0,
        lt=1,
    )
    soup: int | None = param(
        None,
        "After training, try means of the best weights, so many of them, and keep one that scores better than each (Model soups, Wortsman et al. 2022); none: no means.",
        ge=2,
    )
    freeze_embeddings: bool | None = param(
        None,
        "Leave the token embeddings as pretrained: quicker steps and less memory, most of all with large vocabularies; none: yes, unless the model is made from nothing.",
    )
    warm_start: bool = param(True, "Fit the head on frozen features before the base model moves.")
    warm_start_rows: int = param(4000, "Most training rows that the warm start reads.", ge=16)
    evaluate_every: Interval = param(
        "0.5 epochs", "Distance between evaluations, such as '200 steps' or '0.25 epochs'."
    )
    metric: str | None = param(None, "Validation metric that chooses the best weights; none: the task's.")
    early_stopping: int | None = param(
        None, "Stop after this many evaluations without a better score; none: train to the end.", ge=1
    )
    early_stopping_delta: float = param(0.0, "How much better a score must be to count.", ge=0)
    checkpoint_every: Seconds = param(
        120, "Time between checkpoints; the last two are kept, and a run goes on from the last."
    )
    precision: Literal["auto", "fp32", "bf16"] = param(
        "auto", "Number format of the forward pass; auto: bf16 where the machine computes it natively."
    )
    threads: int | None = param(None, "CPU threads; none: one a core.", ge=1)
    compile: bool = param(False, "Compile the base model with torch.compile; slow to start.")
    gradient_checkpointing: bool = param(
        False, "Recompute activations in the backward pass: less memory, a third slower."
    )


class Track(Params):
    """Experiment trackers beside the log.jsonl that every run writes."""

    to: tuple[str, ...] = param((), "Trackers: tensorboard, wandb, mlflow, swanlab, trackio ... (any of Accelerate's).")
    project: str = param("tunesmith", "Project name in the trackers.")


class Config(Params):
    """The whole config. ``task``, ``adapter``, ``columns`` and ``request`` are those of the chosen plugins."""

    task: Params = Params()
    columns: Params = Params()
    data: Data = Data()
    model: Model = Model()
    adapter: Params = Params()
    train: Train = Train()
    request: Params = Params()
    track: Track = Track()
    out: str | None = param(None, "Folder of the run; none: runs/<data>-<task>, numbered if taken.")

    @property
    def task_name(self) -> str:
        """Name of the task plugin."""
        return str(dict(self.task)["name"])

    @property
    def adapter_name(self) -> str:
        """Name of the adapter plugin."""
        return str(dict(self.adapter)["name"])


def resolve(
    file: str | Path | None = None,
    flags: Mapping[str, str] | None = None,
    keywords: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Merge all places where a value may be given, later ones winning, and check the result.

    Args:
        file: YAML config.
        flags: dotted names with text, as the command line gives them.
        keywords: dotted names or nested mappings with Python values.
        environment: variables; None reads those of the process.

    Raises:
        UsageError: listing every unknown name and illegal value with the place it came from.
    """
    return build(merge(file, flags, keywords, environment))


def merge(
    file: str | Path | None = None,
    flags: Mapping[str, str] | None = None,
    keywords: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Given]:
    """What is given in any place, by dotted name; later places win. Arguments as for ``resolve``."""
    return {
        **(given.in_file(Path(file)) if file else {}),
        **given.in_variables(os.environ if environment is None else environment),
        **given.in_call(flags or {}, keywords or {}),
    }


def build(merged: Mapping[str, Given]) -> Config:
    """The checked config of what ``merge`` gives.

    Raises:
        UsageError: listing every unknown name and illegal value with the place it came from.
    """
    return _build(class_given(merged), merged)


def from_call(
    source: str | Path | None, *, flags: Mapping[str, str] | None = None, keywords: Mapping[str, Any] | None = None
) -> Config:
    """The config of a call such as ``tunesmith train SOURCE --name value``: the source is a YAML config or training data."""
    return build(merge_call(source, flags=flags, keywords=keywords))


def merge_call(
    source: str | Path | None, *, flags: Mapping[str, str] | None = None, keywords: Mapping[str, Any] | None = None
) -> dict[str, Given]:
    """What such a call gives, by dotted name.

    Raises:
        UsageError: the training data is given twice.
    """
    if source is None:
        return merge(flags=flags, keywords=keywords)
    if str(source).endswith((".yaml", ".yml")):
        return merge(source, flags, keywords)
    named = given.in_call(flags or {}, keywords or {})
    if "data.train" in named:
        hint = f"leave it out, or leave out '{source}'"
        raise UsageError("the training data is given twice", where=named["data.train"].origin, hint=hint)
    return merge(None, flags, {**(keywords or {}), "data.train": str(source)})


def chosen_class(flags: Mapping[str, str]) -> type[Config]:
    """The config class of the plugins that flags name by ``task`` and ``adapter``; the defaults where they do not."""
    return class_given(given.in_call(flags, {}))


@functools.cache
def class_for(task: str, adapter: str) -> type[Config]:
    """The config class whose plugin sections are those of a task and an adapter."""
    chosen = plugins.module("tasks", task)
    sections: dict[str, type[Params]] = {
        "task": _with_name(chosen.Params, "task", task),
        "columns": chosen.Columns,
        "adapter": _with_name(plugins.module("adapters", adapter).Params, "adapter", adapter),
        "request": chosen.Request,
    }
    fields: dict[str, Any] = {name: (section, section()) for name, section in sections.items()}
    return create_model("Config", __base__=Config, **fields)


def to_yaml(config: Config) -> str:
    """The config, completely filled, as the YAML that repeats the run; ``out`` is left open, for a folder of its own."""
    values = {**config.model_dump(mode="json", by_alias=True), "out": None}
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)


def fill(config: Config, **sections: Mapping[str, Any]) -> Config:
    """A checked copy with values that were measured or derived: ``fill(config, train={"micro_tokens": 4096})``."""
    changed = {name: getattr(config, name).but(**values) for name, values in sections.items()}
    return config.model_copy(update=changed)


def _build(group: type[Config], merged: Mapping[str, Given]) -> Config:
    annotations = {leaf.path: leaf.annotation for leaf in params.leaves(group)}
    values: dict[str, Any] = {}
    for path, one in merged.items():
        section, _, name = path.partition(".")
        if name and isinstance(inside := values.setdefault(section, {}), dict):
            inside[name] = _value(one, annotations.get(path, str))
        elif not name and not (one.value is None and _is_section(section)):
            values[section] = _value(one, annotations.get(path, str))
    return params.check(group, values, {path: one.origin for path, one in merged.items()})


def _value(one: Given, annotation: Any) -> Any:
    """Text as its type. Text from YAML or Python, such as ``10m`` or ``none``, stays as it is where any text is legal."""
    is_text = one.text or (isinstance(one.value, str) and str not in kinds.alternatives(annotation))
    return kinds.from_text(one.value, annotation) if is_text else one.value


def _is_section(name: str) -> bool:
    return name in Config.model_fields and params.section_class(Config.model_fields[name].annotation) is not None


def class_given(merged: Mapping[str, Given]) -> type[Config]:
    """The config class of the plugins that are named among given values; these names decide what else is legal.

    Raises:
        UsageError: there is no such task or adapter.
    """
    chosen: dict[str, str] = {}
    problems = []
    for section, usual in PLUGIN_SECTIONS.items():
        default = usual
        if section == "adapter" and chosen["task"] in plugins.names("tasks"):
            base = merged.get("model.base", Given(None, "")).value
            default = plugins.load("tasks", chosen["task"]).adapter_for(None if base is None else str(base))
        one = merged.get(f"{section}.name", Given(default, ""))
        known = plugins.names(f"{section}s")
        chosen[section] = str(one.value)
        if one.value not in known:
            problems.append(
                Problem(f"unknown {section} '{one.value}'", one.origin, did_you_mean(str(one.value), known))
            )
    if problems:
        raise UsageError("the config cannot be read further", problems=problems)
    return class_for(chosen["task"], chosen["adapter"])


def _with_name(group: type[Params], section: str, name: str) -> type[Params]:
    """A plugin's parameters with its own name first: ``task: {name: ..., loss: ...}``."""
    help = f"Which {section} it is; --{section} for short. It decides which parameters this section has."
    fields: dict[str, Any] = {"name": (Literal[name], param(name, help, plugin=f"{section}s"))}
    first = create_model("Named", __base__=Params, **fields)
    return type(group.__name__, (group, first), {"__module__": group.__module__, "__doc__": group.__doc__})
