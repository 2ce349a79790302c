/** `npm run check`: everything quick, in the order in which a mistake is cheapest to see. Stops at the first failure. */
const STEPS: { name: string; command: string[] }[] = [
  { name: "format", command: ["bun", "fmt", "--no-script", "--check"] },
  { name: "lint", command: ["oxlint", "--deny-warnings"] },
  { name: "types", command: ["bun", "check", "--no-script"] },
  { name: "unused", command: ["knip", "--no-progress"] },
  {
    name: "style and unit tests",
    command: [
      "bun",
      "test",
      "--only-failures",
      "--timeout=60000",
      "test/tidy",
      "test/base",
      "test/model",
      ".unit.test.ts",
    ],
  },
];

for (const { name, command } of STEPS) {
  const startedAt = performance.now();
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  const took = `${Math.round(performance.now() - startedAt)} ms`;
  if (code !== 0) {
    process.stderr.write(`${out}${err}\n✗ ${name} (${took}): ${command.join(" ")}\n`);
    process.exit(1);
  }
  process.stderr.write(`✓ ${name} (${took})\n`);
}
