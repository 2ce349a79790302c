/** The answering end of a connection: bytes cut anywhere are the same lines. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { LineEnd } from "../../src/transport/line-end.ts";
import { seeded } from "../support/seed.ts";

function open(attach: Partial<ConstructorParameters<typeof LineEnd>[1]> = {}) {
  const heard: string[] = [];
  const state = { written: "", writable: true };
  const wire = {
    write: (bytes: Uint8Array) => {
      state.written += Buffer.from(bytes).toString();
      return state.writable;
    },
    pause: () => void heard.push("(pause)"),
    resume: () => void heard.push("(resume)"),
    end: () => void heard.push("(end)"),
  };
  const end = new LineEnd(wire, { link: "attach", mode: "session", ...attach });
  end.open({
    line: (text) => void heard.push(text),
    drained: () => void heard.push("(drained)"),
    finished: () => void heard.push("(finished)"),
    closed: () => void heard.push("(closed)"),
  });
  return { end, heard, state };
}

test("lines are the same wherever their bytes are cut", () => {
  const words = fc.array(fc.string({ unit: "grapheme", maxLength: 20 }).map((text) => JSON.stringify(text)));
  fc.assert(
    fc.property(words, fc.array(fc.nat(400)), (lines, cuts) => {
      const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
      const { end, heard } = open();
      let from = 0;
      for (const cut of [...new Set(cuts), bytes.length].sort((a, b) => a - b)) {
        end.received(Uint8Array.from(bytes.subarray(from, cut)));
        from = Math.max(from, cut);
      }
      expect(heard).toEqual(lines);
    }),
    seeded("lines", 200),
  );
});

test("a last line without its newline counts, a byte order mark does not", () => {
  const { end, heard } = open();
  end.received(Buffer.from('\uFEFF{"a":1}\n{"b":2}'));
  end.ended();
  expect(heard).toEqual(['{"a":1}', '{"b":2}', "(finished)"]);
});

test("the full wire: attached comes first, ack and lease are nothing, drain finishes, detach ends", () => {
  const { end, heard, state } = open({ version: 7, session: "s" });
  expect(JSON.parse(state.written)).toMatchObject({
    link: "attached",
    version: 1,
    session: "s",
    limits: { resumeMs: 0 },
  });
  end.received(Buffer.from('{"link":"ack","received":1}\n{"link":"lease"}\n{"link":"detach","drain":true}\n'));
  expect(heard).toEqual(["(finished)"]);
  end.received(Buffer.from('{"link":"detach"}\n{"late":1}\n'));
  expect(heard).toEqual(["(finished)", "(end)", "(closed)"]);
  end.closed();
  expect(heard).toHaveLength(3);
});

test("a frame that is none here is refused, and ends it", () => {
  const { end, heard, state } = open();
  end.received(Buffer.from('{"link":"exit","graceMs":1}\n'));
  expect(JSON.parse(state.written)).toMatchObject({ link: "error", kind: "usage" });
  expect(heard).toEqual(["(end)", "(closed)"]);
});

test("what is said in one turn is one write; a full wire says so until it is drained", async () => {
  const { end, heard, state } = open();
  state.writable = false;
  expect([end.send("1"), end.send("2")]).toEqual([true, true]);
  await Promise.resolve();
  expect(state.written).toBe("1\n2\n");
  expect(end.send("3")).toBe(false);
  state.writable = true;
  end.drained();
  expect(heard).toEqual(["(drained)"]);
  expect(end.send("4")).toBe(true);
  end.closed();
  expect(end.send("5")).toBe(true);
  await Promise.resolve();
  expect(state.written).toBe("1\n2\n");
});

test("a line that is no UTF-8 is refused alone: nobody is given other words than were sent", async () => {
  const { end, heard, state } = open();
  end.received(Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff, 0xc3]), Buffer.from('"}\n{"b":"ü"}\n')]));
  await Bun.sleep(0);
  expect(heard).toEqual(['{"b":"ü"}']);
  expect(JSON.parse(state.written)).toMatchObject({ id: null, error: { code: -32700 } });
});
