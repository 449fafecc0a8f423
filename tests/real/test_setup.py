"""The files that set up mail programs, read by those programs and by real parsers."""

import plistlib
import smtplib
import ssl
import unittest
import xml.etree.ElementTree
from pathlib import Path

from clients import thunderbird
from letter import ATTACHMENT, RECIPIENTS, TEXT, read
from parts.child import DEADLINE
from senders import thunderbird as sender
from world import ALICE, BehindAProxy, message


class Setup(BehindAProxy):
    def sends_through(self):
        return self.dovecot, "tls"

    def setUp(self):
        super().setUp()
        self.password = self.authorize_and_serve()
        # `setup` reads the ports from the configuration, in which the tests let the system choose.
        config = self.proxy.config.read_text()
        for listener in self.proxy.ready["listeners"]:
            config = config.replace('"127.0.0.1:0"', f'"{listener["address"]}"', 1)
        self.proxy.config.write_text(config)

    def environment(self, **extra):
        return {"HOME": str(self.work), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"} | extra

    def file(self, program):
        """The output of `setup` for that program, the same on standard output and in a file."""
        file = self.work / f"for-{program}"
        self.proxy.run("setup", ALICE, "--for", program, "--output", file)
        shown = self.proxy.run("setup", ALICE, "--for", program).stdout
        self.assertEqual(shown.strip(), file.read_bytes().strip())
        return file

    def test_thunderbird_is_set_up_by_the_file_and_reads_and_sends(self):
        file = self.file("thunderbird")
        provider = xml.etree.ElementTree.parse(file).getroot().find("emailProvider")
        self.assertEqual(provider.findtext("domain"), "corp.example")

        self.dovecot.deliver(ALICE, message("first"), "1.test.localhost")
        self.ca = self.proxy.ca
        program, ca = thunderbird.start(self)

        def run(script, call, *arguments):
            return program.run(f"{script}\nreturn await {call};", *arguments)

        made = run(thunderbird.SCRIPT, "accountFrom(...args)", ca, file.read_text(), ALICE, self.password)
        self.assertTrue(made)
        run(thunderbird.SCRIPT, "comes('first')")
        scan = self.work / "scan.bin"
        scan.write_bytes(ATTACHMENT)
        run(sender.SCRIPT, "send(...args)", *RECIPIENTS, "set up by a file", TEXT, str(scan))
        self.assertEqual(program.quit(), 0)
        subject, _, attachment = read(self.world.sink.next().as_sent())
        self.assertEqual((subject, attachment), ("set up by a file", ATTACHMENT))

    def test_an_apple_profile_holds_account_and_ca(self):
        profile = plistlib.loads(self.file("apple").read_bytes())
        ca, mail = profile["PayloadContent"]
        self.assertEqual(ca["PayloadType"], "com.apple.security.root")
        self.assertEqual(ca["PayloadContent"], ssl.PEM_cert_to_DER_cert(Path(self.proxy.ca).read_text()))
        self.assertEqual(mail["PayloadType"], "com.apple.mail.managed")
        self.assertEqual(mail["EmailAccountType"], "EmailTypeIMAP")
        self.assertNotIn(self.password, str(profile))
        uuids = {payload["PayloadUUID"] for payload in (profile, ca, mail)}
        self.assertEqual(len(uuids), 3)
        # A second profile is equal, so that it replaces the installed one.
        self.assertEqual(plistlib.loads(self.file("apple").read_bytes()), profile)

        # Its settings work.
        trust = ssl.create_default_context(cadata=ca["PayloadContent"])
        with smtplib.SMTP_SSL(
            mail["OutgoingMailServerHostName"],
            mail["OutgoingMailServerPortNumber"],
            context=trust,
            timeout=DEADLINE,
        ) as client:
            client.login(mail["OutgoingMailServerUsername"], self.password)
        self.assertTrue(mail["IncomingMailServerUseSSL"])
        self.assertEqual(mail["IncomingMailServerPortNumber"], self.proxy.port)

    def test_outlook_and_text_name_server_port_and_user(self):
        for program in ("outlook", "text"):
            text = self.file(program).read_text()
            for part in (ALICE, str(self.proxy.port), str(self.proxy.submission["tls"]), "SSL/TLS"):
                self.assertIn(part, text)
            self.assertNotIn(self.password, text)


if __name__ == "__main__":
    unittest.main()
