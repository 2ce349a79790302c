/** The section `gateway` of linkspan.yaml. */
import { expect, test } from "bun:test";
import { type Config, explain, parseConfig } from "../../src/model/config.ts";

function good(text: string): Config {
  const result = parseConfig(text, "l.yaml", {});
  if (!result.ok) throw new Error(explain(result.errors));
  return result.config;
}

function bad(text: string): string {
  const result = parseConfig(text, "l.yaml", {});
  if (result.ok) throw new Error(`taken as valid: ${JSON.stringify(result.config)}`);
  return explain(result.errors);
}

test("servers of groups are there, names are given once", () => {
  const servers = "servers: { files: { image: x } }\n";
  const group = (text: string) => `gateway:\n  groups:\n    g: ${text}\n${servers}`;
  expect(good(group("{ servers: [files, 'db-*'] }")).gateway.groups).toMatchObject({ g: { toolsets: [] } });
  expect(bad(group("{ servers: [flies] }"))).toContain(
    "l.yaml:3:20: this file has no server flies (gateway.groups.g.servers.0)",
  );
  expect(bad(group("{ servers: [flies] }"))).toContain("Did you mean files?");
  const twice = bad(`gateway:\n  tools:\n    rename: { a__b: c, d__e: c }\n`);
  expect(twice).toContain("several tools would be called c (gateway.tools.rename.a__b)");
  expect(bad("gateway: { tools: { rename: { a: 'b c' } } }\n")).toContain("which is what clients take");
  expect(bad("gateway: { patience: 2 }\n".replace("2", "-1"))).toContain("patience");
  expect(bad("gateway: { approval: { policy: maybe } }\n")).toContain("policy");
  expect(bad("gateway: { tolsets: [docker] }\n")).toContain("did you mean");
});
