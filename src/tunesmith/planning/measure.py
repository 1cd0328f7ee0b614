"""Parts of a run, for real but not to their end: each as the run does it, over a few of the rows, and timed.

``Trial`` has a method for each stretch of a run, in the order in which a run goes through them (``train/run.py``).
"""

from __future__ import annotations

import functools
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from tunesmith import config as configs
from tunesmith import machine, plugins
from tunesmith.config import Config
from tunesmith.data import batch
from tunesmith.data.prepare import prepare
from tunesmith.heads import StepLoss
from tunesmith.planning import footprint, pace
from tunesmith.planning.ending import Few, ending
from tunesmith.planning.footprint import Footprint
from tunesmith.planning.model import Disk, Memory, Part, Size, Span
from tunesmith.train import learner, optim, run, step, track, warm
from tunesmith.train.journal import Journal
from tunesmith.train.learner import Learner
from tunesmith.train.loop import Loop

STEPS, EVALUATIONS = "training steps", "evaluations"
HEAD = ("features for the head", "head fitted to them")
_SAMPLED_BATCHES = 16
_STEPS_S, _EVALUATION_S, _FEATURES_S = 12.0, 4.0, 4.0
_FEW_ROWS = 256
_WHOLE, _SCALED = 0.1, 0.2
"""How far what was done whole, and what was done in part, may be off."""


@dataclass(frozen=True)
class Measured:
    """What a trial found.

    Args:
        asked_precision: number format that the config asks for.
        learned: what would train, its config with everything filled in that was left open.
        parts: stretches of a run.
        size: how much there is to do.
        memory: bytes in memory.
        disk: bytes on disk.
        costs: of the network.
        optimizer_share: bytes of the optimizer's state for each weight that trains.
        largest_step: tokens of the largest step.
        training_tokens: padded tokens of all training passes.
        forward_tokens: padded tokens of all passes without gradient.
        writing_steps: steps in which the report's answers are written.
        tokens_per_s: training speed, padding not counted.
    """

    asked_precision: str
    learned: Learner
    parts: tuple[Part, ...]
    size: Size
    memory: Memory
    disk: Disk
    costs: Footprint
    optimizer_share: float
    largest_step: int
    training_tokens: float
    forward_tokens: float
    writing_steps: float
    tokens_per_s: float


def measure(config: Config, folder: Path) -> Measured:
    """Try what a run of this config does.

    Args:
        config: of the run.
        folder: for everything that is written.

    Raises:
        TunesmithError: whatever the run would stop at, before its first step or in it.
    """
    machine.forget_peak_memory()
    trial = Trial(config, folder)
    trial.frozen_layers()
    trial.head()
    trial.micro_batch()
    trial.steps()
    trial.evaluations()
    trial.checkpoints()
    trial.folds()
    trial.end()
    return trial.measured()


class Trial:
    """A run that is tried; ``parts`` grows from method to method."""

    def __init__(self, config: Config, folder: Path) -> None:
        config, self.asked_precision = configs.fill(config, track={"to": ()}), config.train.precision
        self.folder, self.rows_folder, self.parts = folder, folder / run.WORK / "process-0", list[Part]()
        accelerator, journal = track.start(config, folder), Journal(folder / "log.jsonl", quiet=True)
        task = plugins.load("tasks", config.task_name)(config.task)
        splits, seconds = pace.timed(lambda: prepare(config, task, self.rows_folder / "data"))
        splits.stop_on_errors()
        self._add("data read, divided and checked", Span.of(seconds, _WHOLE))
        learned, seconds = pace.timed(lambda: learner.assemble(config, splits, self.rows_folder, journal))
        self._add("base model loaded, rows tokenised", Span.of(seconds, _WHOLE))
        journal.note("the plan of a run")
        self.learned, self.lengths = learned, learned.training.lengths
        self.loop: Loop | None = Loop(run.job_of(learned, folder, journal, accelerator, time.monotonic()))
        self.total_steps, self.batches = self.loop.total_steps, self.loop.batches_of(0)
        within = math.ceil(self.total_steps / self.loop.evaluate_every)
        self.evaluation_count = (
            1 + within * (2 if config.train.ema else 1) + min(config.train.soup or 1, 1 + within) - 1
        )
        self.forward_tokens = 0.0
        by_size = sorted(self.batches, key=lambda rows: int(self.lengths[rows].sum()))
        self.sampled = [by_size[place] for place in pace.spread(len(by_size), _SAMPLED_BATCHES)]
        self.largest = max(by_size, key=self._padded)
        longest = np.argsort(-self.lengths, kind="stable")[: config.train.batch_size]
        self.tried = np.unique(np.concatenate([*self.sampled, self.largest, longest]))

    def frozen_layers(self) -> None:
        """States of frozen layers are computed for the rows that are tried."""
        network, runs_on, training = self.learned.network, self.learned.machine, self.learned.training
        if network.depth:
            where = self.rows_folder / "train" / "hidden.bin"
            _, seconds = pace.timed(lambda: warm.keep_states(network, training, where, runs_on, self.tried))
            tokens = float(self.lengths.sum() + self.learned.validation.lengths.sum())
            each = seconds / float(self.lengths[self.tried].sum())
            self._add("states of the frozen layers", Span.of(each * tokens, _SCALED), moves=True)
            self.forward_tokens += tokens

    def head(self) -> None:
        """The head is fitted to as many rows as in the run, though some of them come more than once."""
        learned, train = self.learned, self.learned.config.train
        if not learned.starts_head:
            return
        rows = min(len(self.lengths), train.warm_start_rows)
        chosen, found, paced = self._features(rows)
        features, targets = warm.samples(found, learned.training, chosen, train.seed)
        count = min(round(len(features) * rows / len(chosen)), max(len(features), warm.MOST_TOKENS))
        again = torch.from_numpy(np.resize(np.arange(len(features)), count))
        _, fitting = pace.timed(
            lambda: warm.fit_head(learned.network, features[again], targets[again], learned.loss, learned.machine)
        )
        tokens = self._forward(self.lengths[np.random.default_rng(train.seed).permutation(len(self.lengths))[:rows]])
        self._add(HEAD[0], paced.over(tokens, _SCALED), moves=True)
        self._add(HEAD[1], Span.of(fitting, 2 * _SCALED))
        self.forward_tokens += tokens

    def micro_batch(self) -> None:
        """The pass that goes fastest is found by trying, as in the run."""
        learned, train = self.learned, self.learned.config.train
        if train.micro_tokens is None:
            given = learned.network, learned.training, learned.loss, train.batch_size, learned.machine
            tokens, seconds = pace.timed(lambda: warm.measure_micro_tokens(*given))
            self.learned = replace(learned, config=configs.fill(learned.config, train={"micro_tokens": tokens}))
            self._add("choice of the micro-batch", Span.of(seconds, _WHOLE), moves=True)

    def steps(self) -> None:
        """Passes forward and backward, over batches of all sizes, and updates of the weights at a rate of 0."""
        assert self.loop is not None
        self.loop.job.network.train()
        optim.set_rates(self.loop.optimizer, 0.0)
        self._pass(self._pieces(self.largest)[0])  # the first is slow, and the largest tells the memory
        self.loop.update()
        pieces = [piece for rows in self.sampled for piece in self._pieces(rows)]
        ordered = [pieces[place] for place in pace.spread(len(pieces), len(pieces))]
        found = pace.some(ordered, self._pass, self._padded, _STEPS_S)
        updating = min(pace.timed(self.loop.update)[1], self._update_again())
        passes = [self._padded(piece) for rows in self.batches for piece in self._pieces(rows)]
        self.training_tokens = sum(passes) * self.total_steps / len(self.batches)
        seconds = [found.over(self.training_tokens), Span.of(self.total_steps * updating, _SCALED)]
        self._add(STEPS, Span.sum(seconds), moves=True)
        self.optimizer_bytes = footprint.state_bytes(self.loop.optimizer)
        self.largest_pass = int(max(passes))

    def evaluations(self) -> None:
        """The largest batch of the validation rows, and what is made of the outputs of a few."""
        learned, small = self.learned, self._small()
        rows, examples = small.splits.tables["validation"], small.validation
        outputs, seconds = pace.timed(lambda: small.engine.sequences(examples))
        forward, padded = (
            pace.Pace(seconds / self._forward(examples.lengths), 0.0),
            self._forward(learned.validation.lengths),
        )

        def score() -> dict[str, float]:
            return learned.task.validation_scores(outputs, rows, examples, learned.target, learned.request)

        score()  # the first imports what computes scores
        scoring = pace.timed(score)[1] * learned.validation.row_count / len(rows)
        once = Span.sum([forward.over(padded, _SCALED), Span.of(scoring, _SCALED)])
        self._add(EVALUATIONS, once * self.evaluation_count, moves=True)
        ratio = len(learned.splits.tables[self.split]) / len(learned.splits.tables["validation"])
        many = np.resize(learned.validation.lengths, max(1, round(len(learned.validation.lengths) * ratio)))
        self.few = Few(small, learned.splits.tables, forward, seconds, padded, self._forward(many))
        self.forward_tokens += padded * (self.evaluation_count + 1) + self.few.reported_padded

    def checkpoints(self) -> None:
        """Everything is written as the run writes it: by the clock, and the best weights after each evaluation."""
        assert self.loop is not None
        _, saving = pace.timed(self.loop.save)
        _, keeping = pace.timed(self.loop.keep_best)
        spent = sum(part.seconds.expected for part in self.parts if part.name in (STEPS, EVALUATIONS))
        times = 1 + spent // self.learned.config.train.checkpoint_every
        least = saving * times + keeping
        most = saving * (times + 1) + keeping * self.evaluation_count
        self._add("checkpoints", Span((least + most) / 2, least, most))

    def folds(self) -> None:
        """Each fold is a training of its own, on the rows of the others."""
        count = self.learned.config.train.folds
        if count is not None:
            again = (STEPS, EVALUATIONS, *HEAD)
            once = [part.seconds for part in self.parts if part.name in again]
            self._add("cross-validation", Span.sum(once) * (count - 1), moves=True)

    def end(self) -> None:
        """The best weights are put back, and saved, scored and reported."""
        assert self.loop is not None
        work = self.folder / run.WORK
        self.working_bytes = _bytes(work) + 2 * _bytes(*work.glob("step-*")) + _bytes(work / "best")
        self.loop.finish()
        self.loop = None  # what it holds is free in a run, too
        self.ended = ending(self.few, self.folder)
        self.parts += self.ended.parts

    def measured(self) -> Measured:
        """What was found. The peak comes first: counting what the network costs takes memory that no run takes."""
        learned, peak = self.learned, machine.peak_memory_bytes()
        costs = footprint.of(learned.network, learned.training, self.tried, learned.machine)
        gradients = 4 * costs.trainable
        finished = _bytes(self.folder) - _bytes(self.folder / run.WORK)
        seconds = next(part.seconds.expected for part in self.parts if part.name == STEPS)
        train, precision = learned.config.train, learned.machine.precision
        kept = costs.checkpointed if train.gradient_checkpointing else costs.activations
        return Measured(
            asked_precision=self.asked_precision,
            learned=learned,
            parts=tuple(self.parts),
            size=self._size(costs),
            memory=Memory(
                peak=peak,
                weights=4 * costs.parameters,
                gradients=gradients,
                optimizer=self.optimizer_bytes + (gradients if train.ema else 0),
                activations=kept(self.largest_pass, precision),
            ),
            disk=Disk(
                self.working_bytes + finished, finished, machine.free_disk_bytes(Path(learned.config.out or "runs"))
            ),
            costs=costs,
            optimizer_share=self.optimizer_bytes / max(1, costs.trainable),
            largest_step=max(int(self.lengths[rows].sum()) for rows in self.batches),
            training_tokens=self.training_tokens,
            forward_tokens=self.forward_tokens,
            writing_steps=self.ended.writing_steps,
            tokens_per_s=float(self.lengths.sum()) * self.total_steps / len(self.batches) / seconds,
        )

    @property
    def split(self) -> str:
        """The rows that the report is about."""
        return "test" if "test" in self.learned.splits.tables else "validation"

    def _add(self, name: str, seconds: Span, *, moves: bool = False) -> None:
        self.parts.append(Part(name, seconds, moves))

    def _features(self, rows: int) -> tuple[np.ndarray, list[torch.Tensor], pace.Pace]:
        """Sequences of those that the head is fitted to, what it sees of them, and seconds for each padded token."""
        learned = self.learned
        pool = self.tried if learned.network.depth else np.arange(len(self.lengths))
        order = np.random.default_rng(learned.config.train.seed).permutation(pool)[:rows]
        found: list[torch.Tensor] = []
        tokens, seconds, size = 0.0, 0.0, 64
        while seconds < _FEATURES_S and len(found) < len(order):
            piece = order[len(found) : len(found) + size]
            read = functools.partial(warm.features, learned.network, learned.training, piece, learned.machine)
            more, took = pace.timed(read)
            found, seconds, tokens = [*found, *more], seconds + took, tokens + self._forward(self.lengths[piece])
            size = max(64, int(len(found) * min(4.0, (_FEATURES_S - seconds) / seconds)))
        return order[: len(found)], found, pace.Pace.of([tokens], [seconds])

    def _pieces(self, rows: np.ndarray) -> list[np.ndarray]:
        """The passes of a batch; a loss that compares all its rows needs them together."""
        if isinstance(self.learned.loss, StepLoss):
            return [rows]
        return batch.micro_batches(self.lengths[rows], rows, self.learned.config.train.micro_tokens)

    def _pass(self, piece: np.ndarray) -> None:
        assert self.loop is not None
        step.gradients(self.loop.work, piece, self.learned.config.train.micro_tokens or 0, 0)

    def _update_again(self) -> float:
        assert self.loop is not None
        self._pass(self._pieces(self.sampled[0])[0])
        return pace.timed(self.loop.update)[1]

    def _padded(self, piece: np.ndarray) -> float:
        return float(self.lengths[piece].max()) * len(piece)

    def _forward(self, lengths: np.ndarray) -> float:
        """Padded tokens of a pass over all sequences of these lengths."""
        plan = batch.SortedBatches.of(lengths, micro_tokens=self.learned.engine.batch_tokens)
        return float(sum(int(lengths[rows].max()) * len(rows) for rows in plan.batches))

    def _small(self) -> Learner:
        """The learner with few validation rows: as many as can be read in some seconds; their largest batch is read first."""
        learned, lengths = self.learned, self.learned.validation.lengths
        network, runs_on, engine = learned.network, learned.machine, learned.engine
        first = batch.SortedBatches.of(lengths, micro_tokens=engine.batch_tokens).batches[0]
        if network.depth:
            warm.keep_states(
                network, learned.validation, self.rows_folder / "validation" / "hidden.bin", runs_on, first
            )
        _, seconds = pace.timed(lambda: engine.outputs(learned.validation.collate(first)))
        allowed = _EVALUATION_S / seconds * float(lengths[first].sum() / lengths.mean())
        table = learned.splits.tables["validation"]
        count = int(min(len(table), _FEW_ROWS, max(16, allowed)))
        rows, where = table.take(np.linspace(0, len(table) - 1, count).astype(int)), self.rows_folder / "few"
        examples = learned.task.encode(rows, learned.tokenizer, learned.config.model, where, learned.target)
        if network.depth:
            warm.keep_states(network, examples, where / "hidden.bin", runs_on)
        tables = {**learned.splits.tables, "validation": rows}
        return replace(learned, validation=examples, splits=replace(learned.splits, tables=tables))

    def _size(self, costs: Footprint) -> Size:
        learned = self.learned
        assert learned.config.train.micro_tokens is not None
        return Size(
            rows={name: len(table) for name, table in learned.splits.tables.items()},
            tokens={"train": int(self.lengths.sum()), "validation": int(learned.validation.lengths.sum())},
            steps=self.total_steps,
            epochs=self.total_steps / len(self.batches),
            evaluations=self.evaluation_count,
            micro_tokens=learned.config.train.micro_tokens,
            parameters=costs.parameters,
            trainable=costs.trainable,
            flops=costs.training * self.training_tokens,
        )


def _bytes(*folders: Path) -> int:
    return sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())
