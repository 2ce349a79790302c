/** What the state of a container says, where an engine would have to be caught at it. */
import { expect, test } from "bun:test";
import { findings } from "../../src/toolset/system/findings.ts";

const facts = (Status: string, FailingStreak: number) => ({
  State: { Status, OOMKilled: false, ExitCode: 0, Error: "", Health: { Status: "unhealthy", FailingStreak } },
  RestartCount: 0,
  HostConfig: { Memory: 0, RestartPolicy: { Name: "" }, Privileged: false },
});
const ofHealth = (Status: string, streak: number) =>
  findings(facts(Status, streak)).filter(({ what }) => what.includes("health check"));

test("of a container that has ended, its health check is told only where it had failed", () => {
  // The engine sets unhealthy when a container ends.
  expect(ofHealth("exited", 0)).toEqual([]);
  expect(ofHealth("exited", 3)).toEqual([
    expect.objectContaining({ next: expect.stringContaining("docker_start_container starts it; then run") }),
  ]);
  expect(ofHealth("running", 3)).toEqual([
    expect.objectContaining({ next: "Run the check by hand with docker_exec_command." }),
  ]);
});
