"""Programs that people write in PHP and Node: the scripts here write the message themselves.

They take `HOST PORT SECURITY USER PASSWORD CA`, and read the message from standard input:
`{"from", "to", "bcc", "subject", "text", "attachment"}`, the last in base64.
"""

import base64
import json
from pathlib import Path

from letter import ATTACHMENT, RECIPIENTS, SENDER, TEXT
from parts.child import run

HERE = Path(__file__).resolve().parent


def node(test):
    send(test, ["node", HERE / "nodemailer.mjs"])


def php(test):
    send(test, ["php", HERE / "phpmailer.php"])


def send(test, interpreter):
    to, bcc = RECIPIENTS
    attachment = base64.b64encode(ATTACHMENT).decode()
    wanted = {"from": SENDER, "to": to, "bcc": bcc, "subject": test.subject, "text": TEXT, "attachment": attachment}
    where = [test.host, test.port, test.security, test.user, test.password, test.ca]
    run([*interpreter, *where], stdin=json.dumps(wanted).encode(), env=test.environment())
    test.assert_arrived_as_written()
