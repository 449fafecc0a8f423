"""`authorize` and the commands for accounts, against a real OAuth server and a real mail server."""

import unittest
from pathlib import Path

from world import ALICE, BOB, BehindAProxy, message


class Authorize(BehindAProxy):
    def test_it_says_what_to_type_into_the_mail_program(self):
        result = self.authorize()
        self.assertEqual(
            result.keys(),
            {"account", "provider", "owner", "host", "port", "security", "username", "password", "ca_file", "protocols"},
        )
        self.assertEqual((result["account"], result["provider"], result["owner"]), (ALICE, "acme", ALICE))
        self.assertEqual((result["username"], result["security"]), (ALICE, "tls"))
        self.assertIn("BEGIN CERTIFICATE", Path(result["ca_file"]).read_text())

    def test_a_running_serve_uses_the_new_grant_at_the_next_login(self):
        self.proxy.serve()
        password = self.authorize()["password"]
        self.assert_reads_mail(password)

    def test_a_second_time_it_keeps_the_password(self):
        password = self.authorize_and_serve()
        self.assertIsNone(self.authorize()["password"])
        self.assert_reads_mail(password)

    def test_consent_as_somebody_else_stores_nothing_and_names_both(self):
        code, _result, words = self.proxy.authorize(ALICE, login=BOB)
        self.assertEqual(code, 1)
        self.assertIn(ALICE, words)
        self.assertIn(BOB, words)
        self.assertEqual(self.proxy.json("tokens", "list"), [])

    def test_a_refused_consent_stores_nothing(self):
        code, _result, _words = self.proxy.authorize(ALICE, decision="deny")
        self.assertEqual(code, 1)
        self.assertEqual(self.proxy.json("tokens", "list"), [])

    def test_a_domain_that_no_provider_has_is_a_failure_with_a_cure(self):
        done = self.proxy.run("authorize", "carol@elsewhere.example", "--no-browser", "--json", check=False)
        self.assertIn(done.returncode, (1, 2))
        self.assertIn(b"--provider", done.stderr)

    def test_tokens_list_has_its_documented_keys(self):
        self.authorize()
        [entry] = self.proxy.json("tokens", "list")
        documented = {"account", "aliases", "provider", "owner", "state", "scopes", "access_expires_at"}
        documented |= {"refreshed_at", "last_login_at", "forecast", "last_error"}
        self.assertEqual(documented - entry.keys(), set())
        self.assertEqual((entry["account"], entry["provider"], entry["state"]), (ALICE, "acme", "ok"))
        self.assertRegex(entry["access_expires_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")


class ConfidentialClient:
    """A client with a secret authenticates when it authorises and when it refreshes."""

    def test_it_authorises_and_refreshes(self):
        password = self.authorize_and_serve()
        self.oidc.expire_access_tokens(ALICE)
        before = self.oidc.refreshed()
        self.assert_reads_mail(password)
        self.assertEqual(self.oidc.refreshed() - before, 1)


class SecretByPost(ConfidentialClient, BehindAProxy):
    proxy_options = {"client_authentication": "post"}


class SecretByBasic(ConfidentialClient, BehindAProxy):
    proxy_options = {"client_authentication": "basic"}


class Federated(BehindAProxy):
    """A client without a secret, for which another service signs. Each of its assertions is accepted once."""

    proxy_options = {"client_authentication": "federated"}

    def vouch(self, **options):
        self.proxy.write_assertion(self.oidc.assertion(f"{self.oidc.client_id}-federated", **options))

    def test_it_authorises_and_refreshes_with_the_newest_assertion(self):
        self.vouch()
        password = self.authorize()["password"]
        self.vouch()
        self.proxy.serve()
        self.oidc.expire_access_tokens(ALICE)
        before = self.oidc.refreshed()
        self.assert_reads_mail(password)
        self.assertEqual(self.oidc.refreshed() - before, 1)

    def test_one_that_has_ended_costs_no_grant(self):
        self.vouch()
        self.authorize()
        self.vouch(seconds=-10)
        done = self.proxy.run("tokens", "refresh", ALICE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"assertion.jwt holds an assertion that ended on", done.stderr)
        self.vouch()
        self.proxy.run("tokens", "refresh", ALICE)
        self.assertEqual(self.grant()["state"], "ok")


class Application:
    """`authorize --app` with a certificate: the real server verifies what the proxy signs."""

    def test_it_opens_the_mailbox_without_a_person(self):
        result = self.proxy.json("authorize", ALICE, "--app")
        self.proxy.serve()
        self.assert_reads_mail(result["password"])
        self.proxy.run("tokens", "refresh", ALICE)
        self.assertEqual((self.grant()["kind"], self.grant()["state"]), ("app", "ok"))


class CertificateByPs256(Application, BehindAProxy):
    proxy_options = {"client_authentication": "app-ps256"}


class CertificateByRs256(Application, BehindAProxy):
    proxy_options = {"client_authentication": "app-rs256"}


class Accounts(BehindAProxy):
    def test_a_second_password_works_until_it_is_revoked(self):
        first = self.authorize_and_serve()
        created = self.proxy.json("passwords", "create", ALICE, "--name", "scanner")
        self.assertEqual(created.keys(), {"account", "name", "password"})
        self.assert_reads_mail(created["password"])

        self.proxy.run("passwords", "revoke", ALICE, "scanner")
        self.assert_login_refused(created["password"], "[AUTHENTICATIONFAILED]")
        self.assert_reads_mail(first)

    def test_a_chosen_password_works(self):
        self.authorize_and_serve()
        self.proxy.run("passwords", "create", ALICE, "--name", "old", "--stdin", stdin=b"correct horse battery\n")
        for _ in range(2):
            self.assert_reads_mail("correct horse battery")

    def test_an_alias_logs_in_to_the_same_mail(self):
        password = self.authorize_and_serve()
        self.proxy.run("accounts", "alias", ALICE, "alice")
        self.dovecot.deliver(ALICE, message("hers"), "1.test.localhost")
        client = self.log_in(password, user="alice")
        self.assertEqual(client.select("INBOX"), ("OK", [b"1"]))
        client.logout()

    def test_names_are_compared_without_regard_to_case(self):
        password = self.authorize_and_serve()
        self.assert_reads_mail(password, user="Alice@Corp.Example")

    def test_a_removed_account_is_unknown(self):
        password = self.authorize_and_serve()
        self.proxy.run("accounts", "remove", ALICE)
        self.assert_login_refused(password, "[AUTHENTICATIONFAILED]")

    def test_an_imported_refresh_token_serves_like_an_authorised_one(self):
        refresh_token = self.oidc.sign_in(BOB)["refresh_token"]
        self.proxy.run("tokens", "import", BOB, "--provider", "acme", stdin=refresh_token.encode() + b"\n")
        password = self.proxy.json("passwords", "create", BOB, "--name", "desk")["password"]
        self.proxy.serve()
        self.assert_reads_mail(password, user=BOB)

    def test_two_accounts_see_their_own_mail(self):
        alice = self.authorize(ALICE)["password"]
        bob = self.authorize(BOB)["password"]
        self.proxy.serve()
        self.dovecot.deliver(BOB, message("his"), "1.test.localhost")
        for user, password, count in ((ALICE, alice, b"0"), (BOB, bob, b"1")):
            client = self.log_in(password, user)
            self.assertEqual(client.select("INBOX"), ("OK", [count]))
            client.logout()
        self.assert_login_refused(alice, "[AUTHENTICATIONFAILED]", user=BOB)


if __name__ == "__main__":
    unittest.main()
