"""A door in front of the real server that a test can close, cut or stop up."""

import asyncio
import contextlib
from urllib.parse import parse_qs, urlsplit


class Proxy:
    """Forwards bytes. `cut` ends what is connected, `refuse`/`accept` close and open the door, `stall` swallows replies."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self.stall = False

    @property
    def url(self) -> str:
        """The target's URL with this door in the place of its address."""
        named = parse_qs(self._target.query).get("db", [""])[0]
        database = named or ("" if self._target.scheme == "unix" else self._target.path.strip("/"))
        login, at, _ = self._target.netloc.rpartition("@")
        return f"redis://{login}{at}127.0.0.1:{self._port}/{database or 0}"

    async def accept(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        assert self._server is not None
        self._server.close()
        await self.cut()

    async def cut(self) -> None:
        for writer in list(self._writers):
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._target.scheme == "unix":
            back_reader, back_writer = await asyncio.open_unix_connection(self._target.path)
        else:
            back_reader, back_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers |= {writer, back_writer}
        await asyncio.gather(self._copy(reader, back_writer), self._copy(back_reader, writer, replies=True))
        self._writers -= {writer, back_writer}

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, replies: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if not (replies and self.stall):
                    writer.write(data)
                    await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
