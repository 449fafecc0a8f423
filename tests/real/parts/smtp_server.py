"""smtp-server as a child: a second provider to send through, with STARTTLS and XOAUTH2 alone."""

import json
from pathlib import Path

from .child import Child
from .sink import Mail

HERE = Path(__file__).resolve().parent.parent


class SmtpServer:
    """`host`, `submission` (its port, under `starttls`) and `ca` are for clients.

    It keeps what arrives as a sink does.
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
        """The oldest mail that nobody took yet, waited for if need be."""
        # The line after the port is the first mail.
        line = json.loads(self._child.out.line(self._taken + 1))
        self._taken += 1
        return Mail(line["sender"], tuple(line["recipients"]), Path(line["file"]).read_bytes())

    def waiting(self):
        """How many mails have come and were not taken."""
        return self._child.out.count() - 1 - self._taken

    def empty(self):
        """Forgets what came."""
        self._taken = self._child.out.count() - 1

    def stop(self):
        self._child.kill()

    def log(self):
        return self._child.err.text()
