import { ProtocolError } from "@modelcontextprotocol/server";
import { Fault } from "../base/fault.ts";

/** For methods that have no result for failures: the fault as a JSON-RPC error, its hint in the message. */
export function protocolError(error: unknown): ProtocolError {
  if (error instanceof ProtocolError) return error;
  const fault = Fault.from(error);
  const text = fault.hint ? `${fault.message}. ${fault.hint}` : fault.message;
  return new ProtocolError(fault.faces.rpc, text, { ...fault.report() });
}
