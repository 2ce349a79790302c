/** The conformance server: its tools, questions, resources and prompts, for any transport. */
import { McpServer, ResourceTemplate } from "@modelcontextprotocol/server";
import { toStandardJsonSchema } from "@valibot/to-json-schema";
import * as v from "valibot";
import { addQuestions, verifyState } from "./questions.ts";
import { addTools, PIXEL } from "./tools.ts";

export function conformanceServer(): McpServer {
  const capabilities = {
    tools: { listChanged: true },
    resources: { subscribe: true, listChanged: true },
    prompts: { listChanged: true },
    logging: {},
    completions: {},
  };
  const server = new McpServer(
    { name: "linkspan-conformance", version: "1.0.0" },
    { capabilities, requestState: { verify: verifyState } },
  );
  addTools(server);
  addQuestions(server);
  addResources(server);
  addPrompts(server);
  const words = { completion: { values: ["one", "once"], total: 2, hasMore: false } };
  server.server.setRequestHandler("completion/complete", async () => words);
  server.server.setRequestHandler("resources/subscribe", async () => ({}));
  server.server.setRequestHandler("resources/unsubscribe", async () => ({}));
  return server;
}

function addResources(server: McpServer): void {
  const words = {
    "static-text": "This is the content of the static text resource.",
    "watched-resource": "This could change.",
  };
  for (const [name, text] of Object.entries(words)) {
    const uri = `test://${name}`;
    const facts = { description: "A text", mimeType: "text/plain" };
    server.registerResource(name, uri, facts, async () => ({ contents: [{ uri, mimeType: "text/plain", text }] }));
  }
  const binary = "test://static-binary";
  server.registerResource("static-binary", binary, { description: "A pixel", mimeType: "image/png" }, async () => ({
    contents: [{ uri: binary, mimeType: "image/png", blob: PIXEL }],
  }));
  const template = new ResourceTemplate("test://template/{id}/data", { list: undefined });
  const facts = { description: "Data by id", mimeType: "application/json" };
  server.registerResource("template", template, facts, async (uri, { id }) => {
    const text = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${String(id)}` });
    return { contents: [{ uri: uri.href, mimeType: "application/json", text }] };
  });
}

type Content =
  | { type: "text"; text: string }
  | { type: "image"; data: string; mimeType: string }
  | { type: "resource"; resource: { uri: string; mimeType: string; text: string } };
const says = (...contents: Content[]) => ({
  messages: contents.map((content) => ({ role: "user" as const, content })),
});

function addPrompts(server: McpServer): void {
  const schema = <E extends v.ObjectEntries>(entries: E) => toStandardJsonSchema(v.object(entries));
  server.registerPrompt("test_simple_prompt", { description: "A fixed text" }, async () =>
    says({ type: "text", text: "This is a simple prompt for testing." }),
  );
  server.registerPrompt(
    "test_prompt_with_arguments",
    { description: "A text with its arguments", argsSchema: schema({ arg1: v.string(), arg2: v.string() }) },
    async ({ arg1, arg2 }) => says({ type: "text", text: `Prompt with arguments: arg1='${arg1}', arg2='${arg2}'` }),
  );
  server.registerPrompt(
    "test_prompt_with_embedded_resource",
    { description: "A resource and a text", argsSchema: schema({ resourceUri: v.string() }) },
    async ({ resourceUri: uri }) => {
      const resource = { uri, mimeType: "text/plain", text: "Embedded resource content for testing." };
      return says(
        { type: "resource", resource },
        { type: "text", text: "Please process the embedded resource above." },
      );
    },
  );
  server.registerPrompt("test_prompt_with_image", { description: "An image and a text" }, async () =>
    says(
      { type: "image", data: PIXEL, mimeType: "image/png" },
      { type: "text", text: "Please analyze the image above." },
    ),
  );
}
