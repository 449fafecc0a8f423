"""The page, the consent and the sign-in link in a real browser, with a real OAuth server."""

import os
import re
import unittest
from pathlib import Path

from parts.browser import Browser
from world import ALICE, BOB, BehindAProxy

PAGE = '\n[admin]\naddress = "127.0.0.1:0"\n'
# Where the pictures of the documentation are written, if they are asked for.
PICTURES = os.environ.get("PICTURES")


class InABrowser(BehindAProxy):
    proxy_options = {"more": PAGE}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.stop)

    def setUp(self):
        super().setUp()
        self.password = self.authorize(ALICE)["password"]
        self.bobs = self.authorize(BOB)["password"]
        self.proxy.serve()
        self.base = self.proxy.ready["admin"]

    def enter(self, **options):
        """Into the page, by the command."""
        self.browser.open(**options)
        entrance = self.proxy.run("admin", "--no-browser").stdout.decode().strip()
        self.assertTrue(entrance.startswith(self.base + "/enter/"), entrance)
        self.browser.goto(url=entrance)
        self.browser.click(name="Open the page")
        self.assertEqual(self.browser.url(), self.base + "/")

    def end_bobs_consent(self):
        """His provider takes the consent back; the proxy notices at the next refresh."""
        self.oidc.revoke_grants(BOB)
        self.proxy.run("tokens", "refresh", BOB, check=False)
        self.assertEqual(self.grant(BOB)["state"], "needs_authorization")

    def account(self, name):
        self.browser.goto(url=f"{self.base}/accounts/{name}")

    def shows(self, *words):
        for word in words:
            self.browser.wait(text=word)
        return self.browser.text()

    def consent(self, login):
        """What the person does at the OAuth server."""
        self.browser.fill(label="Sign in as", value=login)
        self.browser.click(name="Allow")


class Buttons(InABrowser):
    def test_every_button_with_scripts(self):
        self.every_button(javascript=True)
        self.assertEqual(self.browser.complaints(), [], "the policy forbids nothing that the page needs")

    def test_every_button_without_scripts(self):
        self.every_button(javascript=False)

    def every_button(self, javascript):
        browser = self.browser
        self.enter(javascript=javascript)
        self.shows("2 accounts", "None needs a person", ALICE, BOB)

        browser.click(name=ALICE)
        browser.click(name="Check")
        browser.wait(text="The mailbox has", again=not javascript)

        self.account(ALICE)
        browser.click(name="Disable")
        self.shows("lets no mail program in from now on")
        self.assert_login_refused(self.password)
        browser.click(name="Enable")
        self.shows("lets mail programs in again")
        session = self.log_in(self.password)

        self.account(ALICE)
        browser.click(name="Close the session " + self.proxy.json("sessions", "list")[0]["id"])
        self.shows("told to end")
        lines = []
        while line := session.file.readline():
            lines.append(line)
        self.assertTrue(lines[-1].startswith(b"* BYE"), lines)

        browser.unfold(name="New app password")
        browser.fill(label="Name", value="scanner")
        browser.check(label="IMAP")
        browser.click(name="Make the password")
        shown = browser.of(selector="code.password")
        self.assert_reads_mail(shown)
        self.account(ALICE)
        self.assertNotIn(shown, browser.text(), "it is shown once")
        browser.click(name="Revoke scanner")
        self.shows("scanner")
        browser.click(name="Revoke the password")
        self.assert_login_refused(shown)

        browser.click(name="Show the settings")
        self.shows("SSL/TLS", "not OAuth2")
        self.assertTrue(browser.download(name="Profile").endswith(".mobileconfig"))

        browser.click(name="Activity")
        self.shows("scanner")
        browser.goto(url=self.base + "/?q=bob")
        self.assertNotIn(ALICE, browser.text())

        self.account(BOB)
        browser.click(name="Revoke the authorisation")
        browser.click(name="Revoke the authorisation")
        self.shows("has revoked it, too")
        self.assertEqual(self.grant(BOB)["state"], "needs_authorization")
        browser.goto(url=self.base + "/")
        self.shows("1 needs a person")
        self.account(BOB)
        browser.click(name="Remove the account")
        browser.click(name="Remove the account")
        self.shows(f"{BOB} is removed")

        browser.click(name="Add accounts")
        browser.fill(label="Table", value="carol@corp.example\n")
        browser.click(name="Add the accounts")
        self.shows("1 account made", "carol@corp.example")
        browser.click(name="Sign out")
        self.shows("imap-oauth-proxy admin")
        surfaces = {event["surface"] for event in self.proxy.json("events", "list")[-3:]}
        self.assertEqual(surfaces, {"page"})

    def test_the_keyboard_alone_opens_an_account(self):
        self.enter()
        self.browser.press(key="Tab")
        # Past the navigation, at first.
        self.browser.press(key="Enter")
        self.browser.arrive(url=self.base + "/#main")


class Consents(InABrowser):
    def test_authorise_again_from_the_page_goes_through_the_provider_and_back(self):
        self.end_bobs_consent()
        self.enter()
        self.shows("1 needs a person")
        self.account(BOB)
        self.browser.click(name="Authorise again")
        self.to_the_provider()
        self.consent(BOB)
        self.shows(BOB)
        self.assertEqual(self.grant(BOB)["state"], "ok")
        self.assert_reads_mail(self.bobs, user=BOB)
        self.assertEqual(self.browser.complaints(), [])

    def test_a_person_mends_the_account_by_the_link_of_the_mail_programs_error(self):
        for javascript in (True, False):
            with self.subTest(javascript=javascript):
                self.end_bobs_consent()
                refused = self.assert_login_refused(self.bobs, "[EXPIRED]", user=BOB)
                link = re.search(r" (http\S+/again/[a-z2-7]{26}) ", refused)[1]
                # A mail scanner looks at it first.
                self.browser.open(javascript=javascript)
                self.browser.goto(url=link)
                self.browser.goto(url=link)
                self.assertEqual(self.grant(BOB)["state"], "needs_authorization")
                self.shows(BOB)
                self.sign_in_button()
                self.to_the_provider()
                self.consent(BOB)
                self.assertEqual(self.grant(BOB)["state"], "ok")
                self.assert_reads_mail(self.bobs, user=BOB)
                self.assertEqual(self.browser.goto(url=link), 404, "a stored grant ends the link")

    def test_another_person_or_a_refusal_changes_nothing(self):
        self.end_bobs_consent()
        refused = self.assert_login_refused(self.bobs, "[EXPIRED]", user=BOB)
        link = re.search(r" (http\S+/again/[a-z2-7]{26}) ", refused)[1]
        for login, button, words in ((ALICE, "Allow", ALICE), (BOB, "Deny", "access was not granted")):
            self.browser.open()
            self.browser.goto(url=link)
            self.sign_in_button()
            self.to_the_provider()
            self.browser.fill(label="Sign in as", value=login)
            self.browser.click(name=button)
            self.shows(words)
            self.assertEqual(self.grant(BOB)["state"], "needs_authorization")

    def sign_in_button(self):
        self.browser.click(name="Sign in at acme")

    def to_the_provider(self):
        """A page of the proxy may lie between, with a link to the provider."""
        if self.browser.url().startswith(self.base) or "127.0.0.1" in self.browser.url():
            for name in ("Sign in at acme", "Go to acme", "Continue to acme"):
                if self.browser.has(name=name):
                    self.browser.click(name=name)
                    break


class Looks(InABrowser):
    """Contrast, labels and width, by axe-core, on each kind of page."""

    SIZES = ((1280, 800), (360, 740))

    def test_each_page_is_readable_in_light_and_dark_narrow_and_wide(self):
        self.end_bobs_consent()
        session = self.log_in(self.password)
        self.enter()
        paths = ["/", "/?q=nobody", f"/accounts/{ALICE}", f"/accounts/{BOB}", f"/accounts/{ALICE}/setup", "/sessions"]
        paths += ["/activity", "/add", f"/accounts/{ALICE}/remove", f"/accounts/{ALICE}/revoke", "/nothing", "/enter/x"]
        faults = []
        for path in paths:
            self.browser.goto(url=self.base + path)
            for width, height in self.SIZES:
                for scheme in ("light", "dark"):
                    self.browser.size(width=width, height=height, scheme=scheme)
                    faults += [f"{path} {width} {scheme}: {fault}" for fault in self.browser.audit()]
        self.assertEqual(faults, [])
        session.logout()

    @unittest.skipUnless(PICTURES, "PICTURES names no directory")
    def test_pictures_for_the_documentation(self):
        self.end_bobs_consent()
        sessions = [self.log_in(self.password)]
        self.enter()
        for scheme in ("light", "dark"):
            self.browser.size(width=1100, height=700, scheme=scheme)
            for name, path in (("page", "/"), ("account", f"/accounts/{BOB}")):
                self.browser.goto(url=self.base + path)
                picture = Path(PICTURES) / f"{name}-{scheme}.png"
                self.browser.picture(path=str(picture))
                self.assertLess(picture.stat().st_size, 150 * 1024)
        for session in sessions:
            session.logout()


if __name__ == "__main__":
    unittest.main()
