"""The process: it listens, loads, is told to stop, lets those inside finish, and ends."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn

from tunesmith import bundle as bundles
from tunesmith import machine, predict
from tunesmith.errors import UsageError
from tunesmith.serving import app, connections
from tunesmith.serving.logs import Logs
from tunesmith.serving.options import Options
from tunesmith.serving.state import Serving
from tunesmith.serving.wanted import Wanted

_LOG = logging.getLogger("tunesmith.serving")
_STEP_S = 0.05
_AFTER_DRAIN_S = 5.0
_LAST_WORDS_S = 0.3
_BACKLOG = 2048


def run(wanted: Sequence[Wanted], options: Options) -> None:
    """Serve bundles until SIGTERM or SIGINT.

    Raises:
        TunesmithError: an option is wrong, or a bundle cannot be opened.
    """
    check(wanted, options)
    place = _listening(options)
    logs = Logs(options)
    logs.start()
    try:
        serving = Serving.of(options)
        serving.logs = logs
        server = _server(serving)
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(_serve(wanted, serving, server, place))
    finally:
        logs.stop()
    if serving.loading:
        os._exit(0)  # told to stop while it loaded: the thread that loads would be waited for


def check(wanted: Sequence[Wanted], options: Options) -> None:
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
    _check_certificate(options)
    if options.bundle_folder is not None and not Path(options.bundle_folder).is_dir():
        raise UsageError("there is no such folder", where=f"--bundle-folder {options.bundle_folder}")
    for one in wanted:
        if not (Path(one.folder) / predict.ENSEMBLE).exists():
            bundles.open_bundle(one.folder)


def _check_certificate(options: Options) -> None:
    for file in filter(None, (options.tls_certificate, options.tls_key)):
        if not Path(file).is_file():
            raise UsageError("there is no such file", where=file)
    if options.tls_certificate is not None and options.tls_key is not None:
        try:
            ssl.create_default_context().load_cert_chain(
                options.tls_certificate, options.tls_key, password=_no_password
            )
        except (ssl.SSLError, OSError) as error:
            where = f"{options.tls_certificate}, {options.tls_key}"
            raise UsageError(f"are no certificate and its key: {error}", where=where) from None


def _no_password() -> str:
    raise ssl.SSLError("the key has a password")


def _listening(options: Options) -> socket.socket:
    """The socket, before anything slow begins.

    Raises:
        UsageError: the address is taken, or none of this machine.
    """
    where = f"{options.host}:{options.port}"
    try:
        family, *_, address = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        hint = "another program listens there; --port 0 takes any that is free" if options.port else None
        raise UsageError(f"the server cannot listen there: {error.strerror}", where=where, hint=hint) from None


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
            http=connections.of(serving),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )


async def _serve(wanted: Sequence[Wanted], serving: Serving, server: _Server, place: socket.socket) -> None:
    stop = asyncio.Event()
    _on_signals(stop, serving)
    listening = asyncio.create_task(server.serve([place]))
    loading = _in_a_thread(lambda: _load(wanted, serving))
    stopping = asyncio.create_task(stop.wait())
    try:
        first: set[asyncio.Future[Any]] = {listening, loading, stopping}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if loading.done() and not stop.is_set():
            loading.result()
            _tell(place, serving)
            await asyncio.wait({listening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            listening.result()
        await _drain(serving)
        await _take_leave(server, place)
    finally:
        server.should_exit = True
        await asyncio.wait({listening})
        stopping.cancel()
        loading.cancel()
        await _in_a_thread(serving.close)


def _in_a_thread(do: Callable[[], None]) -> asyncio.Future[None]:
    """Do something slow; unlike a pool's, the thread is not waited for when the process ends."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        found: BaseException | None = None
        try:
            do()
        except BaseException as error:
            found = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(tell, found)

    threading.Thread(target=run, daemon=True).start()
    return done


def _load(wanted: Sequence[Wanted], serving: Serving) -> None:
    for one in wanted:
        serving.models.load(one.name, one.folder, one.engine)
    machine.settle()
    serving.loading = False


async def _drain(serving: Serving) -> None:
    """Let nobody in, and wait for those inside as long as they may take; then they are ended, each with an error."""
    serving.gate.stopping = True
    _LOG.info("stopping: %d requests go on for up to %g s", serving.gate.inside, serving.options.drain_timeout_s)
    loop = asyncio.get_running_loop()
    until = loop.time() + serving.options.drain_timeout_s
    while serving.gate.inside and loop.time() < until:
        await asyncio.sleep(_STEP_S)
    if serving.gate.inside:
        _LOG.warning("%d requests are ended unfinished", serving.gate.inside)
        closing = _in_a_thread(serving.models.close)
        await asyncio.wait({closing}, timeout=_AFTER_DRAIN_S)
        until = loop.time() + _AFTER_DRAIN_S
        while serving.gate.inside and loop.time() < until:
            await asyncio.sleep(_STEP_S)


async def _take_leave(server: _Server, place: socket.socket) -> None:
    """Take no more connections; whoever has one already, and was just about to ask, is told that the server stops.

    A socket that is closed cuts off who waits at it, so first as good as nobody may wait there any more.
    """
    with suppress(OSError):  # it is closed already
        place.listen(0)
    await asyncio.sleep(_LAST_WORDS_S)
    for one in getattr(server, "servers", ()):
        one.close()
    await asyncio.sleep(_LAST_WORDS_S)


def _on_signals(stop: asyncio.Event, serving: Serving) -> None:
    """The first signal drains, the second ends at once."""

    def told(number: int) -> None:
        if stop.is_set():
            _LOG.warning("stopped at once by a second signal")
            if serving.logs is not None:
                serving.logs.flush()
            os._exit(128 + number)
        stop.set()

    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, told, one)


def _tell(place: socket.socket, serving: Serving) -> None:
    """Where it listens, and what answers: for people on the output, for programs in the log."""
    secure = "https" if serving.options.tls_certificate else "http"
    host = f"[{serving.options.host}]" if ":" in serving.options.host else serving.options.host
    url = f"{secure}://{host}:{place.getsockname()[1]}"
    models = {served.name: f"{served.task} by {served.engine}" for served in serving.models}
    _LOG.info("ready: %s", url, extra={"fields": {"url": url, "models": models}})
    with suppress(OSError, ValueError):  # nobody reads it
        print("\n".join([f"ready: {url}", *(f"  {name}: {what}" for name, what in models.items())]), flush=True)


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
