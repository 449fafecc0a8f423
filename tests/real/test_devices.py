"""A scanner without TLS or password, through a real submission server; and an IMAP server with only STARTTLS."""

import smtplib
import socket

from letter import RECIPIENTS, SENDER, letter
from parts.child import DEADLINE, run
from world import ALICE, BehindAProxy

SCANNER = """
[[listeners]]
protocol = "submission"
addresses = ["0.0.0.0:0"]
security = "none"
from = ["127.0.0.0/8"]
acknowledge_cleartext = true
[[listeners.devices]]
from = "127.0.0.1/32"
account = "alice@corp.example"
messages_per_hour = 3
"""


class Scanner(BehindAProxy):
    proxy_options = {"more": SCANNER}

    def sends_through(self):
        return self.dovecot, "tls"

    def test_helo_mail_rcpt_data_and_nothing_else(self):
        self.authorize_and_serve()
        with socket.create_connection(("127.0.0.1", self.proxy.submission["none"]), DEADLINE) as device:
            lines = device.makefile("rb")
            self.assertTrue(lines.readline().startswith(b"220 "))
            for said, code in [
                (b"HELO SCANNER_2", b"250"),
                (b"MAIL FROM:<" + SENDER.encode() + b">", b"250"),
                (b"RCPT TO:<" + RECIPIENTS[0].encode() + b">", b"250"),
                (b"DATA", b"354"),
                (b"Subject: Scan\r\n\r\nA page\r\n.", b"250"),
            ]:
                device.sendall(said + b"\r\n")
                self.assertEqual(lines.readline()[:3], code, said)
        mail = self.world.sink.next()
        self.assertEqual((mail.sender, mail.recipients), (SENDER, (RECIPIENTS[0],)))
        self.assertEqual(mail.as_sent(), b"Subject: Scan\r\n\r\nA page\r\n")
        self.proxy.wait_for_log(f"login result=ok protocol=submission account={ALICE} from=127.0.0.1 password=- ")

    def test_swaks_and_smtplib_without_a_password_until_the_hours_messages_are_sent(self):
        self.authorize_and_serve()
        port = self.proxy.submission["none"]
        swaks = ["swaks", "--server", "127.0.0.1", "--port", str(port), "--from", SENDER, "--to", RECIPIENTS[0]]
        run([*swaks, "--protocol", "SMTP", "--helo", "scanner"])
        self.world.sink.next()
        client = smtplib.SMTP("127.0.0.1", port, timeout=DEADLINE)
        self.addCleanup(client.close)
        client.helo("scanner")
        for _ in range(2):
            client.sendmail(SENDER, RECIPIENTS, letter())
            self.assertEqual(self.world.sink.next().as_sent(), letter())
        client.quit()
        done = run([*swaks, "--protocol", "ESMTP"], check=False)
        self.assertIn(b"451 4.7.1 This device has sent 3 messages", done.stdout)


class ReadingAfterStarttls(BehindAProxy):
    proxy_options = {"imap_security": "starttls"}

    def test_authorize_check_and_reading(self):
        password = self.authorize_and_serve()
        before = self.dovecot.log_position()
        self.assert_reads_mail(password)
        line = self.dovecot.wait_for_log("imap-login: Info: Login:", since=before)
        self.assertIn("TLS", line)
        self.proxy.run("check", ALICE)
