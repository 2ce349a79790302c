/** The conversations that docs/wire.md shows happen exactly so between a dialler and a real bridge. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { CONTROL_PREFIX } from "../../bridge/wire.ts";
import { fixture, type LineClient, TestBridge } from "../support/bridge.ts";
import { until } from "../support/until.ts";

const page = await Bun.file(join(import.meta.dir, "../../docs/wire.md")).text();
/** Of the token on the page. */
const SHA256 = new Bun.CryptoHasher("sha256").update("secret").digest("hex");
/** Blocks with arrows: `→` is what the dialler sends, `←` what the bridge says, an indented line what happens. */
const conversations = [...page.matchAll(/```\n((?:→|←)[^`]*)```/g)].map(([, block = ""]) =>
  block.trimEnd().split("\n"),
);

/** What differs from run to run. */
function lasting(line: string): string {
  return line
    .replace(/"incarnation":"[0-9a-f]{24}"/, '"incarnation":"…"')
    .replace(/"uptimeMs":\d+/, '"uptimeMs":…')
    .replace(/"version":"[^"]*"/, '"version":"…"')
    .replace(/"session":"session-\d+-[0-9a-f]+"/, '"session":"session-1-…"');
}

describe("docs/wire.md", () => {
  test("shows conversations", () => {
    expect(conversations.length).toBeGreaterThanOrEqual(4);
  });

  test.each(conversations.map((lines) => [lines[0], lines] as const))("%s", async (_, lines) => {
    await using bridge = await TestBridge.start(fixture("ping-or-die.sh"), {
      token: false,
      args: ["--token-sha256", SHA256],
    });
    let client: LineClient = await bridge.connect();
    for (const line of lines) {
      if (line.startsWith("→ ")) client.send(`${line.slice(2)}\n`);
      else if (line.startsWith('← {"link":"ack"')) {
        const { received } = JSON.parse(line.slice(2));
        await until("the acknowledgement", () => client.acknowledged === received);
      } else if (line.startsWith("← ")) expect(lasting(await client.line())).toBe(lasting(line.slice(2)));
      else if (line.includes("the dialler connects again")) {
        client.destroy();
        client = await bridge.connect();
      } else if (line.includes("the dialler ends its sending side")) client.end();
      else if (line.includes("the bridge closes")) expect(await client.toEnd()).toEqual([]);
      else throw new Error(`what does this line of the page mean: ${line}`);
    }
  });

  test("shows the bytes of an exchange", async () => {
    const bytes = (side: string) =>
      Buffer.from(
        [...page.matchAll(new RegExp(`^${side} ((?:[0-9a-f]{2} )+) `, "gm"))]
          .map(([, hex = ""]) => hex)
          .join("")
          .replaceAll(" ", ""),
        "hex",
      );
    await using bridge = await TestBridge.start(fixture("ping-or-die.sh"), { token: false });
    const client = await bridge.connect();
    client.send(bytes(">"));
    expect(`${await client.line()}\n`).toBe(bytes("<").toString());
    expect(page).toContain(
      Buffer.from(CONTROL_PREFIX)
        .toString("hex")
        .replace(/..(?!$)/g, "$& "),
    );
  });
});
