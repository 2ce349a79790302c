/** What the MCP SDK throws, as faults. */
import { Fault, type FaultDetails, isFaultKind } from "../base/fault.ts";
import { isRecord } from "./clients/message.ts";

/** JSON-RPC error codes with a meaning of their own here (MCP 2026-07-28, JSON-RPC 2.0). */
export const RPC = {
  missingCapability: -32021,
  unsupportedVersion: -32022,
  methodNotFound: -32601,
  invalidParams: -32602,
} as const;

/** `ended`: why the session is over, when it is. */
export function faultOf(error: unknown, what: string, ended: Fault | undefined): Fault {
  if (error instanceof Fault) return error;
  if (!(error instanceof Error) || !("code" in error)) return Fault.from(error);
  const { code } = error;
  if (typeof code === "number") return rpcFault(error, code, what);
  switch (code) {
    case "REQUEST_TIMEOUT":
      return new Fault("timeout", `${what} was not answered within ${limitOf(error)}`, {
        cause: error,
        hint: "The server was told that the request is cancelled. A longer `timeoutMs` gives it more time.",
      });
    case "CONNECTION_CLOSED":
    case "NOT_CONNECTED":
    case "SEND_FAILED":
      return ended ?? new Fault("server-failed", `the session ended before ${what} was answered`, { cause: error });
    case "INPUT_REQUIRED_ROUNDS_EXCEEDED":
    case "CAPABILITY_NOT_SUPPORTED":
      return interactive(what, { cause: error });
    default:
      return new Fault("server-failed", `${what} failed: ${plain(error)}`, { cause: error });
  }
}

export function rpcCode(error: unknown): number | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "number" ? error.code : undefined;
}

/** A JSON-RPC error: the bridge's own carries a fault's kind in its data, a server's carries what it likes. */
function rpcFault(error: Error, code: number, what: string): Fault {
  const data = "data" in error && isRecord(error.data) ? error.data : undefined;
  const details: FaultDetails = { cause: error, data: { ...data, rpcCode: code } };
  if (typeof data?.kind === "string" && isFaultKind(data.kind)) {
    if (typeof data.hint === "string") details.hint = data.hint;
    return new Fault(data.kind, plain(error), details);
  }
  if (code === RPC.missingCapability) return interactive(what, details);
  if (code === RPC.invalidParams) return new Fault("invalid", `the server refused ${what}: ${plain(error)}`, details);
  if (code === RPC.methodNotFound) {
    return new Fault("unsupported", `the server does not know ${what}: ${plain(error)}`, details);
  }
  return new Fault("server-failed", `the server answered ${what} with an error: ${plain(error)}`, details);
}

/** Nobody is at this end who could answer a question, pick a root or sample a model. */
function interactive(what: string, details: FaultDetails): Fault {
  return new Fault("unsupported", `${what} needs an answer that only an interactive client can give`, {
    ...details,
    hint: "Use the server through an MCP client: `linkspan mcp NAME`.",
  });
}

function limitOf(error: Error): string {
  const data = "data" in error && isRecord(error.data) ? error.data : {};
  const ms = data.maxTotalTimeout ?? data.timeout;
  return typeof ms === "number" ? `${ms} ms` : "its time";
}

/** The message without the prefix that some SDKs put in front of it. */
function plain(error: Error): string {
  return error.message.replace(/^MCP error -?\d+: /, "");
}
