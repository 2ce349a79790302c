/**
 * Makes the terminal pictures of the README from the real program:
 * `bun test/support/picture.ts docs/demo.svg demo --once` runs `linkspan demo --once` in a terminal and draws what it wrote.
 */
import { inTerminal } from "./cli.ts";

interface Style {
  color: string | undefined;
  bold: boolean;
  dim: boolean;
}
type Cell = { character: string; style: Style };

const COLUMNS = 100;
const CHARACTER = 8.4;
const LINE = 19;
const MARGIN = 18;
const BAR = 30;
/** A control sequence, or one character. */
const PIECE = new RegExp(`${String.fromCharCode(27)}\\[([\\d;?]*[A-Za-z])|([^])`, "gu");
const PLAIN: Style = { color: undefined, bold: false, dim: false };
const COLORS: Record<number, string> = { 31: "#ff7b72", 32: "#7ee787", 33: "#e3b341", 36: "#79c0ff" };

/** The lines that a terminal shows after these bytes: SGR, carriage return and "erase line" are what we write. */
export function screenOf(bytes: string): Cell[][] {
  const lines: Cell[][] = [[]];
  let column = 0;
  let style = PLAIN;
  for (const [, sequence = "", character = ""] of bytes.matchAll(PIECE)) {
    const line = lines[lines.length - 1] ?? [];
    if (sequence.endsWith("m")) style = styled(style, Number(sequence.slice(0, -1)));
    else if (sequence === "2K") line.length = 0;
    else if (character === "\n") {
      lines.push([]);
      column = 0;
    } else if (character === "\r") column = 0;
    else if (character !== "") {
      while (line.length < column) line.push({ character: " ", style: PLAIN });
      line[column] = { character, style };
      column += 1;
    }
  }
  while (lines.at(-1)?.length === 0) lines.pop();
  return lines;
}

function styled(before: Style, code: number): Style {
  if (code === 1) return { ...before, bold: true };
  if (code === 2) return { ...before, dim: true };
  if (code === 22) return { ...before, bold: false, dim: false };
  if (code === 39) return { ...before, color: undefined };
  return code === 0 ? PLAIN : { ...before, color: COLORS[code] };
}

export function svgOf(title: string, lines: Cell[][]): string {
  const width = COLUMNS * CHARACTER + 2 * MARGIN;
  const height = BAR + lines.length * LINE + 2 * MARGIN;
  const rows = lines.map((line, at) => row(line, BAR + MARGIN + (at + 0.75) * LINE)).filter(Boolean);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" fill="#c9d1d9">
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<g fill="#30363d"><circle cx="20" cy="18" r="6"/><circle cx="40" cy="18" r="6"/><circle cx="60" cy="18" r="6"/></g>
<text x="${width / 2}" y="22" text-anchor="middle" font-size="12" fill="#8b949e">${escaped(title)}</text>
${rows.join("\n")}
</svg>
`;
}

/** Neighbours of one style are one text; its length is set, so that columns align in any font. */
function row(line: Cell[], y: number): string {
  let drawn = "";
  for (let from = 0; from < line.length;) {
    const style = line[from]?.style ?? PLAIN;
    let to = from;
    while (to < line.length && line[to]?.style === style) to += 1;
    const text = line
      .slice(from, to)
      .map((cell) => cell.character)
      .join("");
    if (text.trim() !== "") drawn += textOf(text, style, MARGIN + from * CHARACTER, y);
    from = to;
  }
  return drawn;
}

function textOf(text: string, { color, bold, dim }: Style, x: number, y: number): string {
  const looks = `${color ? ` fill="${color}"` : ""}${bold ? ' font-weight="bold"' : ""}${dim ? ' opacity="0.6"' : ""}`;
  const length = (Bun.stringWidth(text) * CHARACTER).toFixed(1);
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" textLength="${length}" xml:space="preserve"${looks}>${escaped(text)}</text>`;
}

function escaped(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

if (import.meta.main) {
  const [file = "", ...args] = process.argv.slice(2);
  const { code, bytes } = await inTerminal(args, { columns: COLUMNS, timeoutMs: 300_000 });
  if (code !== 0) throw new Error(`linkspan ${args.join(" ")} ended with ${code}:\n${bytes}`);
  await Bun.write(file, svgOf(`linkspan ${args.join(" ")}`, screenOf(bytes)));
}
