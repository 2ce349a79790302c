/** A server that cannot be opened, and many who want it. */
import { expect, test } from "bun:test";
import { Fault } from "../../../src/base/fault.ts";
import { serverUpstream } from "../../../src/gateway/servers/upstream.ts";
import { rejection } from "../../support/rejection.ts";
import { Person } from "./stage.ts";

test.each(["legacy", "modern"] as const)(
  "%s clients that come together fail together: it is tried once",
  async (era) => {
    let opened = 0;
    const gate = Promise.withResolvers<void>();
    const open = async () => {
      opened += 1;
      await gate.promise;
      throw new Fault("unreachable", "nobody is there");
    };
    const upstream = serverUpstream({ open });
    const people = Array.from({ length: 20 }, () => new Person(upstream, era));
    const asked = people.map((person) => rejection(person.describe()));
    // Half of them do not even wait.
    await Promise.all(people.slice(10).map((person) => person.attachment.close()));
    gate.resolve();
    for (const fault of await Promise.all(asked.slice(0, 10))) expect(fault).toMatchObject({ kind: "unreachable" });
    expect(opened).toBe(1);
    // The next one who asks does so anew.
    expect(await rejection(new Person(upstream, era).describe())).toMatchObject({ kind: "unreachable" });
    expect(opened).toBe(2);
  },
);
