/**
 * The tools that the official conformance tool calls by name. What each has to do is said in the descriptions of its
 * scenarios (`src/scenarios/server` of modelcontextprotocol/conformance); this is our own server after them.
 */
import { fromJsonSchema, type McpServer } from "@modelcontextprotocol/server";

export const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const SILENCE = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";
/** What the scenarios ask for between two notifications. */
const STEP_MS = 50;

export const text = (words: string) => ({ content: [{ type: "text" as const, text: words }] });
const image = { type: "image" as const, data: PIXEL, mimeType: "image/png" };
const resource = (uri: string, mimeType: string, words: string) => ({
  type: "resource" as const,
  resource: { uri, mimeType, text: words },
});

/** Tools that answer always the same. */
const FIXED = {
  test_simple_text: ["Answers with a text", text("This is a simple text response for testing.").content],
  test_image_content: ["Answers with an image", [image]],
  test_audio_content: ["Answers with a sound", [{ type: "audio" as const, data: SILENCE, mimeType: "audio/wav" }]],
  test_embedded_resource: [
    "Answers with a resource",
    [resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")],
  ],
  test_multiple_content_types: [
    "Answers with a text, an image and a resource",
    [
      ...text("Multiple content types test:").content,
      image,
      resource("test://mixed-content-resource", "application/json", JSON.stringify({ test: "data", value: 123 })),
    ],
  ],
  test_streaming_elicitation: ["Asks nothing of its own on the stream of an answer", text("nothing was asked").content],
} as const;

/** Every keyword of it has to arrive as it is written here. */
const VOCABULARY = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object" as const,
  $defs: {
    address: {
      $anchor: "addressDef",
      type: "object",
      properties: { street: { type: "string" }, city: { type: "string" } },
    },
  },
  properties: {
    name: { type: "string" },
    address: { $ref: "#/$defs/address" },
    contactMethod: { type: "string", enum: ["phone", "email"] },
    phone: { type: "string" },
    email: { type: "string" },
  },
  allOf: [{ anyOf: [{ required: ["phone"] }, { required: ["email"] }] }],
  if: { properties: { contactMethod: { const: "phone" } }, required: ["contactMethod"] },
  // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
  then: { required: ["phone"] },
  else: { required: ["email"] },
  additionalProperties: false,
};

export function addTools(server: McpServer): void {
  for (const [name, [description, content]] of Object.entries(FIXED)) {
    server.registerTool(name, { description }, () => ({ content: [...content] }));
  }
  server.registerTool("test_error_handling", { description: "Always fails" }, () => {
    throw new Error("This tool intentionally returns an error for testing");
  });
  server.registerTool("test_tool_with_logging", { description: "Logs three times" }, async ({ mcpReq }) => {
    await mcpReq.log("info", "Tool execution started");
    await Bun.sleep(STEP_MS);
    await mcpReq.log("info", "Tool processing data");
    await Bun.sleep(STEP_MS);
    await mcpReq.log("info", "Tool execution completed");
    return text("three messages were logged");
  });
  server.registerTool("test_logging_tool", { description: "Logs if the request wants it" }, async ({ mcpReq }) => {
    await mcpReq.log("info", "this was wanted");
    return text("logged where it was wanted");
  });
  server.registerTool("test_tool_with_progress", { description: "Tells of three steps" }, async ({ mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    for (const progress of [0, 50, 100]) {
      if (progressToken !== undefined)
        await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress, total: 100 } });
      await Bun.sleep(STEP_MS);
    }
    return text(String(progressToken ?? "nobody asked"));
  });
  server.registerTool(
    "json_schema_2020_12_tool",
    { description: "Has a schema with much of the vocabulary", inputSchema: fromJsonSchema(VOCABULARY) },
    (args) => text(JSON.stringify(args)),
  );
  const region = { type: "string" as const, "x-mcp-header": "Region" };
  server.registerTool(
    "test_x_mcp_header",
    {
      description: "Has an argument that HTTP clients repeat in a header",
      inputSchema: fromJsonSchema<{ region?: string; level?: number }>({
        type: "object",
        properties: { region, level: { type: "integer" } },
      }),
    },
    (args) => text(`region=${args.region ?? "none"}`),
  );
  addTriggers(server);
  addCancellation(server);
}

/** Calls of this process that were cancelled. */
let cancelled = 0;

/** Not of the conformance tool: a call that only its cancellation ends, and one that says how many were. */
function addCancellation(server: McpServer): void {
  server.registerTool("wait_for_cancellation", { description: "Ends when it is cancelled" }, async ({ mcpReq }) => {
    await new Promise((resolve) => mcpReq.signal.addEventListener("abort", resolve, { once: true }));
    cancelled += 1;
    return text("too late");
  });
  server.registerTool("count_cancelled", { description: "How many calls were cancelled" }, () =>
    text(String(cancelled)),
  );
}

/** Tell listeners of a change that nobody made. */
function addTriggers(server: McpServer): void {
  server.registerTool("test_trigger_tool_change", { description: "Says that the tools changed" }, async () => {
    changes.tools(server);
    return text("told");
  });
  server.registerTool("test_trigger_prompt_change", { description: "Says that the prompts changed" }, async () => {
    changes.prompts(server);
    return text("told");
  });
}

/** How a change is told: over stdio by the server, over HTTP by whoever holds the streams. */
export const changes = {
  tools: (server: McpServer): void => server.sendToolListChanged(),
  prompts: (server: McpServer): void => server.sendPromptListChanged(),
};
