/** docs/configuration.md says what holds: every field with its default, every option, an example that is valid. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import * as v from "valibot";
import { mergeSettings, readArguments, USAGE } from "../../src/manager/settings.ts";
import { budgetSection, explain, managerSection, parseConfig } from "../../src/model/config.ts";
import { gatewaySection } from "../../src/model/gateway-section.ts";
import { limitsSection } from "../../src/model/http-config.ts";
import { serverBody } from "../../src/model/server-spec.ts";
import { parseBytes, parseDuration } from "../../src/model/units.ts";

const text = await Bun.file(join(import.meta.dir, "../../docs/configuration.md")).text();

/** The rows of the table under a heading, as cells. */
function table(heading: string): string[][] {
  const section = text.slice(text.indexOf(heading) + heading.length).split(/\n##/)[0] ?? "";
  const rows = section.split("\n").filter((line) => line.startsWith("| `"));
  return rows.map((row) =>
    row
      .slice(1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim().replaceAll("`", "")),
  );
}

test("the example is valid", () => {
  const example = /```yaml\n([\s\S]*?)```/.exec(text)?.[1] ?? "";
  const result = parseConfig(example, "example", { HOME: "/home/me", GITHUB_TOKEN: "t" });
  expect(result.ok ? "" : explain(result.errors)).toBe("");
  expect(result.ok && result.config.servers.map(({ name }) => name)).toEqual(["files", "github"]);
});

test("every field of a server, with its default", () => {
  const body = v.parse(serverBody, { image: "x" });
  const expected = new Map<string, unknown>();
  for (const field of Object.keys(serverBody.entries)) {
    if (field !== "limits" && field !== "health") expected.set(field, body[field as keyof typeof body]);
  }
  for (const group of ["limits", "health"] as const) {
    for (const [field, value] of Object.entries(body[group])) expected.set(`${group}.${field}`, value);
  }
  const rows = table("### A server");
  expect(rows.map(([field]) => field).toSorted()).toEqual([...expected.keys()].toSorted());
  for (const [field = "", written = ""] of rows) {
    const value = expected.get(field);
    if (typeof value === "number" && !/^\d+$/.test(written)) {
      expect(field.startsWith("limits") ? parseBytes(written) : parseDuration(written), field).toBe(value);
    } else if (field !== "image")
      expect(written, field).toBe(value === undefined ? "" : JSON.stringify(value).replaceAll('"', ""));
  }
});

test("every field of the gateway, with its default", () => {
  const { tools, approval, ...others } = v.parse(gatewaySection, {});
  const nested = { tools: { allow: "", ...tools }, approval };
  const expected = new Map<string, unknown>(Object.entries(others));
  for (const [group, fields] of Object.entries(nested)) {
    for (const [field, value] of Object.entries(fields)) expected.set(`${group}.${field}`, value);
  }
  const rows = table("### The gateway");
  expect(rows.map(([field]) => field).toSorted()).toEqual([...expected.keys()].toSorted());
  for (const [field = "", written = ""] of rows) {
    const value = expected.get(field);
    if (typeof value === "number") expect(parseDuration(written), field).toBe(value);
    else expect(written, field).toBe(typeof value === "string" ? value : JSON.stringify(value).replaceAll('"', ""));
  }
});

test("the example of the gateway is valid", async () => {
  const page = await Bun.file(join(import.meta.dir, "../../docs/gateway.md")).text();
  const example = /```yaml\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
  const result = parseConfig(`${example}servers: { github: { image: x } }\n`, "example", {});
  expect(result.ok ? "" : explain(result.errors)).toBe("");
});

test("every setting of the manager, with its option and default", () => {
  const rows = table("### The manager");
  const limits = Object.keys(limitsSection.entries).map((field) => `limits.${field}`);
  const budget = Object.keys(budgetSection.entries).map((field) => `budget.${field}`);
  expect(rows.map(([field]) => field)).toEqual(
    Object.keys(managerSection.entries).flatMap((field) => {
      // A section of the file, with a page of its own.
      if (field === "oauth") return [];
      return field === "budget" ? budget : field === "limits" ? limits : [field];
    }),
  );
  const { budget: room, limits: bounds, ...others } = mergeSettings({}, {});
  const ofRoom = { "budget.wait": room.wait, "budget.containers": "", "budget.memory": "" };
  const ofBounds = { "limits.rate": "", "limits.burst": "", "limits.concurrent": bounds.concurrent };
  const defaults = { ...others, ...ofRoom, ...ofBounds };
  for (const [field = "", flag = "", written] of rows) {
    expect(USAGE, field).toContain(`  ${flag} `);
    const value = defaults[field as keyof typeof defaults];
    const duration = /^\d+[a-z]+$/.test(written ?? "") ? parseDuration(written ?? "") : undefined;
    expect(duration === undefined ? written : String(duration), field).toBe(
      typeof value === "string" ? value : JSON.stringify(value),
    );
  }
  for (const [flag] of USAGE.replace("--help", "").matchAll(/--[a-z-]+/g)) expect(text.includes(flag), flag).toBe(true);
  expect(readArguments([], { LINKSPAN_TCP_PORT: "9" }).settings).toEqual({ tcpPort: 9 });
});
