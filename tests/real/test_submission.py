"""Logging in and sending through the proxy: refusals, refreshes, proofs, and one very big message."""

import hashlib
import json
import smtplib
import time
import unittest

from letter import RECIPIENTS, SENDER, letter
from parts.child import DEADLINE, free_port
from world import ALICE, BOB, BehindAProxy

MEBIBYTE = 1 << 20


class Sending(BehindAProxy):
    """A test with a proxy that sends through Dovecot."""

    upstream_security = "tls"

    def sends_through(self):
        return self.dovecot, self.upstream_security

    def dial_to_send(self, security="tls", greet=True):
        return self.dial_submission(self.proxy, security, greet)

    def log_in_to_send(self, password, user=ALICE, security="tls"):
        """A session that is logged in through the proxy."""
        client = self.dial_to_send(security)
        client.login(user, password, initial_response_ok=True)
        return client

    def send(self, client):
        self.assertEqual(client.sendmail(SENDER, RECIPIENTS, letter(), ["BODY=8BITMIME"]), {})

    def assert_arrived(self):
        mail = self.world.sink.next()
        self.assertEqual((mail.sender, mail.recipients), (SENDER, RECIPIENTS))
        self.assertEqual(mail.as_sent(), letter())
        return mail

    def assert_sends_mail(self, password):
        client = self.log_in_to_send(password)
        self.send(client)
        client.quit()
        return self.assert_arrived()

    def assert_sending_refused(self, password, code, *expected, user=ALICE):
        """A login on a new connection gets `code` and a text with each of `expected`; returns the text."""
        client = self.dial_to_send()
        with self.assertRaises(smtplib.SMTPAuthenticationError) as refusal:
            client.login(user, password)
        text = refusal.exception.smtp_error.decode()
        self.assertEqual(refusal.exception.smtp_code, code, text)
        for part in expected:
            self.assertIn(part, text)
        client.quit()
        return text


class Login(Sending):
    def test_mail_before_a_login_is_refused_and_the_login_still_works(self):
        password = self.authorize_and_serve()
        client = self.dial_to_send()
        code, text = client.mail(SENDER)
        self.assertEqual((code, text[:5]), (530, b"5.7.0"))
        client.login(ALICE, password)
        self.send(client)
        client.quit()
        self.assert_arrived()

    def test_a_wrong_password_leaves_three_more_tries(self):
        password = self.authorize_and_serve()
        client = self.dial_to_send()
        for _ in range(3):
            with self.assertRaises(smtplib.SMTPAuthenticationError) as refusal:
                client.user, client.password = ALICE, "wrong"
                client.auth("PLAIN", client.auth_plain)
            self.assertEqual((refusal.exception.smtp_code, refusal.exception.smtp_error[:5]), (535, b"5.7.8"))
        client.login(ALICE, password)
        client.quit()

    def test_an_unknown_account_is_answered_like_a_wrong_password(self):
        self.authorize_and_serve()
        wrong = self.assert_sending_refused("wrong", 535)
        unknown = self.assert_sending_refused("wrong", 535, user="carol@corp.example")
        self.assertEqual(wrong, unknown)

    def test_wrong_passwords_never_reach_the_provider(self):
        password = self.authorize_and_serve()
        before = self.dovecot.log_position()
        self.assert_sending_refused("wrong", 535)
        self.assert_sends_mail(password)
        self.dovecot.wait_for_log("Disconnected: Logged out", since=before)
        lines = self.dovecot.log().splitlines()[before:]
        self.assertEqual(len([line for line in lines if "submission-login: Info: Login:" in line]), 1)
        self.assertNotIn("auth failed", "\n".join(lines))

    def test_before_starttls_there_is_no_auth(self):
        password = self.authorize_and_serve()
        client = smtplib.SMTP(self.proxy.host, self.proxy.submission["starttls"], timeout=DEADLINE)
        self.addCleanup(client.close)
        client.ehlo()
        self.assertFalse(client.has_extn("auth"))
        client.user, client.password = ALICE, password
        with self.assertRaises(smtplib.SMTPException):
            client.auth("PLAIN", client.auth_plain)

    def test_the_provider_hears_the_name_with_which_the_client_greeted(self):
        password = self.authorize_and_serve()
        client = self.dial_to_send(greet=False)
        client.ehlo("scanner.corp.example")
        client.login(ALICE, password)
        self.send(client)
        client.quit()
        [received] = self.assert_arrived().received()
        self.assertIn(b"from scanner.corp.example", received)

    def test_several_messages_of_several_sessions_at_once(self):
        password = self.authorize_and_serve()
        sessions = [self.log_in_to_send(password) for _ in range(5)]
        for client in sessions + sessions:
            self.send(client)
        for client in sessions:
            client.quit()
        for _ in range(10):
            self.assert_arrived()
        self.assertEqual(self.world.sink.waiting(), 0)


class Stopping(Sending):
    def test_sigterm_in_the_middle_of_a_message_lets_it_arrive(self):
        password = self.authorize_and_serve()
        client = self.log_in_to_send(password)
        client.mail(SENDER)
        client.rcpt(BOB)
        self.assertEqual(client.docmd("DATA")[0], 354)
        client.send(b"Subject: half\r\n\r\nthis half\r\n")
        self.proxy.terminate()
        self.proxy.wait_for_log("stopping")
        client.send(b"and that half\r\n")
        self.assertEqual(client.docmd(".")[0], 250)
        client.quit()
        self.assertEqual(self.world.sink.next().as_sent(), b"Subject: half\r\n\r\nthis half\r\nand that half\r\n")
        self.assertEqual(self.proxy.stop(), 0)


class UpstreamStarttls(Sending):
    upstream_security = "starttls"

    def test_a_provider_that_has_starttls(self):
        before = self.dovecot.log_position()
        self.assert_sends_mail(self.authorize_and_serve())
        self.assertIn("TLS", self.dovecot.wait_for_log("submission-login: Info: Login:", since=before))


class OauthBearer(Sending):
    proxy_options = {"mechanism": "oauthbearer"}

    def test_a_provider_that_wants_oauthbearer_gets_it(self):
        password = self.authorize_and_serve()
        before = self.dovecot.log_position()
        self.assert_sends_mail(password)
        self.dovecot.wait_for_log("method=OAUTHBEARER", since=before)


class Troubles(Sending):
    def test_an_expired_access_token_is_refreshed_once(self):
        password = self.authorize_and_serve()
        self.oidc.expire_access_tokens(ALICE)
        before = self.oidc.refreshed()
        self.assert_sends_mail(password)
        self.assertEqual(self.oidc.refreshed() - before, 1)

    def test_a_token_that_the_provider_refuses_is_refreshed_on_the_same_connection(self):
        password = self.authorize_and_serve()
        self.assert_sends_mail(password)
        self.oidc.revoke_access_tokens(ALICE)
        before, refreshed = self.dovecot.log_position(), self.oidc.refreshed()
        self.assert_sends_mail(password)
        self.assertEqual(self.oidc.refreshed() - refreshed, 1)
        self.dovecot.wait_for_log("Disconnected: Logged out", since=before)
        lines = self.dovecot.log().splitlines()[before:]
        self.assertNotIn("submission-login: Info: Disconnected", "\n".join(lines))

    def test_a_grant_that_ended_names_the_command(self):
        password = self.authorize_and_serve()
        self.oidc.revoke_grants(ALICE)
        self.assert_sending_refused(password, 535, "5.7.8", f"imap-oauth-proxy authorize {ALICE}")
        self.authorize()
        self.assert_sends_mail(password)

    def test_an_oauth_server_that_is_down_is_a_454(self):
        password = self.authorize_and_serve()
        self.oidc.expire_access_tokens(ALICE)
        self.oidc.down()
        self.addCleanup(self.oidc.up)
        # The access token in memory still looks valid, but Dovecot refuses it.
        self.assert_sending_refused(password, 454, "4.7.0")

    def test_a_provider_that_is_down_is_a_454(self):
        password = self.authorize_and_serve()
        self.dovecot.stop()
        self.addCleanup(self.dovecot.start)
        self.assert_sending_refused(password, 454, "4.7.0")


class Passwords(Sending):
    def test_a_password_for_sending_alone_opens_no_mail(self):
        self.authorize_and_serve()
        made = self.proxy.json("passwords", "create", ALICE, "--name", "scanner", "--protocols", "submission")
        self.assert_sends_mail(made["password"])
        reader = self.dial(self.proxy)
        self.assert_refused(lambda: reader.login(ALICE, made["password"]), "submission")

        self.proxy.run("passwords", "limit", ALICE, "--name", "scanner", "--protocols", "imap,submission")
        self.assert_reads_mail(made["password"])
        self.assert_sends_mail(made["password"])


class RefusedMail(Sending):
    refusal = "554 5.2.252 SendAsDenied; alice@corp.example not allowed to send as boss@corp.example"

    def test_the_client_gets_the_refusal_and_tokens_list_shows_it_until_mail_is_taken(self):
        password = self.authorize_and_serve()
        self.world.sink.refuse(self.refusal)
        client = self.log_in_to_send(password)
        with self.assertRaises(smtplib.SMTPDataError) as refusal:
            self.send(client)
        self.assertIn(b"SendAsDenied", refusal.exception.smtp_error)
        client.quit()
        shown = self.last_refusal(wanted=True)
        self.assertEqual((shown["protocol"], shown["code"]), ("submission", "5.2.252"))
        self.assertNotIn("@", json.dumps(shown))
        self.assertEqual(self.grant()["state"], "ok")

        self.assert_sends_mail(password)
        self.last_refusal(wanted=False)

    def last_refusal(self, wanted):
        """Waits until `tokens list` shows a refusal or none, because `serve` writes it in the background."""
        end = time.monotonic() + DEADLINE
        while True:
            shown = self.grant().get("last_refusal")
            if (shown is not None) == wanted:
                return shown
            self.assertLess(time.monotonic(), end, f"tokens list goes on showing {shown}")


class Proof(Sending):
    def test_authorize_proves_reading_and_sending_and_sends_nothing(self):
        before = self.dovecot.log_position()
        result = self.authorize()
        self.assertEqual(set(result["protocols"]), {"imap", "submission"})
        self.assertEqual(result["protocols"]["submission"].keys(), {"host", "port", "security"})
        self.dovecot.wait_for_log("submission-login: Info: Login:", since=before)
        self.dovecot.wait_for_log("Disconnected: Logged out", since=before)
        self.assertEqual(self.world.sink.waiting(), 0)

    def test_check_proves_sending(self):
        self.authorize()
        before = self.dovecot.log_position()
        self.proxy.run("check", ALICE, "--protocol", "submission")
        self.dovecot.wait_for_log("submission-login: Info: Login:", since=before)
        self.assertEqual(self.world.sink.waiting(), 0)


class DoorThatIsShut(Sending):
    """The provider's IMAP server works, but no server listens at its submission port."""

    def sends_through(self):
        class Nothing:
            host = "localhost"
            submission = {"tls": free_port()}

        return Nothing, "tls"

    def test_authorize_leaves_the_door_out_with_a_warning(self):
        code, result, words = self.proxy.authorize(ALICE)
        self.assertEqual(code, 0, words)
        self.assertEqual(set(result["protocols"]), {"imap"})
        self.assertIn("submission", words)

    def test_authorize_with_the_door_named_stores_nothing(self):
        code, _result, words = self.proxy.authorize(ALICE, extra=["--protocols", "imap,submission"])
        self.assertEqual(code, 1, words)
        self.assertEqual(self.proxy.json("tokens", "list"), [])


class Big(Sending):
    def test_a_hundred_mebibytes_pass_with_flat_memory(self):
        password = self.authorize_and_serve()
        # Warm up, because a first session allocates memory that later ones share.
        self.assert_sends_mail(password)
        before = self.proxy.memory()
        client = self.log_in_to_send(password)
        client.mail(SENDER)
        client.rcpt(BOB)
        self.assertEqual(client.docmd("DATA")[0], 354)
        line = b".".join([b"x" * 38, b"y" * 38]) + b"\r\n"
        head = b"Subject: big\r\n\r\n"
        lines = line * (MEBIBYTE // len(line))
        content = hashlib.sha256(head)
        client.send(head)
        for _ in range(100):
            client.send(lines)
            content.update(lines)
        self.assertEqual(client.docmd(".")[0], 250)
        client.quit()
        grown = self.proxy.peak_memory() - before
        mail = self.world.sink.next()
        self.assertEqual(hashlib.sha256(mail.as_sent()).digest(), content.digest())
        self.assertLess(grown, 2 * MEBIBYTE)


if __name__ == "__main__":
    unittest.main()
