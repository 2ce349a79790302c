/** Bridge tokens are derived, never stored: a manager that starts anew computes them again from label and key. Pure. */
import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";

const IV_BYTES = 12;
const TAG_BYTES = 16;

/** What goes into the label from which, with the key, the token is derived. */
export function newNonce(): string {
  return randomBytes(16).toString("hex");
}

export function bridgeToken(key: Uint8Array, nonce: string): string {
  return createHmac("sha256", key).update(nonce).digest("base64url");
}

export function sha256Hex(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Constant in time: how far a guess is right, and how long the token is, cannot be measured. */
export function sameToken(given: string, wanted: string): boolean {
  return timingSafeEqual(createHash("sha256").update(given).digest(), createHash("sha256").update(wanted).digest());
}

/** Text that only the holder of the key can read or make: what a label may carry although everybody can see labels. */
export function seal(key: Uint8Array, text: string): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv("aes-256-gcm", sealingKey(key), iv);
  const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString("base64url");
}

/** The text, or undefined when it was sealed with another key or changed since. */
export function unseal(key: Uint8Array, sealed: string): string | undefined {
  const bytes = Buffer.from(sealed, "base64url");
  if (bytes.byteLength < IV_BYTES + TAG_BYTES) return undefined;
  const decipher = createDecipheriv("aes-256-gcm", sealingKey(key), bytes.subarray(0, IV_BYTES));
  decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
  try {
    const text = decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES), undefined, "utf8");
    return text + decipher.final("utf8");
  } catch {
    return undefined;
  }
}

/** Its own key for its own purpose; never the one that makes tokens. */
function sealingKey(key: Uint8Array): Uint8Array {
  return createHmac("sha256", key).update("linkspan.seal").digest();
}
