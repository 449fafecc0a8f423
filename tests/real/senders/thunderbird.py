"""Thunderbird without a window: a message is written and sent by the functions behind its menus."""

from pathlib import Path

from clients.thunderbird import start
from letter import ATTACHMENT, RECIPIENTS, TEXT

SCRIPT = (Path(__file__).resolve().parent / "thunderbird.js").read_text()


def check(test):
    program, ca = start(test)

    def thunderbird(call, *arguments):
        return program.run(f"{SCRIPT}\nreturn await {call};", *arguments)

    file = test.work / "scan.bin"
    file.write_bytes(ATTACHMENT)
    thunderbird("outgoing(...args)", ca, test.host, test.port, test.security, test.user, test.password)
    thunderbird("send(...args)", *RECIPIENTS, test.subject, TEXT, str(file))
    test.assertEqual(program.quit(), 0)
    test.assert_arrived_as_written()
