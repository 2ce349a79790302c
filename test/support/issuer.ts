/** A small OAuth issuer: metadata, keys, and tokens that are really signed. */
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";

export interface Issuer extends Disposable {
  url: string;
  /** How often its keys were asked for. */
  readonly keyRequests: number;
  /** A good token, but for what is said; `undefined` leaves a claim out. */
  token(claims?: Record<string, unknown>): Promise<string>;
  /** A new key pair: tokens are signed with it from now on. */
  rotate(): Promise<void>;
}

interface IssuerOptions {
  audience: string;
  /** `oauth`: RFC 8414; `oidc`: OpenID Connect. */
  discovery?: "oauth" | "oidc";
  /** What its metadata says of itself. */
  saysItIs?: string;
}

export async function startIssuer({ audience, discovery = "oauth", saysItIs }: IssuerOptions): Promise<Issuer> {
  let keys = await generateKeyPair("ES256");
  let kid = 1;
  let keyRequests = 0;
  const place = discovery === "oauth" ? "/.well-known/oauth-authorization-server" : "/.well-known/openid-configuration";
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async ({ url }) => {
      const { pathname, origin } = new URL(url);
      if (pathname === place) return Response.json({ issuer: saysItIs ?? origin, jwks_uri: `${origin}/keys` });
      if (pathname !== "/keys") return new Response("not found", { status: 404 });
      keyRequests += 1;
      const jwk = { ...(await exportJWK(keys.publicKey)), kid: String(kid), alg: "ES256", use: "sig" };
      return Response.json({ keys: [jwk] });
    },
  });
  const url = server.url.origin;
  return {
    url,
    get keyRequests() {
      return keyRequests;
    },
    async token(claims = {}) {
      const now = Math.floor(Date.now() / 1000);
      const all = { iss: url, aud: audience, sub: "alice", scope: "mcp", iat: now, exp: now + 600, ...claims };
      const payload = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as JWTPayload;
      const header = { alg: "ES256", kid: String(kid), typ: "at+jwt" };
      return new SignJWT(payload).setProtectedHeader(header).sign(keys.privateKey);
    },
    async rotate() {
      keys = await generateKeyPair("ES256");
      kid += 1;
    },
    [Symbol.dispose]: () => void server.stop(true),
  };
}
