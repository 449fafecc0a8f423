"""Thunderbird without a window: the account is made and used by the functions behind its menus.

Thunderbird signs in with AUTHENTICATE PLAIN on several connections, compresses if the
server offers that, and then waits in IDLE. It shows new mail from IDLE at once.
"""

from pathlib import Path

from world import message

from .marionette import Thunderbird

# Turns off a new profile's network requests and questions to the user.
PREFERENCES = """
user_pref("marionette.port", 0);
user_pref("app.update.enabled", false);
user_pref("extensions.update.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("mail.provider.suppress_dialog_on_startup", true);
user_pref("mail.shell.checkDefaultClient", false);
user_pref("mailnews.start_page.enabled", false);
user_pref("mail.inappnotifications.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "http://127.0.0.1:9/");
"""

SCRIPT = (Path(__file__).resolve().parent / "thunderbird.js").read_text()


def start(test):
    """A Thunderbird with a new profile, and the CA in the form that its calls accept."""
    profile = test.work / "thunderbird"
    profile.mkdir()
    (profile / "user.js").write_text(PREFERENCES)
    program = Thunderbird(profile, test.environment())
    test.addCleanup(program.kill)
    return program, "".join(line for line in Path(test.ca).read_text().splitlines() if not line.startswith("-----"))


def check(test):
    program, ca = start(test)

    def thunderbird(call, *arguments):
        return program.run(f"{SCRIPT}\nreturn await {call};", *arguments)

    thunderbird("account(...args)", ca, test.host, test.port, test.user, test.password)
    thunderbird("comes('first')")
    thunderbird("comes('second')")
    # Thunderbird adds its own X-Mozilla-Status lines at the top.
    test.assertTrue(thunderbird("source('first')").encode().endswith(message("first")))
    thunderbird("append(...args)", message("written").decode())
    thunderbird("flag('first')")
    thunderbird("remove('second')")
    test.mailbox.deliver(test.user, message("third"), "3.test.localhost")
    thunderbird("comes('third')")
    test.assertEqual(program.quit(), 0)
    # Thunderbird disconnects without a LOGOUT.
    test.assert_all_done("Disconnected:")
