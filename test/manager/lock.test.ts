/** The lock of a data directory in the hands of somebody who cleans up after its manager. */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { SILENT } from "../../src/base/log.ts";
import { openDataDir } from "../../src/manager/data-dir.ts";
import { borrowLock } from "../../src/manager/lock.ts";
import { tempDir } from "../support/cli.ts";

test("lent to who cleans up after a manager that is gone: the next manager waits for its return", async () => {
  await using temp = await tempDir("lock");
  const { path: folder } = temp;
  expect(() => borrowLock(folder)).toThrow("has no lock");
  expect(readdirSync(folder)).toEqual([]);
  const first = openDataDir(folder, SILENT);
  expect(borrowLock(folder)).toBeUndefined();
  first.close();
  const script = `
    const { borrowLock } = await import(${JSON.stringify(join(import.meta.dir, "../../src/manager/lock.ts"))});
    const lock = borrowLock(${JSON.stringify(folder)});
    console.log("lent");
    await Bun.sleep(400);
    lock[Symbol.dispose]();
    await Bun.sleep(60_000);`;
  const borrower = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
  try {
    const { value } = await borrower.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toBe("lent\n");
    const startedAt = performance.now();
    openDataDir(folder, SILENT).close();
    expect(performance.now() - startedAt).toBeGreaterThan(100);
  } finally {
    borrower.kill("SIGKILL");
    await borrower.exited;
  }
});
