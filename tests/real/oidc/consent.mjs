// Login and consent in one plain HTML form, so that a browser and a script can
// both use it. Any known address logs in without a password, because the test
// chooses the person.

const escape = (text) =>
  String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

const page = (uid, client, scopes, hint) => `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Consent</title>
<h1>${escape(client)} asks for access</h1>
<ul>${scopes.map((scope) => `<li>${escape(scope)}</li>`).join("")}</ul>
<form method="post" action="/interaction/${escape(uid)}">
  <label>Sign in as <input name="login" value="${escape(hint)}" autofocus></label>
  <button name="decision" value="allow">Allow</button>
  <button name="decision" value="deny">Deny</button>
</form></html>`;

/** Answers `GET` and `POST /interaction/:uid`; the form's fields are `login` and `decision`. */
export async function interaction(provider, accounts, request, response) {
  const { uid, params, grantId } = await provider.interactionDetails(request, response);
  const scopes = (params.scope ?? "").split(" ").filter(Boolean);

  if (request.method !== "POST") {
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.end(page(uid, params.client_id, scopes, params.login_hint ?? ""));
    return;
  }

  const form = new URLSearchParams(await body(request));
  const accountId = form.get("login")?.toLowerCase();
  if (form.get("decision") !== "allow" || !accounts.has(accountId)) {
    const refusal = { error: "access_denied", error_description: "The person said no." };
    await provider.interactionFinished(request, response, refusal);
    return;
  }

  const existing = grantId && (await provider.Grant.find(grantId));
  const sameAccount = existing && existing.accountId === accountId;
  const grant = sameAccount ? existing : new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(scopes.join(" "));
  const result = { login: { accountId }, consent: { grantId: await grant.save() } };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
