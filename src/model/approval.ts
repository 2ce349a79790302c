/** What has changed in the tools of a server since they were accepted: `GET /servers/:name/approval`. */
import * as v from "valibot";

/**
 * `block`: what has changed is neither listed nor called until it is approved. `warn`: it is served, and reported.
 * `off`: nothing is remembered.
 */
export const approvalPolicy = v.picklist(["block", "warn", "off"]);
export type ApprovalPolicy = v.InferOutput<typeof approvalPolicy>;

export const difference = v.object({
  /** `inputSchema.properties.path.description` */
  path: v.string(),
  /** As JSON, with characters that cannot be seen as escapes; absent where there was, or is, nothing. */
  before: v.optional(v.string()),
  after: v.optional(v.string()),
});
export type Difference = v.InferOutput<typeof difference>;

export const pendingTool = v.object({
  /** As the server calls it; `(instructions)` for what the server says about itself. */
  tool: v.string(),
  /** `flagged`: as it was from the first time, but with characters that hide something. */
  change: v.picklist(["changed", "added", "flagged"]),
  /** Characters that people do not see and models read. */
  findings: v.array(v.string()),
  differences: v.array(difference),
});
export type PendingTool = v.InferOutput<typeof pendingTool>;

export const approvalView = v.object({
  server: v.string(),
  policy: approvalPolicy,
  /** How many definitions are accepted; 0 where the server was never asked for its tools. */
  accepted: v.pipe(v.number(), v.integer(), v.minValue(0)),
  pending: v.array(pendingTool),
  /** Of all that is pending, in its present form: says in `POST` what was looked at. Empty where nothing is pending. */
  digest: v.string(),
});
export type ApprovalView = v.InferOutput<typeof approvalView>;

/** Body of `POST /servers/:name/approval`; without `tools`: all that is pending. */
export const approvalBody = v.strictObject({
  /** Accepts only if what is pending is still what had this digest. */
  digest: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/, "expected a digest of 16 hexadecimal digits"))),
  tools: v.optional(v.pipe(v.array(v.pipe(v.string(), v.maxLength(2_048))), v.minLength(1), v.maxLength(2_000))),
});
export type ApprovalBody = v.InferOutput<typeof approvalBody>;
