"""The whole way of a person with an expired account: Thunderbird's own alert, the link in it, the consent, and mail again."""

import re
import unittest

from clients import thunderbird
from parts.browser import Browser
from world import ALICE, BehindAProxy, message


class InThunderbird(BehindAProxy):
    proxy_options = {"more": '\n[admin]\naddress = "127.0.0.1:0"\n'}

    def environment(self, **extra):
        return {"HOME": str(self.work), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"} | extra

    def test_an_expired_account_is_mended_by_the_link_in_thunderbirds_alert(self):
        self.dovecot.deliver(ALICE, message("first"), "1.test.localhost")
        password = self.authorize_and_serve()
        self.oidc.revoke_grants(ALICE)
        self.proxy.run("tokens", "refresh", ALICE, check=False)
        self.assertEqual(self.grant()["state"], "needs_authorization")

        self.ca = self.proxy.ca
        program, ca = thunderbird.start(self)

        def run(call, *arguments):
            return program.run(f"{thunderbird.SCRIPT}\nreturn await {call};", *arguments)

        alert = run("alertOf(() => account(...args))", ca, self.proxy.host, self.proxy.port, ALICE, password)
        link = re.search(rf" ({self.proxy.ready['admin']}/again/[a-z2-7]{{26}}) ", alert)
        self.assertIsNotNone(link, alert)

        browser = Browser()
        self.addCleanup(browser.stop)
        browser.open()
        browser.goto(url=link[1])
        browser.wait(text=ALICE)
        browser.click(name="Sign in at acme")
        browser.fill(label="Sign in as", value=ALICE)
        browser.click(name="Allow")
        browser.wait(text="can connect now")
        self.assertEqual(self.grant()["state"], "ok")

        # Get Messages, with the same account and the same password.
        run("update()")
        run("comes('first')")
        self.assertTrue(run("source('first')").encode().endswith(message("first")))
        self.assertEqual(program.quit(), 0)


if __name__ == "__main__":
    unittest.main()
