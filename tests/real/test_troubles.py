"""Dying tokens and failing servers: a mail program notices nothing, or gets one clear NO."""

import imaplib
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from parts.child import DEADLINE
from world import ALICE, BehindAProxy


class Tokens(BehindAProxy):
    def test_an_access_token_that_expired_at_the_server_is_renewed_unnoticed(self):
        password = self.authorize_and_serve()
        self.assert_reads_mail(password)
        self.assertGreater(self.oidc.expire_access_tokens(ALICE), 0)
        self.assert_reads_mail(password)

    def test_an_access_token_that_was_revoked_is_renewed_unnoticed(self):
        password = self.authorize_and_serve()
        self.assert_reads_mail(password)
        self.assertGreater(self.oidc.revoke_access_tokens(ALICE), 0)
        self.assert_reads_mail(password)

    def test_a_revoked_grant_names_the_command_that_cures_it_and_the_command_does(self):
        password = self.authorize_and_serve()
        self.assert_reads_mail(password)
        self.oidc.revoke_grants(ALICE)

        for _ in range(2):
            self.assert_login_refused(password, "authorize", ALICE)
        listed = self.proxy.run("tokens", "list", "--json", check=False)
        self.assertEqual(listed.returncode, 3)
        self.assertEqual(self.grant()["state"], "needs_authorization")
        self.assertIsNotNone(self.grant()["last_error"])
        # The user can copy the cure from every place, because it contains the account's name, not a placeholder.
        self.assertNotIn("{account}", self.grant()["last_error"] + self.proxy.log())

        self.assertIsNone(self.authorize()["password"])
        self.assert_reads_mail(password)
        self.assertEqual(self.grant()["state"], "ok")

    def test_rotation_over_twenty_logins_never_loses_the_grant(self):
        password = self.authorize_and_serve()
        before = self.oidc.refreshed()
        for _ in range(20):
            self.oidc.expire_access_tokens(ALICE)
            self.assert_reads_mail(password)
        self.assertEqual(self.oidc.refreshed() - before, 20)
        self.assertEqual(self.grant()["state"], "ok")

    def test_short_lived_tokens_serve_login_after_login(self):
        self.oidc.settings(accessTokenSeconds=2)
        self.addCleanup(self.oidc.settings, accessTokenSeconds=3600)
        password = self.authorize_and_serve()
        for _ in range(5):
            self.assert_reads_mail(password)

    def test_twenty_logins_at_once_on_an_expired_token_refresh_once(self):
        password = self.authorize_and_serve()
        self.assert_reads_mail(password)
        self.oidc.expire_access_tokens(ALICE)
        before = self.oidc.refreshed()
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(self.assert_reads_mail, [password] * 20))
        self.assertEqual(self.oidc.refreshed() - before, 1)

    def test_kill_9_between_refreshes_never_loses_the_grant(self):
        password = self.authorize_and_serve()
        for _ in range(5):
            self.oidc.expire_access_tokens(ALICE)
            self.assert_reads_mail(password)
            self.proxy.kill()
            self.proxy.serve()
        self.assert_reads_mail(password)


class Outages(BehindAProxy):
    def test_without_the_oauth_server_a_good_token_is_used_to_its_end(self):
        password = self.authorize_and_serve()
        self.assert_reads_mail(password)
        self.oidc.down()
        self.addCleanup(self.oidc.up)
        self.assert_reads_mail(password)

    def test_the_oauth_server_is_down_and_comes_back(self):
        password = self.authorize_and_serve()
        self.oidc.expire_access_tokens(ALICE)
        self.oidc.down()
        try:
            self.assert_login_refused(password, "[UNAVAILABLE]")
            self.assertNotEqual(self.grant()["state"], "needs_authorization")
        finally:
            self.oidc.up()
        self.assert_heals(password)

    def test_the_mail_server_is_down_and_comes_back(self):
        password = self.authorize_and_serve()
        self.dovecot.stop()
        try:
            self.assert_login_refused(password, "[UNAVAILABLE]")
            self.assertNotEqual(self.grant()["state"], "needs_authorization")
        finally:
            self.dovecot.start()
        self.assert_heals(password)

    def assert_heals(self, password):
        """Mail can be read again after the first steps of a back-off; until then the answer is UNAVAILABLE."""
        end = time.monotonic() + DEADLINE
        while True:
            try:
                return self.assert_reads_mail(password)
            except imaplib.IMAP4.error as refusal:
                if time.monotonic() > end or "[UNAVAILABLE]" not in str(refusal):
                    raise


if __name__ == "__main__":
    unittest.main()
