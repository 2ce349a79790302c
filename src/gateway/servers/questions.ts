/** What may be asked of whom. Pure. */
import { isRecord } from "../clients/message.ts";
import { type Params, type Question, type RpcError, RpcFault } from "../exchange.ts";

const METHODS = ["elicitation/create", "sampling/createMessage", "roots/list"] as const;

/** Undefined where it is nothing that a client can be asked. */
export function questionOf(method: unknown, params: Params): Question | undefined {
  const known = METHODS.find((one) => one === method);
  return known && { method: known, params };
}

/** What a server can ask a client for, in one form for the same. */
export function profileOf({ elicitation, roots, sampling }: Params): Params {
  return {
    ...(isRecord(elicitation) ? { elicitation } : {}),
    // Nobody carries a change of roots to a server of the other era.
    ...(isRecord(roots) ? { roots: {} } : {}),
    ...(isRecord(sampling) ? { sampling } : {}),
  };
}

export function errorOf(thrown: unknown): RpcError {
  if (thrown instanceof RpcFault) return thrown.error;
  return { code: -32603, message: thrown instanceof Error ? thrown.message : String(thrown) };
}
