import { expect, test } from "bun:test";
import * as v from "valibot";
import { nameOfRef } from "../../src/model/ref-name.ts";
import { name } from "../../src/model/server-spec.ts";

test.each([
  ["npm:@modelcontextprotocol/server-filesystem", "server-filesystem"],
  ["npm:@modelcontextprotocol/server-filesystem@2025.8.21", "server-filesystem"],
  ["npm:left-pad@1.0.0", "left-pad"],
  ["npm:Left_Pad", "left_pad"],
  ["exec:/usr/local/bin/My-Server", "my-server"],
  ["exec:serve", "serve"],
  ["alpine", "alpine"],
  ["alpine:3.20", "alpine"],
  ["ghcr.io/github/github-mcp-server:v1", "github-mcp-server"],
  ["localhost:5000/team/Tool@sha256:0123", "tool"],
  ["registry:5000/a..b", "a..b"],
  ["x/---", "server"],
  [`x/${"a".repeat(200)}`, "a".repeat(63)],
])("%s is run as %s", (ref, expected) => {
  expect(nameOfRef(ref)).toBe(expected);
  expect(v.is(name, nameOfRef(ref))).toBe(true);
});
