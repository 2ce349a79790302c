/** The SDK 1.x client with the official filesystem server: real files, and the border around them. */
import { expect } from "bun:test";
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import type { Launch } from "./launch.ts";

export const NOTE = "Grüße 😀\nsecond line\n";

export async function fillFolder(folder: string): Promise<void> {
  // In a container the server is not the user that made the folder.
  await chmod(folder, 0o755);
  await mkdir(join(folder, "inner"), { recursive: true });
  await Bun.write(join(folder, "note.txt"), NOTE);
  await Bun.write(join(folder, "large.txt"), "0123456789abcde\n".repeat(128 * 1024));
}

export async function browse(launch: Launch, folder: string): Promise<void> {
  const client = new Client({ name: "e2e", version: "1" });
  await client.connect(new StdioClientTransport({ ...launch, stderr: "pipe" }));
  const call = async (name: string, args: Record<string, unknown>) => {
    const result = await client.callTool({ name, arguments: args });
    return { text: JSON.stringify(result.content), isError: result.isError === true };
  };
  const listing = await call("list_directory", { path: folder });
  for (const entry of ["[DIR] inner", "[FILE] note.txt", "[FILE] large.txt"]) expect(listing.text).toContain(entry);
  const note = await call("read_text_file", { path: join(folder, "note.txt") });
  expect(note.text).toContain(JSON.stringify(NOTE).slice(1, -1));
  const large = await call("read_text_file", { path: join(folder, "large.txt") });
  expect(large.text.length).toBeGreaterThan(2 * 1024 * 1024);
  expect(await call("read_text_file", { path: "/etc/hostname" })).toMatchObject({ isError: true });
  await client.close();
}
