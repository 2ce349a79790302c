/** The manager's log: one line per event on stderr, JSON for machines or text for people. Secrets never get here. */
import pino from "pino";

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFormat = "json" | "text";

/** Facts of one event: short values, no secrets, no payload. */
export type LogFields = Record<string, string | number | boolean | undefined>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** A fault's words may carry a whole log tail; a line of the log stays a line. */
const VALUE_CHARS_MAX = 2_000;

export interface LogOptions {
  level: LogLevel;
  format: LogFormat;
  /** A file to append to, made 0600, instead of stderr. */
  path?: string | undefined;
}

export function createLog(options: LogOptions): Log {
  // Synchronous on purpose: pino's worker transports do not work in a compiled binary, and the last words of a
  // process that ends must not be lost.
  const sink = pino.destination({ dest: options.path ?? 2, sync: true, mkdir: true, mode: 0o600 });
  // A terminal that was closed, a reader that is gone: whoever wants to say so must still do its work, such as end.
  sink.on("error", () => {});
  const stream = options.format === "json" ? sink : { write: (line: string) => sink.write(asText(line)) };
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // A safety net only: nothing that is logged has such a field.
      redact: { paths: ["token", "key", "secret", "secrets", "authorization"], censor: "***" },
    },
    stream,
  );
  const at =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) =>
      logger[level](short(fields), message);
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** For what runs without a log, such as a manager inside a front. */
export const SILENT: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

function short(fields: LogFields): LogFields {
  const cut = ([name, value]: [string, LogFields[string]]): [string, LogFields[string]] => [
    name,
    typeof value === "string" && value.length > VALUE_CHARS_MAX ? `${value.slice(0, VALUE_CHARS_MAX)}…` : value,
  ];
  return Object.fromEntries(Object.entries(fields).map(cut));
}

/** `2026-01-02T03:04:05.678Z info message name=value` */
function asText(line: string): string {
  const record: Record<string, unknown> = JSON.parse(line);
  const { time, level, msg, ...fields } = record;
  const rest = Object.entries(fields).map(([name, value]) => ` ${name}=${plain(value)}`);
  return `${String(time)} ${String(level).padEnd(5)} ${String(msg)}${rest.join("")}\n`;
}

/** Quoted where it has spaces, quotes or control characters, so that a line has one reading. */
function plain(value: unknown): string {
  const text = String(value);
  return /^[\w./:@+,%~*-]+$/.test(text) ? text : JSON.stringify(text);
}
