/** A client's exchange on its way to one of the servers: its own name for things, ours for messages. Pure. */
import type { Exchange, Note, Params } from "../exchange.ts";

/** The same exchange with other parameters; log messages say which server they come from. */
export function redirected(exchange: Exchange, params: Params, server: string): Exchange {
  const { method, signal, capabilities, rounds, retry, log } = exchange;
  return {
    method,
    params,
    signal,
    capabilities,
    rounds,
    ...(retry ? { retry } : {}),
    ...(exchange.progress ? { progress: (step) => exchange.progress?.(step) } : {}),
    ...(exchange.ask ? { ask: (...put) => asked(exchange, put) } : {}),
    ...(log ? { log: { level: log.level, tell: (message) => log.tell(withLogger(server, message)) } } : {}),
  };
}

function asked(exchange: Exchange, put: Parameters<NonNullable<Exchange["ask"]>>): Promise<Params> {
  if (!exchange.ask) throw new Error("the client cannot be asked");
  return exchange.ask(...put);
}

/** A log message that belongs to no call. */
export function named(server: string, note: Note): Note {
  return note.method === "notifications/message" ? { ...note, params: withLogger(server, note.params) } : note;
}

function withLogger(server: string, params: Params): Params {
  const { logger } = params;
  return { ...params, logger: typeof logger === "string" && logger !== "" ? `${server}/${logger}` : server };
}
