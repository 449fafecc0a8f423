// A real OAuth server for the tests: oidc-provider with the rules that make a
// careless client lose its grant. PKCE is compulsory, refresh tokens rotate, and
// a refresh token used twice ends the whole grant.
//
// Two listeners on free loopback ports: the provider itself, and a control port for
// the tests, which expires and revokes tokens and takes the provider off the net
// without losing its state. The mail server introspects through the control
// port, so that only clients notice when the provider is off. The first line on
// standard output has their addresses; the process ends with its standard input.
//
// Environment: ACCESS_TOKEN_SECONDS (3600), ROTATION (on | off).

import { createPublicKey, generateKeyPairSync, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";
import { interaction } from "./consent.mjs";
import { expireAccessTokens, revokeAccessTokens, revokeGrants, Store, tokens } from "./store.mjs";

const ACCOUNTS = new Set(["alice@corp.example", "bob@corp.example"]);
const SCOPES = ["openid", "email", "profile", "offline_access", "mail"];
const HOST = "127.0.0.1";

const settings = {
  accessTokenSeconds: Number(process.env.ACCESS_TOKEN_SECONDS ?? 3600),
  rotation: (process.env.ROTATION ?? "on") === "on",
  // As Microsoft, which asks for no `prompt=consent`; without it offline_access is dropped here.
  offlineUnasked: false,
};
const counters = { refreshed: 0, refused: 0 };

// Every character here is encoded differently in a form or in an Authorization header.
const CLIENT_SECRET = "se:cr%et+/ &=";

const native = {
  application_type: "native",
  redirect_uris: ["http://127.0.0.1/callback"],
  grant_types: ["authorization_code", "refresh_token"],
  response_types: ["code"],
};

// The key with which the tests sign client assertions (private_key_jwt), as certificates and federated credentials do.
const assertionKey = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
  publicKeyEncoding: { type: "spki", format: "pem" },
});

function asserting(algorithm) {
  const key = createPublicKey(assertionKey.publicKey).export({ format: "jwk" });
  return {
    token_endpoint_auth_method: "private_key_jwt",
    token_endpoint_auth_signing_alg: algorithm,
    jwks: { keys: [{ ...key, use: "sig", alg: algorithm }] },
  };
}

// The one mailbox that an application by itself opens.
const APPLICATION_OPENS = "alice@corp.example";

const application = { redirect_uris: [], grant_types: ["client_credentials"], response_types: [], scope: "mail" };

const clients = [
  { ...native, ...asserting("RS256"), client_id: "mail-proxy-federated" },
  { ...application, ...asserting("PS256"), client_id: "mail-proxy-app-ps256" },
  { ...application, ...asserting("RS256"), client_id: "mail-proxy-app-rs256" },
  { ...native, client_id: "mail-proxy", token_endpoint_auth_method: "none" },
  {
    ...native,
    client_id: "mail-proxy-post",
    client_secret: CLIENT_SECRET,
    token_endpoint_auth_method: "client_secret_post",
  },
  {
    ...native,
    client_id: "mail-proxy-basic",
    client_secret: CLIENT_SECRET,
    token_endpoint_auth_method: "client_secret_basic",
  },
  {
    client_id: "dovecot",
    client_secret: "introspection-secret",
    token_endpoint_auth_method: "client_secret_basic",
    redirect_uris: [],
    grant_types: [],
    response_types: [],
  },
];

function configuration() {
  return {
    adapter: Store,
    clients,
    scopes: SCOPES,
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["preferred_username"] },
    conformIdTokenClaims: false,
    cookies: { keys: [randomUUID()] },
    jwks: { keys: [signingKey()] },
    pkce: { methods: ["S256"], required: () => true },
    issueRefreshToken: (_context, client, code) =>
      client.grantTypeAllowed("refresh_token") && (settings.offlineUnasked || code.scopes.has("offline_access")),
    rotateRefreshToken: () => settings.rotation,
    ttl: {
      AccessToken: () => settings.accessTokenSeconds,
      AuthorizationCode: 60,
      Grant: 14 * 86400,
      IdToken: 3600,
      Interaction: 3600,
      RefreshToken: 14 * 86400,
      Session: 14 * 86400,
    },
    interactions: { url: (_context, { uid }) => `/interaction/${uid}` },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
      userinfo: { enabled: true },
    },
    // The field of the introspection answer from which Dovecot takes the token's user.
    extraTokenClaims: (_context, token) => ({ email: token.accountId ?? APPLICATION_OPENS }),
    findAccount: (_context, id) =>
      ACCOUNTS.has(id) && {
        accountId: id,
        claims: () => ({ sub: id, email: id, email_verified: true, preferred_username: id }),
      },
  };
}

function signingKey() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: "tests" };
}

async function listen(server, port) {
  server.listen(port, HOST);
  await once(server, "listening");
  return server.address().port;
}

async function goDown(server) {
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}

const publicServer = createServer();
const port = await listen(publicServer, 0);
const issuer = `http://${HOST}:${port}`;
const provider = new Provider(issuer, configuration());
const answer = provider.callback();

publicServer.on("request", (request, response) => {
  if (!request.url.startsWith("/interaction/")) return answer(request, response);
  return interaction(provider, ACCOUNTS, request, response).catch((error) => {
    response.statusCode = 400;
    response.end(`${error.name}: ${error.message}\n`);
  });
});
provider.on("grant.success", (context) => {
  if (context.oidc.params.grant_type === "refresh_token") counters.refreshed += 1;
});
provider.on("grant.error", (context, error) => {
  counters.refused += 1;
  console.error(`token endpoint refused: ${error.error}: ${error.error_detail ?? error.error_description}`);
});
provider.on("server_error", (_context, error) => console.error(error));

const sideDoor = {
  "/test/access-tokens/expire": ({ account }) => expireAccessTokens(account),
  "/test/access-tokens/revoke": ({ account }) => revokeAccessTokens(account),
  "/test/grants/revoke": ({ account }) => revokeGrants(account),
  "/test/settings": (change) => Object.assign(settings, change),
  "/test/tokens": () => tokens(),
  "/test/counters": () => counters,
  "/test/down": () => goDown(publicServer),
  "/test/up": () => listen(publicServer, port),
};

const admin = createServer(async (request, response) => {
  if (request.url === "/token/introspection") return answer(request, response);
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const action = sideDoor[request.url];
  if (!action) {
    response.statusCode = 404;
    return response.end();
  }
  const result = await action(JSON.parse(Buffer.concat(chunks).toString() || "{}"));
  response.setHeader("content-type", "application/json");
  return response.end(JSON.stringify(result ?? null));
});
const adminPort = await listen(admin, 0);

console.log(JSON.stringify({
  issuer,
  admin: `http://${HOST}:${adminPort}`,
  authorize_url: `${issuer}/auth`,
  token_url: `${issuer}/token`,
  userinfo_url: `${issuer}/me`,
  revoke_url: `${issuer}/token/revocation`,
  introspection_url: `http://dovecot:introspection-secret@${HOST}:${adminPort}/token/introspection`,
  client_id: "mail-proxy",
  client_secret: CLIENT_SECRET,
  assertion_key: assertionKey.privateKey,
}));

process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
