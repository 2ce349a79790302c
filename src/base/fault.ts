/**
 * The one error type. A fault has a kind from a closed list; the table below is the only place that says how a kind
 * looks over HTTP (RFC 9457 status), over JSON-RPC (error code) and as a process exit code.
 */

interface Faces {
  /** HTTP status of the problem body. */
  http: number;
  /** JSON-RPC 2.0 error code. -32099…-32000 is the range the specification leaves to implementations. */
  rpc: number;
  /** Exit code of the CLI: 0 ok, 1 usage, 2 a defect of ours, 3 authentication, 4 unreachable, 5 the tool failed. */
  exit: number;
}

export const FAULT_KINDS = {
  /** The command line or a request is malformed. */
  usage: { http: 400, rpc: -32602, exit: 1 },
  /** The input is well-formed, but a value in it is not allowed. */
  invalid: { http: 422, rpc: -32602, exit: 1 },
  unauthenticated: { http: 401, rpc: -32001, exit: 3 },
  forbidden: { http: 403, rpc: -32003, exit: 3 },
  "not-found": { http: 404, rpc: -32004, exit: 1 },
  conflict: { http: 409, rpc: -32009, exit: 1 },
  "too-large": { http: 413, rpc: -32013, exit: 1 },
  /** More is asked than a limit allows right now. */
  exhausted: { http: 429, rpc: -32029, exit: 4 },
  cancelled: { http: 499, rpc: -32800, exit: 1 },
  /** The engine, the platform or this build cannot do it. */
  unsupported: { http: 501, rpc: -32050, exit: 1 },
  /** The MCP server did not start, ended, or broke the protocol. */
  "server-failed": { http: 502, rpc: -32052, exit: 5 },
  /** The container engine answered with an error of its own. */
  "engine-failed": { http: 502, rpc: -32051, exit: 4 },
  /** The engine, the manager or a bridge does not answer. */
  unreachable: { http: 503, rpc: -32053, exit: 4 },
  timeout: { http: 504, rpc: -32054, exit: 4 },
  /** The tool itself said that it failed. */
  "tool-failed": { http: 502, rpc: -32055, exit: 5 },
  /** A defect of ours. */
  internal: { http: 500, rpc: -32603, exit: 2 },
} as const satisfies Record<string, Faces>;

export type FaultKind = keyof typeof FAULT_KINDS;

export interface FaultDetails {
  /** What the user can do next, as a sentence. */
  hint?: string;
  cause?: unknown;
  /** Machine-readable facts (exit code, limit, …). Never secrets. */
  data?: Record<string, unknown>;
}

/** The JSON form of a fault: the same fields in REST problem bodies, JSON-RPC `error.data` and `--json` output. */
export interface FaultReport {
  kind: FaultKind;
  message: string;
  hint?: string;
  data?: Record<string, unknown>;
}

export class Fault extends Error {
  override readonly name = "Fault";
  readonly hint: string | undefined;
  readonly data: Record<string, unknown> | undefined;

  constructor(
    readonly kind: FaultKind,
    message: string,
    details: FaultDetails = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.hint = details.hint;
    this.data = details.data;
  }

  /** Whatever was thrown, as a fault; what is not one already is a defect of ours (`internal`). */
  static from(thrown: unknown): Fault {
    if (thrown instanceof Fault) return thrown;
    if (isScarcity(thrown)) {
      const hint = "End some clients or servers, or raise the limit of open files (ulimit -n).";
      return new Fault("exhausted", "no file descriptors are left", { cause: thrown, hint });
    }
    if (thrown instanceof Error) return new Fault("internal", thrown.message || thrown.name, { cause: thrown });
    return new Fault("internal", String(thrown));
  }

  get faces(): Faces {
    return FAULT_KINDS[this.kind];
  }

  report(): FaultReport {
    return {
      kind: this.kind,
      message: this.message,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      ...(this.data === undefined ? {} : { data: this.data }),
    };
  }
}

export function isFaultKind(kind: string): kind is FaultKind {
  return Object.hasOwn(FAULT_KINDS, kind);
}

/** Whether something could not be opened for want of descriptors: then nothing is known of it, least of all that it is gone. */
export function isScarcity(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "EMFILE" || error.code === "ENFILE");
}
