/** Who may use the bridge. */

/** Whether the token's SHA-256 is the expected one. */
export function isToken(token: string | undefined, expected: Uint8Array): boolean {
  const digest = new Bun.CryptoHasher("sha256").update(token ?? "").digest();
  // Every byte is looked at, so that the time does not tell how many were right. (node:crypto has timingSafeEqual, and
  // costs more memory than the rest of the bridge.)
  let different = digest.length ^ expected.length;
  for (let i = 0; i < digest.length; i++) different |= (digest[i] ?? 0) ^ (expected[i] ?? 0);
  return different === 0 && token !== undefined;
}

/** Whether an address or host name means this machine itself. */
export function isLoopback(host: string): boolean {
  const plain = host.toLowerCase().replace(/^::ffff:/, "");
  return plain === "localhost" || plain === "::1" || /^127(\.\d{1,3}){3}$/.test(plain);
}
