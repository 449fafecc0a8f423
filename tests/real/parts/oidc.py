"""oidc-provider as a child, and the person in front of its consent page."""

import base64
import hashlib
import html
import json
import os
import re
import secrets
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

from .child import DEADLINE, Child, run

HERE = Path(__file__).resolve().parent.parent


class Oidc:
    """The OAuth server. Its endpoints are attributes; `expire…`, `revoke…` and `down` end its tokens or its service."""

    def __init__(self, access_token_seconds=3600, rotation=True):
        env = os.environ | {
            "ACCESS_TOKEN_SECONDS": str(access_token_seconds),
            "ROTATION": "on" if rotation else "off",
        }
        self._child = Child(["node", HERE / "oidc" / "server.mjs"], env=env)
        ready = json.loads(self._child.first_line())
        self._admin = ready.pop("admin")
        self.__dict__.update(ready)

    def stop(self):
        self._child.kill()

    def log(self):
        return self._child.err.text()

    def expire_access_tokens(self, account):
        return self._ask("access-tokens/expire", account=account)

    def revoke_access_tokens(self, account):
        return self._ask("access-tokens/revoke", account=account)

    def revoke_grants(self, account):
        return self._ask("grants/revoke", account=account)

    def settings(self, **change):
        """`accessTokenSeconds`, `rotation`, `offlineUnasked`, for tokens issued from now on."""
        return self._ask("settings", **change)

    def tokens(self):
        """Every token ever issued: `{kind, account, value, alive}`."""
        return self._ask("tokens")

    def refreshed(self):
        """How many refreshes succeeded so far."""
        return self._ask("counters")["refreshed"]

    def down(self):
        """Stops the server: connections are refused, and its state is kept."""
        self._ask("down")

    def up(self):
        self._ask("up")

    def _ask(self, what, **arguments):
        request = urllib.request.Request(f"{self._admin}/test/{what}", json.dumps(arguments).encode())
        with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
            return json.load(answer)

    def assertion(self, client_id, seconds=300):
        """An assertion that another service signs for a client and renews in a file; each is accepted once (`jti`)."""

        def part(value):
            return base64.urlsafe_b64encode(value).decode().rstrip("=")

        now = int(time.time())
        claims = {"iss": client_id, "sub": client_id, "aud": self.issuer, "jti": secrets.token_urlsafe(16)}
        claims |= {"iat": now, "exp": now + seconds}
        signed = ".".join(part(json.dumps(value).encode()) for value in ({"alg": "RS256", "typ": "JWT"}, claims))
        with tempfile.NamedTemporaryFile("w") as key:
            key.write(self.assertion_key)
            key.flush()
            signature = run(["openssl", "dgst", "-sha256", "-sign", key.name], stdin=signed.encode()).stdout
        return f"{signed}.{part(signature)}"

    def sign_in(self, account):
        """The whole flow without any proxy: the token endpoint's answer for this account."""
        verifier = secrets.token_urlsafe(32)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        redirect = "http://127.0.0.1/callback"
        answer = self.authorization_answer(account, redirect, code_challenge=challenge, code_challenge_method="S256")
        code = answer["code"][0]
        return self.token_request(
            grant_type="authorization_code", code=code, redirect_uri=redirect, code_verifier=verifier
        )

    def authorization_answer(self, account, redirect, **extra):
        """The parameters of the redirect after the consent of `account`: `{name: [value]}`."""
        question = {
            "client_id": self.client_id,
            "response_type": "code",
            "redirect_uri": redirect,
            "scope": "openid email offline_access mail",
            "prompt": "consent",
            "state": secrets.token_urlsafe(16),
        } | extra
        landed = consent(f"{self.authorize_url}?{urllib.parse.urlencode(question)}", account, stop_at=redirect)
        return urllib.parse.parse_qs(urllib.parse.urlsplit(landed).query)

    def token_request(self, **form):
        form = urllib.parse.urlencode({"client_id": self.client_id} | form).encode()
        try:
            with urllib.request.urlopen(self.token_url, form, timeout=DEADLINE) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            return json.load(refusal)


class _StopAt(urllib.request.HTTPRedirectHandler):
    """Follows redirects until one leads to `prefix`, where no server listens."""

    def __init__(self, prefix):
        self._prefix = prefix
        self.landed = None

    def redirect_request(self, request, fp, code, message, headers, url):
        if self._prefix and url.startswith(self._prefix):
            self.landed = url
            return None
        return super().redirect_request(request, fp, code, message, headers, url)


def consent(url, login, decision="allow", stop_at=None):
    """Opens `url` as a browser would, signs in as `login`, and follows the redirects.

    Returns the text of the last page, or with `stop_at` the URL that begins so, unvisited.
    """
    stop = _StopAt(stop_at)
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()), stop)
    try:
        with browser.open(url, timeout=DEADLINE) as page:
            form = re.search(r'<form method="post" action="([^"]+)"', page.read().decode())
            action = urllib.parse.urljoin(page.url, html.unescape(form[1]))
        fields = urllib.parse.urlencode({"login": login, "decision": decision}).encode()
        with browser.open(action, fields, timeout=DEADLINE) as page:
            return page.read().decode()
    except urllib.error.HTTPError as page:
        if stop.landed:
            return stop.landed
        # The proxy's own page for a refusal may have another status.
        return page.read().decode("utf-8", "replace")
