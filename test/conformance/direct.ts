/** The conformance server in a process of its own, over the SDK's own HTTP. */
import { join } from "node:path";

export async function directServer(): Promise<{ url: string } & AsyncDisposable> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "http.ts")], { stdout: "pipe", stderr: "inherit" });
  const { value } = await child.stdout.getReader().read();
  return {
    url: `http://localhost:${Number(new TextDecoder().decode(value))}/mcp`,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}
