/**
 * A YAML text as plain values, guided by the schema that they are for, with the position of every one of them:
 * what makes "line and column" possible for errors that are found later. Pure.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument, Scalar } from "yaml";
import { similar } from "../base/similar.ts";
import { type Environment, expand } from "./env-reference.ts";

/** What of a valibot schema the reader looks at: `entries` of objects, `value` of records, `item` of arrays. */
export interface Shape {
  readonly type: string;
  readonly entries?: Readonly<Record<string, Shape>>;
  readonly wrapped?: Shape;
  readonly item?: Shape;
  readonly value?: Shape;
  /** Of a union: schemas. Of a picklist: words. */
  readonly options?: readonly unknown[];
}

/** One error in a configuration file; line and column count from 1. */
export interface ConfigError {
  file: string;
  line: number;
  column: number;
  /** Where in the structure, such as `servers.files.image`; empty for the text as a whole. */
  path: string;
  message: string;
  hint?: string;
}

type Path = readonly (string | number)[];

/** Aliases can make a small text huge: more values than this are refused. */
const NODES_MAX = 100_000;

export class YamlSource {
  readonly errors: ConfigError[] = [];
  private readonly lines = new LineCounter();
  private readonly keyOffsets = new Map<string, number>();
  private readonly valueOffsets = new Map<string, number>();
  /** Paths whose text came out of the environment: errors must not repeat what they hold. */
  private readonly referenced = new Set<string>();
  private nodes = 0;

  constructor(
    private readonly file: string,
    private readonly text: string,
    private readonly env: Environment,
  ) {}

  /** The values, or undefined when the text is no YAML; in that case `errors` says why. */
  read(shape: Shape): unknown {
    const document = parseDocument(this.text, { lineCounter: this.lines, prettyErrors: false, uniqueKeys: true });
    for (const error of [...document.errors, ...document.warnings]) {
      this.errorAt(
        error.pos[0],
        [],
        this.sentence(error.code, error.message, error.pos[0]),
        this.syntaxHint(error.code, error.pos[0]),
      );
    }
    if (this.errors.length > 0) return undefined;
    this.resolve = (node) => (isAlias(node) ? node.resolve(document) : node);
    return document.contents === null ? undefined : this.value(document.contents, shape, []);
  }

  /** Whether an error at that path, or above it, is known already. */
  reported(path: Path): boolean {
    return path.some((_, index) => {
      const dotted = path.slice(0, index + 1).join(".");
      return this.errors.some((error) => error.path === dotted);
    });
  }

  /** Whether the value there came out of the environment. */
  fromEnvironment(path: Path): boolean {
    return this.referenced.has(key(path));
  }

  /** An error in the value at a path; at the key of its nearest parent when nothing is written there. */
  error(path: Path, message: string, hint?: string): void {
    this.errorAt(this.valueOffsets.get(key(path)) ?? this.keyOffset(path), path, message, hint);
  }

  private keyOffset(path: Path): number {
    if (path.length === 0) return this.valueOffsets.get("") ?? 0;
    const here = key(path);
    // An item of a list has no key: its value is where it begins.
    return this.keyOffsets.get(here) ?? this.valueOffsets.get(here) ?? this.keyOffset(path.slice(0, -1));
  }

  private errorAt(offset: number, path: Path, message: string, hint: string | undefined): void {
    const { line, col } = this.lines.linePos(offset);
    this.errors.push({
      file: this.file,
      line: Math.max(1, line),
      column: Math.max(1, col),
      path: path.join("."),
      message,
      ...(hint === undefined ? {} : { hint }),
    });
  }

  private resolve = (node: Node): Node | undefined => node;

  private value(written: Node, shape: Shape | undefined, path: Path): unknown {
    this.valueOffsets.set(key(path), written.range?.[0] ?? 0);
    this.nodes += 1;
    if (this.nodes > NODES_MAX) {
      if (this.nodes === NODES_MAX + 1) this.error(path, `more than ${NODES_MAX} values`);
      return undefined;
    }
    const node = this.resolve(written);
    const expected = unwrap(shape);
    if (isMap<Node, Node | null>(node) && expected?.type !== "array") {
      return this.object(node.items, objectOption(expected), path);
    }
    if (isSeq<Node>(node) && expected?.type !== "strict_object" && expected?.type !== "record") {
      return node.items.map((item, index) => this.value(item, expected?.item, [...path, index]));
    }
    if (isScalar(node) && (node.value === null || !isCollection(expected))) return this.scalar(node, expected, path);
    this.error(path, isCollection(expected) ? `expected ${WORDS[expected.type]}` : "this value cannot be read");
    return undefined;
  }

  private object(pairs: Pair<Node, Node | null>[], shape: Shape | undefined, path: Path): unknown {
    const entries: [string, unknown][] = [];
    for (const pair of pairs) {
      const name = isScalar(pair.key) ? (pair.key.source ?? String(pair.key.value)) : undefined;
      if (name === undefined) {
        this.errorAt(pair.key.range?.[0] ?? 0, path, "a key has to be plain text", undefined);
        continue;
      }
      const below = [...path, name];
      this.keyOffsets.set(key(below), pair.key.range?.[0] ?? 0);
      const known = shape?.entries;
      if (known && !Object.hasOwn(known, name)) {
        this.errorAt(this.keyOffset(below), below, `unknown field "${name}"`, nearest(name, Object.keys(known)));
        continue;
      }
      // valibot skips this name without a word; nobody means it.
      if (name === "__proto__") {
        this.errorAt(this.keyOffset(below), below, "__proto__ cannot be a name", undefined);
        continue;
      }
      const expected = known ? known[name] : shape?.value;
      const value = pair.value === null ? null : this.value(pair.value, expected, below);
      // `env:` with all its lines commented out means the same as no `env` at all.
      if (value === null && isCollection(unwrap(expected))) {
        if (unwrap(expected)?.type === "strict_object" && expected?.type !== "optional") entries.push([name, {}]);
        continue;
      }
      entries.push([name, value]);
    }
    // fromEntries defines own properties, so that a key `__proto__` is data like any other.
    return Object.fromEntries(entries);
  }

  private scalar(node: Scalar, shape: Shape | undefined, path: Path): unknown {
    const plain = node.type === Scalar.PLAIN;
    // Where text is wanted, `8080`, `1.0` and `yes` are taken as they are written.
    const literal = plain && node.value !== null && shape?.type === "string" ? node.source : undefined;
    const value = literal ?? node.value;
    if (typeof value !== "string") return value;
    const expanded = expand(value, this.env);
    if (!expanded.ok) {
      const start = node.range?.[0] ?? 0;
      const end = node.range?.[1] ?? start;
      const first = this.text.indexOf("${", start);
      // The distance between two references in the value is that in the text, except where a quoted text has escapes.
      const at = first >= start && first < end ? first + expanded.at - value.indexOf("${") : start;
      this.errorAt(Math.min(at, end), path, expanded.message, expanded.hint);
      return undefined;
    }
    if (expanded.references > 0) this.referenced.add(key(path));
    // `port: ${PORT:-8080}` is meant as the number.
    if (expanded.references > 0 && plain && shape?.type !== "string") return typed(expanded.text);
    return expanded.text;
  }

  private syntaxHint(code: string, offset: number): string | undefined {
    const start = this.text.lastIndexOf("\n", offset - 1) + 1;
    const [line = ""] = this.text.slice(start, start + 1000).split("\n", 1);
    return /[[{].*\$\{/.test(line) ? 'inside [ ] and { } a reference needs quotes: "${NAME}"' : HINTS[code];
  }

  private sentence(code: string, message: string, offset: number): string {
    if (code === "DUPLICATE_KEY") {
      const word = /^["']?([^\s:"']+)/.exec(this.text.slice(offset, offset + 200))?.[1] ?? "";
      return `the key "${word}" is there twice`;
    }
    if (code === "MULTIPLE_DOCS") return "a second document begins here";
    return message.charAt(0).toLowerCase() + message.slice(1);
  }
}

const HINTS: Record<string, string> = {
  DUPLICATE_KEY: "keep one of them",
  TAB_AS_INDENT: "indent with spaces",
  MULTIPLE_DOCS: "remove the --- between the documents",
};

export function nearest(name: string, known: string[]): string {
  const [best] = similar(name, known, 1);
  return best === undefined ? `known here: ${known.join(", ")}` : `did you mean "${best}"?`;
}

function key(path: Path): string {
  return path.join("\0");
}

function unwrap(shape: Shape | undefined): Shape | undefined {
  return shape?.wrapped ? unwrap(shape.wrapped) : shape;
}

/** How a collection is called in errors. */
const WORDS: Record<string, string> = {
  strict_object: "a mapping (KEY: VALUE)",
  record: "a mapping (KEY: VALUE)",
  array: "a list",
};

function isCollection(shape: Shape | undefined): shape is Shape {
  return shape !== undefined && Object.hasOwn(WORDS, shape.type);
}

/** The object among the alternatives of a union, or the shape itself. */
function objectOption(shape: Shape | undefined): Shape | undefined {
  return shape?.type === "union" ? shape.options?.filter(isShape).find((one) => one.entries !== undefined) : shape;
}

function isShape(option: unknown): option is Shape {
  return typeof option === "object" && option !== null && "type" in option;
}

function typed(text: string): unknown {
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (text === "true") return true;
  if (text === "false") return false;
  return text;
}
