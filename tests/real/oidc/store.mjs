// The state of oidc-provider, in memory, where the tests can inspect and
// change it. It implements oidc-provider's documented adapter interface.

const GRANTABLE = new Set(["AccessToken", "AuthorizationCode", "RefreshToken", "DeviceCode"]);

const now = () => Math.floor(Date.now() / 1000);

/** Every stored row: `${model}:${id}` -> payload. */
const rows = new Map();

/** Every token ever issued, kept after it is gone: tests search logs for them. */
const issued = [];

export class Store {
  constructor(model) {
    this.model = model;
  }

  async upsert(id, payload) {
    const key = `${this.model}:${id}`;
    if (GRANTABLE.has(this.model) && !rows.has(key)) {
      issued.push({ kind: this.model, account: payload.accountId, value: id });
    }
    rows.set(key, payload);
  }

  async find(id) {
    return rows.get(`${this.model}:${id}`);
  }

  async findByUid(uid) {
    return this.#first((payload) => payload.uid === uid);
  }

  async findByUserCode(userCode) {
    return this.#first((payload) => payload.userCode === userCode);
  }

  async consume(id) {
    rows.get(`${this.model}:${id}`).consumed = now();
  }

  async destroy(id) {
    rows.delete(`${this.model}:${id}`);
  }

  async revokeByGrantId(grantId) {
    remove((key, payload) => GRANTABLE.has(key.split(":")[0]) && payload.grantId === grantId);
  }

  #first(matches) {
    for (const [key, payload] of rows) {
      if (key.startsWith(`${this.model}:`) && matches(payload)) return payload;
    }
    return undefined;
  }
}

function remove(matches) {
  let removed = 0;
  for (const [key, payload] of [...rows]) {
    if (matches(key, payload)) {
      rows.delete(key);
      removed += 1;
    }
  }
  return removed;
}

const isAccessTokenOf = (account) => (key, payload) =>
  key.startsWith("AccessToken:") && payload.accountId === account;

/** The account's access tokens end now, as they would at their own time. Returns how many. */
export function expireAccessTokens(account) {
  const matches = isAccessTokenOf(account);
  let expired = 0;
  for (const [key, payload] of rows) {
    if (matches(key, payload)) {
      payload.exp = now() - 1;
      expired += 1;
    }
  }
  return expired;
}

/** The account's access tokens vanish; its refresh tokens live on. Returns how many. */
export function revokeAccessTokens(account) {
  return remove(isAccessTokenOf(account));
}

/** The person withdraws consent: grants and every token under them are gone. Returns how many rows. */
export function revokeGrants(account) {
  return remove((key, payload) => {
    const model = key.split(":")[0];
    return (model === "Grant" || GRANTABLE.has(model)) && payload.accountId === account;
  });
}

/** Every token ever issued: `{kind, account, value, alive}`. */
export function tokens() {
  return issued.map((token) => ({ ...token, alive: isAlive(rows.get(`${token.kind}:${token.value}`)) }));
}

function isAlive(payload) {
  return payload !== undefined && payload.consumed === undefined && payload.exp > now();
}
