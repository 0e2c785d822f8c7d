"""What the tests of this room share: owners in processes of their own, and proofs that nothing is left."""

import contextlib
import fcntl
import json
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import psutil
import redis.asyncio

OWNER = Path(__file__).with_name("owner.py")


@contextlib.contextmanager
def owner(folder, *arguments, before=(), **how):
    """A process that has started engines on the folder; gives its words and its Popen. `before` is put before its command."""
    with subprocess.Popen(
        [*before, sys.executable, OWNER, folder, *arguments], stdout=subprocess.PIPE, **how
    ) as process:
        try:
            yield json.loads(process.stdout.readline()), process
        finally:
            process.kill()


def family(pid):
    """A process and all that descend from it now."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def assert_all_end(processes, within_seconds):
    wait_until(lambda: all(map(has_ended, processes)), within_seconds)


def has_ended(process):
    """Also when nobody has asked for its exit status yet: who inherits orphans may be slow at that."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def assert_no_server_works_on(folder):
    """Guards and servers hold this lock for as long as one of them lives."""
    with (folder / "servers.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def wait_until(condition, within_seconds=10.0):
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)


async def sql(url, statement):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def valkey_pings(url):
    client = redis.asyncio.from_url(url)
    try:
        return await client.ping()
    finally:
        await client.aclose()
