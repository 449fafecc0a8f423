"""Mistakes in the configuration and in commands: one sentence, the right exit code, no partial change."""

import unittest

from parts.child import run
from world import ALICE, BehindAProxy


class Configuration(BehindAProxy):
    def test_the_configuration_of_these_tests_is_good(self):
        self.assertEqual(self.proxy.run("config", "check").returncode, 0)

    def test_the_example_is_a_good_configuration(self):
        self.proxy.config.write_bytes(self.proxy.run("config", "example").stdout)
        self.assertEqual(self.proxy.run("config", "check").returncode, 0)

    def test_an_unknown_key_is_named_with_file_and_line_and_nothing_is_bound(self):
        text = self.proxy.config.read_text()
        self.proxy.config.write_text(text.replace("security = ", "secrity = "))
        line = text[: text.index("security = ")].count("\n") + 1
        for command in (["config", "check"], ["serve"]):
            done = self.proxy.run(*command, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            words = done.stderr.decode()
            self.assertIn("secrity", words)
            self.assertIn(str(self.proxy.config), words)
            self.assertRegex(words, rf"\b{line}\b")

    def test_http_is_refused_beyond_loopback(self):
        text = self.proxy.config.read_text()
        self.proxy.config.write_text(text.replace(self.oidc.token_url, "http://mail.example/token"))
        done = self.proxy.run("config", "check", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"token_url", done.stderr)

    def test_a_taken_port_is_one_sentence(self):
        self.proxy.serve()
        text = self.proxy.config.read_text()
        self.proxy.config.write_text(text.replace("127.0.0.1:0", f"127.0.0.1:{self.proxy.port}"))
        done = self.proxy.run("serve", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"127.0.0.1:{self.proxy.port}", done.stderr.decode())

    def test_an_unknown_command_is_a_mistake_in_usage(self):
        self.assertEqual(self.proxy.run("srve", check=False).returncode, 2)


class Certificates(BehindAProxy):
    def test_what_is_exported_is_what_signs_the_server(self):
        exported = self.work / "ca.pem"
        self.proxy.run("certs", "export", exported)
        self.proxy.serve()
        self.assertEqual(exported.read_text(), self.proxy.ca.read_text())
        run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{self.proxy.port}", "-verify_return_error"]
            + ["-CAfile", exported, "-verify_ip", "127.0.0.1"],
            stdin=b"a1 LOGOUT\n",
        )

    def test_the_authority_outlives_restarts(self):
        self.proxy.serve()
        before = self.proxy.ca.read_text()
        self.proxy.kill()
        self.proxy.serve()
        self.assertEqual(self.proxy.ca.read_text(), before)


class Lists(BehindAProxy):
    def test_accounts_and_passwords_are_listed_as_json(self):
        self.assertEqual(self.proxy.json("accounts", "list"), [])
        self.authorize()
        self.assertEqual([entry["account"] for entry in self.proxy.json("accounts", "list")], [ALICE])
        self.assertEqual(len(self.proxy.json("passwords", "list", ALICE)), 1)

    def test_a_command_about_an_unknown_account_fails(self):
        self.authorize()
        for command in (["passwords", "create", "eve@corp.example", "--name", "x"], ["accounts", "remove", "eve@corp.example"]):
            done = self.proxy.run(*command, check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("eve@corp.example", done.stderr.decode())


if __name__ == "__main__":
    unittest.main()
