/** An engine behind TLS with client certificates, for real: a dockerd of its own, certificates made here. */
import { expect, test } from "bun:test";
import { cageProblem } from "../support/caged-engine.ts";
import { tlsOutcomes } from "../support/tls-engine.ts";

const problem = cageProblem() ?? (Bun.which("openssl") ? undefined : "openssl not found");
if (problem) process.stderr.write(`\n!! the test of an engine behind TLS was SKIPPED: ${problem}\n`);

test.skipIf(problem !== undefined)(
  "an engine behind TLS answers those who have its CA and a certificate, and says to others what is missing",
  async () => {
    const outcomes = await tlsOutcomes();
    expect(outcomes).toMatchObject({
      right: { version: expect.stringMatching(/^\d+\./), containers: 0 },
      certPath: { version: expect.stringMatching(/^\d+\./) },
      toolset: expect.stringMatching(/^\d+\./),
      wrongCa: { kind: "unauthenticated", hint: expect.stringContaining("DOCKER_TLS_CA_CERT") },
      noCa: { kind: "unauthenticated", hint: expect.stringContaining("DOCKER_TLS_CA_CERT") },
      noCertificate: { kind: "unauthenticated", hint: expect.stringContaining("DOCKER_TLS_CLIENT_CERT") },
      foreignCertificate: { kind: "unauthenticated", hint: expect.stringContaining("DOCKER_TLS_CLIENT_CERT") },
      otherName: { kind: "unauthenticated", message: expect.stringContaining("name") },
      plain: { kind: "invalid", hint: expect.stringContaining("DOCKER_TLS_VERIFY") },
    });
  },
  90_000,
);
