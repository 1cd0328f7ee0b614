"""A log of predictions in a database: written, read, thinned out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tunesmith.errors import UsageError, did_you_mean
from tunesmith.kept import database
from tunesmith.kept.origin import Origin
from tunesmith.kept.prediction import Feedback, Prediction, Wanted

if TYPE_CHECKING:
    from sqlalchemy import Select

_AT_ONCE = 1_000


class Log:
    """A log.

    Args:
        url: as SQLAlchemy writes it, or the path of an SQLite file.
        make: whether tables are made where there are none.

    Raises:
        UsageError: there is no such log, or its driver is not installed.
        SourceError: the database cannot be reached or refuses.
    """

    def __init__(self, url: str, *, make: bool = False) -> None:
        self.url = database.shown(url)
        self._engine = database.engine(url, make=make)
        self._make = make

    def open(self) -> Log:
        """Look whether the tables are there, and make them where that is wanted.

        Raises:
            UsageError: it is no log, or one of a later version.
            SourceError: the database does not answer.
        """
        from tunesmith.kept import tables

        with database.asked(self.url):
            import sqlalchemy as sa

            there = sa.inspect(self._engine).has_table(tables.MADE.name)
            if not there and not self._make:
                raise UsageError("is no log of predictions", where=self.url, hint="made by: serve --prediction-log")
            if not there:
                tables.METADATA.create_all(self._engine)
            with self._engine.begin() as connection:
                found = connection.execute(sa.select(tables.MADE.c.version)).scalar()
                if found is None:
                    connection.execute(sa.insert(tables.MADE).values(version=tables.VERSION))
                elif found > tables.VERSION:
                    raise UsageError("the log is of a newer version", where=self.url, hint="upgrade tunesmith")
        return self

    def add(self, predictions: Sequence[Prediction], origins: Mapping[str, Origin]) -> None:
        """Write predictions, and the bundles they came from where these are not known yet.

        Raises:
            SourceError: the database does not answer or is full; nothing was written.
            UsageError: it refuses what is to be written.
        """
        import sqlalchemy as sa

        from tunesmith.kept import tables

        with database.asked(self.url), self._engine.begin() as connection:
            known = set(connection.execute(sa.select(tables.ORIGINS.c.id)).scalars())
            new = [
                {"id": name, "first_at": time.time(), "told": _json(one.to_json())}
                for name, one in origins.items()
                if name not in known
            ]
            if new:
                connection.execute(sa.insert(tables.ORIGINS), new)
            if predictions:
                connection.execute(sa.insert(tables.PREDICTIONS), [_written(one) for one in predictions])

    def find(self, request: str, number: int, key_name: str) -> Prediction | None:
        """The latest prediction of a request's input that was asked for by a key."""
        from tunesmith.kept import tables

        p = tables.PREDICTIONS.c
        query = _joined().where(p.request == request, p.number == number, p.key_name == key_name)
        with database.asked(self.url), self._engine.connect() as connection:
            row = connection.execute(query.order_by(p.id.desc()).limit(1)).mappings().first()
        return None if row is None else _read(row)

    def give(self, prediction: int, feedback: Feedback, key_name: str) -> None:
        """Keep what is said of a prediction, instead of what was said before."""
        import sqlalchemy as sa

        from tunesmith.kept import tables

        told = {
            "at": feedback.at,
            "truth": None if feedback.truth is None else _json(feedback.truth),
            "rating": feedback.rating,
            "comment": feedback.comment,
            "key_name": key_name,
        }
        with database.asked(self.url), self._engine.begin() as connection:
            connection.execute(sa.delete(tables.FEEDBACK).where(tables.FEEDBACK.c.prediction == prediction))
            connection.execute(sa.insert(tables.FEEDBACK).values(prediction=prediction, **told))

    def predictions(self, wanted: Wanted) -> Iterator[Prediction]:
        """Predictions with their feedback, the latest first."""
        from tunesmith.kept import tables

        p = tables.PREDICTIONS.c
        query = _filtered(_joined(), wanted).order_by(p.at.desc(), p.id.desc()).limit(wanted.most)
        with database.asked(self.url), self._engine.connect().execution_options(yield_per=_AT_ONCE) as connection:
            for row in connection.execute(query).mappings():
                yield _read(row)

    def days(self, wanted: Wanted) -> list[tuple[int, int, float | None, int]]:
        """Of each day since 1970 that has some, predictions, their mean score, and how many have feedback."""
        import sqlalchemy as sa

        from tunesmith.kept import tables

        p, f = tables.PREDICTIONS.c, tables.FEEDBACK.c
        query = sa.select(p.day, sa.func.count(), sa.func.avg(p.score), sa.func.count(f.prediction))
        query = _filtered(query.select_from(_tables()), wanted).group_by(p.day).order_by(p.day)
        with database.asked(self.url), self._engine.connect() as connection:
            return [
                (int(a), int(b), None if c is None else float(c), int(d)) for a, b, c, d in connection.execute(query)
            ]

    def count(self, wanted: Wanted) -> int:
        """How many there are."""
        return sum(rows for _, rows, _, _ in self.days(wanted))

    def models(self) -> dict[str, dict[str, int]]:
        """The names of the models, each with the ids of the bundles that answered and how many rows of each."""
        import sqlalchemy as sa

        from tunesmith.kept import tables

        p = tables.PREDICTIONS.c
        query = sa.select(p.model, p.bundle, sa.func.count()).group_by(p.model, p.bundle).order_by(sa.func.max(p.at))
        found: dict[str, dict[str, int]] = {}
        with database.asked(self.url), self._engine.connect() as connection:
            for model, bundle, rows in connection.execute(query):
                found.setdefault(model, {})[bundle] = int(rows)
        return found

    def origin(self, bundle: str) -> Origin:
        """The bundle with an id.

        Raises:
            UsageError: the log tells nothing of it.
        """
        import sqlalchemy as sa

        from tunesmith.kept import tables

        with database.asked(self.url), self._engine.connect() as connection:
            told = connection.execute(sa.select(tables.ORIGINS.c.told).where(tables.ORIGINS.c.id == bundle)).scalar()
        if told is None:
            raise UsageError(f"the log does not tell of the bundle {bundle}", where=self.url)
        return Origin.from_json(json.loads(told))

    def forget(self, before: float) -> int:
        """Delete predictions from before a time, with their feedback; return how many."""
        import sqlalchemy as sa

        from tunesmith.kept import tables

        p, f = tables.PREDICTIONS.c, tables.FEEDBACK.c
        old = sa.select(p.id).where(p.at < before)
        with database.asked(self.url), self._engine.begin() as connection:
            connection.execute(sa.delete(tables.FEEDBACK).where(f.prediction.in_(old)))
            return int(connection.execute(sa.delete(tables.PREDICTIONS).where(p.at < before)).rowcount)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()


def pick_model(log: Log, name: str | None) -> tuple[str, str]:
    """The name of a model in a log, and the id of the bundle that answered for it last.

    Raises:
        UsageError: there is none of that name, or several and none is named.
    """
    models = log.models()
    if not models:
        raise UsageError("the log is empty", where=log.url)
    if name is None and len(models) > 1:
        raise UsageError("the log has several models", where="--model", hint=f"one of: {', '.join(sorted(models))}")
    chosen = name or next(iter(models))
    if chosen not in models:
        raise UsageError(f"the log has no model '{chosen}'", where="--model", hint=did_you_mean(chosen, sorted(models)))
    return chosen, list(models[chosen])[-1]


def _tables() -> Any:
    from tunesmith.kept import tables

    return tables.PREDICTIONS.outerjoin(tables.FEEDBACK)


def _joined() -> Select[Any]:
    import sqlalchemy as sa

    from tunesmith.kept import tables

    f = tables.FEEDBACK.c
    said = (f.at.label("said_at"), f.truth, f.rating, f.comment)
    return sa.select(*tables.PREDICTIONS.c, *said).select_from(_tables())


def _filtered(query: Select[Any], wanted: Wanted) -> Select[Any]:
    from tunesmith.kept import tables

    p = tables.PREDICTIONS.c
    asked = [(p.model, wanted.model), (p.bundle, wanted.bundle)]
    query = query.where(*(column == value for column, value in asked if value is not None))
    if wanted.judged:
        query = query.where(tables.FEEDBACK.c.prediction.is_not(None))
    return query if wanted.since is None else query.where(p.at >= wanted.since)


def _written(one: Prediction) -> dict[str, Any]:
    """A row of the table; what is no plain text is JSON."""
    plain = {name: value for name, value in one.__dict__.items() if name not in ("id", "feedback")}
    texts = {name: _json(plain[name]) for name in ("parameters", "input", "answer")}
    return {**plain, **texts, "day": one.day}


def _read(row: Mapping[str, Any]) -> Prediction:
    values = {name: value for name, value in row.items() if name in Prediction.__dataclass_fields__}
    texts = {name: json.loads(values[name]) for name in ("parameters", "input", "answer")}
    said = None
    if row["said_at"] is not None:
        truth = None if row["truth"] is None else json.loads(row["truth"])
        said = Feedback(row["said_at"], truth, row["rating"], row["comment"])
    return Prediction(**{**values, **texts, "feedback": said})


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
