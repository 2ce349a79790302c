/** A session on a bridge as the contract suite needs it: requests matched with answers by id. */
import { Deadline } from "../../src/base/deadline.ts";
import type { Address } from "../../src/runtime/runtime.ts";
import { dialControl } from "../../src/transport/control.ts";
import { dialSession, type SessionEnd } from "../../src/transport/session.ts";

const CALL_MS = 45_000;

export interface ContractClient extends Disposable {
  call(method: string, params?: unknown): Promise<unknown>;
  ended: Promise<SessionEnd>;
}

export async function openSession(addresses: Address[], token: string): Promise<ContractClient> {
  const session = await dialSession({ addresses, token }, Deadline.in(CALL_MS));
  const waiting = new Map<number, (answer: unknown) => void>();
  const { promise: ended, resolve } = Promise.withResolvers<SessionEnd>();
  session.open({
    line: (message) => {
      const { id, result, error } = JSON.parse(message);
      waiting.get(id)?.(error === undefined ? result : { error });
      waiting.delete(id);
    },
    ended: resolve,
  });
  let last = 0;
  return {
    ended,
    call(method, params) {
      const id = ++last;
      const answer = new Promise<unknown>((settle) => waiting.set(id, settle));
      session.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
      return Deadline.in(CALL_MS).race(`the answer to ${method}`, answer);
    },
    [Symbol.dispose]: () => session.destroy(),
  };
}

/** Opens, asks one thing, closes. */
export async function callOnce(addresses: Address[], token: string, method: string, params?: unknown) {
  using session = await openSession(addresses, token);
  return await session.call(method, params);
}

/** Hands the bridge secrets over its control connection, as the manager does. */
export async function configure(addresses: Address[], token: string, env: Record<string, string>): Promise<void> {
  await using control = await dialControl({ addresses, token }, {}, Deadline.in(CALL_MS));
  await control.configure(env, Deadline.in(CALL_MS));
}
