/** The text of a compose file as plain values, with references replaced, and the position of each of them. Pure. */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  type Scalar,
} from "yaml";
import { interpolate, type Lookup } from "./interpolate.ts";

/** One thing that is wrong with a file; line and column count from 1. */
export interface Finding {
  kind: "invalid" | "forbidden" | "unsupported";
  file: string;
  line: number;
  column: number;
  /** `services.web.image`; empty for the file as a whole. */
  path: string;
  message: string;
  hint?: string;
}

export type Path = readonly (string | number)[];

/** Aliases can make a small text huge: more values than this are refused. */
const NODES_MAX = 100_000;
/** The parser looks through the whole text for each of them. */
const ALIASES_MAX = 1_000;
const DEPTH_MAX = 100;
/** Characters of one file. */
const TEXT_MAX = 1024 * 1024;

export class Source {
  readonly findings: Finding[] = [];
  /** Values that came out of variables: they are in no answer. */
  readonly used = new Set<string>();
  /** Names that were replaced by nothing. */
  readonly unset = new Set<string>();
  /** Where `!reset` and `!override` stand: these paths go from what the file is laid over. */
  readonly removed: Path[] = [];
  private readonly lines = new LineCounter();
  private readonly offsets = new Map<string, number>();
  private resolve: (node: Node) => Node | undefined = (node) => node;
  private nodes = 0;
  private aliases = 0;
  private depth = 0;

  constructor(
    /** For findings: its name as the caller gave it. */
    readonly file: string,
    private readonly text: string,
    private readonly lookup: Lookup,
    /** A text may have several documents: the others are laid over the first. */
    private readonly index = 0,
  ) {}

  /** How many documents the text has, once it was read. */
  documents = 1;

  /** The values; undefined where the text is no YAML, and then `findings` says why. */
  read(): unknown {
    if (this.text.length > TEXT_MAX) {
      this.at(0, "invalid", [], `the file has more than ${TEXT_MAX} characters`);
      return undefined;
    }
    const all = parseAllDocuments(this.text, {
      lineCounter: this.lines,
      prettyErrors: false,
      uniqueKeys: true,
      merge: true,
    });
    this.documents = Math.max(1, all.length);
    const document = all[this.index];
    if (!document) return {};
    const tagged = ({ code, message }: { code: string; message: string }) =>
      code === "TAG_RESOLVE_FAILED" && /!(reset|override)\b/.test(message);
    for (const error of [...document.errors, ...document.warnings.filter((warning) => !tagged(warning))])
      this.at(error.pos[0], "invalid", [], error.message);
    if (this.findings.length > 0) return undefined;
    this.resolve = (node) => (isAlias(node) ? node.resolve(document) : node);
    return document.contents === null ? {} : this.value(document.contents, []);
  }

  /** Whether the path is written down. */
  has(path: Path): boolean {
    return this.offsets.has(key(path));
  }

  /** Says that something is wrong at a path, or at its nearest parent that is written down. */
  find(kind: Finding["kind"], path: Path, message: string, hint?: string): void {
    for (let length = path.length; length >= 0; length -= 1) {
      const offset = this.offsets.get(key(path.slice(0, length)));
      if (offset !== undefined || length === 0) {
        this.at(offset ?? 0, kind, path, message, hint);
        return;
      }
    }
  }

  private at(offset: number, kind: Finding["kind"], path: Path, message: string, hint?: string): void {
    const { line, col } = this.lines.linePos(offset);
    this.findings.push({
      kind,
      file: this.file,
      line: Math.max(1, line),
      column: Math.max(1, col),
      path: path.join("."),
      message,
      ...(hint === undefined ? {} : { hint }),
    });
  }

  private value(written: Node, path: Path): unknown {
    const here = key(path);
    if (!this.offsets.has(here)) this.offsets.set(here, written.range?.[0] ?? 0);
    this.nodes += 1;
    if (isAlias(written)) this.aliases += 1;
    if (this.nodes > NODES_MAX || this.aliases > ALIASES_MAX || this.depth > DEPTH_MAX) {
      if (this.findings.length === 0)
        this.find("invalid", path, `the file has too many values, or is nested too deeply`);
      return undefined;
    }
    this.depth += 1;
    try {
      return this.resolved(this.resolve(written), path);
    } finally {
      this.depth -= 1;
    }
  }

  private resolved(node: Node | undefined, path: Path): unknown {
    if (isMap<Node, Node | null>(node)) return this.mapping(node.items, path);
    if (isSeq<Node>(node)) return node.items.map((item, index) => this.value(item, [...path, index]));
    if (isScalar(node)) return this.scalar(node, path);
    this.find("invalid", path, "this value cannot be read");
    return undefined;
  }

  private mapping(pairs: Pair<Node, Node | null>[], path: Path): Record<string, unknown> {
    const own = new Map<string, unknown>();
    const merged: Node[] = [];
    for (const { key: name, value } of pairs) {
      // A merge's key has a symbol for its value.
      const text = isScalar(name) ? (name.source ?? String(name.value)) : undefined;
      if (text === undefined || text === "__proto__") {
        this.at(name.range?.[0] ?? 0, "invalid", path, "this cannot be a key");
      } else if (text === "<<" && value !== null) {
        merged.push(value);
      } else {
        const below = [...path, text];
        this.offsets.set(key(below), name.range?.[0] ?? 0);
        const tag = value?.tag;
        if (tag === "!reset" || tag === "!override") this.removed.push(below);
        if (tag !== "!reset") own.set(text, value === null ? null : this.value(value, below));
      }
    }
    // What is written here wins over what is merged in.
    for (const node of merged) {
      const found = this.value(node, path);
      for (const part of Array.isArray(found) ? found : [found])
        for (const [name, value] of Object.entries(isRecord(part) ? part : {}))
          if (!own.has(name)) own.set(name, value);
    }
    return Object.fromEntries(own);
  }

  private scalar(node: Scalar, path: Path): unknown {
    const { value } = node;
    if (value instanceof Date || typeof value === "bigint") return String(value);
    // As YAML 1.1 has them, and `docker compose` with it: 0444 is a file's mode.
    if (typeof value === "number" && /^0[0-7]+$/.test(node.source ?? "")) return Number.parseInt(node.source ?? "", 8);
    // Digits that are more than a number here can hold are somebody's text.
    if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value))
      return node.source ?? value;
    if (typeof value !== "string") return value;
    const expanded = interpolate(value, this.lookup);
    if (!expanded.ok) {
      this.find("invalid", path, expanded.message);
      return undefined;
    }
    for (const one of expanded.used) this.used.add(one);
    for (const name of expanded.unset) this.unset.add(name);
    return expanded.text;
  }
}

export function mapValues<T, U>(record: Readonly<Record<string, T>>, make: (value: T, name: string) => U) {
  return Object.fromEntries(Object.entries(record).map(([name, value]): [string, U] => [name, make(value, name)]));
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function key(path: Path): string {
  return path.join("\0");
}
