"""The letter that is sent: 8-bit text, lines that begin with dots, and an attachment of a mebibyte."""

import base64
import email
import email.policy
import random

SENDER = "alice@corp.example"
# The second one gets a blind copy, so no header names it.
RECIPIENTS = ("bob@corp.example", "carol@elsewhere.example")

TEXT = "Grüße aus Köln: 25 € für 3 Stück.\n.\n..\n.a dot first\n...three dots first\n\nFrom here it ends.\n"
ATTACHMENT = random.Random(11).randbytes(1 << 20)

HEAD = """\
From: Alice <alice@corp.example>
To: Bob <bob@corp.example>
Subject: {subject}
Date: Mon, 01 Jan 2024 12:00:00 +0000
Message-ID: <{identity}@corp.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=_between_=_parts_="

--=_between_=_parts_=
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

{text}--=_between_=_parts_=
Content-Type: application/octet-stream; name="scan.bin"
Content-Disposition: attachment; filename="scan.bin"
Content-Transfer-Encoding: base64

"""
TAIL = "--=_between_=_parts_=--\n"


def letter(subject="a scan"):
    """The whole message with CRLF line ends, for programs that send a given message."""
    head = HEAD.format(subject=subject, identity=subject.replace(" ", "."), text=TEXT)
    lines = head + base64.encodebytes(ATTACHMENT).decode() + TAIL
    return lines.replace("\n", "\r\n").encode()


def read(content):
    """`(subject, text, attachment)` of a message, for programs that write the message themselves."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    text = message.get_body(("plain",)).get_content()
    [attachment] = message.iter_attachments()
    return message["Subject"], text.replace("\r\n", "\n"), attachment.get_content()
