/** The bearer token of this data directory: the manager's, or made for it if no manager was there yet. */
import { randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DATA_FILE } from "../base/data-dir.ts";
import { Fault } from "../base/fault.ts";

/** As `linkspan token` prints it and the manager accepts it (src/manager/data-dir.ts). */
const TOKEN = /^[A-Za-z0-9_-]{43}$/;
const TOKEN_BYTES = 32;

/** Faults: `forbidden`. */
export function bearerToken(dataDir: string): string {
  const path = join(dataDir, DATA_FILE.token);
  const found = read(path) ?? make(dataDir, path);
  if (found !== undefined && TOKEN.test(found)) return found;
  throw new Fault("forbidden", `${path} has no token that could be used`, {
    hint: "Start `linkspan serve` once: it makes it anew.",
  });
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** Whole or not at all, and never over one that somebody else has made meanwhile. */
function make(dataDir: string, path: string): string | undefined {
  const draft = `${path}.${process.pid}`;
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    writeFileSync(draft, `${randomBytes(TOKEN_BYTES).toString("base64url")}\n`, { mode: 0o600 });
    linkSync(draft, path);
  } catch {
    // Somebody was faster, or the folder is not ours: what is there then says so.
  } finally {
    rmSync(draft, { force: true });
  }
  return read(path);
}
