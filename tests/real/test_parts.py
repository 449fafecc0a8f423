"""The parts without the proxy: what the other tests take for granted about them."""

import imaplib
import unittest

from world import ALICE, BOB, RealParts, message


def xoauth2(user, token):
    return lambda _challenge: f"user={user}\x01auth=Bearer {token}\x01\x01".encode()


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


if __name__ == "__main__":
    unittest.main()
