/** Many clients of both eras at once on real servers: everybody hears what is theirs, and nothing else. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Client as ModernClient } from "@modelcontextprotocol/client";
import { Client as LegacyClient } from "@modelcontextprotocol/sdk/client/index.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { join } from "node:path";
import type { Upstream } from "../../../src/gateway/exchange.ts";
import { Stage } from "../servers/stage.ts";
import { ChannelTransport } from "./channel.ts";

const SERVER = join(import.meta.dir, "../../conformance/stdio.ts");
const EACH = 6;
const CALLS = 2;
const MS = 60_000;
let stage: Stage;

beforeAll(async () => {
  stage = await Stage.open("crowd");
}, MS);
afterAll(() => stage[Symbol.asyncDispose]());

interface Person {
  name: string;
  /** Says its own name when it is asked for one. */
  call(tool: string, onprogress?: (progress: number) => void): Promise<string>;
  asked: number;
  close(): Promise<void>;
}

async function modern(name: string, upstream: Upstream): Promise<Person> {
  const client = new ModernClient(
    { name, version: "1" },
    { capabilities: { elicitation: {} }, versionNegotiation: { mode: { pin: "2026-07-28" } } },
  );
  client.setRequestHandler("elicitation/create", async () => {
    person.asked += 1;
    return { action: "accept", content: { name } };
  });
  await client.connect(new ChannelTransport(upstream, name.slice(0, -1)));
  const person: Person = {
    name,
    asked: 0,
    call: async (tool, onprogress) => {
      const options = onprogress ? { onprogress: (step: { progress: number }) => onprogress(step.progress) } : {};
      return JSON.stringify((await client.callTool({ name: tool, arguments: {} }, options)).content);
    },
    close: () => client.close(),
  };
  return person;
}

async function legacy(name: string, upstream: Upstream): Promise<Person> {
  const client = new LegacyClient({ name, version: "1" }, { capabilities: { elicitation: {} } });
  client.setRequestHandler(ElicitRequestSchema, () => {
    person.asked += 1;
    return { action: "accept" as const, content: { name } };
  });
  await client.connect(new ChannelTransport(upstream, name.slice(0, -1)));
  const person: Person = {
    name,
    asked: 0,
    call: async (tool, onprogress) => {
      const options = onprogress ? { onprogress: (step: { progress: number }) => onprogress(step.progress) } : {};
      return JSON.stringify((await client.callTool({ name: tool, arguments: {} }, undefined, options)).content);
    },
    close: () => client.close(),
  };
  return person;
}

for (const era of ["legacy", "modern"] as const) {
  test(
    `on a ${era} server`,
    async () => {
      const body = { image: `exec:${process.execPath}`, args: [SERVER, era] };
      const { upstream, living } = await stage.start(`${era}-crowd`, body);
      const people = await Promise.all(
        Array.from({ length: EACH }, (_, index) => [
          modern(`modern-${index}`, upstream),
          legacy(`legacy-${index}`, upstream),
        ]).flat(),
      );
      await Promise.all(
        people.map(async (person) => {
          for (let call = 0; call < CALLS; call++) {
            expect(await person.call("test_input_required_result_elicitation")).toContain(`Hello, ${person.name}!`);
          }
          const steps: number[] = [];
          await person.call("test_tool_with_progress", (progress) => void steps.push(progress));
          expect(steps).toEqual([...steps].sort((a, b) => a - b));
          expect(steps.length).toBeLessThanOrEqual(3);
        }),
      );
      expect(people.map(({ asked }) => asked)).toEqual(people.map(() => CALLS));
      // A legacy client has its own process, the modern ones of a principal share a few.
      expect(living()).toBeLessThanOrEqual(era === "legacy" ? EACH + 4 : 2);
      await Promise.all(people.map((person) => person.close()));
    },
    MS,
  );
}
