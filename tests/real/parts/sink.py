"""The destination of sent mail: an SMTP server that keeps messages byte for byte.

Dovecot's submission service sends to it the messages that it accepted, and adds a
Received field at the top, as every server does. A mail is its envelope and its
content, unchanged except for removed dot-stuffing.
"""

import dataclasses
import queue
import re
import socketserver
import threading

from .child import DEADLINE

# Without CHUNKING Dovecot uses DATA. It offers this server's 8BITMIME and SIZE to clients.
HELLO = ["250-sink.test", "250-PIPELINING", "250-SIZE 1000000000", "250-ENHANCEDSTATUSCODES", "250 8BITMIME"]


@dataclasses.dataclass(frozen=True)
class Mail:
    """`sender` and `recipients` are bare addresses, `content` the bytes between DATA and the final dot."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes

    def received(self):
        """The fields that the servers on the way added, the last server's first."""
        return re.findall(rb"Received:.*\r\n(?:[ \t].*\r\n)*", self._top())

    def as_sent(self):
        """The content without these fields."""
        return self.content[len(self._top()) :]

    def _top(self):
        return re.match(rb"(?:Received:.*\r\n(?:[ \t].*\r\n)*)*", self.content)[0]


class Sink:
    """Listens on a free port of 127.0.0.1, in this process; returns its mail in order of arrival."""

    def __init__(self):
        self._mails = queue.Queue()
        self._server = _Server(("127.0.0.1", 0), _Session)
        self._server.kept = self._mails
        self._server.refusals = queue.Queue()
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def next(self):
        """Waits for the oldest mail not taken yet, and takes it."""
        try:
            return self._mails.get(timeout=DEADLINE)
        except queue.Empty:
            raise AssertionError(f"no mail arrived in {DEADLINE:.0f} s") from None

    def waiting(self):
        """The number of mails not taken yet."""
        return self._mails.qsize()

    def empty(self):
        """Drops all mail."""
        while not self._mails.empty():
            self._mails.get()

    def refuse(self, reply):
        """Answers the next message with this reply, and does not keep it."""
        self._server.refusals.put(reply)

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


class _Session(socketserver.StreamRequestHandler):
    rbufsize = 1 << 20

    def handle(self):
        self._say("220 sink.test ESMTP")
        sender, recipients = None, []
        while line := self.rfile.readline():
            verb, _, rest = line.decode("utf-8").strip().partition(" ")
            match verb.upper():
                case "EHLO":
                    self._say(*HELLO)
                case "HELO" | "NOOP":
                    self._say("250 2.0.0 OK")
                case "RSET":
                    sender, recipients = None, []
                    self._say("250 2.0.0 OK")
                case "MAIL":
                    sender = _address(rest)
                    self._say("250 2.1.0 OK")
                case "RCPT":
                    recipients.append(_address(rest))
                    self._say("250 2.1.5 OK")
                case "DATA":
                    self._say("354 go ahead")
                    content = self._content()
                    if content is None:
                        return
                    self._judge(Mail(sender, tuple(recipients), content))
                    sender, recipients = None, []
                case "QUIT":
                    self._say("221 2.0.0 bye")
                    return
                case _:
                    self._say("502 5.5.1 not known here")

    def _judge(self, mail):
        try:
            self._say(self.server.refusals.get_nowait())
        except queue.Empty:
            self.server.kept.put(mail)
            self._say("250 2.0.0 kept")

    def _content(self):
        """All lines up to the one with a single dot; None if the connection ends before it."""
        lines = []
        begins_a_line = True
        while line := self.rfile.readline():
            if begins_a_line and line == b".\r\n":
                return b"".join(lines)
            if begins_a_line and line.startswith(b"."):
                line = line[1:]
            lines.append(line)
            begins_a_line = line.endswith(b"\r\n")
        return None

    def _say(self, *lines):
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


def _address(path):
    """The address in `FROM:<a@b> SIZE=…`."""
    return path.partition("<")[2].partition(">")[0]
