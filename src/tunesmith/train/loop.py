"""The training loop: steps, evaluations, checkpoints, and the best weights at the end.

It is exact: data order, dropout and learning rates follow from the seed and the step alone, so a run that was killed
and resumed has the losses and weights of one that was not. How a step is cut into micro-batches changes its speed and
memory but not its meaning: every row of the step weighs the same.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tunesmith.data import batch
from tunesmith.errors import Interrupted, TrainingError, UsageError, did_you_mean
from tunesmith.metrics import higher_is_better
from tunesmith.params import steps_in
from tunesmith.train import optim, processes, regularise, soup, state, step
from tunesmith.train.job import Course, Job

_MOST_ROLLBACKS = 3


def fit(job: Job, *, resume: bool = False) -> Course:
    """Train to the end, leave the best weights in the network, and say how the run went.

    Raises:
        Interrupted: the user pressed Ctrl-C; a checkpoint was written first.
        TrainingError: the loss stayed not finite, or memory ran out on the smallest micro-batch.
    """
    loop = Loop(job)
    loop.restore() if resume else loop.begin()
    with job.journal.until_interrupted() as stopped:
        while not loop.done():
            loop.step()
            job.watch(loop.share_done, None)
            if loop.evaluation_is_due():
                loop.evaluate()
            stop = loop.anywhere(stopped())
            if stop or loop.checkpoint_is_due():
                loop.save()
            if stop:
                raise Interrupted("stopped by Ctrl-C; the run can go on", hint=f"tunesmith resume {job.folder.parent}")
    return loop.finish()


def has_started(folder: Path) -> bool:
    """Whether a run left a checkpoint to go on from."""
    return bool(state.steps(folder))


class Loop:
    """The state of a running ``fit``, and one method for each thing that happens in it."""

    def __init__(self, job: Job) -> None:
        self.job, self.train = job, job.train
        self.accelerator = job.accelerator
        self.mixout = regularise.mixout(job.network.backbone, job.train.mixout)
        optimizer = optim.build(job.network, job.train, job.adapter.rate_factor)
        self.network, self.optimizer = self.accelerator.prepare(job.network, optimizer)
        self.work = step.Work(
            self.network, job.examples, job.loss, job.divergence, job.train, self.accelerator, job.adapter
        )
        self.average = regularise.Average(job.network, job.train.ema) if job.train.ema else None
        self.course = Course()
        self.micro_tokens = job.train.micro_tokens or 4096
        self.epoch = -1
        self.plan: list[np.ndarray] = []
        self.steps_per_epoch = len(self.batches_of(0))
        asked = math.ceil((job.train.epochs or 1) * self.steps_per_epoch)
        self.total_steps = min(asked, job.train.max_steps or asked)
        job.adapter.plan(self.total_steps)
        self.evaluate_every = steps_in(job.train.evaluate_every, self.steps_per_epoch)
        self.saved_at = time.monotonic()

    # beginning and end

    def begin(self) -> None:
        """Seed everything, judge the weights as they are, and write the checkpoint to fall back on."""
        self.begin_random()
        self.evaluate()
        self.save()

    def begin_random(self) -> None:
        """Seed what the steps draw from; each process draws for itself."""
        torch.manual_seed(self.train.seed + self.accelerator.process_index)

    def restore(self) -> None:
        """Go on from the last checkpoint."""
        found = state.steps(self.job.folder)
        if not found:
            self.job.journal.forget_after(-1)
            return self.begin()
        self._load(found[-1])
        self.job.journal.forget_after(self.course.step)

    def done(self) -> bool:
        """Whether the steps are done, the time is over or the score stopped improving."""
        patience = self.train.early_stopping
        stale = patience is not None and self.course.stale >= patience
        return self.course.step >= self.total_steps or stale or self._is_late()

    def finish(self) -> Course:
        """Evaluate once more if the last steps were not, and put the best weights back."""
        if self.course.step % self.evaluate_every and self.course.step < self.total_steps:
            self.evaluate()
        self.accelerator.wait_for_everyone()
        self._put_weights(state.read(self.job.folder / "best"))
        if self.train.soup:
            self._mix()
        regularise.remove_mixout(self.mixout)
        self.accelerator.unwrap_model(self.network, keep_fp32_wrapper=False)
        return self.course

    @property
    def share_done(self) -> float:
        """Share of the steps that is done, 0 to 1."""
        return self.course.step / self.total_steps

    # one step

    def step(self) -> None:
        """One optimizer step over one batch, retried in smaller pieces if memory runs out."""
        began = time.monotonic()
        indices = self.batch_of(self.course.step)
        random = state.random_state()
        self.job.network.train()
        optim.set_rates(self.optimizer, self._rate())
        while True:
            try:
                loss, norm = step.gradients(self.work, indices, self.micro_tokens, self.course.step)
                break
            except Exception as error:
                step.check_can_shrink(error, self.micro_tokens, self.accelerator)
            self.micro_tokens //= 2
            self.optimizer.zero_grad()
            state.set_random_state(random)
            self.job.journal.note(
                f"out of memory: micro-batches are cut to {self.micro_tokens} tokens, the step stays the same"
            )
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return self._roll_back(
                f"the loss was {loss:g} and the norm of its gradient {norm:g} in step {self.course.step + 1}"
            )
        self.update()
        tokens = int(self.job.examples.lengths[indices].sum())
        self.course.step += 1
        self.course.tokens += tokens
        self.course.seconds += time.monotonic() - began
        self._record(loss, norm)

    def update(self) -> None:
        """Move the weights along their gradients."""
        self.optimizer.step()
        self.job.adapter.after_step(self.course.step + 1)
        self.optimizer.zero_grad()
        if self.average:
            self.average.update()

    def batch_of(self, step: int) -> np.ndarray:
        """The sequences of a step."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self.epoch:
            self.epoch, self.plan = epoch, self.batches_of(epoch)
        found: np.ndarray = self.plan[position % len(self.plan)]
        return found

    def batches_of(self, epoch: int) -> list[np.ndarray]:
        """The batches of an epoch; they depend on the seed and the epoch alone."""
        batches = batch.Batches(
            self.job.examples.lengths, self.train.batch_size, self.train.batch_tokens, seed=self.train.seed
        )
        return batches.epoch(epoch, self.job.visits(epoch))

    def _rate(self) -> float:
        """Share of the peak learning rate; a run that must end in time anneals by the clock."""
        done = max((self.course.step + 1) / (self.total_steps + 1), self._time_used())
        return optim.factor(done, self.train) * self.course.rate

    def _record(self, loss: float, norm: float) -> None:
        rates = [group["lr"] for group in self.optimizer.param_groups]
        values = {"loss": loss, "learning_rate": max(rates), "gradient_norm": norm}
        epoch = self.course.step / self.steps_per_epoch
        self.job.journal.step(
            self.course.step, self.total_steps, epoch, values, self.course.tokens, self.course.seconds
        )

    # what all processes must decide alike

    def anywhere(self, here: bool) -> bool:
        """Whether something holds in any process."""
        return bool(processes.largest(self.accelerator, here))

    def _is_late(self) -> bool:
        return self.train.max_time is not None and self.anywhere(self.job.budget.is_over)

    def _time_used(self) -> float:
        limited = self.train.max_time is not None
        return processes.largest(self.accelerator, self.job.budget.share_used) if limited else 0.0

    # evaluation

    def evaluation_is_due(self) -> bool:
        """Every ``evaluate_every``, and after the last step."""
        return self.course.step % self.evaluate_every == 0 or self.course.step == self.total_steps

    def evaluate(self) -> None:
        """Score the validation rows, remember the best weights, and lower the rate on a plateau."""
        random = state.random_state()
        began = time.monotonic()
        try:
            scores, averaged = self._scores()
        except FloatingPointError as error:
            return self._roll_back(f"{error} after step {self.course.step}")
        self.job.budget.evaluated(time.monotonic() - began)
        score, before = self._score(scores), self.course.best_score
        better = before is None or score > before + self.train.early_stopping_delta
        with self.average.swapped() if self.average and averaged else regularise.nothing():
            if better or score == before == 0:  # as long as nothing is right, what has learned more
                self.course.best_score, self.course.best_step, self.course.scores = score, self.course.step, scores
                self.keep_best()
            self._keep_for_soup(score)
        if better:
            self.course.stale = 0
        else:
            self.course.stale += 1
            if self.train.schedule == "plateau" and self.course.stale % self.train.patience == 0:
                self.course.rate /= 2
        state.set_random_state(random)
        self.job.journal.evaluation(
            self.course.step,
            self.course.step / self.steps_per_epoch,
            scores,
            self.job.metric,
            better,
            self.course.seconds,
            averaged=averaged,
        )
        self.job.watch(self.share_done, scores)

    def _scores(self) -> tuple[dict[str, float], bool]:
        """Scores of the weights or of their average, whichever are better, and whether they are the average's."""
        scores = self.job.evaluate()
        self._check_metric(scores)
        if not self.average or not self.course.step:
            return scores, False
        with self.average.swapped():
            averaged = self.job.evaluate()
        return (averaged, True) if self._score(averaged) > self._score(scores) else (scores, False)

    def _score(self, scores: dict[str, float]) -> float:
        """The score that chooses; more is better."""
        return scores[self.job.metric] * (1 if higher_is_better(self.job.metric) else -1)

    def _keep_for_soup(self, score: float) -> None:
        if self.train.soup and self.accelerator.is_main_process:
            self.course.kept = soup.keep(
                self.job.folder, self.course.kept, self.course.step, score, self.train.soup, self._weights()
            )

    def _mix(self) -> None:
        """Put the mean of some of the best weights in the place of the best, where it scores better."""

        def judge(weights: soup.Weights) -> dict[str, float]:
            self._put_weights(weights)
            return self.job.evaluate()

        course, metric = self.course, self.job.metric
        found, steps = soup.of_run(self.job.folder, course.best_step, course.kept, judge, self._score, course.scores)
        self._put_weights(found.weights)
        among = f"the {len(steps)} best weights"
        if len(found.members) == 1:
            return self.job.journal.note(f"no mean of {among} scores better than the best of them, which is kept")
        told = ", ".join(str(steps[member]) for member in found.members)
        change = f"{metric} {found.scores[metric]:.4f} after {course.scores[metric]:.4f}"
        course.scores, course.best_score = found.scores, self._score(found.scores)
        self.job.journal.note(f"of {among}, the mean of those of steps {told} is kept: validation {change}")

    def _check_metric(self, scores: dict[str, float]) -> None:
        if self.job.metric not in scores:
            hint = did_you_mean(self.job.metric, list(scores))
            raise UsageError(f"no metric '{self.job.metric}' of these labels", where="train.metric", hint=hint)

    # checkpoints

    def checkpoint_is_due(self) -> bool:
        """By the clock; when a checkpoint is written changes no result."""
        return self.anywhere(time.monotonic() - self.saved_at >= self.train.checkpoint_every)

    def save(self) -> None:
        """Write a checkpoint of everything that the next step depends on; weights that are not finite are none."""
        if not all(bool(weight.isfinite().all()) for weight in self._weights().values()):
            return self._roll_back(f"weights were not finite after step {self.course.step}")
        random = processes.of_all(self.accelerator, state.random_state())
        if self.accelerator.is_main_process:
            value = {
                "course": asdict(self.course),
                "weights": self._weights(),
                "optimizer": self.optimizer.state_dict(),
                "average": self.average.weights if self.average else {},
                "adapter": self.job.adapter.state(),
                "random": random,
                "micro_tokens": self.micro_tokens,
            }
            state.save(value, self.job.folder, self.course.step)
        self.accelerator.wait_for_everyone()
        self.saved_at = time.monotonic()

    def _load(self, folder: Path) -> None:
        value = state.read(folder)
        self.course = Course(**value["course"])
        self.course.kept = soup.there(self.job.folder, self.course.kept)
        self._put_weights(value["weights"])
        self.optimizer.load_state_dict(value["optimizer"])
        if self.average:
            self.average.weights = value["average"]
        self.job.adapter.set_state(value.get("adapter", {}))
        state.set_random_state(value["random"][self.accelerator.process_index % len(value["random"])])
        self.micro_tokens = value["micro_tokens"]

    def _roll_back(self, why: str) -> None:
        """Return to the last checkpoint with half the learning rate; the best weights stay the best."""
        before, found = self.course, state.steps(self.job.folder)
        self.optimizer.zero_grad()
        if before.rollbacks == _MOST_ROLLBACKS or not found:
            hint = "lower train.learning_rate, set train.precision fp32, or look at the rows of that step"
            often = f", after {before.rollbacks} returns to an earlier step" if before.rollbacks else ""
            raise TrainingError(f"{why}{often}", hint=hint)
        self._load(found[-1])
        self.course = replace(
            self.course,
            rollbacks=before.rollbacks + 1,
            rate=before.rate / 2,
            best_score=before.best_score,
            best_step=before.best_step,
            kept=before.kept,
            scores=before.scores,
        )
        self.job.journal.forget_after(self.course.step)
        self.job.journal.note(f"{why}: back to step {self.course.step} with half the learning rate")
        self.save()

    def keep_best(self) -> None:
        """Write the weights as they are as the best."""
        if self.accelerator.is_main_process:
            state.replace(self.job.folder / "best", self._weights())

    def _weights(self) -> dict[str, Tensor]:
        return {name: weight.detach() for name, weight in self.job.network.named_parameters() if weight.requires_grad}

    def _put_weights(self, weights: soup.Weights) -> None:
        with torch.no_grad():
            for name, weight in self.job.network.named_parameters():
                if weight.requires_grad:
                    weight.copy_(weights[name])
