/** The name of a server that is run without one: the last word of its reference. Pure. */

const NAME_CHARS_MAX = 63;

/**
 * `npm:@modelcontextprotocol/server-filesystem@2025.8.21` → `server-filesystem`,
 * `ghcr.io/github/github-mcp-server:v1` → `github-mcp-server`. Always a valid server name.
 */
export function nameOfRef(ref: string): string {
  const withoutScheme = ref.replace(/^(npm|pypi|exec|code):/, "");
  const last = withoutScheme.split("/").at(-1) ?? "";
  // A tag, a digest, a version, extras: nothing that should be in a name that stays when it changes.
  const word = last.split(/[@:,[]/)[0] ?? "";
  const name = word
    .toLowerCase()
    .replace(/[^a-z0-9_.-]+/g, "-")
    .replace(/^[^a-z0-9]+/, "")
    .slice(0, NAME_CHARS_MAX);
  return name || "server";
}
