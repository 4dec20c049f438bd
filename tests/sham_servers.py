"""What may listen at a database's port and is none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Answer whoever connects; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def work() -> None:
            with suppress(OSError):
                while True:
                    line, _ = server.accept()
                    with line:
                        answer(line)

        threading.Thread(target=work, daemon=True).start()
        yield server.getsockname()[1]


def garbage(line: socket.socket) -> None:
    """Answer as a web server does."""
    line.recv(100)
    line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def french(line: socket.socket) -> None:
    """Refuse as a French server does."""
    line.recv(1000)
    fields = b"SFATAL \x00VFATAL\x00C53300\x00Mtrop de connexions\x00\x00"
    line.sendall(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)
