"""A stub of OSRM on 127.0.0.1, in a process of its own, whose behaviour can be changed."""

from __future__ import annotations

import asyncio
import multiprocessing
import socket

BODY = b'{"code":"Ok","distances":[[1234.5]],"sources":[{"distance":1}],"destinations":[{"distance":1}]}'
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
SLOW = 2.0


class Stub:
    """The behaviours are healthy, dead (refuses connections), hangs (never responds), and slow."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.requests = multiprocessing.Value("q", 0)
        self.process = None

    def behave(self, behaviour: str):
        if self.process:
            self.process.kill()
            self.process.join()
            self.process = None
        if behaviour != "dead":
            ready = multiprocessing.Event()
            arguments = (self.port, behaviour, self.requests, ready)
            self.process = multiprocessing.Process(target=_run, args=arguments, daemon=True)
            self.process.start()
            ready.wait()


def _run(port: int, behaviour: str, requests, ready):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                with requests.get_lock():
                    requests.value += 1
                if behaviour == "hangs":
                    # Until the client closes the connection.
                    await reader.read()
                if behaviour == "slow":
                    await asyncio.sleep(SLOW)
                writer.write(RESPONSE)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def listen():
        server = await asyncio.start_server(serve, "127.0.0.1", port, reuse_address=True, backlog=1024)
        ready.set()
        await server.serve_forever()

    asyncio.run(listen())
