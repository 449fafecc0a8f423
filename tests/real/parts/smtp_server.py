"""smtp-server as a child: a second provider for sending, with only STARTTLS and XOAUTH2."""

import json
from pathlib import Path

from .child import Child
from .sink import Mail

HERE = Path(__file__).resolve().parent.parent


class SmtpServer:
    """`host`, `submission` (its port, under `starttls`) and `ca` are for clients.

    It keeps mail as a sink does.
    """

    host = "localhost"

    def __init__(self, directory: Path, authority, introspection_url):
        directory.mkdir()
        self.ca = authority.ca
        program = HERE / "smtp" / "server.mjs"
        self._child = Child(
            ["node", program, authority.certificate, authority.key, introspection_url, directory]
        )
        self._taken = 0
        self.submission = {"starttls": int(self._child.first_line())}

    def next(self):
        """Waits for the oldest mail not taken yet, and takes it."""
        # The line after the port is the first mail.
        line = json.loads(self._child.out.line(self._taken + 1))
        self._taken += 1
        return Mail(line["sender"], tuple(line["recipients"]), Path(line["file"]).read_bytes())

    def waiting(self):
        """The number of mails not taken yet."""
        return self._child.out.count() - 1 - self._taken

    def empty(self):
        """Drops all mail."""
        self._taken = self._child.out.count() - 1

    def stop(self):
        self._child.kill()

    def log(self):
        return self._child.err.text()
