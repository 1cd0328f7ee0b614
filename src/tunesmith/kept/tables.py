"""The tables of a log of predictions, as SQLAlchemy Core has them; any database that it reaches will do."""

from __future__ import annotations

import sqlalchemy as sa

VERSION = 1
"""Of the tables; a log of a later one is refused."""

METADATA = sa.MetaData()

MADE = sa.Table("kept_log", METADATA, sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))

ORIGINS = sa.Table(
    "bundles",
    METADATA,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("first_at", sa.Float, nullable=False),
    sa.Column("told", sa.Text, nullable=False),
)
"""The bundles that answered: what is needed of them to read their answers."""

PREDICTIONS = sa.Table(
    "predictions",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("request", sa.String(128), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("day", sa.Integer, nullable=False),
    sa.Column("key_name", sa.Text, nullable=False),
    sa.Column("user_name", sa.Text),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("bundle", sa.String(16), nullable=False),
    sa.Column("engine", sa.Text, nullable=False),
    sa.Column("task", sa.Text, nullable=False),
    sa.Column("parameters", sa.Text, nullable=False),
    sa.Column("input", sa.Text, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("label", sa.Text),
    sa.Column("score", sa.Float),
    sa.Column("tokens_read", sa.Integer, nullable=False),
    sa.Column("tokens_written", sa.Integer, nullable=False),
    sa.Column("latency_s", sa.Float, nullable=False),
    sa.Index("predictions_by_request", "request", "number"),
    sa.Index("predictions_by_bundle", "bundle", "at"),
    sa.Index("predictions_by_time", "at"),
)
"""A row for each input of a request. ``at``: seconds since 1970, ``day``: days since then, both UTC; ``parameters``, ``input``
and ``answer`` are JSON; ``score``: how probable the answer says it is; tokens and latency are the whole request's."""

FEEDBACK = sa.Table(
    "feedback",
    METADATA,
    sa.Column("prediction", sa.ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("truth", sa.Text),
    sa.Column("rating", sa.Float),
    sa.Column("comment", sa.Text),
    sa.Column("key_name", sa.Text, nullable=False),
)
"""What was said of a prediction last. ``truth``: the answer that should have been given, as JSON."""
