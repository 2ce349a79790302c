/** Who may use the bridge. */
import { createHash, timingSafeEqual } from "node:crypto";

/** Whether the token's SHA-256 is the expected one. Digests have one length, so the comparison takes one time. */
export function isToken(token: string | undefined, sha256: Uint8Array): boolean {
  const digest = createHash("sha256")
    .update(token ?? "")
    .digest();
  return timingSafeEqual(digest, sha256) && token !== undefined;
}

/** Whether an address or host name means this machine itself. */
export function isLoopback(host: string): boolean {
  const plain = host.toLowerCase().replace(/^::ffff:/, "");
  return plain === "localhost" || plain === "::1" || /^127(\.\d{1,3}){3}$/.test(plain);
}
