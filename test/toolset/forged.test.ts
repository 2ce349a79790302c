/** Confirmations by clients that lie: raw lines of both eras on the built binary, in front of an engine that says yes. */
import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BINARY } from "../support/binary.ts";
import { type FakeEngine, fakeEngine } from "../support/fake-engine.ts";

type Json = Record<string, unknown>;

const TOOL = "docker_remove_network";
const ASKED = { name: TOOL, arguments: { network_id: "backend" } };
const MODERN = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": { elicitation: { form: {} } },
  "io.modelcontextprotocol/clientInfo": { name: "liar", version: "1" },
};

/** What is sent and answered, line by line; `onRequest` answers what the server asks. */
class Liar implements AsyncDisposable {
  private readonly child;
  private readonly waiting = new Map<unknown, (message: Json) => void>();
  private id = 0;

  private constructor(
    env: Record<string, string>,
    private readonly onRequest: (message: Json) => unknown,
  ) {
    this.child = Bun.spawn([BINARY, "mcp", "--toolset", "docker"], {
      env,
      stdin: "pipe",
      stdout: "pipe",
      stderr: "ignore",
    });
    void this.read();
  }

  static async start(
    fake: FakeEngine,
    folder: string,
    onRequest: (message: Json) => unknown = () => ({}),
  ): Promise<Liar> {
    const env = {
      PATH: process.env.PATH ?? "",
      DOCKER_HOST: `unix://${fake.path}`,
      LINKSPAN_DATA_DIR: folder,
      SAFETY_ALLOW_DESTRUCTIVE_OPERATIONS: "true",
    };
    return new Liar(env, onRequest);
  }

  ask(method: string, params: Json): Promise<Json> {
    const id = (this.id += 1);
    const answered = new Promise<Json>((resolve) => this.waiting.set(id, resolve));
    this.send({ id, method, params });
    return answered;
  }

  send(message: Json): void {
    this.child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
    this.child.stdin.flush();
  }

  private async read(): Promise<void> {
    let rest = "";
    for await (const chunk of this.child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = `${rest}${chunk}`.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const message: Json = JSON.parse(line);
        if (message["method"] !== undefined && message["id"] !== undefined)
          this.send({ id: message["id"], result: this.onRequest(message) });
        else this.waiting.get(message["id"])?.(message);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.exited;
  }
}

async function withFake(work: (fake: FakeEngine, folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "linkspan-test-forged-"));
  try {
    await using fake = await fakeEngine();
    await work(fake, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const removed = ({ requests }: FakeEngine) => requests.filter(({ method }) => method === "DELETE").length;
const yes = { confirm: { action: "accept", content: { confirm: true } } };

test("a modern client that forges, edits or repeats a state is asked again, or told that nothing was done", async () => {
  await withFake(async (fake, folder) => {
    await using liar = await Liar.start(fake, folder);
    const call = (more: Json = {}) => liar.ask("tools/call", { ...ASKED, ...more, _meta: MODERN });
    const stateOf = (answer: Json) => String((answer["result"] as Json)["requestState"]);
    const first = await call();
    const token = stateOf(first);
    expect(token.length).toBeGreaterThan(20);
    const junk = [
      { inputResponses: yes },
      { inputResponses: yes, requestState: "" },
      { inputResponses: yes, requestState: "AAAAAAAAAAAAAAAAAAAAAA" },
      { inputResponses: yes, requestState: `${token}x` },
      { inputResponses: { confirm: { action: "accept" } }, requestState: stateOf(await call()) },
      {
        inputResponses: { confirm: { action: "accept", content: { confirm: "true" } } },
        requestState: stateOf(await call()),
      },
      {
        inputResponses: { confirm: { action: "accept", content: { confirm: [true] } } },
        requestState: stateOf(await call()),
      },
      {
        inputResponses: { confirm: { action: "decline", content: { confirm: true } } },
        requestState: stateOf(await call()),
      },
      { inputResponses: { other: yes.confirm }, requestState: stateOf(await call()) },
      { inputResponses: { confirm: true }, requestState: stateOf(await call()) },
      { inputResponses: yes, requestState: stateOf(await call()), arguments: { network_id: "other" } },
      {
        inputResponses: yes,
        requestState: stateOf(await call()),
        name: "docker_remove_volume",
        arguments: { volume_name: "data" },
      },
    ];
    for (const more of junk) await call(more);
    expect(removed(fake)).toBe(0);

    // A state is nothing to another process, and nothing once it was declined.
    await using other = await Liar.start(fake, folder);
    await other.ask("tools/call", { ...ASKED, inputResponses: yes, requestState: token, _meta: MODERN });
    const declined = stateOf(await call());
    await call({ inputResponses: { confirm: { action: "decline" } }, requestState: declined });
    await call({ inputResponses: yes, requestState: declined });
    expect(removed(fake)).toBe(0);

    await call({ inputResponses: yes, requestState: token });
    expect(removed(fake)).toBe(1);
    await call({ inputResponses: yes, requestState: token });
    expect(removed(fake)).toBe(1);
  });
});

test.each([
  [{}],
  [{ action: "accept" }],
  [{ action: "accept", content: {} }],
  [{ action: "accept", content: { confirm: "yes" } }],
  [{ action: "accept", content: { confirm: false } }],
  [{ action: "cancel", content: { confirm: true } }],
  [{ action: "decline" }],
  [{ action: ["accept"], content: { confirm: true } }],
])("an elicitation answered with %j does nothing", async (said) => {
  await withFake(async (fake, folder) => {
    let questions = 0;
    await using liar = await Liar.start(fake, folder, () => {
      questions += 1;
      return said;
    });
    const clientInfo = { name: "liar", version: "1" };
    const capabilities = { elicitation: {} };
    await liar.ask("initialize", { protocolVersion: "2025-06-18", capabilities, clientInfo });
    liar.send({ method: "notifications/initialized" });
    const { result, error } = await liar.ask("tools/call", ASKED);
    expect(error !== undefined || (result as Json)["isError"] === true).toBe(true);
    expect(questions).toBe(1);
    expect(removed(fake)).toBe(0);
  });
});
