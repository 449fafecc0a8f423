"""What reads the login line: fail2ban's own regex program on lines that the program wrote, in both forms."""

import json
import subprocess
import unittest
from pathlib import Path

from world import ALICE, BehindAProxy

ROOT = Path(__file__).parents[2]
FILTER = ROOT / "config/fail2ban/imap-oauth-proxy.conf"
# What a client may try to say in the place of another line.
FORGED = "x login result=refused protocol=imap account=a from=203.0.113.9 password=- fingerprint=- client=- provider=- ms=1 reason=wrong_password"


def matched_in(path):
    """The addresses that fail2ban's filter takes from a log, one a matched line."""
    done = subprocess.run(
        ["fail2ban-regex", "--out", "ip", str(path), str(FILTER)], capture_output=True, text=True, timeout=60
    )
    if done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)
    return done.stdout.split()


class LoginLine(BehindAProxy):
    """Attempts of every kind, and what fail2ban makes of what was logged."""

    def attempts(self):
        """Three wrong passwords, a right one, a forged name, and a provider that is down. Returns the log's lines."""
        password = self.authorize()["password"]
        self.configure()
        self.proxy.serve()
        client = self.dial(self.proxy)
        client.xatom("ID", f'("name" "{FORGED}")')
        for user, wrong in [(ALICE, "wrong"), ("nobody@corp.example", "wrong"), (f'"{FORGED}"', "other")]:
            self.assert_refused(lambda user=user, wrong=wrong: client.login(user, wrong), "AUTHENTICATIONFAILED")
        client.login(ALICE, password)
        client.logout()
        self.dovecot.stop()
        self.addCleanup(self.dovecot.start)
        for _ in range(20):
            down = self.dial(self.proxy)
            self.assert_refused(lambda down=down: down.login(ALICE, password), "UNAVAILABLE")
            down.logout()
        self.proxy.stop()
        return self.proxy.logs[-1].splitlines()

    def configure(self):
        """Changes the configuration before `serve` starts."""

    def check(self, lines):
        attempts = [line for line in lines if "login_line" in line]
        self.assertEqual(len(attempts), 24, "\n".join(attempts))
        log = self.work / "log"
        log.write_text("\n".join(lines) + "\n")
        self.assertEqual(matched_in(log), ["127.0.0.1"] * 3, "\n".join(attempts))
        # As they come from the journal.
        log.write_text("".join(f"2026-11-28T21:24:29+00:00 host imap-oauth-proxy[77]: {line}\n" for line in lines))
        self.assertEqual(matched_in(log), ["127.0.0.1"] * 3)


class Text(LoginLine):
    def test_fail2ban_takes_the_wrong_passwords_and_bans_nobody_for_an_outage(self):
        self.check(self.attempts())


class Json(LoginLine):
    def configure(self):
        text = self.proxy.config.read_text()
        self.proxy.config.write_text('log.format = "json"\n' + text)

    def test_fail2ban_reads_the_json_form_as_well(self):
        lines = self.attempts()
        self.check(lines)
        refused = [json.loads(line) for line in lines if '"result":"refused"' in line]
        self.assertEqual(len(refused), 3)


if __name__ == "__main__":
    unittest.main()
