import { formatEndpoint } from "../../src/docker/endpoint.ts";
import { engine } from "./engine.ts";

/** What a person does with `docker`, on the engine itself. */
export async function dockerCommand(...args: string[]): Promise<void> {
  const { endpoint } = engine();
  const host = endpoint.kind === "socket" ? `unix://${endpoint.path}` : formatEndpoint(endpoint);
  const child = Bun.spawn(["docker", "-H", host, ...args], { stdout: "ignore", stderr: "pipe" });
  if ((await child.exited) !== 0) throw new Error(await child.stderr.text());
}
