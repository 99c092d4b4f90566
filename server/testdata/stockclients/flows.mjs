// Stock OAuth clients complete their flows against a running Stagedoor, as they
// come from npm and with no adapter between.
//
//   node flows.mjs ISSUER
//
// STAGEDOOR_PRIVATE_JWK holds the private key of the client "robot", which
// authenticates by private_key_jwt. A line "rotate" on standard output asks
// whoever started this to rotate the server's signing key, and to answer with a
// line. Each thing that holds is a line "ok - NAME"; the first that does not ends
// the program with status 1.

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import * as jose from "jose";
import * as oauth from "oauth4webapi";
import * as oidc from "openid-client";

const issuer = process.argv[2];
const service = { id: "demo-service", secret: "demo-service-secret-0123456789abcdef" };
const app = { id: "demo-app" };
const user = { username: "carol", password: "secretcarol" };
const insecure = { [oauth.allowInsecureRequests]: true }; // http, on loopback

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const ask = async (what) => {
  console.log(what);
  await lines.next();
};
const check = async (name, run) => {
  try {
    await run();
  } catch (error) {
    console.log(`not ok - ${name}`);
    console.error(error);
    process.exit(1);
  }
  console.log(`ok - ${name}`);
};

// The resource server's side: does a stock validator take this access token?
const accepts = (as, accessToken) =>
  oauth.validateJwtAccessToken(
    as,
    new Request(`${issuer}/items/`, { headers: { authorization: `Bearer ${accessToken}` } }),
    issuer,
    insecure,
  );
const opens = async (accessToken, status) => {
  const answer = await fetch(`${issuer}/items/`, { headers: { authorization: `Bearer ${accessToken}` } });
  assert.equal(answer.status, status, await answer.text());
};

// oauth4webapi

let as;
await check("oauth4webapi: discovery, RFC 8414", async () => {
  const url = new URL(issuer);
  as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm: "oauth2", ...insecure }));
});
await check("oauth4webapi: discovery, OpenID Connect's path", async () => {
  const url = new URL(issuer);
  const alias = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm: "oidc", ...insecure }));
  assert.deepEqual(alias, as);
});

for (const [name, authentication] of [
  ["client_secret_basic", oauth.ClientSecretBasic(service.secret)],
  ["client_secret_post", oauth.ClientSecretPost(service.secret)],
]) {
  const client = { client_id: service.id };
  await check(`oauth4webapi: client credentials, introspection, revocation with ${name}`, async () => {
    const granted = await oauth.processClientCredentialsResponse(
      as,
      client,
      await oauth.clientCredentialsGrantRequest(as, client, authentication, new URLSearchParams({ scope: "items:read" }), insecure),
    );
    assert.equal(granted.scope, "items:read");
    assert.equal(granted.refresh_token, undefined);
    const claims = await accepts(as, granted.access_token);
    assert.equal(claims.sub, service.id);
    assert.equal(claims.client_id, service.id);
    await opens(granted.access_token, 200);

    const introspect = async () =>
      oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, authentication, granted.access_token, insecure));
    const before = await introspect();
    assert.equal(before.active, true);
    assert.equal(before.client_id, service.id);
    assert.equal(before.jti, claims.jti);

    await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, authentication, granted.access_token, insecure));
    assert.deepEqual(await introspect(), { active: false });
    await opens(granted.access_token, 401);
  });
}

await check("oauth4webapi: a wrong secret is a challenge", async () => {
  const client = { client_id: service.id };
  await assert.rejects(
    async () =>
      oauth.processClientCredentialsResponse(
        as,
        client,
        await oauth.clientCredentialsGrantRequest(as, client, oauth.ClientSecretBasic("wrong"), {}, insecure),
      ),
    oauth.WWWAuthenticateChallengeError,
  );
});

await check("oauth4webapi: client credentials with private_key_jwt", async () => {
  const jwk = JSON.parse(process.env.STAGEDOOR_PRIVATE_JWK);
  const key = await crypto.subtle.importKey("jwk", jwk, { name: "Ed25519" }, false, ["sign"]);
  const client = { client_id: "robot" };
  const granted = await oauth.processClientCredentialsResponse(
    as,
    client,
    await oauth.clientCredentialsGrantRequest(as, client, oauth.PrivateKeyJwt({ key, kid: jwk.kid }), {}, insecure),
  );
  assert.equal((await accepts(as, granted.access_token)).sub, "robot");
});

await check("oauth4webapi: a public client logs in, refreshes and logs out", async () => {
  const client = { client_id: app.id };
  const none = oauth.None();
  const login = await oauth.processGenericTokenEndpointResponse(
    as,
    client,
    await oauth.genericTokenEndpointRequest(as, client, none, "password", new URLSearchParams({ ...user, scope: "items:read" }), insecure),
  );
  const refresh = async (token) =>
    oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, none, token, insecure));
  const second = await refresh(login.refresh_token);
  assert.notEqual(second.refresh_token, login.refresh_token);
  assert.equal((await refresh(login.refresh_token)).refresh_token, second.refresh_token, "a retry has the same successor");
  const claims = await accepts(as, second.access_token);
  assert.equal(claims.scope, "items:read");
  assert.equal(claims.client_id, app.id);
  await opens(second.access_token, 200);
  await oauth.processRevocationResponse(
    await oauth.revocationRequest(as, client, none, second.refresh_token, { additionalParameters: { token_type_hint: "refresh_token" }, ...insecure }),
  );
  await opens(second.access_token, 401);
  await assert.rejects(() => refresh(second.refresh_token), (error) => error.error === "invalid_grant");
});

await check("oauth4webapi: a wrong password is invalid_grant", async () => {
  const client = { client_id: app.id };
  await assert.rejects(
    async () =>
      oauth.processGenericTokenEndpointResponse(
        as,
        client,
        await oauth.genericTokenEndpointRequest(as, client, oauth.None(), "password", new URLSearchParams({ ...user, password: "wrong" }), insecure),
      ),
    (error) => error instanceof oauth.ResponseBodyError && error.error === "invalid_grant" && error.status === 400,
  );
});

// openid-client

await check("openid-client: discovery, client credentials, introspection, revocation", async () => {
  const config = await oidc.discovery(new URL(issuer), service.id, service.secret, undefined, { execute: [oidc.allowInsecureRequests] });
  const granted = await oidc.clientCredentialsGrant(config, { scope: "items:read items:write" });
  assert.equal(granted.scope, "items:read items:write");
  assert.equal((await oidc.tokenIntrospection(config, granted.access_token)).active, true);
  await oidc.tokenRevocation(config, granted.access_token);
  assert.equal((await oidc.tokenIntrospection(config, granted.access_token)).active, false);
});
await check("openid-client: discovery by RFC 8414; login and refresh", async () => {
  const config = await oidc.discovery(new URL(issuer), app.id, undefined, oidc.None(), { execute: [oidc.allowInsecureRequests], algorithm: "oauth2" });
  const login = await oidc.genericGrantRequest(config, "password", user);
  const next = await oidc.refreshTokenGrant(config, login.refresh_token);
  assert.notEqual(next.refresh_token, login.refresh_token);
  await opens(next.access_token, 200);
  await oidc.tokenRevocation(config, next.refresh_token);
  await opens(next.access_token, 401);
});

// jose, across a rotation of the signing key

await check("jose and oauth4webapi: access tokens are valid across a key rotation", async () => {
  const client = { client_id: service.id };
  const issue = async () =>
    (
      await oauth.processClientCredentialsResponse(
        as,
        client,
        await oauth.clientCredentialsGrantRequest(as, client, oauth.ClientSecretBasic(service.secret), {}, insecure),
      )
    ).access_token;
  // The set is fetched anew for a kid that it lacks, after its cooldown.
  const keys = jose.createRemoteJWKSet(new URL(as.jwks_uri), { cooldownDuration: 0 });
  const verify = (accessToken) => jose.jwtVerify(accessToken, keys, { issuer, audience: issuer, typ: "at+jwt" });

  const before = await issue();
  const first = (await verify(before)).protectedHeader.kid;
  await ask("rotate");
  const after = await issue();
  const second = (await verify(after)).protectedHeader.kid;
  assert.notEqual(second, first, "the new token is signed by the new key");
  await verify(before); // the former key is still published
  for (const accessToken of [before, after]) {
    await accepts(await oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), { algorithm: "oauth2", ...insecure })), accessToken);
    await opens(accessToken, 200);
  }
});
process.exit(0);
