"""A proxy whose packets can be dropped, without privileges: what a machine without power looks like.

A socket filter that accepts nothing makes the kernel discard each packet before TCP sees it: a
connection is not opened, sent data is not acknowledged, and no end is announced.
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
import threading

from processes import free_port

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
# BPF_RET | BPF_K with 0: accept no byte of the packet.
PROGRAM = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))
FILTER = struct.pack("@HP", 1, ctypes.addressof(PROGRAM))


class Proxy:
    """Forwards the connections to one port of 127.0.0.1 to another one."""

    def __init__(self, target: int):
        self.target, self.port = target, free_port()
        self.is_dropping = False
        self.connections: list[asyncio.StreamWriter] = []
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(asyncio.start_server(self.forward, "127.0.0.1", self.port))
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        try:
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self.connections.append(writer)
        copies = {
            asyncio.create_task(self.copy(reader, target_writer)),
            asyncio.create_task(self.copy(target_reader, writer)),
        }
        _, running = await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        for copy in running:
            copy.cancel()
        target_writer.close()
        # A machine without power announces nothing.
        if not self.is_dropping:
            self.connections.remove(writer)
            writer.close()

    async def copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        try:
            while (data := await reader.read(65536)) and not self.is_dropping:
                writer.write(data)
                await writer.drain()
        except OSError:
            pass

    def drop(self):
        """Drops all packets of all connections, and of those that clients open."""
        self.run(self._drop)

    def restore(self):
        """Resets the connections that were open, as a machine does that has booted, and accepts new ones."""
        self.run(self._restore)

    def close(self):
        self.restore()
        self.loop.call_soon_threadsafe(self.loop.stop)

    def run(self, action):
        async def call():
            action()

        asyncio.run_coroutine_threadsafe(call(), self.loop).result()

    def sockets(self):
        return [*self.server.sockets, *(writer.get_extra_info("socket") for writer in self.connections)]

    def _drop(self):
        self.is_dropping = True
        for each in self.sockets():
            each.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, FILTER)

    def _restore(self):
        if self.is_dropping:
            for each in self.sockets():
                each.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
            for writer in self.connections:
                writer.transport.abort()
            self.connections.clear()
            self.is_dropping = False
