/**
 * `requestState` of the modern era: what a client carries from one round of a call to the next. It comes back from
 * outside, so it is sealed: encrypted and authenticated (AES-256-GCM) together with all that it is bound to. Whatever
 * differs (a byte, the principal, the method, the arguments, the server, the time), it does not open, and nobody is told
 * why.
 */
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from "node:crypto";
import * as v from "valibot";
import { type Params, RpcFault } from "../exchange.ts";
import { CODE, isRecord } from "./message.ts";

const CIPHER = "aes-256-gcm";
const VERSION = 1;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** What a state is good for. */
export interface Binding {
  /** The server, or the selection of servers, as the leg knows it. */
  upstream: string;
  principal: string;
  method: string;
  params: Params;
}

/** What is inside. */
const content = v.variant("kind", [
  /** A call that waits here. */
  v.object({ kind: v.literal("call"), handle: v.string() }),
  /** The server's own state, byte for byte. */
  v.object({ kind: v.literal("server"), state: v.optional(v.string()) }),
]);
export type Content = v.InferOutput<typeof content>;
const sealed = v.object({ until: v.number(), content });

export class Seal {
  private readonly key: Buffer;

  /** The same secret opens what was sealed before a restart. */
  constructor(secret: Uint8Array) {
    this.key = Buffer.from(hkdfSync("sha256", secret, "", "linkspan requestState", KEY_BYTES));
  }

  close(binding: Binding, inside: Content, forMs: number): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.key, nonce).setAAD(digest(binding));
    const text = JSON.stringify({ until: Date.now() + forMs, content: inside });
    return Buffer.concat([nonce, cipher.update(text), cipher.final(), cipher.getAuthTag()]).toString("base64url");
  }

  /** Throws an `RpcFault` that is always the same. */
  open(binding: Binding, text: string): Content {
    const bytes = Buffer.from(text, "base64url");
    // The last character has bits that a decoder does not look at.
    if (bytes.byteLength <= NONCE_BYTES + TAG_BYTES || bytes.toString("base64url") !== text) throw refused();
    try {
      const tag = bytes.subarray(-TAG_BYTES);
      const decipher = createDecipheriv(CIPHER, this.key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
      decipher.setAAD(digest(binding)).setAuthTag(tag);
      const opened = [decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()];
      const read = v.parse(sealed, JSON.parse(Buffer.concat(opened).toString()));
      if (read.until > Date.now()) return read.content;
    } catch {
      throw refused();
    }
    throw refused();
  }
}

export function refused(): RpcFault {
  return new RpcFault({ code: CODE.invalidParams, message: "the requestState does not belong to this request" });
}

/** Params as far as they say what is asked: a retry may have another progress token, and has answers. */
function digest({ upstream, principal, method, params }: Binding): Buffer {
  const { _meta, inputResponses: _, requestState: __, ...asked } = params;
  const bound = canonical([VERSION, upstream, principal, method, asked]);
  return createHash("sha256").update(bound).digest();
}

/** JSON with its names in order: a client may write them in another one the next time. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (!isRecord(value)) return JSON.stringify(value) ?? "null";
  const members = Object.keys(value)
    .sort()
    .map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`);
  return `{${members.join(",")}}`;
}
