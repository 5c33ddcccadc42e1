"""Stands in for Docker: a service whose processes are no children of those who ask for them.

``serve SOCKET`` is the service. ``run SOCKET NAME WORDS...`` has it start a process, whose output
and end it shows, and passes SIGTERM on; ``rm SOCKET NAME`` ends a process by force.
"""

import json
import os
import signal
import socket
import socketserver
import subprocess
import sys

PROCESSES = {}


class Request(socketserver.BaseRequestHandler):
    """One message of a client: JSON, for a new process with the client's output."""

    def handle(self):
        message, (output,), _, _ = socket.recv_fds(self.request, 1_000_000, 1)
        with os.fdopen(output, "wb") as shown:
            self.request.sendall(json.dumps(self.answer(json.loads(message), shown)).encode())

    def answer(self, asked, shown):
        name = asked["name"]
        if asked["verb"] == "run":
            if name in PROCESSES:
                shown.write(f"The name {name} is already in use\n".encode())
                return 125
            PROCESSES[name] = subprocess.Popen(
                asked["words"], env=asked["environment"], stdin=subprocess.DEVNULL,
                stdout=shown, stderr=shown,
            )  # fmt: skip
            code = PROCESSES[name].wait()
            del PROCESSES[name]
            return code if code >= 0 else 128 - code
        if name not in PROCESSES:
            shown.write(f"No such container: {name}\n".encode())
            return 1
        PROCESSES[name].send_signal(asked["number"])
        return 0


def ask(place, **message):
    """Send one message and wait for its answer, an exit code."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(place)
    socket.send_fds(client, [json.dumps(message).encode()], [1])
    return json.loads(client.recv(100))


def main(verb, place, name="", *words):
    if verb == "serve":
        with socketserver.ThreadingUnixStreamServer(place, Request) as server:
            server.daemon_threads = True
            print("ready", flush=True)
            server.serve_forever()
    if verb == "rm":
        return ask(place, verb="signal", name=name, number=signal.SIGKILL)
    signal.signal(
        signal.SIGTERM,
        lambda number, frame: ask(place, verb="signal", name=name, number=number),
    )
    return ask(place, verb="run", name=name, words=words, environment=dict(os.environ))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
