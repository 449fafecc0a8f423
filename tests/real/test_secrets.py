"""No secret is left behind: not in the most detailed log, not in a file, not in a command's output."""

import base64
import smtplib
import unittest

from world import ALICE, BOB, BehindAProxy, message

BODY = "canary-in-a-mail-body"
WRONG = "canary-wrong-password"


def disguises(secret):
    """The secret itself, and the base64 of its middle at each alignment."""
    raw = secret.encode()
    yield raw
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw)
        # The first and last characters depend on the neighbouring bytes.
        yield encoded[4 : len(encoded) // 4 * 4 - 4]


class Secrets(BehindAProxy):
    def sends_through(self):
        return self.dovecot, "tls"

    def send(self, password):
        sender = self.dial_submission(self.proxy, "tls")
        with self.assertRaises(smtplib.SMTPAuthenticationError):
            sender.login(ALICE, WRONG)
        sender = self.dial_submission(self.proxy, "starttls")
        sender.user, sender.password = ALICE, password
        sender.auth("LOGIN", sender.auth_login)
        sender.sendmail(ALICE, [BOB], message("canary", BODY + "\r\n"))
        sender.quit()

    def test_no_secret_is_written_anywhere_in_clear(self):
        before = {token["value"] for token in self.oidc.tokens()}
        password = self.authorize_and_serve()
        chosen = "canary chosen password"
        self.proxy.run("passwords", "create", ALICE, "--name", "chosen", "--stdin", stdin=chosen.encode() + b"\n")
        self.assert_reads_mail(chosen)
        self.assert_login_refused(WRONG, "[AUTHENTICATIONFAILED]")

        client = self.log_in(password)
        client.append("INBOX", None, None, message("canary", BODY + "\r\n"))
        client.select("INBOX")
        client.fetch("1", "(BODY[])")
        client.logout()
        self.send(chosen)
        self.oidc.expire_access_tokens(ALICE)
        self.assert_reads_mail(password)
        self.oidc.revoke_grants(ALICE)
        self.assert_login_refused(password, "authorize")

        outputs = {}
        for command in (["tokens", "list"], ["accounts", "list"], ["passwords", "list", ALICE], ["config", "check"]):
            done = self.proxy.run(*command, check=False)
            outputs[" ".join(command)] = done.stdout + done.stderr
        self.proxy.stop()

        places = outputs | {"a log": "\n".join(self.proxy.logs).encode()}
        places |= {str(path): path.read_bytes() for path in self.proxy.state_files()}
        issued = [token for token in self.oidc.tokens() if token["value"] not in before]
        kinds = {token["kind"] for token in issued}
        self.assertEqual(kinds, {"AccessToken", "RefreshToken", "AuthorizationCode"})
        secrets = {f"an {token['kind']}": token["value"] for token in issued}
        secrets |= {"the app password": password, "a chosen password": chosen, "a wrong password": WRONG, "mail": BODY}
        for what, secret in secrets.items():
            for disguise in disguises(secret):
                for place, content in places.items():
                    self.assertNotIn(disguise, content, f"{what} is in {place}")


if __name__ == "__main__":
    unittest.main()
