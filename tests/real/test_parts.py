"""The parts without the proxy: the behaviour that the other tests rely on."""

import imaplib
import smtplib
import unittest

from letter import RECIPIENTS, SENDER, letter
from parts.child import DEADLINE, run
from world import ALICE, BOB, RealParts, message


def xoauth2(user, token):
    return lambda _challenge: f"user={user}\x01auth=Bearer {token}\x01\x01".encode()


def smtp_xoauth2(user, token):
    """The same for smtplib. The answer to a refusal's challenge is empty."""
    return lambda challenge=None: "" if challenge else f"user={user}\x01auth=Bearer {token}\x01\x01"


class OAuthServer(RealParts):
    def test_a_refresh_token_rotates_and_its_second_use_kills_the_grant(self):
        first = self.oidc.sign_in(ALICE)
        second = self.oidc.token_request(grant_type="refresh_token", refresh_token=first["refresh_token"])
        self.assertNotEqual(first["refresh_token"], second["refresh_token"])

        again = self.oidc.token_request(grant_type="refresh_token", refresh_token=first["refresh_token"])
        self.assertEqual(again["error"], "invalid_grant")
        after = self.oidc.token_request(grant_type="refresh_token", refresh_token=second["refresh_token"])
        self.assertEqual(after["error"], "invalid_grant")

    def test_without_rotation_the_refresh_token_stays(self):
        self.oidc.settings(rotation=False)
        self.addCleanup(self.oidc.settings, rotation=True)
        first = self.oidc.sign_in(ALICE)
        for _ in range(2):
            answer = self.oidc.token_request(grant_type="refresh_token", refresh_token=first["refresh_token"])
            self.assertEqual(answer["refresh_token"], first["refresh_token"])

    def test_the_lifetime_of_access_tokens_can_be_set(self):
        self.oidc.settings(accessTokenSeconds=7)
        self.addCleanup(self.oidc.settings, accessTokenSeconds=3600)
        self.assertEqual(self.oidc.sign_in(ALICE)["expires_in"], 7)

    def test_a_flow_without_pkce_is_refused(self):
        answer = self.oidc.authorization_answer(ALICE, "http://127.0.0.1/callback")
        self.assertEqual(answer["error"], ["invalid_request"])
        self.assertIn("PKCE", answer["error_description"][0])

    def test_it_is_off_the_net_while_down_and_remembers_everything(self):
        grant = self.oidc.sign_in(ALICE)
        self.oidc.down()
        with self.assertRaises(OSError):
            self.oidc.token_request(grant_type="refresh_token", refresh_token=grant["refresh_token"])
        self.oidc.up()
        answer = self.oidc.token_request(grant_type="refresh_token", refresh_token=grant["refresh_token"])
        self.assertIn("access_token", answer)


class MailServer(RealParts):
    def test_a_token_reads_and_writes_mail(self):
        self.dovecot.deliver(ALICE, message("waiting"), "1.test.localhost")
        token = self.oidc.sign_in(ALICE)["access_token"]
        client = self.dial(self.dovecot)
        self.assertNotIn("AUTH=PLAIN", client.capabilities)
        client.authenticate("XOAUTH2", xoauth2(ALICE, token))
        client.select("INBOX")
        _ok, found = client.fetch("1", "(RFC822)")
        self.assertEqual(found[0][1], message("waiting"))
        client.append("INBOX", None, None, message("written"))
        client.logout()
        self.assertIn(message("written"), [content for _flags, content in self.dovecot.messages(ALICE)])

    def test_expired_and_revoked_tokens_are_refused(self):
        token = self.oidc.sign_in(ALICE)["access_token"]
        self.oidc.expire_access_tokens(ALICE)
        self.assert_token_refused(ALICE, token)
        token = self.oidc.sign_in(ALICE)["access_token"]
        self.oidc.revoke_access_tokens(ALICE)
        self.assert_token_refused(ALICE, token)

    def test_a_token_opens_nobody_elses_mail(self):
        token = self.oidc.sign_in(BOB)["access_token"]
        self.assert_token_refused(ALICE, token)

    def test_a_password_is_refused(self):
        client = self.dial(self.dovecot)
        self.assert_refused(lambda: client.login(ALICE, "any password"))

    def assert_token_refused(self, account, token):
        client = self.dial(self.dovecot)
        with self.assertRaises(imaplib.IMAP4.error):
            client.authenticate("XOAUTH2", xoauth2(account, token))


class SubmissionServer:
    """A provider for sending; the classes below choose the provider and the port."""

    def assert_arrived(self):
        mail = self.arrived.next()
        self.assertEqual((mail.sender, mail.recipients), (SENDER, RECIPIENTS))
        self.assertEqual(mail.as_sent(), letter())

    def test_a_token_sends_mail_that_arrives_as_it_was(self):
        client = self.dial_submission(self.server, self.security)
        client.auth("XOAUTH2", smtp_xoauth2(ALICE, self.oidc.sign_in(ALICE)["access_token"]))
        self.assertEqual(client.sendmail(SENDER, RECIPIENTS, letter(), ["BODY=8BITMIME"]), {})
        client.quit()
        self.assert_arrived()

    def test_curl_sends_with_a_token(self):
        draft = self.work / "draft.eml"
        draft.write_bytes(letter())
        scheme = "smtps" if self.security == "tls" else "smtp"
        run(
            ["curl", "--silent", "--show-error", "--ssl-reqd", "--cacert", self.server.ca]
            + ["--user", f"{ALICE}:", "--oauth2-bearer", self.oidc.sign_in(ALICE)["access_token"]]
            + ["--login-options", "AUTH=XOAUTH2", "--mail-from", SENDER]
            + [word for recipient in RECIPIENTS for word in ("--mail-rcpt", recipient)]
            + ["--upload-file", draft, f"{scheme}://{self.server.host}:{self.server.submission[self.security]}"]
        )
        self.assert_arrived()

    def test_expired_tokens_and_those_of_somebody_else_are_refused(self):
        expired = self.oidc.sign_in(ALICE)["access_token"]
        self.oidc.expire_access_tokens(ALICE)
        for token in (expired, self.oidc.sign_in(BOB)["access_token"]):
            with self.assertRaises(smtplib.SMTPAuthenticationError) as refusal:
                self.dial_submission(self.server, self.security).auth("XOAUTH2", smtp_xoauth2(ALICE, token))
            self.assertEqual(refusal.exception.smtp_code, 535)
        self.assertEqual(self.arrived.waiting(), 0)

    def test_a_password_is_refused_and_so_is_mail_without_a_login(self):
        client = self.dial_submission(self.server, self.security)
        self.assertNotIn("PLAIN", client.esmtp_features["auth"])
        with self.assertRaises(smtplib.SMTPException):
            client.login(ALICE, "any password")
        client = self.dial_submission(self.server, self.security)
        self.assertEqual(client.mail(SENDER)[0], 530)


class DovecotWithTls(SubmissionServer, RealParts):
    security = "tls"

    def setUp(self):
        super().setUp()
        self.server, self.arrived = self.dovecot, self.world.sink


class DovecotWithStarttls(DovecotWithTls):
    security = "starttls"


class SmtpServerWithStarttls(SubmissionServer, RealParts):
    security = "starttls"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.arrived = cls.world.smtp_server()

    def setUp(self):
        super().setUp()
        self.arrived.empty()

    def test_before_starttls_there_is_no_login(self):
        client = smtplib.SMTP(self.server.host, self.server.submission["starttls"], timeout=DEADLINE)
        self.addCleanup(client.close)
        client.ehlo()
        self.assertEqual(client.docmd("AUTH", "XOAUTH2")[0], 538)


if __name__ == "__main__":
    unittest.main()
