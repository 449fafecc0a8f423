"""The imap-oauth-proxy binary from outside: its commands, its `serve`, its files.

The tests use only documented interfaces: the flags, the JSON on
standard output, the configuration keys and the ready file.
"""

import json
import os
import re
import signal
from pathlib import Path

from .child import Child, run, wait_for_file
from .oidc import consent

CONFIG = """
state_directory = "state"

[[listeners]]
protocol = "imap"
addresses = ["127.0.0.1:0"]
security = "tls"
{listener}

[providers.acme]
imap = "{imap_host}:{imap_port}"
imap_security = "{imap_security}"
authorize_url = "{oidc.authorize_url}"
token_url = "{oidc.token_url}"
userinfo_url = "{oidc.userinfo_url}"
revoke_url = "{oidc.revoke_url}"
issuer = "{oidc.issuer}"
{client}
scopes = ["openid", "email", "offline_access", "mail"]
authorize_params = {{ prompt = "consent" }}
domains = ["corp.example"]
mechanisms = ["{mechanism}"]
extra_ca = "{ca}"
"""

# The listeners for sending.
SENDING_LISTENERS = """
[[listeners]]
protocol = "submission"
addresses = ["127.0.0.1:0"]
security = "tls"
{listener}

[[listeners]]
protocol = "submission"
addresses = ["127.0.0.1:0"]
security = "starttls"
{listener}
"""

# The listeners for fetching by POP3.
FETCHING_LISTENERS = """
[[listeners]]
protocol = "pop3"
addresses = ["127.0.0.1:0"]
security = "tls"

[[listeners]]
protocol = "pop3"
addresses = ["127.0.0.1:0"]
security = "starttls"
"""

FETCHING_SERVER = """
pop3 = "{server.host}:{port}"
pop3_security = "{security}"
"""

SENDING_SERVER = """
smtp = "{server.host}:{port}"
smtp_security = "{security}"
"""

REPOSITORY = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("IMAP_OAUTH_PROXY", REPOSITORY / "target/debug/imap-oauth-proxy")).resolve()


class Proxy:
    """One installation: a configuration file, a state directory, and at most one running `serve`.

    With `sending=(server, security)` it has listeners for programs that send, and that server to send through; with
    `fetching=(server, security)` the same for POP3. `listener` is lines for each listener, `more` is further tables.
    """

    host = "localhost"

    def __init__(
        self,
        root: Path,
        oidc,
        dovecot,
        mechanism="xoauth2",
        client_authentication=None,
        sending=None,
        fetching=None,
        imap_security="tls",
        listener="",
        more="",
    ):
        root.mkdir()
        self._root = root
        self.config = root / "config.toml"
        text = CONFIG.format(
            imap_host=dovecot.host,
            imap_port=dovecot.port if imap_security == "tls" else dovecot.starttls_port,
            imap_security=imap_security,
            listener=listener,
            oidc=oidc,
            client=_client(oidc, client_authentication),
            mechanism=mechanism,
            ca=dovecot.ca,
        )
        listeners = ""
        # The provider's table is the last that has keys of its own.
        if sending is not None:
            server, security = sending
            text += SENDING_SERVER.format(server=server, port=server.submission[security], security=security)
            listeners += SENDING_LISTENERS.format(listener=listener)
        if fetching is not None:
            server, security = fetching
            text += FETCHING_SERVER.format(server=server, port=server.pop3[security], security=security)
            listeners += FETCHING_LISTENERS
        # The default address of the page is a fixed port.
        page = "" if "[admin]" in more else '\n[admin]\naddress = "off"\n'
        text += listeners + more + page
        self.config.write_text(text)
        # The file holds a client secret.
        self.config.chmod(0o600)
        if client_authentication and client_authentication.startswith("app-"):
            self._make_certificate(oidc)
        self._home = root / "home"
        self._home.mkdir()
        self._serve = None
        self.port = None
        self.pop3 = {}
        self.submission = {}
        self.ca = None
        # The output of every process of this installation, to search for secrets.
        self.logs = []

    def write_assertion(self, text):
        """The assertion that another service writes for the client, instead of a secret."""
        path = self._root / "assertion.jwt"
        path.write_text(text)
        path.chmod(0o600)

    def _make_certificate(self, oidc):
        """The application's key, and a certificate of it."""
        key = self._root / "app.key"
        key.write_text(oidc.assertion_key)
        key.chmod(0o600)
        subject = ("-subj", "/CN=imap-oauth-proxy", "-days", "2", "-out", self._root / "app.pem")
        run(["openssl", "req", "-x509", "-new", "-key", key, *subject])

    def run(self, *arguments, stdin=b"", check=True):
        """Runs one command to its end."""
        done = run(self._argv(arguments), stdin=stdin, env=self._env(), check=check)
        self.logs.append(done.stderr.decode("utf-8", "replace"))
        return done

    def json(self, *arguments, **options):
        """Runs a command that prints JSON, and reads it."""
        return json.loads(self.run(*arguments, "--json", **options).stdout)

    def authorize(self, account, login=None, decision="allow", extra=()):
        """`authorize --no-browser --json` with a person who consents as `login`.

        Returns `(exit code, result or None, standard error)`.
        """
        child = Child(self._argv(["authorize", account, "--no-browser", "--json", *extra]), env=self._env())
        try:
            consent(child.first_line(), login or account, decision)
            code = child.wait()
            lines = child.out.drained().splitlines()
            words = child.err.drained()
        finally:
            child.kill()
        self.logs.append(words)
        return code, json.loads(lines[1]) if code == 0 else None, words

    def serve(self):
        """Starts `serve` and waits for its ready file; `port`, `pop3`, `submission` and `ca` are then set."""
        ready_file = self._root / "ready.json"
        ready_file.unlink(missing_ok=True)
        self._serve = Child(self._argv(["serve", "--ready-file", ready_file]), env=self._env())
        ready = json.loads(wait_for_file(ready_file, self._serve))
        self.ready = ready
        for listener in ready["listeners"]:
            port = int(listener["address"].rpartition(":")[2])
            if listener["protocol"] == "imap":
                self.port = port
            else:
                getattr(self, listener["protocol"])[listener["security"]] = port
        self.ca = Path(ready["ca_file"])

    def memory(self):
        """The resident memory of the running `serve`, in bytes."""
        status = Path(f"/proc/{self._serve.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) << 10

    def peak_memory(self):
        """The peak of the resident memory, in bytes."""
        status = Path(f"/proc/{self._serve.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) << 10

    def log(self):
        """The output of the running `serve` so far."""
        return self._serve.err.text()

    def kill(self):
        """kill -9, as by the out-of-memory killer."""
        os.kill(self._serve.pid, signal.SIGKILL)
        self._serve.wait()
        self._end()

    def terminate(self):
        """Sends SIGTERM; `stop` waits for the end."""
        os.kill(self._serve.pid, signal.SIGTERM)

    def wait_for_log(self, text):
        return self._serve.err.wait_for(lambda line: text in line)

    def stop(self):
        """Sends SIGTERM and returns the exit code; None if `serve` was not running."""
        if self._serve is None:
            return None
        code = self._serve.stop()
        self._end()
        return code

    def _end(self):
        self.logs += [self._serve.out.drained(), self._serve.err.drained()]
        self._serve.kill()
        self._serve = None

    def state_files(self):
        """Every file of the installation, its configuration included."""
        return [path for path in self._root.rglob("*") if path.is_file()]

    def _argv(self, arguments):
        # The most detailed log in all tests, because one test searches it for secrets.
        return [BINARY, "--config", self.config, "--log", "trace", *map(str, arguments)]

    def _env(self):
        return {"PATH": os.environ["PATH"], "HOME": str(self._home), "RUST_BACKTRACE": "1"}


def _client(oidc, authentication):
    """The OAuth client's lines: a public one, one with a secret sent by `post` or `basic`, one that is `federated`, or an
    application with a certificate (`app-ps256`, `app-rs256`)."""
    if authentication is None:
        return f'client_id = "{oidc.client_id}"'
    if authentication == "federated":
        return f'client_id = "{oidc.client_id}-federated"\nclient_assertion_file = "assertion.jwt"'
    if authentication.startswith("app-"):
        algorithm = authentication.removeprefix("app-").upper()
        return (
            f'client_id = "{oidc.client_id}-{authentication}"\napp_scopes = ["mail"]\n'
            f'app_certificate = "app.pem"\napp_key = "app.key"\napp_algorithm = "{algorithm}"'
        )
    return (
        f'client_id = "{oidc.client_id}-{authentication}"\n'
        f'client_secret = "{oidc.client_secret}"\n'
        f'client_authentication = "{authentication}"'
    )
