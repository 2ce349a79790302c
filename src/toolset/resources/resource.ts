/** A resource template is one literal: its URIs, words, how they are listed, completed, read and watched. */
import type { ToolCall } from "../tool.ts";

export interface Watching {
  call: ToolCall;
  /** Ends the watch. */
  signal: AbortSignal;
  /** The resource says something else now. May be called as often as that is so. */
  changed(): void;
}

/** Values of the template's variables, decoded. */
export type Variables = Readonly<Record<string, string>>;

export interface ResourceTemplate {
  /** For lists of allowed resources: `container_logs`. */
  name: string;
  /** `container://logs/{container_id}` */
  template: string;
  title: string;
  description: string;
  mimeType: "text/plain" | "application/json" | "application/yaml";
  /** Of each that exists, the variables' values. */
  list(call: ToolCall): Promise<Variables[]>;
  /** What fits a variable, given those that are known already. */
  complete(variable: string, known: Variables, call: ToolCall): Promise<string[]>;
  /** Faults: `not-found`. */
  read(variables: Variables, call: ToolCall): Promise<string>;
  /** Resolves when nothing can change any more. Faults: whatever the engine says; it is then begun anew. */
  watch(variables: Variables, watching: Watching): Promise<void>;
}

const VARIABLE = /\{(\w+)\}/g;
const URI_CHARS_MAX = 1_024;

/** The variables' values if the URI is one of the template's, undefined otherwise. */
export function matchUri(template: string, uri: string): Variables | undefined {
  if (uri.length > URI_CHARS_MAX) return undefined;
  const names = [...template.matchAll(VARIABLE)].map(([, name = ""]) => name);
  const pattern = template
    .replaceAll(VARIABLE, "\0")
    .replace(/[.*+?^$()|[\]\\]/g, "\\$&")
    .replaceAll("\0", "([^/?#]+)");
  const found = new RegExp(`^${pattern}$`).exec(uri);
  if (!found) return undefined;
  try {
    return Object.fromEntries(names.map((name, index) => [name, decodeURIComponent(found[index + 1] ?? "")]));
  } catch {
    return undefined;
  }
}

export function uriOf(template: string, variables: Variables): string {
  return template.replaceAll(VARIABLE, (_, name: string) => encodeURIComponent(variables[name] ?? ""));
}
