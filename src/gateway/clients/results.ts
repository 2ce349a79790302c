/** A modern client's request: how it is carried, and what its result looks like. */
import { Fault } from "../../base/fault.ts";
import { type Reply, RpcFault } from "../exchange.ts";
import { modernResult } from "../translate.ts";
import type { Attached } from "./attachments.ts";
import { recordOf } from "./message.ts";

/** How one request is carried. */
export interface Caller {
  principal: string;
  /** What comes before the answer, as JSON text: progress, log messages, what is listened to. */
  emit(text: string): void;
  /** Aborts when the client cancels the request, or its stream is gone. */
  signal: AbortSignal;
}

/** The result as JSON text. Throws an `RpcFault` for an error. */
export async function resultOf(method: string, reply: Reply, attached: Attached): Promise<string> {
  if (reply.kind === "error") throw new RpcFault(reply.error);
  if (reply.kind === "input-required") {
    throw new Fault(
      "server-failed",
      `the server asks something in answer to ${method}, which cannot be carried through`,
    );
  }
  const { era, result } = reply;
  if (era === "legacy") return JSON.stringify(modernResult(method, recordOf(result), attached.serverInfo));
  if (COMPLETE.test(result.text)) return result.text;
  const value = recordOf(result);
  if (value.resultType === "complete") return result.text;
  // A server that leaves it out means this (2026-07-28, "basic").
  if (value.resultType === undefined) return JSON.stringify({ ...value, resultType: "complete" });
  throw new Fault("server-failed", `the server answers ${method} with a result of an unknown type`);
}

/** Seen without a parser: where servers put it. */
const COMPLETE = /^\{"resultType":"complete"[,}]|,"resultType":"complete"\}$/;
