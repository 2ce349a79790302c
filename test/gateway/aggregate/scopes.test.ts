/** What a token that is for some tools only must not reach. */
import { afterEach, expect, test } from "bun:test";
import { answer, FakeServer, type Stage, stage, tool } from "./fake.ts";

let scene: Stage;

afterEach(() => scene[Symbol.dispose]());

const SECRET = "file:///secret";

function files(): FakeServer {
  const made = new FakeServer();
  made.tools = [tool("read"), tool("write")];
  made.resources = [{ uri: SECRET, name: "secret" }];
  made.resourceTemplates = [{ uriTemplate: "file:///{path}", name: "any" }];
  made.onCall = ({ method }) =>
    method === "tools/call"
      ? answer({ content: [{ type: "resource_link", uri: SECRET, name: "secret" }] })
      : answer({ contents: [{ uri: SECRET, text: "the secret" }], completion: { values: ["secret"] } });
  return made;
}

test("a token for one tool of the only server reads, completes and subscribes to none of its resources", async () => {
  const server = files();
  scene = stage({ files: server });
  const client = scene.client("narrow", {}, {}, ["files__read"]);
  expect(await client.names()).toEqual(["files__read"]);
  const asked = [
    () => client.ask("resources/read", { uri: SECRET }),
    () => client.ask("resources/read", { uri: "file:///unlisted" }),
    () => client.ask("completion/complete", { ref: { type: "ref/resource", uri: "file:///{path}" } }),
  ];
  for (const ask of asked) expect(await ask()).toMatchObject({ kind: "error", error: { code: -32602 } });
  // Nor when the tool that it may call has spoken of one.
  await client.get("tools/call", { name: "files__read" });
  for (const ask of asked) expect(await ask()).toMatchObject({ kind: "error", error: { code: -32602 } });
  const { granted } = await client.hear({ resourceSubscriptions: [SECRET] });
  expect(granted.resourceSubscriptions ?? []).toEqual([]);
  expect(server.requests).not.toContain("resources/read");
  expect(server.requests).not.toContain("completion/complete");
});

test("a token for the tools of one server reaches none of another whose name begins alike", async () => {
  const [own, other] = [files(), files()];
  scene = stage({ files: own, files__old: other });
  const client = scene.client("narrow", {}, {}, ["files__*"]);
  expect(await client.names()).toEqual(["files__read", "files__write"]);
  expect(await client.ask("tools/call", { name: "files__old__read" })).toMatchObject({ kind: "error" });
  expect(other.sessions).toBe(0);
});
