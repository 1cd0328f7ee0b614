"""The process: it listens, loads, is told to stop, lets those inside finish, and ends."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from tunesmith import bundle as bundles
from tunesmith import predict
from tunesmith.errors import EngineError, UsageError
from tunesmith.serving import app
from tunesmith.serving.options import Options
from tunesmith.serving.state import Serving

_STEP_S = 0.05
_AFTER_DRAIN_S = 2.0


def run(folders: Mapping[str, str], options: Options) -> None:
    """Serve bundles by their names until SIGTERM or SIGINT.

    Raises:
        TunesmithError: an option is wrong, or a bundle cannot be opened.
    """
    check(folders, options)
    serving = Serving.of(options)
    server = _server(serving)
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(_serve(folders, serving, server))


def check(folders: Mapping[str, str], options: Options) -> None:
    """Refuse what cannot be served before anything listens.

    Raises:
        TunesmithError: says what.
    """
    if not _is_local(options.host) and options.keys is None:
        hint = "make keys (tunesmith keys add keys.json NAME) and give --keys keys.json, or leave --host out"
        raise UsageError(
            f"{options.host} is reached from elsewhere, and no keys are asked for", where="--host", hint=hint
        )
    if (options.tls_certificate is None) != (options.tls_key is None):
        raise UsageError("HTTPS needs a certificate and its key", where="--tls-certificate", hint="give both")
    for file in filter(None, (options.tls_certificate, options.tls_key)):
        if not Path(file).is_file():
            raise UsageError("there is no such file", where=file)
    for folder in folders.values():
        if not (Path(folder) / predict.ENSEMBLE).exists():
            bundles.open_bundle(folder)


class _Server(uvicorn.Server):
    """A server whose signals are handled here."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server(serving: Serving) -> _Server:
    options = serving.options
    return _Server(
        uvicorn.Config(
            app.build(serving),
            host=options.host,
            port=options.port,
            ssl_certfile=options.tls_certificate,
            ssl_keyfile=options.tls_key,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )


async def _serve(folders: Mapping[str, str], serving: Serving, server: _Server) -> None:
    stop = asyncio.Event()
    _on_signals(stop, server)
    listening = asyncio.create_task(_listen(server))
    loading = asyncio.create_task(asyncio.to_thread(_load, folders, serving))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({listening, loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if loading.done() and not stop.is_set():
            loading.result()
            await asyncio.wait({listening}, timeout=_STEP_S)
            if not listening.done():
                _tell(server, serving)
                await asyncio.wait({listening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            listening.result()
        await _drain(serving)
    finally:
        server.should_exit = True
        await asyncio.wait({listening})
        stopping.cancel()
        serving.close()


async def _listen(server: _Server) -> None:
    """Listen until told to stop; a port that is taken is a user's mistake."""
    try:
        await server.serve()
    except SystemExit:
        where = f"{server.config.host}:{server.config.port}"
        raise EngineError("the server cannot listen there: is the port taken?", where=where) from None


def _load(folders: Mapping[str, str], serving: Serving) -> None:
    for name, folder in folders.items():
        serving.models.load(name, folder)
    serving.loading = False


async def _drain(serving: Serving) -> None:
    """Let nobody in, and wait for those inside as long as they may take; then they are ended, each with an error."""
    serving.gate.stopping = True
    loop = asyncio.get_running_loop()
    until = loop.time() + serving.options.drain_timeout_s
    while serving.gate.inside and loop.time() < until:
        await asyncio.sleep(_STEP_S)
    if serving.gate.inside:
        print(f"{serving.gate.inside} requests are ended unfinished", file=sys.stderr, flush=True)
        await asyncio.to_thread(serving.models.close)
        until = loop.time() + _AFTER_DRAIN_S
        while serving.gate.inside and loop.time() < until:
            await asyncio.sleep(_STEP_S)


def _on_signals(stop: asyncio.Event, server: _Server) -> None:
    """The first signal drains, the second ends at once."""

    def told() -> None:
        if stop.is_set():
            server.force_exit = server.should_exit = True
            raise SystemExit(130)
        stop.set()

    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, told)


def _tell(server: _Server, serving: Serving) -> None:
    """Where it listens, and what answers."""
    port = server.servers[0].sockets[0].getsockname()[1]
    secure = "https" if serving.options.tls_certificate else "http"
    print(f"ready: {secure}://{serving.options.host}:{port}", file=sys.stderr, flush=True)
    for served in serving.models:
        print(f"  {served.name}: {served.task} by {served.engine}", file=sys.stderr, flush=True)


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
