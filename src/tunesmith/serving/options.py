"""What an operator may set of a server, declared once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tunesmith.params import Params, Seconds, param


class Options(Params):
    """How a server listens, what it lets in, and how it batches."""

    host: str = param("127.0.0.1", "Address to listen at; any but this machine's own needs --keys.")
    port: int = param(8000, "Port to listen at; 0: any that is free.", ge=0, le=65535)
    keys: str | None = param(None, "File of API keys, as `tunesmith keys` makes it; none: whoever reaches it may ask.")
    tls_certificate: str | None = param(None, "Certificate (PEM), for HTTPS.", name="tls-certificate")
    tls_key: str | None = param(None, "Its private key (PEM).", name="tls-key")
    cors: tuple[str, ...] = param((), "Origins whose pages may ask from a browser; none: no page may.")
    engine: str | None = param(None, "What computes the answers; none: the fastest that can.", plugin="engines")

    max_rows: int = param(16, "Answers and beams that are written at once.", ge=1, name="max-rows")
    max_batch_tokens: int = param(
        16384, "Padded tokens that are read at once, by models that do not write.", ge=16, name="max-batch-tokens"
    )
    batch_wait_ms: float = param(
        0.0, "How long the first of a batch waits for others; what comes while a batch is computed joins the next anyway.",
        ge=0, le=1000, name="batch-wait-ms",
    )  # fmt: skip
    prefix_bytes: int = param(
        256 << 20, "Most bytes of prompts' beginnings that are remembered; 0: none.", ge=0, name="prefix-bytes"
    )

    max_waiting: int = param(256, "Inputs that may wait; more are answered 503.", ge=0, name="max-waiting")
    max_body_bytes: int = param(1 << 20, "Largest body of a request.", ge=1024, name="max-body-bytes")
    max_inputs: int = param(256, "Most inputs of one request.", ge=1, name="max-inputs")
    max_input_chars: int = param(200_000, "Longest text of a request, in characters.", ge=1, name="max-input-chars")
    max_answer_tokens: int = param(
        32768, "Most tokens that one request may ask for: n times max_tokens, of all its inputs.", ge=1, name="max-answer-tokens"
    )  # fmt: skip
    max_time_s: Seconds = param(600.0, "Longest time of a request; it ends as it stands then.", name="max-time")
    key_requests_per_minute: int | None = param(
        None, "Requests that a key may make in a minute; more are answered 429; none: any number.", ge=1, name="key-requests-per-minute"
    )  # fmt: skip
    key_concurrent: int | None = param(
        None, "Requests of a key at the same time; more are answered 429; none: any number.", ge=1, name="key-concurrent"
    )  # fmt: skip
    drain_timeout_s: Seconds = param(
        30.0, "After SIGTERM: how long requests that were let in may take before they are ended.", name="drain-timeout"
    )

    log_texts: bool = param(False, "Write texts and answers into the log, too.", name="log-texts")
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = param(
        "info", "What is logged: debug, info, warning or error.", name="log-level"
    )
    trace: str | None = param(
        None, "Where traces go: the address of an OpenTelemetry collector (OTLP over HTTP), or console; none: nowhere."
    )
    prediction_log: str | None = param(
        None, "Database that keeps each request with its answers, such as sqlite:///log.db; none: nothing is kept.", name="prediction-log"
    )  # fmt: skip
    log_file: str | None = param(None, "File that the log is written to, beside the error output.", name="log-file")
    bundle_folder: str | None = param(
        None, "Folder below which bundles may be loaded while the server runs; none: nothing is loaded then.", name="bundle-folder"
    )  # fmt: skip
    body_timeout_s: Seconds = param(
        20.0, "How long a request's body may take to arrive; slower ones are answered 408.", name="body-timeout"
    )
    prediction_log_days: float | None = param(
        None, "How long predictions are kept, in days; none: for ever.", gt=0, name="prediction-log-days"
    )
    prediction_log_share: float = param(
        1.0, "Share of the requests that are kept, drawn by chance.", ge=0, le=1, name="prediction-log-share"
    )
