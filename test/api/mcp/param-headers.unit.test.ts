/** Arguments that are repeated in headers: which ones, and when the two say the same. */
import { expect, test } from "bun:test";
import { compare, hintsIn, ParamHeaders } from "../../../src/api/mcp/param-headers.ts";
import { ModernDoor } from "../../../src/gateway/clients/modern.ts";
import { Seal } from "../../../src/gateway/clients/seal.ts";
import { FakeUpstream, result, text } from "../../gateway/clients/fake.ts";
import { META } from "./support.ts";

const region = { type: "string", "x-mcp-header": "Region" };
const of = (properties: Record<string, unknown>, more = {}) => hintsIn({ type: "object", properties, ...more });

test("hints are found at any depth, where each call has to pass", () => {
  expect(of({ region, level: { type: "integer" } })).toEqual([{ header: "Region", path: ["region"], isNumber: false }]);
  expect(
    of({ where: { type: "object", properties: { region, level: { type: "integer", "x-mcp-header": "L" } } } }),
  ).toEqual([
    { header: "Region", path: ["where", "region"], isNumber: false },
    { header: "L", path: ["where", "level"], isNumber: true },
  ]);
  expect(of({ text: { type: "string", description: 'says "x-mcp-header": "Region"' }, region })).toHaveLength(1);
});

test("a schema that is wrong in it has none, as clients see it", () => {
  const wrong = [
    of({ region, again: { type: "string", "x-mcp-header": "REGION" } }),
    of({ region: { type: "object", "x-mcp-header": "Region" } }),
    of({ region: { type: "string", "x-mcp-header": "Re gion" } }),
    of({ region, list: { type: "array", items: region } }),
    of({}, { oneOf: [{ properties: { region } }] }),
    hintsIn({ ...region }),
    hintsIn(undefined),
  ];
  for (const hints of wrong) expect(hints).toEqual([]);
});

test("numbers are compared as numbers, everything else as text", () => {
  const hints = of({ n: { type: "integer", "x-mcp-header": "N" }, b: { type: "boolean", "x-mcp-header": "B" } });
  const agrees = (args: unknown, headers: Record<string, string>) => {
    try {
      compare(hints, args, new Headers(headers));
      return true;
    } catch {
      return false;
    }
  };
  expect(agrees({ n: 42, b: true }, { "mcp-param-n": "42.0", "mcp-param-b": "true" })).toBe(true);
  expect(agrees({ n: 42 }, { "mcp-param-n": "0x2a" })).toBe(false);
  expect(agrees({ b: true }, { "mcp-param-b": "True" })).toBe(false);
  expect(agrees({ n: 42 }, {})).toBe(false);
  expect(agrees({ n: null, b: [] }, {})).toBe(true);
  expect(agrees(undefined, {})).toBe(true);
});

test("what is known of a server's tools is asked for once, in all its pages, and again after a change", async () => {
  const tool = (name: string, properties = {}) => ({ name, inputSchema: { type: "object", properties } });
  const pages = [[tool("plain")], [tool("there", { region })]];
  const upstream = new FakeUpstream("modern", async ({ method, params }) => {
    if (method !== "tools/list") return text("modern", "done");
    const at = Number(params.cursor ?? 0);
    return result("modern", { tools: pages[at], ...(pages[at + 1] ? { nextCursor: String(at + 1) } : {}) });
  });
  const hints = new ParamHeaders(new ModernDoor(upstream, { seal: new Seal(new Uint8Array(32)), name: "x" }));
  const lists = () => upstream.exchanges.length;
  const checked = async (name: string, principal = "me") => {
    const params = { name, arguments: { region: "eu" }, _meta: META };
    const call = { id: 1, method: "tools/call", params };
    try {
      await hints.check(call, new Headers(), principal, [new AbortController().signal]);
      return "fine";
    } catch (error) {
      return String(error);
    }
  };
  expect(await checked("plain")).toBe("fine");
  expect(lists()).toBe(2);
  expect(await checked("there")).toContain("Mcp-Param-Region is missing; it repeats arguments.region");
  expect(await checked("nobody")).toBe("fine");
  expect(lists()).toBe(2);
  expect(await checked("plain", "you")).toBe("fine");
  expect(lists()).toBe(4);
  hints.forget("me");
  // The client's own list does as well, page by page.
  hints.passed({ params: {} }, JSON.stringify({ result: { tools: pages[0], nextCursor: "1" } }), "me");
  expect(await checked("plain")).toBe("fine");
  hints.passed({ params: { cursor: "1" } }, JSON.stringify({ result: { tools: pages[1] } }), "me");
  expect(await checked("there")).toContain("Region");
  expect(lists()).toBe(4);
  hints.passed({ params: {} }, JSON.stringify({ result: { tools: [tool("plain")] } }), "me");
  expect(await checked("there")).toBe("fine");
  expect(lists()).toBe(4);
});
