/** The engine's words, and what a model is told to do next. */
import { expect, test } from "bun:test";
import { Fault } from "../../src/base/fault.ts";
import { messageFault } from "../../src/docker/faults.ts";
import { DOCKER_TOOLS } from "../../src/toolset/catalogue.ts";
import { sentences, withNext } from "../../src/toolset/hints.ts";

const NAMES = new Set(DOCKER_TOOLS.map(({ name }) => name));

test.each([
  ["Container 30a0f34ae8b5 is not running", "docker_start_container"],
  ["Container 30a0f34ae8b5 is not paused", "docker_inspect_container"],
  ["Container 30a0f34ae8b5 is already paused", "docker_unpause_container"],
  ['Conflict. The container name "/x" is already in use by container "abc".', "docker_rename_container"],
  ["Bind for 127.0.0.1:80 failed: port is already allocated", "docker_list_containers"],
  ["pull access denied for nothing, repository does not exist", "docker_login_registry"],
  ["toomanyrequests: You have reached your pull rate limit.", "docker_login_registry"],
  ["write /var/lib/docker/tmp/x: no space left on device", "docker_system_df"],
  ["could not find an available, non-overlapping IPv4 address pool", "docker_prune_networks"],
])("%s: %s", (message, tool) => {
  const { hint = "" } = withNext(messageFault(message, "doing it", 500));
  expect(hint).toContain(tool);
  for (const name of hint.match(/docker_\w+/g) ?? []) expect(NAMES.has(name)).toBe(true);
});

test("a hint of its own stays, and what is not known gets none", () => {
  const own = new Fault("conflict", "Container x is not running", { hint: "Its own." });
  expect(withNext(own)).toBe(own);
  expect(withNext(new Fault("internal", "something else")).hint).toBeUndefined();
});

test("message and hint are sentences", () => {
  expect(sentences("it failed.", "try again")).toBe("it failed. Try again.");
  expect(sentences("it failed", "docker_diagnose says why.")).toBe("it failed. docker_diagnose says why.");
  expect(sentences("it failed", "linkspan doctor says why")).toBe("it failed. linkspan doctor says why.");
  expect(sentences("two\nlines", "Go on.")).toBe("two\nlines\nGo on.");
  expect(sentences("alone", undefined)).toBe("alone");
});
