"""The page, the consent and the sign-in link in a real browser, with a real OAuth server."""

import datetime
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
        # The browser also logs the answer to a form with a mistake.
        complaints = [line for line in self.browser.complaints() if "status of 422" not in line]
        self.assertEqual(complaints, [], "the policy forbids nothing that the page needs")

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
        browser.click(name="Limits of scanner")
        browser.fill(label="Only from", value="192.0.2.0/24")
        browser.fill(label="Last day", value="2099-12-31")
        browser.click(name="Change the limits")
        self.shows("from now on: imap only; from 192.0.2.0/24; until 2099-12-31. Before: imap only.")
        self.assert_login_refused(shown)
        browser.click(name="Limits of scanner")
        browser.fill(label="Only from", value="everywhere")
        browser.click(name="Change the limits")
        self.shows("is no network")
        browser.fill(label="Only from", value="")
        browser.click(name="Change the limits")
        self.assert_reads_mail(shown)

        browser.unfold(name="New login name")
        browser.fill(label="Login name", value="helpdesk")
        browser.click(name="Add the login name")
        self.shows("“helpdesk” is a login name")
        self.assert_reads_mail(self.password, user="helpdesk")
        browser.click(name="Remove the login name helpdesk")
        self.shows("“helpdesk” is no login name")
        self.assert_login_refused(self.password, user="helpdesk")

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

        # The administrator has written the end of the client's secret, and later its new one, into the file.
        config = self.proxy.config.read_text()
        soon = (datetime.date.today() + datetime.timedelta(days=9)).isoformat()
        self.proxy.config.write_text(config.replace("extra_ca", f'client_secret_expires = "{soon}"\nextra_ca'))
        self.proxy.run("reload")
        browser.goto(url=self.base + "/")
        self.shows("The client secret of acme ends on", "its account")
        self.proxy.config.write_text(config)
        browser.click(name="Load the configuration again")
        self.assertNotIn("client secret", self.shows("The new configuration is in use"))

        browser.click(name="Add accounts")
        browser.fill(label="Table", value="carol@corp.example\n")
        browser.click(name="Add the accounts")
        self.shows("1 account made", "carol@corp.example", "/again/")
        browser.click(name="Add accounts")
        browser.upload(label="Or a file", name="more.csv", text="dave@corp.example;;;dave\r\ncarol@corp.example\r\n")
        browser.click(name="Add the accounts")
        self.shows("No account was made", "Line 2")
        browser.upload(label="Or a file", name="more.csv", text="dave@corp.example;;;dave\r\nerin@corp.example\r\n")
        browser.click(name="Add the accounts")
        self.shows("2 accounts made", "dave@corp.example", "erin@corp.example")
        # Their passwords work once their owners have consented.
        daves = browser.of(selector="td:has-text('dave') + td code")
        self.assert_login_refused(daves, "[EXPIRED]", "/again/", user="dave")
        browser.click(name="Sign out")
        self.shows("imap-oauth-proxy admin")
        surfaces = {event["surface"] for event in self.proxy.json("events", "list")[-9:]}
        self.assertEqual(surfaces, {"page"})

    def test_the_list_is_up_to_date_or_says_that_it_is_not(self):
        browser = self.browser
        self.enter()
        self.shows("None needs a person")
        self.end_bobs_consent()
        browser.come_back()
        self.shows("1 needs a person", "Needs authorisation")
        self.assertEqual(browser.title(), "(1) Accounts · Mail proxy")
        # What a person types is not taken away.
        browser.fill(label="Search", value="half a na")
        browser.come_back()
        self.proxy.run("accounts", "disable", ALICE)
        browser.come_back()
        browser.of(selector="td .state:has-text('Disabled')")
        self.assertEqual(browser.value(label="Search"), "half a na")
        self.proxy.stop()
        browser.come_back()
        browser.come_back()
        self.assertRegex(self.shows("Not up to date since "), r"since \d\d:\d\d: the mail proxy does not answer\.")

    def test_the_end_of_the_session_is_shown_where_the_list_was(self):
        self.enter()
        self.shows("2 accounts")
        self.browser.forget_cookies()
        self.browser.come_back()
        self.assertNotIn("2 accounts", self.shows("imap-oauth-proxy admin"))

    def test_a_second_click_does_nothing_twice_and_what_was_done_is_heard(self):
        self.enter()
        self.browser.click(name="Add accounts")
        self.browser.fill(label="Table", value="carol@corp.example\n")
        self.browser.click_twice(name="Add the accounts")
        self.assertNotIn("No account was made", self.shows("1 account made", "carol@corp.example"))
        self.assertIn("1 account made", self.browser.focused())

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

    def test_an_administrator_copies_the_sign_in_link_and_its_person_mends_the_account(self):
        self.end_bobs_consent()
        for javascript in (True, False):
            with self.subTest(javascript=javascript):
                self.enter(javascript=javascript)
                self.account(BOB)
                self.browser.click(name="Sign-in link")
                self.shows("Send it to the account's owner")
                link = self.browser.value(label=f"The sign-in link of {BOB}")
                self.assertRegex(link, self.base + r"/again/[a-z2-7]{26}$")
                if javascript:
                    self.browser.click(name="Copy sign-in link")
                    self.shows("Copied")
                    self.assertEqual(self.browser.clipboard(), link)
                    self.assertEqual(self.browser.complaints(), [])
        shown = [event for event in self.proxy.json("events", "list") if event["event"] == "link_shown"]
        self.assertEqual([(event["account"], event["surface"]) for event in shown], [(BOB, "page")] * 2)
        # Its person, in a browser that has no session.
        self.browser.open()
        self.browser.goto(url=link)
        self.sign_in_button()
        self.to_the_provider()
        self.consent(BOB)
        self.shows("can connect now")
        self.assert_reads_mail(self.bobs, user=BOB)

    def test_a_new_account_is_authorised_from_the_page(self):
        for javascript in (True, False):
            with self.subTest(javascript=javascript):
                self.proxy.run("accounts", "remove", BOB, "--yes")
                self.enter(javascript=javascript)
                self.browser.click(name="Add accounts")
                self.browser.fill(label="Address of the mailbox", value=BOB)
                self.browser.click(name="Authorise")
                self.to_the_provider()
                self.consent(BOB)
                self.shows("Signed in as")
                self.assertEqual(self.grant(BOB)["state"], "ok")
                self.browser.click(name="To the account")
                self.browser.fill(label="Name", value="phone")
                self.browser.click(name="Make the password")
                self.assert_reads_mail(self.browser.of(selector="code.password"), user=BOB)

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

    SIZES = ((1280, 800), (860, 700), (360, 740))

    def test_each_page_is_readable_in_light_and_dark_narrow_and_wide(self):
        self.end_bobs_consent()
        session = self.log_in(self.password)
        self.enter()
        paths = ["/", "/?q=nobody", f"/accounts/{ALICE}", f"/accounts/{BOB}", f"/accounts/{ALICE}/setup", "/sessions"]
        paths += ["/activity", "/add", f"/accounts/{ALICE}/remove", f"/accounts/{ALICE}/revoke", "/nothing", "/enter/x"]
        paths += [f"/accounts/{ALICE}/limits?name=default", "/?kind=needs_person"]
        self.faults = []
        for path in paths:
            self.browser.goto(url=self.base + path)
            self.look(path)
        self.unfold_and_look()
        self.assertEqual(self.faults, [])
        session.logout()

    def unfold_and_look(self):
        """What buttons lead to, in the session."""
        browser = self.browser
        self.account(ALICE)
        browser.unfold(name="New app password")
        browser.unfold(name="New login name")
        self.look("the forms of an account")
        browser.fill(label="Name", value="scanner")
        browser.fill(label="Only from", value="everywhere")
        browser.click(name="Make the password")
        self.shows("is no network")
        self.look("a form with a mistake")
        browser.fill(label="Only from", value="")
        browser.click(name="Make the password")
        self.shows("shown this once")
        self.look("a new password")
        self.account(BOB)
        browser.click(name="Sign-in link")
        self.shows("Send it to")
        self.look("a sign-in link")
        for account, words in ((ALICE, "The mailbox has"), (BOB, "A person has to act")):
            self.account(account)
            browser.click(name="Check")
            self.shows(words)
            self.look(f"the check of {account}")
        browser.goto(url=self.base + "/add")
        browser.fill(label="Table", value="carol@corp.example,none\ncarol@corp.example\n")
        browser.click(name="Add the accounts")
        self.shows("No account was made")
        self.look("a table with mistakes")
        browser.fill(label="Table", value="carol@corp.example,,,helpdesk\n")
        browser.click(name="Add the accounts")
        self.shows("1 account made")
        self.look("new accounts")

    def look(self, what):
        """All that is wrong with what is shown, in each width and scheme."""
        for width, height in self.SIZES:
            for scheme in ("light", "dark"):
                self.browser.size(width=width, height=height, scheme=scheme)
                self.faults += [f"{what} {width} {scheme}: {fault}" for fault in self.browser.audit()]

    def test_the_pages_of_a_sign_in_are_readable_in_light_and_dark_narrow_and_wide(self):
        self.end_bobs_consent()
        refused = self.assert_login_refused(self.bobs, "[EXPIRED]", user=BOB)
        link = re.search(r" (http\S+/again/[a-z2-7]{26}) ", refused)[1]
        browser, self.faults = self.browser, []
        self.enter()
        # The page before the provider, which sends the browser on by itself.
        self.account(BOB)
        browser.still()
        browser.click(name="Authorise again")
        browser.click(name="Follow")
        self.shows("Your browser comes back here by itself")
        self.look("the way to the provider")
        browser.click(name="Go to acme")
        self.consent(ALICE)
        self.shows("Nothing was stored")
        self.look("another person")

        # A person elsewhere, whose browser cannot reach the loopback address that is registered.
        browser.open()
        browser.headers(lines={"X-Forwarded-For": "192.0.2.7"})
        browser.goto(url=link)
        self.look("a sign-in link's page")
        browser.click(name="Sign in at acme")
        self.shows("paste it here")
        self.look("the form to paste into")
        browser.fill(label="Address of that page", value="http://127.0.0.1/?state=x&code=y")
        browser.click(name="Go on")
        self.look("a wrong address pasted")

        browser.open()
        browser.goto(url=link)
        browser.click(name="Sign in at acme")
        self.consent(BOB)
        self.shows("can connect now")
        self.look("a sign-in that is done")
        self.assertEqual(browser.goto(url=link), 404)
        self.look("a link that has ended")
        browser.goto(url=self.base + "/consent/none")
        self.look("a sign-in of another browser")
        self.assertEqual(self.faults, [])

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
