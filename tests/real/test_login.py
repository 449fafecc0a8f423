"""Logging in and reading mail through the proxy while all servers work."""

import hashlib
import imaplib
import random
import unittest
from concurrent.futures import ThreadPoolExecutor

from world import ALICE, BehindAProxy, message


class Login(BehindAProxy):
    def test_the_ready_file_says_where_it_listens(self):
        self.proxy.serve()
        self.assertGreaterEqual(self.proxy.ready.keys(), {"pid", "listeners", "admin", "ca_file"})
        [listener] = self.proxy.ready["listeners"]
        self.assertEqual((listener["protocol"], listener["security"]), ("imap", "tls"))
        self.assertIsNone(self.proxy.ready["admin"])

    def test_a_wrong_password_leaves_three_more_tries(self):
        password = self.authorize_and_serve()
        client = self.dial(self.proxy)
        for _ in range(3):
            self.assert_refused(lambda: client.login(ALICE, "wrong"), "[AUTHENTICATIONFAILED]")
        client.login(ALICE, password)
        self.assertEqual(client.select("INBOX")[0], "OK")
        client.logout()

    def test_the_fourth_wrong_password_ends_the_connection(self):
        self.authorize_and_serve()
        client = self.dial(self.proxy)
        for _ in range(4):
            self.assert_refused(lambda: client.login(ALICE, "wrong"), "[AUTHENTICATIONFAILED]")
        with self.assertRaises((imaplib.IMAP4.abort, OSError)):
            while client.readline():
                pass
            raise imaplib.IMAP4.abort("end of the stream")

    def test_an_unknown_account_is_answered_like_a_wrong_password(self):
        self.authorize_and_serve()
        wrong = self.assert_login_refused("wrong")
        unknown = self.assert_login_refused("wrong", user="nobody@corp.example")
        self.assertEqual(wrong, unknown)

    def test_wrong_passwords_never_reach_the_provider(self):
        password = self.authorize_and_serve()
        before = self.dovecot.log_position()
        self.assert_login_refused("wrong", "[AUTHENTICATIONFAILED]")
        self.assert_reads_mail(password)
        # The good login comes after the bad one, so by then the log holds the bad one's lines.
        self.dovecot.wait_for_log("Logged out", since=before)
        lines = self.dovecot.log().splitlines()[before:]
        self.assertEqual(len([line for line in lines if f"Login: user=<{ALICE}>" in line]), 1)
        self.assertNotIn("auth failed", "\n".join(lines))

    def test_eight_mebibytes_come_through_unchanged_both_ways(self):
        password = self.authorize_and_serve()
        lines = random.Random(1).randbytes(4 << 20).hex()
        body = "\r\n".join(lines[at : at + 76] for at in range(0, len(lines), 76))
        big = message("big", body + "\r\n")
        client = self.log_in(password)
        self.assertEqual(client.append("INBOX", None, None, big)[0], "OK")
        client.select("INBOX")
        fetched = client.fetch("1", "(BODY.PEEK[])")[1][0][1]
        self.assertEqual(hashlib.sha256(fetched).hexdigest(), hashlib.sha256(big).hexdigest())
        client.logout()

    def test_twenty_sessions_at_once(self):
        password = self.authorize_and_serve()
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(self.assert_reads_mail, [password] * 20))

    def test_sigterm_says_goodbye_to_open_sessions_and_ends_cleanly(self):
        password = self.authorize_and_serve()
        client = self.log_in(password)
        client.select("INBOX")
        self.assertEqual(self.proxy.stop(), 0)
        with self.assertRaises((imaplib.IMAP4.abort, OSError)):
            client.noop()

    def test_serve_starts_again_after_kill_9(self):
        password = self.authorize_and_serve()
        self.assert_reads_mail(password)
        self.proxy.kill()
        self.proxy.serve()
        self.assert_reads_mail(password)

    def test_the_login_is_remembered_in_tokens_list(self):
        password = self.authorize_and_serve()
        self.assertIsNone(self.grant()["last_login_at"])
        self.assert_reads_mail(password)
        self.assertIsNotNone(self.grant()["last_login_at"])


class OauthBearer(BehindAProxy):
    proxy_options = {"mechanism": "oauthbearer"}

    def test_a_provider_that_wants_oauthbearer_gets_it(self):
        before = self.dovecot.log_position()
        self.assert_reads_mail(self.authorize_and_serve())
        self.dovecot.wait_for_log("method=OAUTHBEARER", since=before)


if __name__ == "__main__":
    unittest.main()
