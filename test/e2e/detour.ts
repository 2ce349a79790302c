/**
 * Stands between fronts and a manager and sends them to another bridge than the manager's: one with a proxy in front of
 * it that breaks connections. All else is the manager's own.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TOKEN } from "../support/bridge.ts";
import type { Launch } from "./launch.ts";
import type { Stage } from "./stage.ts";

export class Detour implements AsyncDisposable {
  private constructor(
    private readonly stage: Stage,
    private readonly folder: string,
    private readonly relay: Bun.Server<undefined>,
  ) {}

  /** `port`: where fronts are sent; asked anew each time. */
  static async open(stage: Stage, port: () => number): Promise<Detour> {
    const folder = await mkdtemp(join(tmpdir(), "ls-detour-"));
    const relay = Bun.serve({
      unix: join(folder, "manager.sock"),
      async fetch(request) {
        const { pathname, search } = new URL(request.url);
        const body = request.method === "POST" ? await request.text() : undefined;
        const headers = new Headers(request.headers);
        headers.delete("content-length");
        const answer = await stage.api(`${pathname}${search}`, {
          method: request.method,
          headers,
          ...(body ? { body } : {}),
        });
        const text = (await answer.text())
          .replaceAll(/"port":\d+/g, `"port":${port()}`)
          .replaceAll(/"token":"[^"]*"/g, `"token":"${TOKEN}"`);
        const type = { "content-type": answer.headers.get("content-type") ?? "application/json" };
        return new Response(answer.status === 204 ? null : text, { status: answer.status, headers: type });
      },
    });
    return new Detour(stage, folder, relay);
  }

  front(...args: string[]): Launch {
    const launch = this.stage.front(...args);
    return { ...launch, env: { ...launch.env, LINKSPAN_DATA_DIR: this.folder } };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.relay.stop(true);
    await rm(this.folder, { recursive: true, force: true });
  }
}
