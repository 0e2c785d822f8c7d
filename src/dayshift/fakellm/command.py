"""The command: flags, the process, and the one line that says where it listens."""

import argparse
import asyncio
import resource
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from dayshift.fakellm.limits import Limits, LimitsError, load_limits
from dayshift.fakellm.pace import Pace, parse_pace
from dayshift.fakellm.provider import Defaults, Provider
from dayshift.fakellm.script import Script, ScriptError, ScriptFile, load_script
from dayshift.fakellm.wire import Connection

BACKLOG = 4096


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. 0 stopped, 1 could not listen, 2 wrong usage."""
    flags = _parser().parse_args(argv)
    try:
        script = load_script(flags.script) if flags.script else Script(ScriptFile())
    except ScriptError as problem:
        return _say(2, f"script: {problem}")
    try:
        limits = load_limits(flags.limits) if flags.limits else Limits()
    except LimitsError as problem:
        return _say(2, f"limits: {problem}")
    defaults = Defaults(
        flags.latency, flags.first_token_latency, flags.tokens_per_second, flags.answer, flags.latency_per_open_call
    )
    _raise_open_files_limit()
    try:
        _run(_serve(Provider(defaults, script, limits, seed=flags.seed), flags.host, flags.port))
    except OSError as problem:
        return _say(
            1, f"cannot listen on {flags.host}:{flags.port}: {problem.strerror}; choose another --port (0 = free)"
        )
    return 0


async def _serve(provider: Provider, host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(lambda: Connection(provider, loop), host, port, backlog=BACKLOG)
    bound_port = server.sockets[0].getsockname()[1]
    shown_host = f"[{host}]" if ":" in host else host
    sys.stdout.write(f"http://{shown_host}:{bound_port}\n")
    sys.stdout.flush()
    await stop.wait()
    server.close()


def _run(serve: Coroutine[Any, Any, None]) -> None:
    """On uvloop where there is one: half the CPU a call."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve)
    else:
        uvloop.run(serve)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{port} is no port; give one between 0 and 65535")
    return port


def _raise_open_files_limit() -> None:
    """Every open call is an open file; take what the machine allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dayshift fakellm",
        description="A provider that can be commanded: OpenAI chat completions and Responses, Anthropic messages. "
        "Prints its URL as the first line; give it to an SDK as base URL (OpenAI: with /v1 behind it).",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_port, default=0, help="0 takes a free one (default)")
    parser.add_argument(
        "--latency",
        type=_pace_flag,
        default=parse_pace(0),
        metavar="SECONDS|lognormal:MEDIAN,SIGMA|uniform:FROM,TO",
        help="from request to answer, before the time that --tokens-per-second adds (default 0)",
    )
    parser.add_argument(
        "--first-token-latency", type=_pace_flag, metavar="LATENCY", help="of streams (default: the whole latency)"
    )
    parser.add_argument("--tokens-per-second", type=_positive_flag, metavar="N", help="(default: no limit)")
    parser.add_argument("--answer", metavar="TEXT", help="answer this (default: a short text made of the prompt)")
    parser.add_argument("--script", type=Path, metavar="FILE", help="rules, as .json or .toml")
    parser.add_argument(
        "--limits", type=Path, metavar="FILE", help="what each key may use, as .json (default: no limits)"
    )
    parser.add_argument(
        "--latency-per-open-call",
        type=_positive_flag,
        metavar="SECONDS",
        help="each open call adds so much (default 0)",
    )
    parser.add_argument("--seed", type=int, help="repeat the same draws of latencies")
    return parser


def _pace_flag(text: str) -> Pace:
    try:
        return parse_pace(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from problem


def _positive_flag(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} must be above 0")
    return value


def _say(status: int, message: str) -> int:
    sys.stderr.write(f"dayshift fakellm: {message}\n")
    return status
