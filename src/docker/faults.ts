/** What an engine's errors mean, in one table: HTTP status and message → kind and hint. */
import { Fault, type FaultKind } from "../base/fault.ts";
import { errorCode, socketFault, START_HINT } from "./endpoint.ts";

interface Meaning {
  status?: number;
  /** In the engine's message, any case. */
  says?: RegExp;
  kind: FaultKind;
  hint?: string;
}

/** The first row that fits wins; messages come before bare codes, because engines answer many things with 500. */
const MEANINGS: Meaning[] = [
  {
    says: /no space left on device|disk quota exceeded/i,
    kind: "exhausted",
    hint: "free disk space on the engine's machine (docker system df shows what takes it)",
  },
  {
    says: /toomanyrequests|too many requests|pull rate limit/i,
    kind: "exhausted",
    hint: "the registry limits pulls: wait, or log in with docker login",
  },
  {
    says: /pull access denied|repository does not exist|insufficient_scope/i,
    kind: "not-found",
    hint: "check the image's name; for a private image log in with docker login",
  },
  {
    says: /manifest (for .* )?(unknown|not found)|name unknown|not found: manifest|no matching manifest/i,
    kind: "not-found",
    hint: "check the image's name, tag and platform",
  },
  {
    says: /unauthorized|authentication required|no basic auth credentials|denied: /i,
    kind: "unauthenticated",
    hint: "log in to the registry with docker login",
  },
  {
    says: /non-overlapping IPv4 address pool|address pools have been fully subnetted/i,
    kind: "exhausted",
    hint: "remove unused networks (docker network prune)",
  },
  {
    says: /not a swarm manager/i,
    kind: "unsupported",
    hint: "make this engine a swarm's manager with docker swarm init, or connect to one that is",
  },
  {
    says: /swarm does not have a leader|swarm is encrypted and needs to be unlocked/i,
    kind: "unreachable",
    hint: "the swarm's managers must have a majority and be unlocked (docker node ls on a manager)",
  },
  { says: /update out of sequence/i, kind: "conflict", hint: "somebody else has changed it meanwhile: try again" },
  { says: /container name .* is already in use|container state improper/i, kind: "conflict" },
  {
    says: /port is already allocated|address already in use/i,
    kind: "conflict",
    hint: "another program has that port",
  },
  {
    says: /dial tcp|no such host|i\/o timeout|TLS handshake timeout|error pulling image configuration|Client\.Timeout/i,
    kind: "unreachable",
    hint: "the engine cannot reach the registry: check its network, proxy and DNS",
  },
  {
    says: /HTTP request to an HTTPS server/i,
    kind: "invalid",
    hint: "the engine wants TLS: set DOCKER_TLS_VERIFY=true and its certificates",
  },
  { status: 400, kind: "invalid" },
  { status: 401, kind: "unauthenticated" },
  { status: 403, kind: "forbidden" },
  { status: 404, kind: "not-found" },
  { status: 409, kind: "conflict" },
  { status: 429, kind: "exhausted" },
];

/** Any error of a connection, as a fault whose message begins with what was being done. */
export function engineFault(thrown: unknown, what: string, endpoint: string): Fault {
  if (thrown instanceof Fault) return thrown;
  const code = errorCode(thrown);
  if (endpoint.startsWith("/") && (code === "EACCES" || code === "EPERM" || code === "ENOENT")) {
    return socketFault(endpoint, code, thrown);
  }
  const tls = tlsFault(code, what, endpoint, thrown);
  if (tls) return tls;
  const hint = code === "ECONNREFUSED" || code === "ENOTFOUND" ? START_HINT : "check that the engine is running";
  const reason = code ?? (thrown instanceof Error ? thrown.message : String(thrown));
  return new Fault("unreachable", `${what}: the container engine at ${endpoint} does not answer (${reason})`, {
    hint,
    cause: thrown,
  });
}

/** Codes of OpenSSL's verification and alerts, as Node and Bun report them. */
function tlsFault(code: string | undefined, what: string, endpoint: string, cause: unknown): Fault | undefined {
  const refused = (reason: string, hint: string) =>
    new Fault("unauthenticated", `${what}: ${reason} (${code}) at ${endpoint}`, { hint, cause });
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return refused("the engine's certificate is for another name", "use a name or address that the certificate has");
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID")
    return refused("the engine's certificate is not valid now", "renew it, or correct the clock");
  if (/^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_)/.test(code ?? ""))
    return refused(
      "the engine's certificate is not signed by a CA that is trusted here",
      "set DOCKER_TLS_CA_CERT to the CA that has signed it",
    );
  if (/^ERR_SSL_.*(CERTIFICATE|UNKNOWN_CA)/.test(code ?? ""))
    return refused(
      "the engine wants a client certificate that its CA has signed",
      "set DOCKER_TLS_CLIENT_CERT and DOCKER_TLS_CLIENT_KEY",
    );
  return undefined;
}

/** An engine that takes connections and says nothing. */
export function frozenFault(what: string, ms: number): Fault {
  return new Fault("timeout", `${what}: the container engine has not answered within ${Math.round(ms / 1000)} s`, {
    hint: "it may be overloaded or hang: see whether `docker info` answers, and restart it if it does not",
  });
}

/** The fault for an error message that came inside an answer (a pull, a build) or with a status. */
export function messageFault(text: string, what: string, status?: number): Fault {
  const meaning = MEANINGS.find((row) => (row.says ? row.says.test(text) : row.status === status));
  const data = status === undefined ? {} : { data: { status } };
  const hint = meaning?.hint === undefined ? {} : { hint: meaning.hint };
  return new Fault(meaning?.kind ?? "engine-failed", `${what}: ${text}`, { ...data, ...hint });
}
