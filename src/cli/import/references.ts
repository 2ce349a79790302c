/** References to variables, as other programs write them, in the form of linkspan.yaml. Pure. */

/** Each form with what it means; the rest of a text is taken as it is. */
const FORMS = /\$\{(?:(env|input):)?([A-Za-z_][\w-]*)(:-[^${}]*)?\}|\{env:([A-Za-z_]\w*)\}/g;

/**
 * `${env:NAME}` (VS Code, Cursor), `{env:NAME}` (opencode), `${input:id}`, `${NAME}`, and a whole `$NAME` (Gemini CLI) become
 * `${NAME}`. Every other dollar sign that linkspan.yaml would see something in is doubled.
 */
export function toReferences(text: string): string {
  const whole = /^\$([A-Z_][A-Z0-9_]*)$/.exec(text)?.[1];
  if (whole !== undefined) return `\${${whole}}`;
  let result = "";
  let at = 0;
  for (const found of text.matchAll(FORMS)) {
    const [form, , name, fallback = "", braced] = found;
    result += literal(text.slice(at, found.index));
    result += `\${${variableName(braced ?? name ?? "")}${fallback}}`;
    at = found.index + form.length;
  }
  return result + literal(text.slice(at));
}

/** A text in which nothing is a reference. */
export function literal(text: string): string {
  return text.replace(/\$(?=[${])/g, "$$$$");
}

/** What has to be set for the texts to have values; those with a default need not be. */
export function variablesIn(value: unknown): string[] {
  const found = [...JSON.stringify(value).matchAll(/(?<!\$)(?:\$\$)*\$\{([A-Za-z_]\w*)\}/g)].map(
    ([, name = ""]) => name,
  );
  return [...new Set(found)];
}

export function isReference(text: string): boolean {
  return /^\$\{[A-Za-z_]\w*(:-[^}]*)?\}$/.test(text);
}

/** `github-token` → `GITHUB_TOKEN`; a name with upper case is taken as it is. */
export function variableName(text: string): string {
  if (text === "userHome") return "HOME";
  const name = text.replace(/[^A-Za-z0-9_]+/g, "_").replace(/^(\d)/, "_$1");
  return /[a-z]/.test(name) && name !== text ? name.toUpperCase() : name;
}
