/** Where a client's file is on this machine. Paths are made for the platform that is asked for, whichever this is. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { posix, win32 } from "node:path";
import { Fault } from "../../base/fault.ts";
import { similar } from "../../base/similar.ts";
import { type Client, CLIENTS, type Platform, PLATFORMS } from "./table.ts";

export interface Surroundings {
  platform: Platform;
  env: Record<string, string | undefined>;
  cwd: string;
}

export type Scope = "user" | "project";

export function surroundings(): Surroundings {
  const platform = PLATFORMS.find((one) => one === process.platform) ?? "linux";
  return { platform, env: process.env, cwd: process.cwd() };
}

/** Fault `not-found` with similar names. */
export function clientCalled(id: string): Client {
  const found = CLIENTS.find((client) => client.id === id.toLowerCase());
  if (found) return found;
  const near = similar(
    id.toLowerCase(),
    CLIENTS.map((client) => client.id),
  );
  const meant = near.length > 0 ? `Did you mean ${near.join(" or ")}? ` : "";
  throw new Fault("not-found", `no client ${JSON.stringify(id)} is known`, {
    hint: `${meant}linkspan client ls shows all.`,
  });
}

/** The places of a scope in their order; empty where the client has none. */
export function placesOf(client: Client, scope: Scope, around: Surroundings): string[] {
  if (scope === "user") return client.user[around.platform].map((template) => expandPlace(template, around));
  const { join } = around.platform === "win32" ? win32 : posix;
  return (client.project ?? []).map((path) => join(around.cwd, path));
}

/** The file to read and write. Fault `unsupported` where the client has no such scope. */
export function fileOf(client: Client, scope: Scope, around: Surroundings): string {
  const places = placesOf(client, scope, around);
  const file = places.find((place) => existsSync(place)) ?? places[0];
  if (file !== undefined) return file;
  throw new Fault("unsupported", `${client.title} has no MCP servers of a project`, {
    hint: `Without --project: linkspan client setup ${client.id}`,
  });
}

/** Whether the client seems to be here: its folder, a sign of it, or its program. */
export function isInstalled(client: Client, around: Surroundings): boolean {
  const { dirname } = around.platform === "win32" ? win32 : posix;
  const signs = client.signs?.map((template) => expandPlace(template, around)) ?? [];
  const folders = client.signs ? [] : placesOf(client, "user", around).map((place) => dirname(place));
  const isThere = [...signs, ...folders, ...placesOf(client, "user", around)].some((path) => existsSync(path));
  return isThere || client.programs.some((program) => Bun.which(program, { PATH: around.env.PATH ?? "" }) !== null);
}

export function expandPlace(template: string, { platform, env }: Surroundings): string {
  const { join, isAbsolute } = platform === "win32" ? win32 : posix;
  const home = (platform === "win32" ? env.USERPROFILE : env.HOME) || homedir();
  // A variable that is no absolute path is ignored, as the XDG specification wants it for its own. Inner ones come first.
  const fill = (text: string): string => {
    const filled = text.replace(/\$\{(\w+):-([^${}]*)\}/, (_, variable: string, instead: string) => {
      const asked = env[variable];
      return asked && isAbsolute(asked) ? asked : instead;
    });
    return filled === text ? text : fill(filled);
  };
  return join(fill(template).replace(/^~(?=\/|$)/, () => home));
}
