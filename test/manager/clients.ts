/** Clients of a manager in tests: a session that stays, and what comes over it. */
import type { Deadline } from "../../src/base/deadline.ts";
import type { Manager } from "../../src/manager/manager.ts";
import type { ServerBody } from "../../src/model/server-spec.ts";
import { dialSession } from "../../src/transport/session.ts";
import { fixture, quiet, soon } from "./stage.ts";

/** plain-server.ts as a process. */
export const plain = (more: Parameters<typeof fixture>[2] = {}) => fixture("plain-server.ts", [], more);

/** Configured servers: they are started by their first use, and nobody has asked for them by name. */
export const declared = (bodies: Record<string, ServerBody>) =>
  Object.entries(bodies).map(([name, body]) => ({ name, ...body }));

export interface Client {
  session: string;
  /** The text that the tool answers; what the session ended with, if it does before. */
  call(tool: string, args?: Record<string, unknown>): Promise<string>;
  leave(): void;
}

/** A client with a session of its own that stays. */
export async function attach(
  manager: Manager,
  server: string,
  { ppid = process.ppid, deadline = soon() }: { ppid?: number; deadline?: Deadline } = {},
): Promise<Client> {
  const grant = await manager.acquire({ server, pid: process.pid, ppid }, "front", quiet, deadline);
  const session = await dialSession(grant, soon());
  const waiting = new Map<number, PromiseWithResolvers<string>>();
  let id = 0;
  session.open({
    line: (line) => {
      const message = JSON.parse(line);
      waiting.get(message.id)?.resolve(message.result?.content?.[0]?.text ?? line);
    },
    ended: (end) => {
      for (const { resolve } of waiting.values()) resolve(`ended: ${JSON.stringify(end)}`);
    },
  });
  return {
    session: grant.session,
    call: (tool, args = {}) => {
      const answer = Promise.withResolvers<string>();
      waiting.set((id += 1), answer);
      const params = { name: tool, arguments: args };
      session.send(JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params }));
      return soon().race("the answer", answer.promise);
    },
    leave: () => {
      session.destroy();
      manager.release(grant.session);
    },
  };
}
