"""Logging in and fetching through the proxy by POP3: refusals, refreshes, proofs, and one very big message."""

import hashlib
import poplib
import unittest

from fetchers import fetchmail
from world import ALICE, BehindAProxy, message

# The longest line that poplib reads.
poplib._MAXLINE = 1 << 20


class Fetching(BehindAProxy):
    """A test with a proxy that fetches from Dovecot."""

    upstream_security = "tls"

    def fetches_from(self):
        return self.dovecot, self.upstream_security

    def setUp(self):
        super().setUp()
        self.dovecot.deliver(ALICE, message("first"), "1.test.localhost")

    def fetcher(self, password, user=ALICE, security="tls"):
        """A session that is logged in through the proxy."""
        client = self.dial_pop3(self.proxy, security)
        client.user(user)
        client.pass_(password)
        return client

    def assert_fetches(self, password, user=ALICE):
        client = self.fetcher(password, user)
        self.assertEqual(b"\r\n".join(client.retr(1)[1]) + b"\r\n", message("first"))
        client.quit()

    def assert_fetching_refused(self, password, *expected, user=ALICE):
        """A login on a connection of its own ends in an -ERR that holds each of `expected`; returns its text."""
        client = self.dial_pop3(self.proxy)
        client.user(user)
        with self.assertRaises(poplib.error_proto) as refusal:
            client.pass_(password)
        text = refusal.exception.args[0].decode()
        for part in expected:
            self.assertIn(part, text)
        client.quit()
        return text


class Login(Fetching):
    def test_both_ways_to_log_in_and_a_session_without_quit(self):
        password = self.authorize_and_serve()
        self.assert_fetches(password)
        client = self.fetcher(password, security="starttls")
        client.dele(1)
        before = self.dovecot.log_position()
        client.close()
        # Its last messages show that nothing is deleted without QUIT.
        self.dovecot.wait_for_log("del=0/1", since=before)
        self.assertEqual(len(self.dovecot.messages(ALICE)), 1)

    def test_a_wrong_password_leaves_three_more_tries_and_never_reaches_the_provider(self):
        password = self.authorize_and_serve()
        before = self.dovecot.log_position()
        client = self.dial_pop3(self.proxy)
        for _ in range(3):
            client.user(ALICE)
            with self.assertRaises(poplib.error_proto) as refusal:
                client.pass_("wrong")
            self.assertTrue(refusal.exception.args[0].startswith(b"-ERR [AUTH] "))
        client.user(ALICE)
        client.pass_(password)
        client.quit()
        self.dovecot.wait_for_log("Disconnected: Logged out", since=before)
        lines = self.dovecot.log().splitlines()[before:]
        self.assertEqual(len([line for line in lines if "pop3-login: Info: Login:" in line]), 1)
        self.assertNotIn("auth failed", "\n".join(lines))

    def test_an_unknown_account_is_answered_like_a_wrong_password(self):
        self.authorize_and_serve()
        wrong = self.assert_fetching_refused("wrong", "[AUTH]")
        self.assertEqual(wrong, self.assert_fetching_refused("wrong", user="carol@corp.example"))

    def test_before_stls_there_is_no_login(self):
        self.authorize_and_serve()
        client = poplib.POP3(self.proxy.host, self.proxy.pop3["starttls"])
        self.addCleanup(client.close)
        capabilities = client.capa()
        self.assertIn("STLS", capabilities)
        self.assertNotIn("SASL", capabilities)
        with self.assertRaises(poplib.error_proto):
            client.user(ALICE)

    def test_a_pipelined_session(self):
        password = self.authorize_and_serve()
        client = self.dial_pop3(self.proxy)
        client.sock.sendall(f"USER {ALICE}\r\nPASS {password}\r\nSTAT\r\nDELE 1\r\nQUIT\r\n".encode())
        answers = [client.file.readline() for _ in range(5)]
        self.assertTrue(all(answer.startswith(b"+OK") for answer in answers), answers)
        self.assertTrue(answers[2].startswith(b"+OK 1 "), answers)
        self.assertEqual(client.file.readline(), b"")
        self.assertEqual(self.dovecot.messages(ALICE), [])

    def test_the_second_session_of_a_mailbox_is_told_that_it_is_in_use(self):
        password = self.authorize_and_serve()
        first = self.fetcher(password)
        self.assert_fetching_refused(password, "-ERR [IN-USE] ")
        first.quit()
        self.assert_fetches(password)

    def test_reading_by_imap_goes_on_beside_it(self):
        password = self.authorize_and_serve()
        first = self.fetcher(password)
        self.assert_reads_mail(password)
        first.quit()


class UpstreamStls(Fetching):
    upstream_security = "starttls"

    def test_a_provider_that_has_stls(self):
        before = self.dovecot.log_position()
        self.assert_fetches(self.authorize_and_serve())
        self.assertIn("TLS", self.dovecot.wait_for_log("pop3-login: Info: Login:", since=before))


class OauthBearer(Fetching):
    proxy_options = {"mechanism": "oauthbearer"}

    def test_a_provider_that_wants_oauthbearer_gets_it(self):
        password = self.authorize_and_serve()
        before = self.dovecot.log_position()
        self.assert_fetches(password)
        self.dovecot.wait_for_log("method=OAUTHBEARER", since=before)


class Troubles(Fetching):
    def test_an_expired_access_token_is_refreshed_once(self):
        password = self.authorize_and_serve()
        self.oidc.expire_access_tokens(ALICE)
        before = self.oidc.refreshed()
        self.assert_fetches(password)
        self.assertEqual(self.oidc.refreshed() - before, 1)

    def test_a_token_that_the_provider_refuses_is_refreshed_once(self):
        password = self.authorize_and_serve()
        self.assert_fetches(password)
        self.oidc.revoke_access_tokens(ALICE)
        refreshed = self.oidc.refreshed()
        self.assert_fetches(password)
        self.assertEqual(self.oidc.refreshed() - refreshed, 1)

    def test_a_grant_that_ended_names_the_command(self):
        password = self.authorize_and_serve()
        self.oidc.revoke_grants(ALICE)
        self.assert_fetching_refused(password, "-ERR [AUTH] ", f"imap-oauth-proxy authorize {ALICE}")
        self.authorize()
        self.assert_fetches(password)

    def test_an_oauth_server_that_is_down_is_temporary(self):
        password = self.authorize_and_serve()
        self.oidc.expire_access_tokens(ALICE)
        self.oidc.down()
        self.addCleanup(self.oidc.up)
        # The access token in memory still looks valid, but Dovecot refuses it.
        self.assert_fetching_refused(password, "-ERR [SYS/TEMP] ")
        self.assert_fetchmail_ends_with(fetchmail.BUSY, password)

    def test_a_provider_that_is_down_is_temporary(self):
        password = self.authorize_and_serve()
        self.dovecot.stop()
        self.addCleanup(self.dovecot.start)
        self.assert_fetching_refused(password, "-ERR [SYS/TEMP] ")
        # fetchmail mails its user about a password that it takes for wrong, and not about a busy server.
        self.assert_fetchmail_ends_with(fetchmail.BUSY, password)
        self.assert_fetchmail_ends_with(fetchmail.WRONG_PASSWORD, "wrong")

    def assert_fetchmail_ends_with(self, wanted, password):
        host, port, ca = self.proxy.host, self.proxy.pop3["tls"], self.proxy.ca
        code, words = fetchmail.ends_with(self, host, port, ALICE, password, ca)
        self.assertEqual(code, wanted, words)


class Proofs(Fetching):
    def test_authorize_and_check_prove_it_and_delete_nothing(self):
        before = self.dovecot.log_position()
        result = self.authorize()
        self.assertEqual(set(result["protocols"]), {"imap", "pop3"})
        self.dovecot.wait_for_log("pop3-login: Info: Login:", since=before)
        before = self.dovecot.log_position()
        done = self.proxy.run("check", ALICE, "--protocol", "pop3")
        self.assertEqual(done.returncode, 0)
        # The session ends without QUIT.
        self.assertIn("del=0/1", self.dovecot.wait_for_log("pop3(", since=before))
        self.assertEqual(len(self.dovecot.messages(ALICE)), 1)


class BigMessages(Fetching):
    def test_sixty_four_mebibytes_pass_whole_while_the_proxy_stops(self):
        body = "".join(f".{number:075d}\r\n" for number in range((64 << 20) // 78))
        big = message("big", body)
        self.dovecot.deliver(ALICE, big, "2.test.localhost")
        password = self.authorize_and_serve()
        client = self.fetcher(password)
        client.sock.sendall(b"RETR 2\r\n")
        self.assertTrue(client.file.readline().startswith(b"+OK"))
        digest = hashlib.sha256()
        for number, line in enumerate(client.file):
            if line == b".\r\n":
                break
            digest.update(line.removeprefix(b"."))
            if number == 1000:
                self.proxy.terminate()
                self.proxy.wait_for_log("stopping")
        self.assertEqual(digest.hexdigest(), hashlib.sha256(big).hexdigest())
        client.dele(1)
        client.quit()
        self.assertEqual(len(self.dovecot.messages(ALICE)), 1)
        self.assertEqual(self.proxy.stop(), 0)


if __name__ == "__main__":
    unittest.main()
