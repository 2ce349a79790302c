/**
 * Tools and a prompt that need answers of the client. Written as rounds, as of 2026-07-28; to legacy clients the SDK sends
 * them as requests of the server.
 */
import {
  acceptedContent,
  CLIENT_CAPABILITIES_META_KEY,
  createRequestStateCodec,
  type InputRequests,
  inputRequired,
  type InputRequiredSpec,
  type McpServer,
  type ServerContext,
} from "@modelcontextprotocol/server";
import { toStandardJsonSchema } from "@valibot/to-json-schema";
import * as v from "valibot";
import { text } from "./tools.ts";

/** Sealed, as it comes back through the client. */
const state = createRequestStateCodec<{ tool: string; round?: number }>({
  key: crypto.getRandomValues(new Uint8Array(32)),
});
export const verifyState = state.verify;

const form = (message: string, properties: Record<string, object>) =>
  inputRequired.elicit({
    message,
    requestedSchema: { type: "object", properties, required: Object.keys(properties) } as never,
  });
const sample = (words: string) =>
  inputRequired.createMessage({
    messages: [{ role: "user", content: { type: "text", text: words } }],
    maxTokens: 100,
  });
const askName = () => form("What is your name?", { name: { type: "string" } });

type Ask = { mcpReq: ServerContext["mcpReq"] };
const sampled = v.object({ content: v.object({ text: v.string() }) });
const rooted = v.object({ roots: v.array(v.object({ uri: v.string() })) });
const capabilities = v.object({
  elicitation: v.optional(v.unknown()),
  sampling: v.optional(v.unknown()),
  roots: v.optional(v.unknown()),
});
const envelope = v.object({ [CLIENT_CAPABILITIES_META_KEY]: capabilities });
const elicited = v.object({ action: v.string(), content: v.optional(v.unknown()) });

/** The answer under a key if it has this shape. */
function answer<S extends v.GenericSchema>({ mcpReq }: Ask, key: string, schema: S): v.InferOutput<S> | undefined {
  const parsed = v.safeParse(schema, mcpReq.inputResponses?.[key]);
  return parsed.success ? parsed.output : undefined;
}

const nameOf = ({ mcpReq }: Ask, key: string) => acceptedContent<{ name: string }>(mcpReq.inputResponses, key)?.name;

export function addQuestions(server: McpServer): void {
  addForms(server);
  addSamples(server);
  addStates(server);
  server.registerPrompt(
    "test_input_required_result_prompt",
    { description: "Needs an answer before it can be written" },
    async (context: unknown) => {
      const { mcpReq } = context as Ask;
      const given = acceptedContent<{ context: string }>(mcpReq.inputResponses, "user_context")?.context;
      if (given === undefined)
        return need({ user_context: form("In which context?", { context: { type: "string" } }) }) as never;
      return { messages: [{ role: "user", content: { type: "text", text: `Use the following context: ${given}` } }] };
    },
  );
}

function addForms(server: McpServer): void {
  const message = toStandardJsonSchema(v.object({ message: v.string() }));
  const person = {
    username: { type: "string", description: "User's response" },
    email: { type: "string", description: "User's email address" },
  };
  server.registerTool("test_elicitation", { description: "Asks the person", inputSchema: message }, (args, context) => {
    const given = answer(context, "person", elicited);
    if (!given) return need({ person: form(args.message, person) });
    return text(`User response: action=${given.action}, content=${JSON.stringify(given.content ?? {})}`);
  });
  const forms = { test_elicitation_sep1034_defaults: DEFAULTS, test_elicitation_sep1330_enums: ENUMS };
  for (const [name, properties] of Object.entries(forms)) {
    server.registerTool(name, { description: "Asks with a form" }, (context) => {
      const given = answer(context, "form", elicited);
      const requestedSchema = { type: "object", properties, required: [] } as never;
      if (!given) return need({ form: inputRequired.elicit({ message: "Please fill this in", requestedSchema }) });
      return text(`Elicitation completed: action=${given.action}, content=${JSON.stringify(given.content ?? {})}`);
    });
  }
  server.registerTool("test_input_required_result_elicitation", { description: "Asks for a name" }, (context) => {
    const name = nameOf(context, "user_name");
    return typeof name === "string" ? text(`Hello, ${name}!`) : need({ user_name: askName() });
  });
}

function addSamples(server: McpServer): void {
  const prompt = toStandardJsonSchema(v.object({ prompt: v.string() }));
  server.registerTool("test_sampling", { description: "Asks the model", inputSchema: prompt }, (args, context) => {
    const given = answer(context, "reply", sampled);
    return given ? text(`LLM response: ${given.content.text}`) : need({ reply: sample(args.prompt) });
  });
  const samplers = {
    test_missing_capability: ["llm_answer", "Say pong"],
    test_input_required_result_sampling: ["capital_question", "What is the capital of France?"],
  } as const;
  for (const [name, [key, words]] of Object.entries(samplers)) {
    server.registerTool(name, { description: "Needs the client's model" }, (context) => {
      const given = answer(context, key, sampled);
      return given ? text(`It said: ${given.content.text}`) : need({ [key]: sample(words) });
    });
  }
  server.registerTool("test_input_required_result_list_roots", { description: "Asks for the roots" }, (context) => {
    const given = answer(context, "client_roots", rooted);
    if (!given) return need({ client_roots: inputRequired.listRoots() });
    return text(`roots: ${given.roots.map(({ uri }) => uri).join(", ")}`);
  });
  server.registerTool("test_input_required_result_capabilities", { description: "Asks what it may" }, (context) => {
    if (context.mcpReq.inputResponses !== undefined) return text("all was answered");
    const declared = v.safeParse(envelope, context.mcpReq.envelope);
    const { elicitation, sampling, roots } = declared.success ? declared.output[CLIENT_CAPABILITIES_META_KEY] : {};
    return need({
      ...(elicitation ? { user_name: askName() } : {}),
      ...(sampling ? { greeting: sample("Greet somebody") } : {}),
      ...(roots ? { client_roots: inputRequired.listRoots() } : {}),
    });
  });
}

function addStates(server: McpServer): void {
  const confirm = { confirm: form("Please confirm", { ok: { type: "boolean" } }) };
  for (const kind of ["request_state", "tampered_state"]) {
    server.registerTool(`test_input_required_result_${kind}`, { description: "Keeps a state" }, async (context) => {
      const given = acceptedContent(context.mcpReq.inputResponses, "confirm");
      if (given !== undefined && context.mcpReq.requestState() !== undefined)
        return text("state-ok: it came back as it was");
      return need(confirm, await state.mint({ tool: kind }));
    });
  }
  server.registerTool("test_input_required_result_multiple_inputs", { description: "Asks thrice" }, async (context) => {
    const name = nameOf(context, "user_name");
    const [greeting, roots] = [answer(context, "greeting", sampled), answer(context, "client_roots", rooted)];
    if (typeof name === "string" && greeting && roots)
      return text(`${greeting.content.text} ${name}, who has ${roots.roots.length} roots`);
    const questions = {
      user_name: askName(),
      greeting: sample("Greet somebody"),
      client_roots: inputRequired.listRoots(),
    };
    return need(questions, await state.mint({ tool: "multiple_inputs" }));
  });
  server.registerTool("test_input_required_result_multi_round", { description: "Asks twice" }, async (context) => {
    const round = context.mcpReq.requestState<{ tool: string; round?: number }>()?.round ?? 0;
    const next = () => state.mint({ tool: "multi_round", round: round + 1 });
    if (round === 0) return need({ step1: askName() }, await next());
    if (round === 1) return need({ step2: form("Which colour?", { color: { type: "string" } }) }, await next());
    return text("both were answered");
  });
}

function need(inputRequests: InputRequests, requestState?: string) {
  const spec: InputRequiredSpec = requestState === undefined ? { inputRequests } : { inputRequests, requestState };
  return inputRequired(spec);
}

/** SEP-1034: a default of each kind. */
const DEFAULTS = {
  name: { type: "string", default: "John Doe" },
  age: { type: "integer", default: 30 },
  score: { type: "number", default: 95.5 },
  status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
  verified: { type: "boolean", default: true },
};

const titled = (words: readonly string[], name: string) =>
  words.map((title, at) => ({ const: `${name}${at + 1}`, title }));
const OPTIONS = ["option1", "option2", "option3"];

/** SEP-1330: a choice of each kind. */
const ENUMS = {
  untitledSingle: { type: "string", enum: OPTIONS },
  titledSingle: { type: "string", oneOf: titled(["First Option", "Second Option", "Third Option"], "value") },
  legacyEnum: {
    type: "string",
    enum: ["opt1", "opt2", "opt3"],
    enumNames: ["Option One", "Option Two", "Option Three"],
  },
  untitledMulti: { type: "array", items: { type: "string", enum: OPTIONS } },
  titledMulti: { type: "array", items: { anyOf: titled(["First Choice", "Second Choice", "Third Choice"], "value") } },
};
