/**
 * Where the CLI writes: data to stdout, everything else to stderr. Colour and progress are for terminals only;
 * NO_COLOR (no-color.org) switches colour off wherever it is set and not empty.
 */
import { stripVTControlCharacters } from "node:util";

const plain = Boolean(process.env.NO_COLOR) || process.env.TERM === "dumb";

/** Colour by stream: stdout may go into a file while stderr is still a terminal. */
export const onStdout = palette(process.stdout.isTTY && !plain);
export const onStderr = palette(process.stderr.isTTY && !plain);

function palette(enabled: boolean) {
  const paint = (open: number, close: number) => (text: string) =>
    enabled && text !== "" ? `\x1b[${open}m${text}\x1b[${close}m` : text;
  return {
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
    cyan: paint(36, 39),
  };
}

/** Data: one line (or more) on stdout. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** One JSON value on one line of stdout. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value));
}

/** For people: a line on stderr. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Columns of the terminal that shows stdout; undefined where it goes elsewhere and nothing must be cut. */
export function stdoutColumns(): number | undefined {
  return process.stdout.isTTY ? process.stdout.columns || 80 : undefined;
}

/**
 * Text from outside (a server's reason, description, log) made safe for a terminal on one line: escape sequences and
 * control characters could move the cursor, retitle the window or hide what follows; bidirectional marks reorder it.
 */
export function oneLine(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/\s+/g, " ")
    .replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, "")
    .trim();
}

/** The same for text whose lines and tabs are kept. Colour goes too: what is left cannot pass for something of ours. */
export function withoutControls(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/\r\n?/g, "\n")
    .replace(/[^\P{Cc}\n\t]|[\u202a-\u202e\u2066-\u2069]/gu, "");
}

let readerGone: () => void = () => process.exit(0);

/**
 * A reader that has gone (`linkspan ps | head -1`) is no error: end without a word, as other tools do. What must put
 * something away first says so with `whenReaderGone`.
 */
export function endQuietlyWithoutReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: unknown) => {
      if (!(error instanceof Error && "code" in error && error.code === "EPIPE")) throw error;
      readerGone();
    });
  }
}

export function whenReaderGone(handler: () => void): void {
  readerGone = handler;
}
