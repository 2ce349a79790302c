import { expect, test } from "bun:test";
import { progressText } from "../../src/cli/progress.ts";
import { table } from "../../src/cli/table.ts";
import { oneLine, withoutControls } from "../../src/cli/terminal.ts";
import { formatAge, formatBytes, formatMs } from "../../src/cli/units.ts";

test("columns align, numbers to the right, wide characters counted as the terminal shows them", () => {
  const columns = [{ title: "NAME" }, { title: "SIZE", right: true }, { title: "WHAT", clip: true }];
  const rows = [
    ["a", "5", "first"],
    ["東京", "12345", "second, which is far too long"],
  ];
  expect(table(columns, rows).split("\n")).toEqual([
    "NAME    SIZE   WHAT",
    "a          5   first",
    "東京   12345   second, which is far too long",
  ]);
  expect(table(columns, rows, 32).split("\n")[2]).toBe("東京   12345   second, which is…");
});

test("sizes, times and ages", () => {
  expect([0, 1023, 1024, 1536, 512 * 1024 ** 2, 1.25 * 1024 ** 3].map(formatBytes)).toEqual([
    "0 B",
    "1023 B",
    "1 KiB",
    "1.5 KiB",
    "512 MiB",
    "1.3 GiB",
  ]);
  expect([0.25, 9.94, 42.4, 1500, 61_000].map(formatMs)).toEqual(["0.3 ms", "9.9 ms", "42 ms", "1.5 s", "61 s"]);
  const now = 10 ** 12;
  const ages = [now + 5, now - 59_000, now - 60_000, now - 7_200_000, now - 5 * 86_400_000];
  expect(ages.map((since) => formatAge(since, now))).toEqual(["0 s", "59 s", "1 min", "2 h", "5 d"]);
});

test("text of servers cannot steer the terminal", () => {
  expect(oneLine("\x1b[2J\x1b]0;title\x07two\r\nlines\u202e reversed\0")).toBe("two lines reversed");
  expect(withoutControls("a\x1b[31mb\rc\n\td\x9b2Je")).toBe("ab\nc\n\tde");
});

test("progress in steps and bytes", () => {
  expect(progressText({ step: "pull", detail: "layer 1", current: 1024 ** 2, total: 5 * 1024 ** 2 })).toBe(
    "pull: layer 1 (1 MiB of 5 MiB)",
  );
  expect(progressText({ step: "build", current: 2, total: 7 })).toBe("build (2 of 7)");
  expect(progressText({ step: "wait" })).toBe("wait");
});
