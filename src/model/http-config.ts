/** The parts of `manager` in linkspan.yaml that say who may use MCP over HTTP, and how much. */
import * as v from "valibot";
import { reachable, toolPattern } from "./tokens.ts";

/** Over plain HTTP only to this machine: keys and tokens travel there. */
const issuerUrl = v.pipe(
  v.string(),
  v.url("expected a URL"),
  v.check((text) => {
    const url = URL.parse(text);
    const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url?.hostname ?? "");
    return url?.protocol === "https:" || (url?.protocol === "http:" && loopback);
  }, "expected an https:// URL"),
);

const audience = v.pipe(v.string(), v.minLength(1), v.maxLength(1_000));
const grants = v.pipe(v.array(v.union([v.literal("*"), reachable, toolPattern])), v.minLength(1), v.maxLength(100));

export const oauthSection = v.strictObject({
  /** As its tokens name it in `iss`. */
  issuer: issuerUrl,
  /** What `aud` of a token for us has, or one of these. */
  audience: v.union([audience, v.pipe(v.array(audience), v.minLength(1), v.maxLength(20))]),
  /** Where its keys are; found through its metadata when absent. */
  jwks: v.optional(issuerUrl),
  /** How clients reach us, such as `https://mcp.example.org`; the address of the request when absent. */
  url: v.optional(
    v.pipe(v.string(), v.regex(/^https?:\/\/[^/?#\s]+$/, "expected a URL without a path, such as https://example.org")),
  ),
  /** Scope → servers and tools that it grants, `*` for all; `mcp` is everything and `mcp:NAME` a server when absent. */
  scopes: v.optional(v.record(v.pipe(v.string(), v.regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/)), grants)),
});
export type OAuthSection = v.InferOutput<typeof oauthSection>;

/** Requests of one principal at the same time, unless somebody says otherwise. */
export const CONCURRENT_DEFAULT = 256;

export const limitsSection = v.strictObject({
  /** Requests a second that one principal may send in the long run; no bound when absent. */
  rate: v.optional(v.pipe(v.number(), v.minValue(0.01), v.maxValue(1_000_000))),
  /** Requests that may come at once after a pause; those of two seconds when absent. */
  burst: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1_000_000))),
  /** Requests of one principal that are being answered at the same time, streams included. */
  concurrent: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(10_000))),
});
export type LimitsSection = v.InferOutput<typeof limitsSection>;
