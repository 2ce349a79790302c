/** What is judged: the conformance server in containers behind Linkspan, and by itself, as what that is compared with. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fixtureBody } from "../e2e/images.ts";
import { Stage } from "../e2e/stage.ts";
import { directServer } from "./direct.ts";
import { keyedDoor } from "./keyed.ts";
import { installReferee, judge, type Scenario, type Suite, type Verdict } from "./referee.ts";

/** A group in which the server keeps the names of its tools, so that the tool finds them through `/mcp`, too. */
const CONFIG = 'gateway: { groups: { plain: { servers: ["dual*"], plainNames: true } } }\n';
/** The release leaves its sessions open, some thirty a run, and each is a process. */
const ROOM = { pids: 4096, memory: "4g" };
const KINDS = ["dual", "modern", "legacy"];

/** What has to agree: of which suite, through which path, and in words. */
export const CASES: readonly (readonly [Suite | Scenario, string, string])[] = [
  ["release", "/servers/dual/mcp", "a server of both eras"],
  ["2025-11-25", "/servers/dual/mcp", "a server of both eras"],
  ["2026-07-28", "/servers/dual/mcp", "a server of both eras"],
  ["release", "/mcp?group=plain", "a server among all"],
  ["2025-11-25", "/mcp?group=plain", "a server among all"],
  ["2026-07-28", "/mcp?group=plain", "a server among all"],
  ["2026-07-28", "/servers/modern/mcp", "a modern server, by modern clients,"],
  ["2025-11-25", "/servers/modern/mcp", "a modern server, by legacy clients,"],
  ["2025-11-25", "/servers/legacy/mcp", "a legacy server, by legacy clients,"],
  ["http-custom-header-server-validation", "/servers/dual/mcp", "an argument that is repeated in a header"],
  ["http-custom-header-server-validation", "/mcp?group=plain", "an argument of one server among all"],
];

export class Court implements AsyncDisposable {
  private readonly controls = new Map<Suite | Scenario, Promise<Verdict>>();

  private constructor(
    private readonly folder: string,
    private readonly stage: Stage,
    private readonly direct: { url: string } & AsyncDisposable,
  ) {}

  static async open(): Promise<Court> {
    await installReferee();
    const folder = await mkdtemp(join(tmpdir(), "linkspan-test-conformance-"));
    await writeFile(join(folder, "linkspan.yaml"), CONFIG);
    const stage = await Stage.open("docker", { args: ["--config", join(folder, "linkspan.yaml")] });
    const body = { ...(await fixtureBody("conformance", join(import.meta.dir, "stdio.ts"))), limits: ROOM };
    for (const kind of KINDS) await stage.start(kind, { ...body, args: [kind] });
    return new Court(folder, stage, await directServer());
  }

  /** Over the SDK's own HTTP, without Linkspan; judged once for each suite. */
  control(suite: Suite | Scenario): Promise<Verdict> {
    const known = this.controls.get(suite) ?? judge(suite, this.direct.url);
    this.controls.set(suite, known);
    return known;
  }

  async through(suite: Suite | Scenario, path: string): Promise<Verdict> {
    const { url, token } = await this.stage.doors();
    using door = keyedDoor(`${url}${path}`, token);
    return await judge(suite, door.url);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stage[Symbol.asyncDispose]();
    await this.direct[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }
}
